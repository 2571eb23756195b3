"""The error texts of IoT: ours, unless a line says otherwise.

Placeholders are replaced by str.format.
"""

from typing import Final

SQL_SYNTAX: Final = "The SQL statement is not valid at line {line}, column {column}"
SQL_TOO_LONG: Final = "The SQL statement has more than {limit} characters"
SQL_TOO_DEEP: Final = "The SQL statement is nested too deeply"
SQL_ALIAS: Final = "An expression without a name requires AS name"
SQL_FUNCTION: Final = "The function {name} is not supported"
SQL_ARGUMENTS: Final = "The function {name} does not accept {count} arguments"
SQL_TYPE: Final = "The type {name} is not supported"
SQL_VERSION: Final = "The SQL version {version} is not supported"
MQTT_TOPIC: Final = "The topic {topic} is not valid"
MQTT_FILTER: Final = "The topic filter {filter} is not valid"
TOPIC_RULE_EXISTS: Final = "Rule with name {name} already exists"
TOPIC_RULE_UNKNOWN: Final = "Access to topic rule '{name}' was denied"  # AWS's
ONE_ACTION: Final = "An action must have exactly one type"
ACTION_UNKNOWN: Final = "Actions of the type {type} are not supported; supported types are {known}"
MQTT_PAYLOAD: Final = "The payload has more than {limit} bytes"
MQTT_NO_TEXT: Final = "The payload is not UTF-8 text; encode(*, 'base64') converts it"
REPUBLISH_HOPS: Final = "The message was republished more than {limit} times"
BROKER_UNAVAILABLE: Final = "The MQTT broker cannot be reached, or did not confirm the message"
