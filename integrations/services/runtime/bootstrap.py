"""The main program of a Python function's process: behaves as Lambda's Python runtime.

It imports only the standard library and nothing of the package, so that a process starts fast and a
function sees no module that it did not import. callables.py uses its shapes too. Texts and shapes
follow AWS's Python runtime; therefore they are not in messages.py.

It uses the Runtime API (see runtime_api.py) on an inherited socket, and sends the response to an
event together with the request for the next one.
"""

import importlib
import io
import json
import os
import sys
import time
from collections.abc import Callable, Collection
from types import ModuleType, SimpleNamespace
from typing import Any, Final

CONFINED: Final = "STEPWELL_CONFINED"  # set if the memory limit is enforced
VAR_TASK = "/var/task"  # where AWS unpacks the source of a function
UNMARSHAL = "Unable to unmarshal input: {error}"
MARSHAL = "Unable to marshal response: {error}"
IMPORT = "Unable to import module '{module}': {error}"
SYNTAX = "Syntax error in module '{module}': {error}"
BAD_HANDLER = "Bad handler '{handler}': {error}"
NO_HANDLER = "Handler '{name}' missing on module '{module}'"

Handler = Callable[[Any, "Context"], Any]


class Context:
    """The second argument of a handler: Lambda's context, and `task_token`.

    task_token       names the attempt: the same when a task is repeated after a crash, another one
                     for each retry
    aws_request_id   derived from the token, so the same holds for it
    """

    def __init__(
        self,
        request_id: str,
        name: str,
        version: str,
        arn: str,
        memory_mb: int,
        deadline: int,
        token: str,
        client: Any,
    ) -> None:
        """deadline: epoch ms"""
        (
            self.aws_request_id,
            self.function_name,
            self.function_version,
            self.invoked_function_arn,
        ) = request_id, name, version, arn
        self.memory_limit_in_mb = str(memory_mb)
        self.log_group_name = f"/aws/lambda/{name}"
        self.log_stream_name = f"[{version}]{request_id.replace('-', '')}"
        self.task_token = token
        self.identity = None
        self.client_context = (
            SimpleNamespace(**{key: client.get(key) for key in ("custom", "env", "client")})
            if client
            else None
        )
        self._deadline = deadline

    def get_remaining_time_in_millis(self) -> int:
        return max(0, self._deadline - time.time_ns() // 1_000_000)


def deadline(seconds: float) -> int:
    """The time after so many seconds, epoch ms."""
    return time.time_ns() // 1_000_000 + int(seconds * 1000)


# --- payloads -------------------------------------------------------------------------------------


def _default(value: Any) -> Any:
    """Converts bytes and Decimal as AWS's runtime does."""
    if isinstance(value, bytes):
        return value.decode()
    if type(value).__module__ in ("decimal", "_decimal") and type(value).__name__ == "Decimal":
        digits = str(value)
        return int(digits) if digits.lstrip("-").isdigit() else float(digits)
    raise TypeError(f"Object of type {type(value).__name__} is not JSON serializable")


to_json: Callable[[Any], str] = json.JSONEncoder(
    ensure_ascii=False, allow_nan=False, default=_default
).encode
"""JSON text with a space after each comma and colon, as AWS's runtime writes it. Raises TypeError,
ValueError, RecursionError.
"""


def error_payload(
    error: str, message: str, request_id: str = "", trace: Collection[str] = ()
) -> str:
    """The payload of a failed call."""
    return to_json(
        {
            "errorMessage": message,
            "errorType": error,
            "requestId": request_id,
            "stackTrace": list(trace),
        }
    )


def exception_payload(
    error: BaseException, request_id: str, root: str, own_files: Collection[str]
) -> str:
    """The payload of a call whose function raised an exception. In the stack trace, `root` is shown
    as /var/task, and the first frames are omitted if they are in `own_files`.
    """
    import traceback  # late: most calls succeed

    frames = [
        (frame.filename, frame.lineno, frame.name, frame.line)
        for frame in traceback.extract_tb(error.__traceback__)
    ]
    while frames and frames[0][0] in own_files:
        del frames[0]
    shown = [
        (VAR_TASK + file[len(root) :] if root and file.startswith(root + os.sep) else file, *rest)
        for file, *rest in frames
    ]
    try:
        message = str(error)
    except Exception as unprintable:  # its own __str__ is broken
        message = f"<{type(unprintable).__name__} in __str__>"
    return error_payload(type(error).__name__, message, request_id, traceback.format_list(shown))  # type: ignore[arg-type]  # it accepts tuples


class LoadError(Exception):
    """The handler cannot be loaded. args[0]: the payload of the error."""


def load(handler: str, root: str, shared: bool) -> Handler:
    """handler: "module.function" or "folder/module.function", in the folder `root`. shared: the
    folder has other functions too, so it must not shadow modules of the standard library. Raises
    LoadError.
    """
    sys.path.insert(len(sys.path) if shared else 0, root)
    module, dot, name = handler.replace("/", ".").rpartition(".")
    if not dot:
        reason = "not enough values to unpack (expected 2, got 1)"
        raise LoadError(
            error_payload(
                "Runtime.MalformedHandlerName", BAD_HANDLER.format(handler=handler, error=reason)
            )
        )
    try:
        loaded = _import(module, root) if shared else importlib.import_module(module)
    except ImportError as error:
        raise LoadError(
            error_payload("Runtime.ImportModuleError", IMPORT.format(module=module, error=error))
        ) from None
    except SyntaxError as error:
        trace = [
            (
                f'  File "{VAR_TASK}{(error.filename or "").removeprefix(root)}" Line '
                f"{error.lineno}\n    {error.text or ''}"
            )
        ]
        raise LoadError(
            error_payload(
                "Runtime.UserCodeSyntaxError",
                SYNTAX.format(module=module, error=error),
                trace=trace,
            )
        ) from None
    except Exception as error:
        raise LoadError(exception_payload(error, "", root, (__file__,))) from None
    try:
        function: Handler = getattr(loaded, name)
    except AttributeError:
        raise LoadError(
            error_payload("Runtime.HandlerNotFound", NO_HANDLER.format(name=name, module=module))
        ) from None
    return function


def _import(module: str, root: str) -> ModuleType:
    """The module of the file, even if the standard library has a module of that name."""
    from importlib.util import module_from_spec, spec_from_file_location

    file = os.path.join(root, module + ".py")
    spec = spec_from_file_location(
        f"function_{module}" if module in sys.stdlib_module_names else module, file
    )
    if spec is None or spec.loader is None or not os.path.isfile(file):
        raise ImportError(f"No module named '{module}'")
    loaded = sys.modules[spec.name] = module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


# --- the process ----------------------------------------------------------------------------------

_API: Final = "/2018-06-01/runtime/"
_NEXT: Final = f"GET {_API}invocation/next HTTP/1.1\r\nHost: runtime\r\n\r\n".encode()


class Channel:
    """An HTTP client on one socket; pipelined requests get their responses in order."""

    def __init__(self, sock: int) -> None:
        self._sock, self._data = sock, b""

    def post(self, path: str, body: bytes, then: bytes = b"") -> None:
        head = f"POST {_API}{path} HTTP/1.1\r\nHost: runtime\r\nContent-Length: {len(body)}\r\n\r\n"
        self.write(b"".join((head.encode(), body, then)))

    def write(self, data: bytes) -> None:
        left = memoryview(data)
        while left:
            left = left[os.write(self._sock, left) :]

    def reply(self) -> tuple[dict[str, str], bytes]:
        """(headers by lower-case names, body) of the next response. Ends the process if the socket
        is closed.
        """
        while (end := self._data.find(b"\r\n\r\n")) < 0:
            self._more(1 << 16)
        lines = self._data[:end].decode("latin-1").split("\r\n")[1:]
        headers = {
            name.lower(): value for name, _, value in (line.partition(": ") for line in lines)
        }
        size = end + 4 + int(headers["content-length"])
        while len(self._data) < size:
            self._more(size - len(self._data))
        body, self._data = self._data[end + 4 : size], self._data[size:]
        return headers, body

    def _more(self, most: int) -> None:
        pieces = []
        while most > 0:
            piece = os.read(self._sock, min(most, 1 << 20))
            if not piece:
                os._exit(0)
            pieces.append(piece)
            most = most - len(piece) if most > 1 << 16 else 0
        self._data = b"".join((self._data, *pieces))


def call(handler: Handler, event: bytes, context: Context, root: str) -> tuple[bool, str | bytes]:
    """One call: (succeeded, payload). Bytes that a handler returns are the payload.

    SystemExit and KeyboardInterrupt are not caught: they end the process, which the engine reports.
    """
    request_id = context.aws_request_id
    try:
        value = json.loads(event)
    except (ValueError, RecursionError) as error:
        return False, error_payload(
            "Runtime.UnmarshalError", UNMARSHAL.format(error=error), request_id
        )
    try:
        result = handler(value, context)
    except Exception as error:
        if type(error) is MemoryError and CONFINED in os.environ:
            os.kill(os.getpid(), 9)  # AWS kills a function that exceeds its memory
        return False, exception_payload(error, request_id, root, (__file__,))
    if isinstance(result, bytes):
        return True, result
    try:
        text = to_json(result)
        text.encode()  # raises for half of a surrogate pair
        return True, text
    except (TypeError, ValueError, RecursionError) as error:
        return False, error_payload("Runtime.MarshalError", MARSHAL.format(error=error), request_id)


def serve(channel: Channel, handler: Handler, root: str) -> None:
    """Respond to events until the socket is closed."""
    pid = os.getpid()
    name, version, memory = (
        os.environ[f"AWS_LAMBDA_FUNCTION_{key}"] for key in ("NAME", "VERSION", "MEMORY_SIZE")
    )
    channel.write(_NEXT)
    while True:
        headers, event = channel.reply()
        if (
            "lambda-runtime-aws-request-id" not in headers
        ):  # the acknowledgement of the last response
            continue
        request_id, arn, deadline = (
            headers[f"lambda-runtime-{key}"]
            for key in ("aws-request-id", "invoked-function-arn", "deadline-ms")
        )
        client = json.loads(headers.get("lambda-runtime-client-context", "null"))
        os.environ["_X_AMZN_TRACE_ID"] = headers.get("lambda-runtime-trace-id", "")
        context = Context(
            request_id,
            name,
            version,
            arn,
            int(memory),
            int(deadline),
            headers.get("stepwell-task-token", ""),
            client,
        )
        succeeded, payload = call(handler, event, context, root)
        if os.getpid() != pid:  # a fork by the handler: only the original responds
            os._exit(0)
        for stream in (sys.stdout, sys.stderr):
            if not getattr(stream, "closed", True):  # the function may have replaced it
                stream.flush()
        body = payload if isinstance(payload, bytes) else payload.encode(errors="replace")
        channel.post(f"invocation/{request_id}/{'response' if succeeded else 'error'}", body, _NEXT)


def main(sock: int, shared: bool) -> None:
    os.set_inheritable(sock, False)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)  # a killed function's output is not lost
    root, channel = os.environ["LAMBDA_TASK_ROOT"], Channel(sock)
    sys.argv[1:] = []
    try:
        handler = load(os.environ["_HANDLER"], root, shared)
    except LoadError as error:
        channel.post("init/error", error.args[0].encode(errors="replace"))
        channel.reply()
    else:
        serve(channel, handler, root)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2] == "shared")
