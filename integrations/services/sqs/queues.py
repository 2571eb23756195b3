"""The operations on queues: create, delete, purge, list; attributes, tags and permissions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from stepwell.asl.json_text import dumps, loads
from stepwell.engine.errors import ApiError
from stepwell.integrations.limits import Limits
from stepwell.integrations.services.common.answers import Answer, allow_statement
from stepwell.integrations.services.common.tables import Document
from stepwell.integrations.services.sqs import attributes, messages
from stepwell.integrations.services.sqs.message import bad_value
from stepwell.integrations.services.sqs.store import Queue, QueueStore

_NO_POLICY: Final = '{"Version":"2008-10-17","Id":"%s/SQSDefaultPolicy","Statement":[]}'


class Queues:
    def __init__(self, store: QueueStore) -> None:
        self._store = store
        self._deleted: dict[str, int] = {}  # name of a recently deleted queue -> ms

    # --- create, delete, purge, list --------------------------------------------------------------

    async def create_queue(
        self,
        queue_name: str,
        attributes: Mapping[str, str] | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> Answer:
        async with self._store.lock:
            checked = self._checked(queue_name, attributes or {})
            queue = self._store.queues.get(queue_name)
            if queue is None:
                await self._create(queue_name, checked, tags or {})
            else:
                _check_same(queue, checked, self._store.limits)
        return {"QueueUrl": self._store.url(queue_name)}

    def _checked(self, name: str, given: Mapping[str, str]) -> attributes.Attributes:
        attributes.check_name(
            name,
            given
            if name not in self._store.queues
            else {"FifoQueue": "true"}
            if attributes.is_fifo(name)
            else {},
        )
        checked = attributes.checked(name, given, self._store.limits)
        if checked.get("RedrivePolicy"):
            checked["RedrivePolicy"] = attributes.redrive(
                checked["RedrivePolicy"], self._store.arn(name), self._document
            )
        if checked.get("RedriveAllowPolicy"):
            checked["RedriveAllowPolicy"] = attributes.redrive_allow(checked["RedriveAllowPolicy"])
        return checked

    def _document(self, arn: str) -> Document | None:
        queue = self._store.by_arn(arn)
        return None if queue is None else queue.document

    async def _create(
        self, name: str, checked: attributes.Attributes, tags: Mapping[str, str]
    ) -> None:
        now, pause = self._store.now, self._store.limits.queue_name_seconds
        if self._deleted.get(name, -pause * 1000) + pause * 1000 > now:
            raise ApiError("QueueDeletedRecently", messages.QUEUE_DELETED.format(seconds=pause))
        if len(self._store.queues) >= self._store.limits.queues:
            raise ApiError(
                "OverLimit", messages.QUEUE_QUOTA.format(limit=self._store.limits.queues)
            )
        self._check_tags(name, tags)
        await self._store.reserve()
        number = self._store.next_number()
        kept = {attribute: value for attribute, value in checked.items() if value}
        document = {
            "Name": name,
            "Id": number,
            "Store": number,
            "Attributes": kept,
            "Tags": dict(tags),
            "Created": now,
            "Modified": now,
        }
        await self._store.documents.put(name, document)
        self._store.queues[name] = Queue(document, self._store.limits)

    async def delete_queue(self, queue_url: str) -> Answer:
        async with self._store.lock:
            queue = self._store.find(queue_url)
            store, writes = queue.store, self._store.discard_record(queue)
            await self._store.documents.delete(queue.name, writes)
            del self._store.queues[queue.name]
            self._store.forget_messages(queue)
            self._remember_deleted(queue.name)
        self._store.delete_messages(store)
        self._store.release_pollers(queue)
        return {}

    def _remember_deleted(self, name: str) -> None:
        pause = self._store.limits.queue_name_seconds * 1000
        if pause:
            now = self._store.now
            self._deleted = {each: at for each, at in self._deleted.items() if at + pause > now} | {
                name: now
            }

    async def purge_queue(self, queue_url: str) -> Answer:
        async with self._store.lock:
            queue = self._store.find(queue_url)
            pause, now = self._store.limits.purge_seconds, self._store.now
            if queue.purged is not None and queue.purged + pause * 1000 > now:
                raise ApiError(
                    "PurgeQueueInProgress",
                    messages.QUEUE_PURGED.format(name=queue.name, seconds=pause),
                )
            store, writes = queue.store, self._store.discard_record(queue)
            document = {**queue.document, "Store": self._store.next_number()}
            await self._store.documents.put(queue.name, document, writes)
            self._store.forget_messages(queue)
            queue.document, queue.purged = document, now
        self._store.delete_messages(store)
        return {}

    async def get_queue_url(
        self, queue_name: str, queue_owner_aws_account_id: str | None = None
    ) -> Answer:
        if queue_name not in self._store.queues or queue_owner_aws_account_id not in (
            None,
            self._store.host.home.account,
        ):
            raise ApiError("QueueDoesNotExist", messages.QUEUE_UNKNOWN)
        return {"QueueUrl": self._store.url(queue_name)}

    async def list_queues(
        self,
        queue_name_prefix: str = "",
        next_token: str | None = None,
        max_results: int | None = None,
    ) -> Answer:
        names = sorted(name for name in self._store.queues if name.startswith(queue_name_prefix))
        page, more = self._page(["ListQueues", queue_name_prefix], names, next_token, max_results)
        return ({"QueueUrls": [self._store.url(name) for name in page]} if page else {}) | more

    async def list_dead_letter_source_queues(
        self, queue_url: str, next_token: str | None = None, max_results: int | None = None
    ) -> Answer:
        arn = self._store.arn(self._store.find(queue_url).name)
        names = sorted(
            queue.name for queue in self._store.queues.values() if queue.dead_letters()[0] == arn
        )
        page, more = self._page(["ListDeadLetterSourceQueues", arn], names, next_token, max_results)
        return {"queueUrls": [self._store.url(name) for name in page], **more}

    def _page(
        self, question: Sequence[object], names: list[str], token: str | None, most: int | None
    ) -> tuple[list[str], Answer]:
        """(the names of this page, {"NextToken"} if there are more). The token has the last name of
        the page, so created and deleted queues do not shift the pages.
        """
        limit = self._store.limits.queue_page
        if most is not None and not 1 <= most <= limit:
            raise bad_value(most, "MaxResults", messages.QUEUE_PAGE.format(limit=limit))
        try:
            (after,) = self._store.host.pages.read(question, token) or ("",)
        except ApiError:
            raise ApiError("InvalidParameterValue", messages.QUEUE_TOKEN) from None
        size, left = most or limit, [name for name in names if name > after]
        more = len(left) > size and most is not None  # without MaxResults: the first names only
        return left[:size], {
            "NextToken": self._store.host.pages.token(question, left[size - 1])
        } if more else {}

    # --- attributes -------------------------------------------------------------------------------

    async def get_queue_attributes(
        self, queue_url: str, attribute_names: Sequence[str] = ()
    ) -> Answer:
        queue = self._store.find(queue_url)
        for name in attribute_names:
            if name != "All" and name not in attributes.NAMES:
                raise attributes.unknown(name)
        if not attribute_names:
            return {}
        self._store.delete_expired(queue)
        queue.index.show_due(self._store.now)
        document, index = queue.document, queue.index
        shown = attributes.shown(queue.name, document["Attributes"], self._store.limits)
        shown |= {
            "QueueArn": self._store.arn(queue.name),
            "CreatedTimestamp": str(document["Created"] // 1000),
        }
        shown["LastModifiedTimestamp"] = str(document["Modified"] // 1000)
        shown |= zip(attributes.COUNTED, map(str, (index.visible, index.in_flight, index.delayed)))
        asked = shown if "All" in attribute_names else attribute_names
        answer = {name: shown[name] for name in asked if name in shown}
        return {"Attributes": answer} if answer else {}

    async def set_queue_attributes(self, queue_url: str, attributes: Mapping[str, str]) -> Answer:
        async with self._store.lock:
            queue = self._store.find(queue_url)
            changed = queue.document["Attributes"] | self._checked(queue.name, attributes)
            kept = {name: value for name, value in changed.items() if value}
            await self._put(queue, {"Attributes": kept, "Modified": self._store.now})
        return {}

    async def _put(self, queue: Queue, changed: Mapping[str, Any]) -> None:
        document = {**queue.document, **changed}
        await self._store.documents.put(queue.name, document)
        queue.document = document

    # --- tags -------------------------------------------------------------------------------------

    def _check_tags(self, name: str, tags: Mapping[str, str]) -> None:
        if len(tags) > self._store.limits.tags:
            raise ApiError("InvalidParameterValue", messages.QUEUE_TAGS.format(name=name))

    async def tag_queue(self, queue_url: str, tags: Mapping[str, str]) -> Answer:
        async with self._store.lock:
            queue = self._store.find(queue_url)
            tagged = queue.document["Tags"] | dict(tags)
            self._check_tags(queue.name, tagged)
            await self._put(queue, {"Tags": tagged})
        return {}

    async def untag_queue(self, queue_url: str, tag_keys: Sequence[str]) -> Answer:
        async with self._store.lock:
            queue = self._store.find(queue_url)
            await self._put(
                queue,
                {
                    "Tags": {
                        name: value
                        for name, value in queue.document["Tags"].items()
                        if name not in tag_keys
                    }
                },
            )
        return {}

    async def list_queue_tags(self, queue_url: str) -> Answer:
        tags = self._store.find(queue_url).document["Tags"]
        return {"Tags": tags} if tags else {}

    # --- permissions ------------------------------------------------------------------------------

    async def add_permission(
        self, queue_url: str, label: str, aws_account_ids: Sequence[str], actions: Sequence[str]
    ) -> Answer:
        """Stored in the queue's policy, which applies to tasks only."""
        async with self._store.lock:
            queue = self._store.find(queue_url)
            policy = self._policy(queue)
            if any(each.get("Sid") == label for each in policy["Statement"]):
                raise bad_value(label, "Label", messages.LABEL_TWICE)
            home, arn = self._store.host.home, self._store.arn(queue.name)
            allowed = [f"SQS:{action}" for action in actions]
            policy["Statement"].append(allow_statement(home, label, aws_account_ids, allowed, arn))
            await self._put_policy(queue, dumps(policy))
        return {}

    async def remove_permission(self, queue_url: str, label: str) -> Answer:
        async with self._store.lock:
            queue = self._store.find(queue_url)
            policy = self._policy(queue)
            left = [each for each in policy["Statement"] if each.get("Sid") != label]
            if len(left) == len(policy["Statement"]):
                raise bad_value(label, "Label", messages.LABEL_UNKNOWN)
            await self._put_policy(queue, dumps({**policy, "Statement": left}) if left else "")
        return {}

    def _policy(self, queue: Queue) -> Any:
        return loads(queue.text("Policy") or _NO_POLICY % self._store.arn(queue.name))

    async def _put_policy(self, queue: Queue, policy: str) -> None:
        others = {
            name: value for name, value in queue.document["Attributes"].items() if name != "Policy"
        }
        await self._put(
            queue,
            {
                "Attributes": others | ({"Policy": policy} if policy else {}),
                "Modified": self._store.now,
            },
        )


def _check_same(queue: Queue, given: Mapping[str, str], limits: Limits) -> None:
    """Raises ApiError if a queue has other attributes than the given ones."""
    held = attributes.shown(queue.name, queue.document["Attributes"], limits)
    for name, value in given.items():
        if held.get(name, "") != value:
            raise ApiError("QueueNameExists", messages.QUEUE_EXISTS.format(name=name))
