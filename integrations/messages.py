"""The texts and error names that commands, server and services share: AWS's, or ours.

Placeholders are filled with str.format. Source: recordings of the real service unless a line says
otherwise.
"""

from typing import Final

# --- tasks: functions and services ----------------------------------------------------------------
SERVICE_FAULT: Final = "{message} (Service: {service}; Status Code: {status}; Error Code: {code}; Request ID: {request}; Proxy: null)"
BAD_PARAMETERS: Final = (
    "The Parameters '{parameters}' could not be used to start the Task: [{problem}]"
)
INVALID_FORMAT: Final = "The value of the field '{field}' has an invalid format"
UNSUPPORTED_FIELD: Final = "The field '{field}' is not supported by Step Functions"  # unconfirmed
