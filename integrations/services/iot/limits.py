"""The limits of IoT: part of integrations/limits.py."""

from dataclasses import dataclass


@dataclass(frozen=True)
class IotLimits:
    """Upper bounds, all inclusive."""

    # --- topic rules
    topic_rules: int = 1_000  # AWS: topic rules
    topic_rule_actions: int = 10  # AWS: of one rule
    topic_bytes: int = 256  # AWS: of a topic
    topic_levels: int = 8  # AWS: of a topic, that is, 7 slashes
    sql_chars: int = 8_192  # of the SQL statement of a rule
    sql_text_chars: int = 131_072  # of the result of one function
    republish_hops: int = 8  # of one message, from rule to rule

    # --- the MQTT broker
    mqtt_payload_bytes: int = 131_072  # AWS: of one message
    mqtt_unstored: int = 1_000  # received messages; at the limit, nothing is read from the broker
    mqtt_batch: int = 100  # messages in one commit
    mqtt_seconds: float = 5.0  # for a broker to confirm a packet
    mqtt_pause_seconds: int = 1  # before the second attempt to connect; then doubled
    mqtt_pause_most_seconds: int = 60  # longest pause between two attempts
