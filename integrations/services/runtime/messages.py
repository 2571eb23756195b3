"""The texts and error names of the processes of functions, as AWS shows them, or ours.

Placeholders are filled with str.format. Source: recordings of the real service unless a line says
otherwise.
"""

from typing import Final

# --- tasks: functions and services ----------------------------------------------------------------
FUNCTION_THROTTLED: Final = "Rate Exceeded."  # unconfirmed
# Lambda's own, in the payload of the error. Those of its Python runtime are in
# services/runtime/bootstrap.py, which stands alone.
FUNCTION_EXIT: Final = "RequestId: {request} Error: Runtime exited with error: {how}"
FUNCTION_EXIT_ZERO: Final = "RequestId: {request} Error: Runtime exited without providing a reason"
FUNCTION_TIMEOUT: Final = "RequestId: {request} Error: Task timed out after {seconds:.2f} seconds"
FUNCTION_RESPONSE_SIZE: Final = (
    "Response payload size exceeded maximum allowed payload size ({limit} bytes)."
)
