"""The error texts of EventBridge: AWS's as users have published them, or ours.

Placeholders are replaced by str.format.
"""

from typing import Final

# the reason: in the words of AWS's open-source matcher (event-ruler) where it has any
INVALID_PATTERN: Final = "Event pattern is not valid. Reason: {reason}"
BUS_UNKNOWN: Final = "Event bus {name} does not exist."
BUS_EXISTS: Final = "Event bus {name} already exists."
BUS_NAME: Final = "Event bus name must not contain '/': {name}"
BUS_DEFAULT: Final = "Cannot delete event bus default."
BUS_HAS_RULES: Final = "Event bus can't be deleted since it has rules."
BUS_POLICY: Final = (
    "Parameter Policy is not valid, or StatementId, Action and Principal are missing."
)
STATEMENT_UNKNOWN: Final = "Statement {id} does not exist."
RULE_UNKNOWN: Final = "Rule {name} does not exist on EventBus {bus}."
RULE_EMPTY: Final = "Parameter(s) EventPattern or ScheduleExpression must be specified."
RULE_HAS_TARGETS: Final = "Rule can't be deleted since it has targets."
SCHEDULE_ON_DEFAULT: Final = "ScheduleExpression is supported only on the default event bus."
TARGET_ID_UNKNOWN: Final = "Rule does not have a target with the id {id}."
ENTRY_REQUIRED: Final = (
    "Parameter {name} is not valid. Reason: {name} is a required argument."  # recorded from AWS
)
ENTRY_DETAIL: Final = "Detail is malformed."  # recorded from AWS
ENTRY_SOURCE: Final = "Not authorized for the source."
EVENTS_TOO_LARGE: Final = "Total size of the entries in the request is over the limit."
EVENT_NOT_JSON: Final = "Parameter Event is not valid. Reason: {text}"
FORWARDED_NO_EVENT: Final = "The payload for an event bus must be an event"
TOO_MANY_HOPS: Final = "The event passed more than {limit} event buses"
ONE_INPUT: Final = (
    "Only one of Input, InputPath, or InputTransformer must be provided for target {id}."
)
INPUT_NOT_JSON: Final = "JSON syntax error in input: {text}"
INPUT_PATH: Final = "Invalid InputPath: {path}"
TRANSFORMER_RESERVED: Final = (
    "Parameter InputPathsMap is not valid. Reason: {name} begins with AWS."
)
TRANSFORMER_VARIABLE: Final = (
    "InputTemplate for target contains placeholder {name} that is not in InputPathsMap."
)
ARCHIVE_UNKNOWN: Final = "Archive {name} does not exist."
ARCHIVE_EXISTS: Final = "Archive {name} already exists."
REPLAY_UNKNOWN: Final = "Replay {name} does not exist."
REPLAY_EXISTS: Final = "Replay {name} already exists."
REPLAY_TIMES: Final = (
    "Parameter EventEndTime is not valid. Reason: EventStartTime must be before EventEndTime."
)
REPLAY_DESTINATION: Final = (
    "Parameter Destination.Arn is not valid. Reason: The event bus must be that of the archive."
)
REPLAY_STATE: Final = "Replay {name} is not in a valid state for this operation."
CONNECTION_UNKNOWN: Final = "Connection '{name}' does not exist."
CONNECTION_EXISTS: Final = "Connection '{name}' already exists."
CONNECTION_PARAMETERS: Final = (
    "Parameter AuthParameters is not valid. Reason: {type} requires its own parameters."
)
DESTINATION_UNKNOWN: Final = "An api-destination '{name}' does not exist."
DESTINATION_EXISTS: Final = "An api-destination '{name}' already exists."
DESTINATION_STATUS: Final = "The endpoint responded with status {status}"
OAUTH_FAILED: Final = "The authorization endpoint responded with status {status}"
OAUTH_NO_TOKEN: Final = "The response of the authorization endpoint has no access_token"
