"""The limits of SQS: part of integrations/limits.py."""

from dataclasses import dataclass


@dataclass(frozen=True)
class SqsLimits:
    """Upper bounds, all inclusive."""

    queues: int = 10_000  # queues
    queue_page: int = 1_000  # AWS: queues of one answer
    queue_batch: int = 10  # AWS: entries of one batch, messages of one ReceiveMessage
    message_bytes: int = 1_048_576  # AWS: a message with its attributes, all messages of a batch
    message_attributes: int = 10  # AWS: of one message
    queue_in_flight: int = 120_000  # AWS: received but not deleted messages of one queue
    # of all queues, each takes about 400 bytes of memory; more get RequestThrottled
    queue_messages: int = 2_000_000
    # bodies of messages in memory; others are read when they are received
    queue_cache_bytes: int = 64 * 1024 * 1024
    # a longer body is stored in its own record, which is not read at startup
    message_inline_bytes: int = 4_096
    message_deduplication_seconds: int = 300  # AWS: for which a deduplication id is remembered
    receive_attempts: int = 1_000  # ReceiveRequestAttemptIds that one queue remembers
    queue_sweep_seconds: float = 60.0  # between two searches for messages past their retention
    queue_sweep_page: int = 1_000  # records that one transaction deletes
    queue_name_seconds: int = 0  # before the name of a deleted queue can be used; AWS has 60
    purge_seconds: int = 0  # between two PurgeQueue calls of a queue; AWS has 60
    message_moves: int = 10  # AWS: StartMessageMoveTask tasks of a queue that are listed
