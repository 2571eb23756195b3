"""The texts and error names of calls to services and the checks of their parameters, as AWS shows
them, or ours.

Placeholders are filled with str.format. Source: recordings of the real service unless a line says
otherwise.
"""

from typing import Final

# --- the wire: what AWS's front end says before an operation sees its request ---------------------
VALIDATIONS: Final = "{count} validation errors detected: {errors}"
CONSTRAINT: Final = "Value '{value}' at '{at}' failed to satisfy constraint: {rule}"
# unconfirmed here: so for other services
CONSTRAINT_SECRET: Final = "Value at '{at}' failed to satisfy constraint: {rule}"
RULE_LONGEST: Final = "Member must have length less than or equal to {limit}"
RULE_SHORTEST: Final = "Member must have length greater than or equal to {limit}"
RULE_LARGEST: Final = "Member must have value less than or equal to {limit}"
RULE_SMALLEST: Final = "Member must have value greater than or equal to {limit}"
RULE_PATTERN: Final = "Member must satisfy regular expression pattern: {pattern}"
RULE_ENUM: Final = "Member must satisfy enum value set: [{values}]"
RULE_ITEMS: Final = (
    "Member must satisfy constraint: [{rules}]"  # these three: so for other services
)
RULE_KEYS: Final = "Map keys must satisfy constraint: [{rules}]"
RULE_VALUES: Final = "Map value must satisfy constraint: [{rules}]"
REDACTED: Final = "***Sensitive Data Redacted***"
WRONG_TYPE: Final = "{found} can not be converted to {wanted}"
NO_STRUCTURE: Final = "Start of structure or map found where not expected."
NO_LIST: Final = "Start of list found where not expected"
EXPECTED: Final = "Expected {wanted} or null"

# --- HTTP that goes out: ours ---------------------------------------------------------------------
HTTP_TIMEOUT: Final = "The endpoint did not answer in time"
HTTP_FORBIDDEN: Final = "{host} leads to an address that may not be called from here"
HTTP_BAD_URL: Final = "Not a URL that can be called: {url}"
HTTP_BAD_HEADER: Final = "A header has letters that HTTP does not allow"
HTTP_TOO_LARGE: Final = "The answer has more than {limit} bytes"
HTTP_CUT_OFF: Final = "The connection ended before the answer did"

# --- SQS: as others report it, unless marked ------------------------------------------------------
PARAMETER_MISSING: Final = "The request must contain the parameter {name}."  # recorded

# --- services of others ---------------------------------------------------------------------------
AWS_UNREACHABLE: Final = "Unable to execute HTTP request: {text}"
AWS_NOT_ALLOWED: Final = (  # ours
    "Unable to execute HTTP request: no endpoint is configured for {service} (--aws-endpoint {service}=URL), "
    "and AWS itself may not be called (--allow-aws)"
)
AWS_TOO_MANY: Final = "Unable to execute HTTP request: too many calls wait already"  # ours
