"""Events on their way to targets: PutEvents -> rules -> deliveries, and archives.

    events/delivery/DUE/ID (see common/deliveries.py)

The deliveries are durable when PutEvents returns. An event that matches no rule and no archive is
not stored.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from stepwell.asl import messages as asl_messages
from stepwell.asl.json_text import JsonError, loads
from stepwell.asl.timestamps import iso_seconds
from stepwell.engine.errors import ApiError
from stepwell.engine.tasks import Transaction, together
from stepwell.integrations.services.common import delivery_log, targets
from stepwell.integrations.services.common import messages as common_messages
from stepwell.integrations.services.common.answers import Answer
from stepwell.integrations.services.common.deliveries import Deliveries, DeliveryError
from stepwell.integrations.services.common.event_patterns import Index
from stepwell.integrations.services.common.tables import Document
from stepwell.integrations.services.events import messages
from stepwell.integrations.services.events.archives import ArchivedEvents
from stepwell.integrations.services.events.input_transformer import (
    Rule,
    Transform,
    compile_transform,
)
from stepwell.integrations.services.events.store import DEFAULT, BusStore, is_object

ON: Final = ("ENABLED", "ENABLED_WITH_ALL_CLOUDTRAIL_MANAGEMENT_EVENTS")


class Publisher:
    def __init__(self, store: BusStore, archived: ArchivedEvents) -> None:
        self._store, self._archived = store, archived
        self.deliveries = Deliveries(
            store.host,
            "rule_deliveries",
            "events/delivery/",
            *delivery_log.watched(store.host, "rule", self._deliver, self._give_up),
        )
        self._indexes: dict[str, Index[str]] = {}  # bus -> its rules by pattern, built when needed
        self._transforms: dict[tuple[str, str], Transform] = {}  # (rule's key, target's id)

    async def open(self) -> None:
        await self.deliveries.open()
        self.update_status_listener()

    async def close(self) -> None:
        self._store.host.on_status = None
        await self.deliveries.close()

    def rule_changed(self, key: str) -> None:
        """A rule was put or deleted."""
        self.bus_changed(key.partition("/")[0])
        for known in [known for known in self._transforms if known[0] == key]:
            del self._transforms[known]
        self.update_status_listener()

    def bus_changed(self, name: str) -> None:
        """The rules of a bus were changed, or the bus was deleted."""
        self._indexes.pop(name, None)

    async def test_event_pattern(self, event_pattern: str, event: str) -> Answer:
        _, matches = self._store.pattern(event_pattern)
        try:
            document = loads(event)
        except JsonError as error:
            raise ApiError(
                "ValidationException", messages.EVENT_NOT_JSON.format(text=error.message)
            ) from None
        required = ("id", "account", "source", "time", "region", "detail-type")
        missing = next(
            (each for each in required if not isinstance(document, dict) or each not in document),
            None,
        )
        if missing is not None:
            raise ApiError(
                "ValidationException",
                messages.EVENT_NOT_JSON.format(
                    text=asl_messages.REQUIRED_FIELD.format(field=missing)
                ),
            )
        return {"Result": matches(document)}

    async def put_events(
        self, entries: Sequence[Document], endpoint_id: str | None = None
    ) -> Answer:
        ids = [self._store.new_id() for _ in entries]
        return await self._store.records.commit(self.prepare(entries, ids))

    def prepare(self, entries: Sequence[Document], ids: Sequence[str]) -> Transaction[Answer]:
        """The answer of PutEvents, and the writes of its deliveries. Raises ApiError."""
        size = sum(_size(entry) for entry in entries)
        if size > self._store.host.limits.event_bytes:
            raise ApiError("ValidationException", messages.EVENTS_TOO_LARGE)
        answers: list[Answer] = []
        accepted: dict[str, list[Document]] = {}
        for entry, id in zip(entries, ids):
            error = self._error(entry)
            if error is not None:
                answers.append({"ErrorCode": error[0], "ErrorMessage": error[1]})
                continue
            answers.append({"EventId": id})
            accepted.setdefault(self._store.bus_name(entry.get("EventBusName")), []).append(
                self._event(entry, id)
            )
        failed = sum("ErrorCode" in each for each in answers)
        return together(self.publish(bus, events) for bus, events in accepted.items()).replying(
            {"FailedEntryCount": failed, "Entries": answers}
        )

    def _error(self, entry: Document) -> tuple[str, str] | None:
        """Why an entry is rejected: (code, text)."""
        for name in ("Source", "DetailType", "Detail"):
            if not entry.get(name):
                return "InvalidArgument", messages.ENTRY_REQUIRED.format(name=name)
        if entry["Source"].startswith("aws."):
            return "NotAuthorizedForSourceException", messages.ENTRY_SOURCE
        if not is_object(entry["Detail"]):
            return "MalformedDetail", messages.ENTRY_DETAIL
        try:
            self._store.bus_name(entry.get("EventBusName"))
        except ApiError as error:
            return error.code, error.message
        return None

    def _event(self, entry: Document, id: str) -> Document:
        return self.envelope(
            entry["Source"],
            entry["DetailType"],
            loads(entry["Detail"]),
            id,
            entry.get("Resources") or [],
            entry.get("Time"),
        )

    def envelope(
        self,
        source: str,
        detail_type: str,
        detail: Any,
        id: str,
        resources: Sequence[str] = (),
        time: float | None = None,
    ) -> Document:
        """An event as targets get it. time: epoch seconds; None: now."""
        home = self._store.host.home
        return {
            "version": "0",
            "id": id,
            "detail-type": detail_type,
            "source": source,
            "account": home.account,
            "time": iso_seconds(self._store.now() if time is None else time),
            "region": home.region,
            "resources": list(resources),
            "detail": detail,
        }

    def publish(
        self,
        bus: str,
        events: Iterable[Document],
        rules: Sequence[str] | None = None,
        hops: int = 0,
    ) -> Transaction[None]:
        """The writes of the deliveries of events that a bus receives, and of its archives. rules:
        ARNs of the only rules that get the events; None: all. hops: buses that the events came
        through.
        """
        events, documents = list(events), []
        index = self._indexes[bus] if bus in self._indexes else self._index(bus)
        ingested = iso_seconds(self._store.now())
        for event in events:
            for key in index.find(event):
                rule = self._store.rules[key]
                if rules is None or rule["Arn"] in rules:
                    documents += [
                        self.document(rule, key, target, event, ingested, hops)
                        for target in rule["Targets"]
                    ]
        accepted = self.deliveries.accept(documents)
        archived = Transaction(None, self._archived.archive(bus, events))
        return together([accepted, archived]).replying(None)

    def _index(self, bus: str) -> Index[str]:
        """The enabled rules of a bus that have a pattern and a target."""
        entries = []
        for rule in self._store.rules.sorted(f"{bus}/"):
            if rule["State"] in ON and rule.get("EventPattern") and rule["Targets"]:
                pattern, matches = self._store.pattern(rule["EventPattern"])
                entries.append((f"{bus}/{rule['Name']}", pattern, matches))
        self._indexes[bus] = index = Index(entries)
        return index

    def document(
        self, rule: Document, key: str, target: Document, event: Document, ingested: str, hops: int
    ) -> Document:
        """The delivery of an event to a target of a rule. key: of the rule; ingested: ISO time."""
        transform = self._transforms.get((key, target["Id"]))
        if transform is None:
            transform = self._transforms[key, target["Id"]] = compile_transform(target)
        payload = transform(event, Rule(rule["Arn"], rule["Name"]), ingested)
        origin = event["id"]
        if "replay-name" in event:  # targets that deduplicate by id get it again
            origin = f"{origin}/{event['replay-name']}"
        document = {
            "id": f"{origin}/{rule['Name']}/{target['Id']}",
            "rule": rule["Arn"],
            "target": target,
            "payload": payload,
            "hops": hops,
        }
        return document | ({"retry": target["RetryPolicy"]} if "RetryPolicy" in target else {})

    def update_status_listener(self) -> None:
        """Receive the status events of executions only if the default bus has a rule or an archive
        that could match them: creating them costs time in every execution.
        """
        index = self._indexes[DEFAULT] if DEFAULT in self._indexes else self._index(DEFAULT)
        needed = len(index) > 0 or self._archived.has_archive(DEFAULT)
        self._store.host.on_status = self._on_status if needed else None

    def _on_status(self, events: list[Document]) -> Transaction[None] | None:
        published = self.publish(DEFAULT, events)
        return published if published.writes else None

    async def _forward(self, bus_arn: str, event: Any, hops: int) -> None:
        """Deliver an event to another bus. Raises DeliveryError."""
        if not isinstance(event, dict):
            raise DeliveryError("SDK_CLIENT_ERROR", messages.FORWARDED_NO_EVENT, False)
        home, parts = self._store.host.home, bus_arn.split(":")
        if (parts[3], parts[4]) != (home.region, home.account):
            raise DeliveryError(
                "NO_RESOURCE", common_messages.TARGET_UNKNOWN.format(arn=bus_arn), False
            )
        limit = self._store.host.limits.bus_hops
        if hops > limit:
            raise DeliveryError(
                "SDK_CLIENT_ERROR", messages.TOO_MANY_HOPS.format(limit=limit), False
            )
        try:
            published = self.publish(self._store.bus_name(bus_arn), [event], hops=hops)
        except ApiError as error:
            raise DeliveryError("NO_RESOURCE", error.message, False) from None
        await self._store.records.commit(published)

    async def _deliver(self, document: Document) -> Transaction[Any] | None:
        target, payload = document["target"], document["payload"]
        if ":event-bus/" in target["Arn"] and not target.get("EventBridgeParameters"):
            await self._forward(target["Arn"], loads(payload), document["hops"] + 1)
            return None
        return await targets.deliver(self._store.host, target, payload, document["id"])

    async def _give_up(self, document: Document, error: DeliveryError, limit: str) -> None:
        attributes = {"RULE_ARN": document["rule"], "TARGET_ARN": document["target"]["Arn"]}
        await targets.dead_letter(self._store.host, document, error, limit, attributes)


def _size(entry: Document) -> int:
    """Bytes of an entry: EventBridge User Guide, "Calculating PutEvents event entry size"."""
    texts = [
        entry.get("Source"),
        entry.get("DetailType"),
        entry.get("Detail"),
        *(entry.get("Resources") or []),
    ]
    return (14 if "Time" in entry else 0) + sum(len(text.encode()) for text in texts if text)
