"""The operations on stages and deployments of HTTP APIs.

A stage with AutoDeploy serves the current definition of its API; any other stage serves its
deployment, a copy of the definition.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from stepwell.engine.errors import ApiError
from stepwell.integrations.services.apigateway import messages
from stepwell.integrations.services.apigateway.store import (
    DEPLOYMENT,
    STAGE,
    ApiStore,
    bad_request,
    members,
)
from stepwell.integrations.services.common.answers import Answer
from stepwell.integrations.services.common.tables import Document


class Stages:
    def __init__(self, store: ApiStore) -> None:
        self._store = store

    async def create_stage(self, /, api_id: str, stage_name: str, **parameters: Any) -> Answer:
        async with self._store.lock:
            api = self._store.api(api_id)
            if stage_name in api["Stages"]:
                raise ApiError("ConflictException", messages.STAGE_EXISTS)
            self._store.check_room(len(api["Stages"]), self._store.host.limits.http_stages)
            stage = stage_document({"stage_name": stage_name, **parameters}, api, self._store.now())
            return await self._store.put_part(api, STAGE, stage)

    async def get_stage(self, api_id: str, stage_name: str) -> Answer:
        return self._store.part(api_id, STAGE, stage_name)[1]

    async def get_stages(
        self, api_id: str, max_results: str | None = None, next_token: str | None = None
    ) -> Answer:
        return self._store.part_page(api_id, STAGE, max_results, next_token)

    async def update_stage(self, /, api_id: str, stage_name: str, **parameters: Any) -> Answer:
        async with self._store.lock:
            api, before = self._store.part(api_id, STAGE, stage_name)
            stage = stage_document(parameters, api, self._store.now(), before)
            return await self._store.put_part(api, STAGE, stage)

    async def delete_stage(self, api_id: str, stage_name: str) -> Answer:
        await self._store.delete_part(api_id, STAGE, stage_name)
        return {}


class Deployments:
    def __init__(self, store: ApiStore) -> None:
        self._store = store

    async def create_deployment(
        self, api_id: str, description: str | None = None, stage_name: str | None = None
    ) -> Answer:
        """Copies the current definition of the API. If there are more deployments than the limit
        then, the oldest ones that no stage serves are deleted.
        """
        async with self._store.lock:
            api, at = self._store.api(api_id), self._store.now()
            if stage_name is not None and api["Stages"].get(stage_name, {}).get("AutoDeploy"):
                raise bad_request(messages.DEPLOYMENT_AUTO)
            id = self._store.new_id(6)
            deployment: Document = {
                "DeploymentId": id,
                "CreatedDate": at,
                "DeploymentStatus": "DEPLOYED",
                "AutoDeployed": False,
            }
            if description is not None:
                deployment["Description"] = description
            stages = dict(api["Stages"])
            if stage_name is not None:
                if stage_name not in stages:
                    raise ApiError(
                        "NotFoundException", messages.STAGE_UNKNOWN.format(id=stage_name)
                    )
                stages[stage_name] = stages[stage_name] | {
                    "DeploymentId": id,
                    "LastUpdatedDate": at,
                }
            copy = {name: api.get(name) for name in ("Routes", "Integrations", "CorsConfiguration")}
            deployments = {**api["Deployments"], id: {**deployment, "copy": copy}}
            served = {each.get("DeploymentId") for each in stages.values()}
            unused = [each for each in deployments if each not in served and each != id]
            surplus = len(deployments) - self._store.host.limits.http_deployments
            for each in unused[: max(0, surplus)]:
                del deployments[each]
            await self._store.put({**api, "Stages": stages, "Deployments": deployments})
        return deployment

    async def get_deployment(self, api_id: str, deployment_id: str) -> Answer:
        return self._store.part(api_id, DEPLOYMENT, deployment_id)[1]

    async def get_deployments(
        self, api_id: str, max_results: str | None = None, next_token: str | None = None
    ) -> Answer:
        return self._store.part_page(api_id, DEPLOYMENT, max_results, next_token)

    async def delete_deployment(self, api_id: str, deployment_id: str) -> Answer:
        if any(
            each.get("DeploymentId") == deployment_id
            for each in self._store.api(api_id)["Stages"].values()
        ):
            raise bad_request(messages.DEPLOYMENT_USED)
        await self._store.delete_part(api_id, DEPLOYMENT, deployment_id)
        return {}


def stage_document(
    parameters: Mapping[str, Any], api: Document, at: float, before: Document | None = None
) -> Document:
    """A new stage of an API, or the changed version of one. at: epoch seconds. Raises ApiError."""
    defaults = {
        "CreatedDate": at,
        "AutoDeploy": False,
        "DefaultRouteSettings": {"DetailedMetricsEnabled": False},
        "RouteSettings": {},
        "StageVariables": {},
        "Tags": {},
    }
    stage: Document = {**(before or defaults), **members(parameters), "LastUpdatedDate": at}
    deployment = stage.get("DeploymentId")
    if deployment is not None and deployment not in api["Deployments"]:
        raise bad_request(messages.DEPLOYMENT_UNKNOWN.format(id=deployment))
    return stage
