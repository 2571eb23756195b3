"""The texts and error names of several services, as AWS shows them, or ours.

Placeholders are filled with str.format. Source: recordings of the real service unless a line says
otherwise.
"""

from typing import Final

# --- patterns over events: the words of AWS's open-source matcher where it has any ----------------
PATTERN_NOT_OBJECT: Final = "Filter is not an object"
PATTERN_EMPTY: Final = "Empty objects are not allowed"
PATTERN_EMPTY_LIST: Final = "Empty arrays are not allowed"
PATTERN_FIELD: Final = '"{name}" must be an object or an array'
PATTERN_VALUE: Final = "Match value must be String, number, true, false, or null"
PATTERN_ONE_KEY: Final = "Only one key allowed in match expression"
PATTERN_OPERATOR: Final = "Unrecognized match type {name}"
PATTERN_EXISTS: Final = "exists match pattern must be either true or false."
PATTERN_TEXT: Final = "{name} match pattern must be a string"
PATTERN_ESCAPE: Final = "Invalid escape character at pos {at}"
PATTERN_STARS: Final = "Consecutive wildcard characters at pos {at}"
PATTERN_NUMERIC: Final = "Value of numeric must be an array."
PATTERN_NUMERIC_TERMS: Final = (
    "Numeric match must have one comparison, or a lower bound and an upper one"  # ours
)
PATTERN_NUMERIC_SIGN: Final = "Unrecognized numeric range operator: {sign}"
PATTERN_NUMERIC_VALUE: Final = "Value must be numeric, between {most:.0e} and -{most:.0e}"  # ours
PATTERN_NUMERIC_RANGE: Final = "Bottom must be less than top"
PATTERN_CIDR: Final = "Malformed CIDR: {value}"  # ours
PATTERN_TOO_COMPLEX: Final = "The pattern stands for more than {limit} combinations"  # ours
PATTERN_TOO_DEEP: Final = "The pattern is nested too deeply"  # ours

# --- EventBridge: as others report it, or ours ----------------------------------------------------
BAD_SCHEDULE: Final = "Parameter ScheduleExpression is not valid."
BAD_TIME_ZONE: Final = "Invalid Schedule Expression Timezone: {zone}"
TARGET_ARN: Final = "Parameter {arn} is not valid. Reason: Provided Arn is not in correct format."
TARGET_UNKNOWN: Final = "Nothing here takes deliveries for {arn}"
LIMIT_EXCEEDED: Final = "The requested resource exceeds the maximum number allowed."
EVENTS_RESOURCE_UNKNOWN: Final = "Resource {arn} does not exist."
