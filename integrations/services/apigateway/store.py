"""The definitions of HTTP APIs, and what the operations on them share.

httpapi/api/ID      one document: the API with its routes, integrations, stages and deployments
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from stepwell.engine.errors import ApiError
from stepwell.engine.ids import uuids
from stepwell.engine.operations import paging
from stepwell.integrations.aws.calls import REACHED
from stepwell.integrations.services.apigateway import messages
from stepwell.integrations.services.common import messages as common_messages
from stepwell.integrations.services.common.answers import Answer
from stepwell.integrations.services.common.tables import Document, Table

if TYPE_CHECKING:
    from stepwell.integrations.host import Host

PREFIX: Final = "/_apis/"
_DIGITS: Final = "0123456789abcdefghijklmnopqrstuvwxyz"


class Part(NamedTuple):
    """A kind of part of an API. collection: the member of the API's document with all of them, by
    id; id_member: of a part; unknown: the error text for an id without a part.
    """

    collection: str
    id_member: str
    unknown: str


ROUTE: Final = Part("Routes", "RouteId", messages.ROUTE_UNKNOWN)
INTEGRATION: Final = Part("Integrations", "IntegrationId", messages.INTEGRATION_UNKNOWN)
STAGE: Final = Part("Stages", "StageName", messages.STAGE_UNKNOWN)
DEPLOYMENT: Final = Part("Deployments", "DeploymentId", messages.DEPLOYMENT_UNKNOWN)
PARTS: Final = (ROUTE, INTEGRATION, STAGE, DEPLOYMENT)


class ApiStore:
    """lock: held while a document is read and written; on_change: called with the id of an API that
    was changed or deleted.
    """

    def __init__(self, host: Host) -> None:
        self.host, self.new_uuid = host, uuids()
        self.apis = Table("httpapi/api/")
        self.lock = asyncio.Lock()
        self.on_change: Callable[[str], None] = lambda id: None

    async def open(self) -> None:
        await self.apis.open(self.host.records)

    def now(self) -> float:
        return self.host.clock.now() / 1000

    def new_id(self, length: int) -> str:
        """Lower-case letters and digits, as AWS's ids."""
        number, text = int(self.new_uuid().replace("-", ""), 16), ""
        while len(text) < length:
            number, digit = divmod(number, len(_DIGITS))
            text += _DIGITS[digit]
        return text

    def endpoint(self, id: str) -> str:
        """The URL of an API, by the name that the client reached the server by. The path of a stage
        other than $default follows it.
        """
        return f"{REACHED.get() or self.host.url}{PREFIX}{id}"

    def api(self, id: str) -> Document:
        """Raises ApiError."""
        api = self.apis.get(id)
        if api is None:
            raise ApiError(
                "NotFoundException",
                messages.API_UNKNOWN.format(account=self.host.home.account, id=id),
            )
        return api

    async def put(self, api: Document) -> None:
        await self.apis.put(api["ApiId"], api)
        self.on_change(api["ApiId"])

    async def delete(self, id: str) -> None:
        await self.apis.delete(id)
        self.on_change(id)

    def check_room(self, count: int, limit: int) -> None:
        if count >= limit:
            raise ApiError("TooManyRequestsException", common_messages.LIMIT_EXCEEDED)

    def part(self, api_id: str, part: Part, id: str) -> tuple[Document, Document]:
        """(API, part). Raises ApiError."""
        api = self.api(api_id)
        if id not in api[part.collection]:
            raise ApiError("NotFoundException", part.unknown.format(id=id))
        return api, api[part.collection][id]

    async def put_part(self, api: Document, part: Part, document: Document) -> Document:
        parts = {**api[part.collection], document[part.id_member]: document}
        await self.put({**api, part.collection: parts})
        return document

    async def delete_part(self, api_id: str, part: Part, id: str) -> None:
        async with self.lock:
            api, _ = self.part(api_id, part, id)
            left = {key: value for key, value in api[part.collection].items() if key != id}
            await self.put({**api, part.collection: left})

    def part_page(
        self, api_id: str, part: Part, max_results: str | None, next_token: str | None
    ) -> Answer:
        parts = list(self.api(api_id)[part.collection].values())
        return self.page(f"Get{part.collection}/{api_id}", parts, max_results, next_token)

    def page(
        self, question: str, items: list[Any], max_results: str | None, next_token: str | None
    ) -> Answer:
        """max_results: digits, as the model has it. Raises ApiError."""
        if max_results is not None and not (
            max_results.isascii() and max_results.isdigit() and len(max_results) < 9
        ):
            raise bad_request(messages.API_MAX_RESULTS)
        size = paging.size(
            int(max_results) if max_results else None,
            self.host.limits.list_page,
            self.host.limits,
        )
        shown, more = self.host.pages.page([question], items, size, next_token)
        return {"Items": shown, **more}


def bad_request(text: str) -> ApiError:
    return ApiError("BadRequestException", text)


def members(parameters: Mapping[str, Any]) -> Document:
    """Keyword parameters by their names in the model; those that are None are omitted."""
    return {
        "".join(word.capitalize() for word in name.split("_")): value
        for name, value in parameters.items()
        if value is not None
    }
