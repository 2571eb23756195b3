"""The texts and error names of IoT, as AWS shows them, or ours.

Placeholders are filled with str.format. Source: recordings of the real service unless a line says
otherwise.
"""

from typing import Final

# --- rules of MQTT topics: ours -------------------------------------------------------------------
SQL_SYNTAX: Final = "The SQL statement is not valid at line {line}, column {column}"
SQL_TOO_LONG: Final = "The SQL statement has more than {limit} characters"
SQL_TOO_DEEP: Final = "The SQL statement is nested too deeply"
SQL_ALIAS: Final = "What is selected needs a name here: AS name"
SQL_FUNCTION: Final = "There is no function {name} here"
SQL_ARGUMENTS: Final = "The function {name} does not take {count} arguments"
SQL_TYPE: Final = "There is no type {name}"
SQL_VERSION: Final = "There is no SQL version {version}"
MQTT_TOPIC: Final = "The topic {topic} is not valid"
MQTT_FILTER: Final = "The topic filter {filter} is not valid"
TOPIC_RULE_EXISTS: Final = "Rule with name {name} already exists"
TOPIC_RULE_UNKNOWN: Final = "Access to topic rule '{name}' was denied"  # AWS's
ONE_ACTION: Final = "An action must have exactly one type"
ACTION_UNKNOWN: Final = "Actions of the type {kind} are not served here: only {known} are"
MQTT_PAYLOAD: Final = "The payload has more than {limit} bytes"
MQTT_NO_TEXT: Final = "The payload is no text of UTF-8: encode(*, 'base64') makes one"
REPUBLISH_HOPS: Final = "The message was republished more than {limit} times"
BROKER_AWAY: Final = "The MQTT broker cannot be reached, or did not confirm the message"
