"""SQS: queues that are as durable as the executions that send to them.

message.py     checks and sums of messages (pure)   sending.py    send; prepare() for services
attributes.py  the attributes of queues (pure)      receiving.py  receive, receipts, dead letters
index.py       which messages are visible (pure)    redrive.py    move dead letters back
store.py       records, memory and pollers          queues.py     the operations on queues
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stepwell.engine.delegation import delegated
from stepwell.integrations.services.sqs.queues import Queues
from stepwell.integrations.services.sqs.receiving import Receiver
from stepwell.integrations.services.sqs.redrive import Redrive
from stepwell.integrations.services.sqs.sending import Sender
from stepwell.integrations.services.sqs.store import QueueStore

if TYPE_CHECKING:
    from stepwell.integrations.host import Host

__all__ = ["Sqs"]


class Sqs:
    """The operations of botocore's "sqs"; find, policy_of, prepare and send are for other
    services.
    """

    def __init__(self, host: Host) -> None:
        self.store = QueueStore(host)
        self.queues, self.sender = Queues(self.store), Sender(self.store)
        self.receiver, self.redrive = (
            Receiver(self.store, self.sender),
            Redrive(self.store, self.sender),
        )

    async def open(self) -> None:
        await self.store.open()
        await self.redrive.open()

    async def close(self) -> None:
        await self.store.close()

    create_queue = delegated("queues", Queues.create_queue)
    delete_queue = delegated("queues", Queues.delete_queue)
    purge_queue = delegated("queues", Queues.purge_queue)
    get_queue_url = delegated("queues", Queues.get_queue_url)
    list_queues = delegated("queues", Queues.list_queues)
    list_dead_letter_source_queues = delegated("queues", Queues.list_dead_letter_source_queues)
    get_queue_attributes = delegated("queues", Queues.get_queue_attributes)
    set_queue_attributes = delegated("queues", Queues.set_queue_attributes)
    tag_queue = delegated("queues", Queues.tag_queue)
    untag_queue = delegated("queues", Queues.untag_queue)
    list_queue_tags = delegated("queues", Queues.list_queue_tags)
    add_permission = delegated("queues", Queues.add_permission)
    remove_permission = delegated("queues", Queues.remove_permission)

    send_message = delegated("sender", Sender.send_message)
    send = delegated("sender", Sender.send)
    send_message_batch = delegated("sender", Sender.send_message_batch)
    prepare = delegated("sender", Sender.prepare)

    receive_message = delegated("receiver", Receiver.receive_message)
    delete_message = delegated("receiver", Receiver.delete_message)
    delete_message_batch = delegated("receiver", Receiver.delete_message_batch)
    change_message_visibility = delegated("receiver", Receiver.change_message_visibility)
    change_message_visibility_batch = delegated(
        "receiver", Receiver.change_message_visibility_batch
    )

    start_message_move_task = delegated("redrive", Redrive.start_message_move_task)
    cancel_message_move_task = delegated("redrive", Redrive.cancel_message_move_task)
    list_message_move_tasks = delegated("redrive", Redrive.list_message_move_tasks)

    find = delegated("store", QueueStore.find)
    policy_of = delegated("store", QueueStore.policy_of)
