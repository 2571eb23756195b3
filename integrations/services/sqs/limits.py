"""The limits of SQS: part of integrations/limits.py."""

from dataclasses import dataclass


@dataclass(frozen=True)
class SqsLimits:
    """Upper bounds, all inclusive."""

    # queues
    queues: int = 10_000
    queue_page: int = 1_000
    queue_batch: int = 10  # entries of one batch, and messages of one ReceiveMessage
    message_bytes: int = 1_048_576  # with its attributes, and of all of a batch
    message_attributes: int = 10
    queue_in_flight: int = 120_000  # of one queue
    # of all queues together: each takes some 400 bytes of memory; more are refused:
    # RequestThrottled
    queue_messages: int = 2_000_000
    queue_cache_bytes: int = (
        64 * 1024 * 1024
    )  # of their contents in memory; the others are read when they are received
    # a content that is longer has a record of its own, which is not read when the server starts
    message_inline_bytes: int = 4_096
    message_deduplication_seconds: int = 300
    receive_attempts: int = 1_000  # ReceiveRequestAttemptIds that one queue remembers
    queue_sweep_seconds: float = (
        60.0  # between one search for messages whose retention is over and the next
    )
    queue_sweep_page: int = 1_000  # records that one transaction deletes
    queue_name_seconds: int = (
        0  # after its deletion, until a queue of that name may be created again; AWS: 60
    )
    purge_seconds: int = 0  # between one PurgeQueue of a queue and the next; AWS: 60
    message_moves: int = 10  # tasks of a dead-letter queue that are remembered
