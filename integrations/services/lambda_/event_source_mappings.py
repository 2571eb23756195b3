"""Event source mappings: queues whose messages invoke a function in batches.

    lambda/mapping/UUID

While a mapping is enabled, poller.py receives from its queue.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from stepwell.engine.errors import ApiError
from stepwell.integrations.services.common.event_patterns import PatternError
from stepwell.integrations.services.common.tables import pack, stored
from stepwell.integrations.services.lambda_ import messages
from stepwell.integrations.services.lambda_.poller import RECEIVE, Poller, filters
from stepwell.integrations.services.lambda_.store import FunctionStore, Json, page, with_marker

MAPPINGS: Final = "lambda/mapping/"
_ARN: Final = ":event-source-mapping:"  # before the UUID
# parameter -> member of the mapping
_MEMBERS: Final = {
    "batch_size": "BatchSize",
    "maximum_batching_window_in_seconds": "MaximumBatchingWindowInSeconds",
    "filter_criteria": "FilterCriteria",
    "scaling_config": "ScalingConfig",
    "function_response_types": "FunctionResponseTypes",
}


class EventSourceMappings:
    def __init__(self, store: FunctionStore) -> None:
        self._store = store
        self.mappings: dict[str, Json] = {}
        self._pollers: dict[str, Poller] = {}

    def _checked(self, mapping: Json) -> Json:
        """Raises PatternError, ValueError."""
        filters(mapping, self._store.host.limits)
        return mapping

    async def open(self) -> None:
        async for _, mapping in stored(self._store.records, MAPPINGS, self._checked):
            self.mappings[mapping["UUID"]] = mapping

    def start_polling(self) -> None:
        for uuid in self.mappings:
            self._poll_if_enabled(uuid)

    # --- operations ---

    async def create_event_source_mapping(
        self,
        /,
        function_name: str,
        event_source_arn: str = "",
        enabled: bool = True,
        tags: Mapping[str, str] | None = None,
        **parameters: Any,
    ) -> Json:
        self._store.check_tags(tags or {})
        parts = event_source_arn.split(":")
        if len(parts) != 6 or parts[2] != "sqs":
            raise ApiError(
                "InvalidParameterValueException",
                messages.MAPPING_SOURCE.format(arn=event_source_arn),
            )
        async with self._store.lock:
            arn = self._function_arn(function_name)
            for other in self.mappings.values():
                if (other["EventSourceArn"], other["FunctionArn"]) == (event_source_arn, arn):
                    text = messages.MAPPING_EXISTS.format(
                        source=event_source_arn, function=arn, uuid=other["UUID"]
                    )
                    raise ApiError("ResourceConflictException", text)
            if len(self.mappings) >= self._store.limits.functions:
                raise ApiError(
                    "ServiceQuotaExceededException",
                    messages.MAPPING_QUOTA.format(limit=self._store.limits.functions),
                )
            uuid = self._store.new_uuid()
            mapping = {
                "UUID": uuid,
                "EventSourceArn": event_source_arn,
                "BatchSize": 10,
                "MaximumBatchingWindowInSeconds": 0,
                "FunctionResponseTypes": [],
                "FunctionArn": arn,
                "EventSourceMappingArn": self._store.arn("x").partition(":function:")[0]
                + f"{_ARN}{uuid}",
                "Tags": dict(tags or {}),
            }
            await self._put(mapping, {"enabled": enabled, **parameters})
        return {**self._shown_mapping(uuid), "State": "Creating"}

    async def update_event_source_mapping(
        self, /, uuid: str, function_name: str | None = None, **parameters: Any
    ) -> Json:
        async with self._store.lock:
            mapping = self._mapping(uuid)
            if function_name is not None:
                mapping = {**mapping, "FunctionArn": self._function_arn(function_name)}
            await self._put(mapping, parameters)
        return {**self._shown_mapping(uuid), "State": "Updating"}

    async def _put(self, mapping: Json, parameters: Json) -> None:
        """Store the mapping with changes, which are checked, and restart its poller. Raises
        ApiError.
        """
        changed = {
            **mapping,
            **{_MEMBERS[name]: value for name, value in parameters.items() if name in _MEMBERS},
        }
        if changed["BatchSize"] > RECEIVE and (
            changed["EventSourceArn"].endswith(".fifo")
            or not changed["MaximumBatchingWindowInSeconds"]
        ):
            raise ApiError("InvalidParameterValueException", messages.MAPPING_BATCH)
        try:
            filters(changed, self._store.host.limits)
        except (PatternError, ValueError) as error:
            raise ApiError(
                "InvalidParameterValueException", messages.MAPPING_FILTER.format(problem=error)
            ) from None
        enabled = parameters.get("enabled", mapping.get("State") == "Enabled")
        changed |= {
            "State": "Enabled" if enabled else "Disabled",
            "StateTransitionReason": "USER_INITIATED",
            "LastModified": self._store.seconds(),
        }
        await self._store.records.write({MAPPINGS + changed["UUID"]: pack(changed)})
        self.mappings[changed["UUID"]] = changed
        await self._stop(changed["UUID"])
        self._poll_if_enabled(changed["UUID"])

    async def get_event_source_mapping(self, uuid: str) -> Json:
        return self._shown_mapping(uuid)

    def _shown_mapping(self, uuid: str) -> Json:
        """The mapping as operations return it. Raises ApiError."""
        mapping, poller = self._mapping(uuid), self._pollers.get(uuid)
        return mapping if poller is None else {**mapping, "LastProcessingResult": poller.result}

    async def delete_event_source_mapping(self, uuid: str) -> Json:
        async with self._store.lock:
            mapping = self._mapping(uuid)
            await self._store.records.write({MAPPINGS + uuid: None})
            del self.mappings[uuid]
            await self._stop(uuid)
        return {**mapping, "State": "Deleting"}

    async def list_event_source_mappings(
        self,
        event_source_arn: str | None = None,
        function_name: str | None = None,
        marker: str | None = None,
        max_items: int | None = None,
    ) -> Json:
        arn = None if function_name is None else self._function_arn(function_name)
        mappings = [
            self._shown_mapping(uuid)
            for uuid, mapping in sorted(self.mappings.items())
            if event_source_arn in (None, mapping["EventSourceArn"])
            and arn in (None, mapping["FunctionArn"])
        ]
        shown, following = page(
            mappings,
            marker,
            max_items,
            self._store.limits.function_page,
            lambda mapping: mapping["UUID"],
        )
        without_tags = [
            {name: value for name, value in mapping.items() if name != "Tags"} for mapping in shown
        ]
        return with_marker({"EventSourceMappings": without_tags}, following)

    # --- tags ---

    def tags(self, arn: str) -> dict[str, str] | None:
        """None if the ARN is not that of an event source mapping. Raises ApiError."""
        _, separator, uuid = arn.partition(_ARN)
        return self._mapping(uuid).get("Tags", {}) if separator else None

    async def put_tags(self, arn: str, tags: dict[str, str]) -> None:
        self._store.check_tags(tags)
        async with self._store.lock:
            mapping = {**self._mapping(arn.partition(_ARN)[2]), "Tags": tags}
            await self._store.records.write({MAPPINGS + mapping["UUID"]: pack(mapping)})
            self.mappings[mapping["UUID"]] = mapping

    def _mapping(self, uuid: str) -> Json:
        """Raises ApiError."""
        if uuid not in self.mappings:
            raise ApiError("ResourceNotFoundException", messages.MAPPING_UNKNOWN)
        return self.mappings[uuid]

    def _function_arn(self, reference: str) -> str:
        """The ARN of an existing function. Raises ApiError."""
        target = self._store.host.functions.find(reference)
        if target is None:
            raise self._store.unknown(*self._store.split(reference))
        return target.arn

    # --- polling ---

    def _poll_if_enabled(self, uuid: str) -> None:
        if self.mappings[uuid]["State"] == "Enabled":
            self._pollers[uuid] = Poller(
                self._store.host, self.mappings[uuid], self._store.new_uuid
            )

    async def _stop(self, uuid: str) -> None:
        poller = self._pollers.pop(uuid, None)
        if poller is not None:
            await poller.stop()

    async def stop_polling(self) -> None:
        for uuid in list(self._pollers):
            await self._stop(uuid)
