"""The limits of SNS: part of integrations/limits.py."""

from dataclasses import dataclass


@dataclass(frozen=True)
class SnsLimits:
    """Upper bounds, all inclusive."""

    topics: int = 100_000  # AWS: topics
    subscriptions: int = 100_000  # of all topics, which are in memory
    filter_policies: int = 200  # AWS: of one topic
    filter_keys: int = 5  # AWS: of one filter policy
    filter_combinations: int = 150  # AWS: of the values of one filter policy
    filter_bytes: int = 262_144  # AWS: of one filter policy
    # AWS: body of a message with its attributes, and all messages of a batch
    topic_message_bytes: int = 262_144
    topic_message_most_bytes: int = 1_048_576  # AWS: largest MaximumMessageSize of a topic
    topic_large_subscriptions: int = 100  # AWS: of a topic with a larger MaximumMessageSize
    topic_batch: int = 10  # AWS: messages of one PublishBatch
    topic_fan_out: int = 1_000  # queues that get a message in one transaction
    topic_fan_out_bytes: int = 16 * 1024 * 1024  # written to queues in one transaction
    topic_raw_attributes: int = 10  # AWS: of a message with raw delivery to a queue
    subject_chars: int = 100  # AWS: of a Subject
    topic_deduplication_seconds: int = 300  # AWS: for which a deduplication id is remembered
    topic_deduplication_ids: int = 100_000  # in memory; further messages get Throttled
    confirmation_seconds: int = 3 * 24 * 3600  # AWS: for which a confirmation token is valid
    subscriptions_ended: int = 1_000  # ended subscriptions that the link of a mail can renew
    topic_page: int = 100  # AWS: items of one answer
    topic_http_seconds: float = 15.0  # AWS: for the response of an HTTP endpoint
    topic_delivery_seconds: int = 3_600  # AWS: of all retries of a delivery policy
    mail_seconds: float = 30.0  # for the SMTP server to accept a mail
    outbox: int = 1_000  # messages to phones, devices and people; the latest are kept
    platform_applications: int = 1_000  # platform applications
    platform_endpoints: int = 100_000  # endpoints of all platform applications
