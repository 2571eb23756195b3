"""The texts and error names of tasks, as AWS shows them, or ours.

Placeholders are filled with str.format. Source: recordings of the real service unless a line says
otherwise.
"""

from typing import Final

# --- tasks: functions and services ----------------------------------------------------------------
FUNCTION_NO_ERROR_TYPE: Final = (  # unconfirmed
    "The cause could not be determined because Lambda did not return an error type. Returned payload: {payload}"
)
NO_ENGINE: Final = "Nested executions need an engine, and none is connected."  # ours

# --- TestState ------------------------------------------------------------------------------------
MOCK_SCHEMA: Final = "Mock result schema validation error: {text}"
MOCK_REQUIRED: Final = "Required field '{field}' is missing"
# "a string", "a number", "an array"; the other types in the same words
MOCK_TYPE: Final = "Field '{field}' must be {type}"
MOCK_ENUM: Final = "Field '{field}' is not an expected value"
MOCK_SHORT: Final = "Field '{field}' is smaller than the minimum length"
MOCK_LONG: Final = "Field '{field}' exceeds the maximum length"  # in the words of the others
MOCK_SMALL: Final = "Field '{field}' is less than the minimum value"
MOCK_LARGE: Final = "Field '{field}' exceeds the maximum value"

# --- services of others ---------------------------------------------------------------------------
SDK_FAULT: Final = (
    "{message} (Service: {service}, Status Code: {status}, Request ID: {request}{extended})"
)
SDK_ATTEMPTS: Final = " (SDK Attempt Count: 1)"
HTTP_STATUS: Final = "States.Http.StatusCode.{status}"
HTTP_SOCKET: Final = "States.Http.Socket"
CONNECTION_NOT_FOUND: Final = (
    "Events.ConnectionResource.ResourceNotFound"  # unconfirmed, as is the next
)
CONNECTION_REFUSED: Final = "Events.ConnectionResource.AuthorizationFailure"
HEADER_NOT_ALLOWED: Final = "The header '{name}' is not allowed"  # ours
ACCESS_DENIED: Final = (
    "User: {user} is not authorized to perform: {action} on resource: {resource} {why}"
)
DENIED_IMPLICITLY: Final = "because no {kind}-based policy allows the {action} action"
DENIED_EXPLICITLY: Final = "with an explicit deny in {article} {kind}-based policy"
