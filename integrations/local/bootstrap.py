"""What runs inside the process of a function: Lambda's Python runtime, as far as a handler can tell.

Standard library only and nothing of ours, so that a process starts fast and a function sees no module that it did not import. `to_json`,
`fault`, `raised` and `Context` also serve the callables that run in the engine's own process: one source for the shapes.

    request   4 bytes length | JSON header, newline, event
    answer    4 bytes length | 36 characters request id, 1 flag, payload
    flags     "=" result   "!" the function failed   "#" it could not be loaded: the process is of no more use   "^" the answer is too large

Texts and shapes follow AWS's Python runtime, which is why they are not in messages.py. The process dies with its parent, whatever the
function does: see `live_with`.
"""

import importlib
import io
import json
import os
import sys
import time
from collections.abc import Callable, Collection
from types import ModuleType, SimpleNamespace
from typing import Any

VAR_TASK = "/var/task"  # where AWS unpacks the source of a function
UNMARSHAL = "Unable to unmarshal input: {error}"
MARSHAL = "Unable to marshal response: {error}"
IMPORT = "Unable to import module '{module}': {error}"
SYNTAX = "Syntax error in module '{module}': {error}"
BAD_HANDLER = "Bad handler '{handler}': {error}"
NO_HANDLER = "Handler '{name}' missing on module '{module}'"

Handler = Callable[[Any, "Context"], Any]


class Context:
    """The second argument of a handler; the attributes of Lambda's context, and `task_token`, which is ours.

    task_token       names the attempt: the same when a task is sent again after a crash, another one for each retry
    aws_request_id   made from the token, so the same holds for it
    """

    def __init__(self, request_id: str, name: str, version: str, arn: str, memory_mb: int, seconds: float, token: str, client: Any) -> None:
        self.aws_request_id, self.function_name, self.function_version, self.invoked_function_arn = request_id, name, version, arn
        self.memory_limit_in_mb = str(memory_mb)
        self.log_group_name = f"/aws/lambda/{name}"
        self.log_stream_name = f"[{version}]{request_id.replace('-', '')}"
        self.task_token = token
        self.identity = None
        self.client_context = SimpleNamespace(**{key: client.get(key) for key in ("custom", "env", "client")}) if client else None
        self._deadline = time.monotonic() + seconds

    def get_remaining_time_in_millis(self) -> int:
        return max(0, int((self._deadline - time.monotonic()) * 1000))


# --- what a function answers ----------------------------------------------------------------------------------------------


def _default(value: Any) -> Any:
    """What AWS's runtime makes of two types that JSON lacks."""
    if isinstance(value, bytes):
        return value.decode()
    if type(value).__module__ in ("decimal", "_decimal") and type(value).__name__ == "Decimal":
        digits = str(value)
        return int(digits) if digits.lstrip("-").isdigit() else float(digits)
    raise TypeError(f"Object of type {type(value).__name__} is not JSON serializable")


to_json: Callable[[Any], str] = json.JSONEncoder(ensure_ascii=False, allow_nan=False, default=_default).encode
"""JSON text with a blank after each comma and colon, as AWS's runtime writes it. Raises TypeError, ValueError or RecursionError."""


def fault(error: str, message: str, request_id: str = "", trace: Collection[str] = ()) -> str:
    """The payload of a failed call."""
    return to_json({"errorMessage": message, "errorType": error, "requestId": request_id, "stackTrace": list(trace)})


def raised(error: BaseException, request_id: str, root: str, ours: Collection[str]) -> str:
    """The payload of a call whose function raised. `root` is shown as /var/task; the first frames, if in `ours`, are left out."""
    import traceback  # late: most calls succeed

    frames = [(frame.filename, frame.lineno, frame.name, frame.line) for frame in traceback.extract_tb(error.__traceback__)]
    while frames and frames[0][0] in ours:
        del frames[0]
    shown = [(VAR_TASK + file[len(root) :] if root and file.startswith(root + os.sep) else file, *rest) for file, *rest in frames]
    try:
        message = str(error)
    except Exception as unprintable:  # its own __str__ is broken
        message = f"<{type(unprintable).__name__} in __str__>"
    return fault(type(error).__name__, message, request_id, traceback.format_list(shown))  # type: ignore[arg-type]  # tuples of four will do


class Unloadable(Exception):
    """The handler cannot be had; args[0] is the payload that says why."""


def load(handler: str, root: str, shared: bool) -> Handler:
    """The callable that `handler` ("module.function", "folder/module.function") names under `root`. Raises Unloadable.

    shared: the folder holds other functions too, so it must not hide modules of the standard library from this one.
    """
    sys.path.insert(len(sys.path) if shared else 0, root)
    module, dot, name = handler.replace("/", ".").rpartition(".")
    if not dot:
        error = "not enough values to unpack (expected 2, got 1)"
        raise Unloadable(fault("Runtime.MalformedHandlerName", BAD_HANDLER.format(handler=handler, error=error)))
    try:
        loaded = _import(module, root) if shared else importlib.import_module(module)
    except ImportError as why:
        raise Unloadable(fault("Runtime.ImportModuleError", IMPORT.format(module=module, error=why))) from None
    except SyntaxError as why:
        trace = [f'  File "{VAR_TASK}{(why.filename or "").removeprefix(root)}" Line {why.lineno}\n    {why.text or ""}']
        raise Unloadable(fault("Runtime.UserCodeSyntaxError", SYNTAX.format(module=module, error=why), trace=trace)) from None
    except Exception as why:
        raise Unloadable(raised(why, "", root, (__file__,))) from None
    try:
        found: Handler = getattr(loaded, name)
    except AttributeError:
        raise Unloadable(fault("Runtime.HandlerNotFound", NO_HANDLER.format(name=name, module=module))) from None
    return found


def _import(module: str, root: str) -> ModuleType:
    """The module of that very file, even if the standard library has one of its name."""
    from importlib.util import module_from_spec, spec_from_file_location

    file = os.path.join(root, module + ".py")
    spec = spec_from_file_location(f"function_{module}" if module in sys.stdlib_module_names else module, file)
    if spec is None or spec.loader is None or not os.path.isfile(file):
        raise ImportError(f"No module named '{module}'")
    loaded = sys.modules[spec.name] = module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


# --- the process ----------------------------------------------------------------------------------------------------------


def live_with(pipe: int) -> None:
    """End with whoever holds the other end of the pipe: the kernel then signals the whole process group, children of the function too.

    It works in the middle of a sleep, a loop or a C extension, and needs no thread (which would make a fork in the handler unsafe).
    """
    import fcntl

    os.set_inheritable(pipe, False)
    if hasattr(fcntl, "F_SETSIG"):  # Linux: a signal that cannot be ignored; elsewhere SIGIO, which ends a process that does not expect it
        fcntl.fcntl(pipe, fcntl.F_SETSIG, 9)
    try:
        fcntl.fcntl(pipe, fcntl.F_SETOWN, -os.getpgrp())
        fcntl.fcntl(pipe, fcntl.F_SETFL, fcntl.fcntl(pipe, fcntl.F_GETFL) | os.O_ASYNC | os.O_NONBLOCK)
    except OSError:  # a system that does not do this for pipes: then it ends when it next waits for a request
        return
    try:
        if not os.read(pipe, 1):  # it was gone before we listened
            os._exit(0)
    except BlockingIOError:
        pass  # it lives


def read(fd: int, size: int) -> bytes:
    """Exactly `size` bytes; b"" if the other side is gone."""
    data = bytearray()
    while len(data) < size:
        chunk = os.read(fd, min(size - len(data), 1 << 20))
        if not chunk:
            return b""
        data += chunk
    return bytes(data)


def write(fd: int, data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[os.write(fd, left) :]


def call(handler: Handler, event: bytes, context: Context, root: str) -> tuple[str, str]:
    """One call: its flag and payload. SystemExit and the like pass: they end the process, and the parent reports that."""
    request_id = context.aws_request_id
    try:
        value = json.loads(event)
    except (ValueError, RecursionError) as error:
        return "!", fault("Runtime.UnmarshalError", UNMARSHAL.format(error=error), request_id)
    try:
        result = handler(value, context)
    except Exception as error:
        return "!", raised(error, request_id, root, (__file__,))
    try:
        text = to_json(result)
        text.encode()  # half a surrogate pair has no place in a JSON text
        return "=", text
    except (TypeError, ValueError, RecursionError) as error:
        return "!", fault("Runtime.MarshalError", MARSHAL.format(error=error), request_id)


def serve(sock: int, handler: Handler | str, root: str) -> None:
    """Answer requests until the parent closes its end. `handler` is a payload if the function could not be loaded."""
    pid = os.getpid()
    while length := read(sock, 4):
        head, _, event = read(sock, int.from_bytes(length, "big")).partition(b"\n")
        header = json.loads(head)
        if isinstance(handler, str):
            flag, payload = "#", handler
        else:
            name, version, memory = (os.environ.get(f"AWS_LAMBDA_FUNCTION_{key}", "") for key in ("NAME", "VERSION", "MEMORY_SIZE"))
            context = Context(
                header["id"], name, version, header["arn"], int(memory or 0), header["seconds"], header["token"], header["client"]
            )
            flag, payload = call(handler, event, context, root)
        if os.getpid() != pid:  # the handler forked, and this is the copy: its answer is nobody's
            os._exit(0)
        for stream in (sys.stdout, sys.stderr):
            if not getattr(stream, "closed", True):  # the function may have put anything there
                stream.flush()
        body = payload.encode(errors="replace")
        if len(body) > header["limit"]:
            flag, body = "^", b""
        answer = (header["id"] + flag).encode() + body
        write(sock, len(answer).to_bytes(4, "big") + answer)


def main(sock: int, pipe: int, shared: bool) -> None:
    live_with(pipe)
    os.set_inheritable(sock, False)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)  # what a function printed is seen even if it is killed
    root = os.environ["LAMBDA_TASK_ROOT"]
    sys.argv[1:] = []
    handler: Handler | str
    try:
        handler = load(os.environ["_HANDLER"], root, shared)
    except Unloadable as why:
        handler = why.args[0]
    serve(sock, handler, root)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3] == "shared")
