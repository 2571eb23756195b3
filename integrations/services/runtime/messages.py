"""The error texts of function processes. Source: recordings of AWS, unless a line says otherwise.

Placeholders are replaced by str.format. The texts of the Python runtime are in bootstrap.py, which
imports nothing of the package.
"""

from typing import Final

FUNCTION_THROTTLED: Final = "Rate Exceeded."  # unconfirmed
FUNCTION_EXIT: Final = "RequestId: {request} Error: Runtime exited with error: {how}"
FUNCTION_EXIT_ZERO: Final = "RequestId: {request} Error: Runtime exited without providing a reason"
FUNCTION_TIMEOUT: Final = "RequestId: {request} Error: Task timed out after {seconds:.2f} seconds"
FUNCTION_RESPONSE_SIZE: Final = (
    "Response payload size exceeded maximum allowed payload size ({limit} bytes)."
)
