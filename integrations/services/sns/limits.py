"""The limits of SNS: part of integrations/limits.py."""

from dataclasses import dataclass


@dataclass(frozen=True)
class SnsLimits:
    """Upper bounds, all inclusive."""

    # topics, and what is published to them
    topics: int = 100_000
    subscriptions: int = 100_000  # of all topics: they are held in memory
    filter_policies: int = 200  # of one topic
    filter_keys: int = 5
    filter_combinations: int = 150
    filter_bytes: int = 262_144
    topic_message_bytes: int = 262_144  # of a body with its attributes, and of all of one batch
    topic_message_most_bytes: int = 1_048_576  # that a topic's MaximumMessageSize can allow
    topic_large_subscriptions: int = 100  # of a topic that allows more than the usual
    topic_batch: int = 10  # of one PublishBatch
    topic_fan_out: int = 1_000  # queues that get a message in one transaction
    topic_fan_out_bytes: int = 16 * 1024 * 1024  # of the same
    topic_raw_attributes: int = 10  # that a queue takes
    subject_chars: int = 100
    topic_deduplication_seconds: int = 300
    topic_deduplication_ids: int = 100_000  # remembered; more publishing is refused: Throttled
    confirmation_seconds: int = 3 * 24 * 3600  # that a token is good
    subscriptions_ended: int = 1_000  # kept, so that the link of the last mail can renew them
    topic_page: int = 100
    topic_http_seconds: float = 15.0  # that an endpoint has for its answer
    topic_delivery_seconds: int = 3_600  # the most that the retries of a delivery policy may take
    mail_seconds: float = 30.0
    outbox: int = (
        1_000  # messages to phones, devices and people that nobody carries: the latest are kept
    )
    platform_applications: int = 1_000
    platform_endpoints: int = 100_000
