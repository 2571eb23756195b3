"""The limits of IoT: part of integrations/limits.py."""

from dataclasses import dataclass


@dataclass(frozen=True)
class IotLimits:
    """Upper bounds, all inclusive."""

    # rules of MQTT topics
    topic_rules: int = 1_000
    topic_rule_actions: int = 10
    topic_bytes: int = 256
    topic_levels: int = 8  # slashes + 1
    sql_chars: int = 8_192
    sql_text_chars: int = 131_072  # of what one function makes
    mqtt_payload_bytes: int = 131_072
    mqtt_unstored: int = (
        1_000  # messages that came and are not stored yet; beyond it the broker waits
    )
    mqtt_batch: int = 100  # messages of one commit
    mqtt_seconds: float = 5.0  # that a broker has to confirm what it was told
    mqtt_pause_seconds: int = 1  # before the second attempt to connect; the pauses double
    mqtt_pause_most_seconds: int = 60
    republish_hops: int = 8  # of one message, from rule to rule
