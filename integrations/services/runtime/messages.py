"""The error texts of function processes. Source: recordings of AWS, unless a line says otherwise.

Placeholders are replaced by str.format. The texts of the Python runtime are in bootstrap.py, which
imports nothing of the package.
"""

from typing import Final

# ours, in the output of functions: what callers get are Lambda's texts
FUNCTION_MISSING: Final = (
    "there is no such function: looked for {files} (or .js, .mjs, .cjs) in {folder}, and among those that CreateFunction made{near}. "
    "To make it, write {path} with: def handler(event, context): return event"
)
FUNCTION_NO_FOLDER: Final = (
    "there is no such function: no folder of functions is known, and CreateFunction made none of this name. "
    "To make it, write functions/{name}.py beside the definition, or in DIR of --functions DIR, with: "
    "def handler(event, context): return event"
)
FUNCTION_CODE_MISSING: Final = (
    "there is no such function: its handler in {template} is {handler}, but there is no {file} (or "
    ".js, .mjs, .cjs). Build it (sam build, cdk synth), or write functions/{name}.py beside the template"
)
FUNCTION_NEAR: Final = " (did you mean {name}?)"

FUNCTION_THROTTLED: Final = "Rate Exceeded."  # unconfirmed
FUNCTION_EXIT: Final = "RequestId: {request} Error: Runtime exited with error: {how}"
FUNCTION_EXIT_ZERO: Final = "RequestId: {request} Error: Runtime exited without providing a reason"
FUNCTION_TIMEOUT: Final = "RequestId: {request} Error: Task timed out after {seconds:.2f} seconds"
FUNCTION_RESPONSE_SIZE: Final = (
    "Response payload size exceeded maximum allowed payload size ({limit} bytes)."
)
