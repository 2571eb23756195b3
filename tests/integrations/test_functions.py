"""Functions of source files in real processes: results, locations, errors."""

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.integrations.bench import ID, Bench

from stepwell.integrations.services.runtime.folder import Call, UnavailableError

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX processes")


# --- results --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value",
    [
        None, True, 0, -1.5, "", [], {}, {"a": [1, {"b": None}]},
        2**63, -(2**64), 10**100, 0.1, 1e300,
        "Grüße, 世界 \U0001f600", {"ключ": "\u2028\x00\x1f\"\\/"}, "x" * 300_000, [[]] * 1000,
    ],
)  # fmt: skip
async def test_values_are_returned_unchanged(bench: Bench, value: Any) -> None:
    bench.write("echo.py", "def handler(event, context): return event")
    answer = await bench("echo", value)
    assert (answer.value, answer.failed, type(answer.value)) == (value, False, type(value))
    assert json.loads(answer.text) == value


async def test_the_spaces_of_the_json_text_are_those_of_aws(bench: Bench) -> None:
    bench.write("f.py", "def handler(event, context): return {'theAnswer': 42, 'ö': [1, None]}")
    assert (await bench("f")).text == '{"theAnswer": 42, "ö": [1, null]}'


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("(1, 2)", [1, 2]),
        ("{1: 2, None: 3}", {"1": 2, "null": 3}),
        ("__import__('decimal').Decimal('12345678901234567890')", 12345678901234567890),
        ("__import__('decimal').Decimal('1.5')", 1.5),
    ],
)
async def test_python_values_that_have_a_json_form(bench: Bench, source: str, value: Any) -> None:
    bench.write("f.py", f"def handler(event, context): return {source}")
    assert await bench.value("f") == value


@pytest.mark.parametrize(
    ("returned", "value"),
    [
        (b"abc", "abc"),
        (b'"abc"', "abc"),
        (b"0.0", 0.0),
        (b'{"a":  1}', {"a": 1}),
        (b"", None),
        (b"\xff{", "\ufffd{"),
    ],
)
async def test_bytes_are_the_payload(bench: Bench, returned: bytes, value: Any) -> None:
    """Recorded: a payload that is not JSON is a string in the workflow."""
    bench.write("f.py", f"def handler(event, context): return {returned!r}")
    answer = await bench("f")
    assert (answer.payload, answer.failed) == (returned, False)
    assert (answer.value, type(answer.value)) == (value, type(value))


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("{1}", "Unable to marshal response: Object of type set is not JSON serializable"),
        ("object()", "Unable to marshal response: Object of type object is not JSON serializable"),
        (
            "float('nan')",
            "Unable to marshal response: Out of range float values are not JSON compliant",
        ),
        (
            "__import__('decimal').Decimal('NaN')",
            "Unable to marshal response: Out of range float values are not JSON compliant",
        ),
        (
            "(lambda x: (x.append(x), x)[1])([])",
            "Unable to marshal response: Circular reference detected",
        ),
        (
            "{(1, 2): 3}",
            "Unable to marshal response: keys must be str, int, float, bool or None, not tuple",
        ),
        (
            "'\\ud800'",
            (
                "Unable to marshal response: 'utf-8' codec can't encode character '\\ud800' in "
                "position 1: surrogates not allowed"
            ),
        ),
    ],
)
async def test_values_without_a_json_form(bench: Bench, source: str, message: str) -> None:
    bench.write("f.py", f"def handler(event, context): return {source}")
    error = await bench.error("f")
    assert error["errorMessage"].startswith(message)
    assert {**error, "errorMessage": ""} == {
        "errorMessage": "",
        "errorType": "Runtime.MarshalError",
        "requestId": ID,
        "stackTrace": [],
    }


async def test_a_result_that_is_nested_too_deeply(bench: Bench) -> None:
    bench.write(
        "f.py",
        """
        import sys

        sys.setrecursionlimit(9000)

        def handler(event, context):
            nested = []
            for _ in range(1500):
                nested = [nested]
            return nested
        """,
    )
    error = await bench.error("f")
    assert (error["errorType"], error["errorMessage"]) == (
        "Runtime.MarshalError",
        (
            "Unable to marshal response: Document nesting depth (1001) exceeds the maximum "
            "allowed (1000)"
        ),
    )


async def test_the_size_of_a_result_is_limited(bench: Bench) -> None:
    bench.write(
        "f.py", "import os\n\ndef handler(event, context): return [os.getpid(), 'x' * event]"
    )
    first = await bench.value("f", 6_000_000)
    answer = await bench("f", 6_500_000)
    assert answer.failed
    message = "Response payload size exceeded maximum allowed payload size (6291556 bytes)."
    assert (
        answer.text == f'{{"errorType":"Function.ResponseSizeTooLarge","errorMessage":"{message}"}}'
    )
    assert (await bench.value("f", 1))[0] == first[0], "the process is none the worse for it"


async def test_context(bench: Bench) -> None:
    bench.write(
        "f.py",
        """
        def handler(event, context):
            left = context.get_remaining_time_in_millis()
            names = (
                "aws_request_id", "function_name", "function_version", "invoked_function_arn",
                "memory_limit_in_mb", "log_group_name", "log_stream_name", "identity", "task_token",
            )
            values = {name: getattr(context, name) for name in names}
            return values, left, context.client_context.custom["a"]
        """,
    )
    call = Call(
        ID,
        "arn:aws:lambda:us-east-1:123456789012:function:f:live",
        seconds=20,
        token="t0k",
        client={"custom": {"a": 1}},
    )
    attributes, left, custom = (await bench("f", None, call)).value
    assert attributes == {
        "aws_request_id": ID,
        "function_name": "f",
        "function_version": "$LATEST",
        "invoked_function_arn": "arn:aws:lambda:us-east-1:123456789012:function:f:live",
        "memory_limit_in_mb": "128",
        "log_group_name": "/aws/lambda/f",
        "log_stream_name": "[$LATEST]11111111222243338444555555555555",
        "identity": None,
        "task_token": "t0k",
    }
    assert 15_000 < left <= 20_000
    assert custom == 1


# --- locations ------------------------------------------------------------------------------------


async def test_layouts_of_a_folder(bench: Bench) -> None:
    bench.write(
        "plain-name.py", "from common import word\n\ndef handler(event, context): return word"
    )
    bench.write("common.py", "word = 'shared helper'")
    bench.write(
        "own/handler.py", "from helper import word\n\ndef handler(event, context): return word"
    )
    bench.write("own/helper.py", "word = 'own helper'")
    bench.write(
        "aws/lambda_function.py", "def lambda_handler(event, context): return 'as in the console'"
    )
    bench.write("sam/app.py", "def lambda_handler(event, context): return 'as of sam init'")
    bench.write("cdk/index.py", "def handler(event, context): return 'as of CDK'")
    names = ["aws", "cdk", "own", "plain-name", "sam"]
    assert [await bench.value(name) for name in names] == [
        "as in the console",
        "as of CDK",
        "own helper",
        "shared helper",
        "as of sam init",
    ]
    assert bench.functions.names() == sorted([*names, "common"])
    for name in (
        "",
        "missing",
        "../" + bench.folder.name + "/own",
        "own/handler",
        "common.py",
        "a b",
    ):
        assert bench.functions.find(name) is None


@pytest.mark.skipif(shutil.which("node") is None, reason="needs node")
async def test_layouts_of_a_folder_in_node(bench: Bench) -> None:
    bench.write("plain.mjs", "export const handler = async (event) => `plain ${event}`")
    bench.write("cdk/index.js", "exports.handler = async (event) => `index ${event}`")
    bench.write("sam/app.mjs", "export const lambdaHandler = async (event) => `app ${event}`")
    names = ["cdk", "plain", "sam"]
    assert bench.functions.names() == names
    assert [await bench.value(name, 1) for name in names] == ["index 1", "plain 1", "app 1"]


async def test_a_function_may_be_named_like_a_module_of_the_standard_library(bench: Bench) -> None:
    bench.write(
        "email.py",
        "import email.message\n\ndef handler(event, context): return email.message.__name__",
    )
    bench.write("string.py", "def handler(event, context): return __name__")
    assert await bench.value("email") == "email.message"
    assert await bench.value("string") == "function_string"


async def test_added_functions(bench: Bench, tmp_path: Path) -> None:
    source = (
        "import os\n\ndef run(event, context): return os.environ['COLOUR'], os.getcwd(), "
        "os.environ['TZ']"
    )
    bench.write("src/pkg/mod.py", source)
    bench.functions.add("elsewhere", tmp_path / "src", "pkg/mod.run", {"COLOUR": "blau"})
    assert await bench.value("elsewhere") == ["blau", str(tmp_path / "src"), ":UTC"]
    with pytest.raises(ValueError, match="not a function name"):
        bench.functions.add("a/b", tmp_path, "x.y")


async def test_deleted_source(bench: Bench, tmp_path: Path) -> None:
    bench.functions.add("gone", tmp_path / "nowhere", "handler.handler")
    with pytest.raises(UnavailableError, match="FileNotFoundError") as refused:
        await bench("gone")
    assert refused.value.code == "ServiceException"


async def test_an_edited_file_is_loaded_again(bench: Bench) -> None:
    bench.write("f.py", "def handler(event, context): return 'old'")
    assert await bench.value("f") == "old"
    bench.write("f.py", "def handler(event, context): return 'newer'")
    assert await bench.value("f") == "newer"


# --- errors ---------------------------------------------------------------------------------------


async def test_an_exception_has_the_recorded_shape(bench: Bench) -> None:
    bench.write(
        "handler.py",
        'def handler(event, context):\n    raise Exception("Some exception was raised.")\n',
    )
    answer = await bench("handler")
    trace = (
        '["  File \\"/var/task/handler.py\\", line 2, in handler\\n    raise Exception(\\"Some '
        'exception was raised.\\")\\n"]'
    )
    assert answer.failed
    assert answer.text == (
        f'{{"errorMessage": "Some exception was raised.", "errorType": "Exception", '
        f'"requestId": "{ID}", "stackTrace": {trace}}}'
    )


async def test_exceptions_of_all_sorts(bench: Bench) -> None:
    bench.write(
        "f.py",
        """
        import json

        class Odd(Exception):
            def __str__(self):
                raise RuntimeError("no words")

        def deep(n):
            return deep(n + 1)

        def handler(event, context):
            return {
                "key": lambda: {}["Schlüssel"],
                "odd": lambda: (_ for _ in ()).throw(Odd()),
                "library": lambda: json.loads("nope"),
                "surrogate": lambda: (_ for _ in ()).throw(ValueError("\\ud800")),
                "deep": lambda: deep(0),
                "stop": lambda: next(iter(())),
                "memory": lambda: bytearray(1 << 62),
            }[event]()
        """,
    )
    errors = {
        kind: await bench.error("f", kind)
        for kind in ("key", "odd", "library", "surrogate", "deep", "stop", "memory")
    }
    assert {
        kind: (error["errorType"], error["errorMessage"]) for kind, error in errors.items()
    } == {
        "key": ("KeyError", "'Schlüssel'"),
        "odd": ("Odd", "<RuntimeError in __str__>"),
        "library": ("JSONDecodeError", "Expecting value: line 1 column 1 (char 0)"),
        "surrogate": ("ValueError", "?"),
        "deep": ("RecursionError", "maximum recursion depth exceeded"),
        "stop": ("StopIteration", ""),
        "memory": ("MemoryError", ""),
    }
    assert [line.split(",")[0] for line in errors["library"]["stackTrace"]][:2] == [
        '  File "/var/task/f.py"'
    ] * 2
    assert "json/decoder.py" in errors["library"]["stackTrace"][-1]
    assert any("Previous line repeated" in line for line in errors["deep"]["stackTrace"])


@pytest.mark.parametrize(
    ("source", "kind", "message"),
    [
        (
            "import no_such_module\n",
            "Runtime.ImportModuleError",
            "Unable to import module 'f': No module named 'no_such_module'",
        ),
        (
            "def other(): pass\n",
            "Runtime.HandlerNotFound",
            "Handler 'handler' missing on module 'f'",
        ),
        (
            "def handler(:\n",
            "Runtime.UserCodeSyntaxError",
            "Syntax error in module 'f': invalid syntax (f.py, line 1)",
        ),
        ("x = 1 / 0\n", "ZeroDivisionError", "division by zero"),
    ],
)
async def test_a_function_that_cannot_be_loaded(
    bench: Bench, source: str, kind: str, message: str
) -> None:
    bench.write("f.py", source)
    for _ in range(2):
        error = await bench.error("f")
        assert (error["errorType"], error["errorMessage"], error["requestId"]) == (
            kind,
            message,
            "",
        )
    bench.write("f.py", "def handler(event, context): return 'mended'")
    assert await bench.value("f") == "mended"


async def test_a_handler_without_a_dot(bench: Bench, tmp_path: Path) -> None:
    bench.functions.add("f", tmp_path, "handler")
    error = await bench.error("f")
    assert (error["errorType"], error["errorMessage"]) == (
        "Runtime.MalformedHandlerName",
        "Bad handler 'handler': not enough values to unpack (expected 2, got 1)",
    )


@pytest.mark.parametrize(
    ("source", "how"),
    [
        ("sys.exit(3)", "exited with error: exit status 3"),
        ("sys.exit()", "exited without providing a reason"),
        ("os._exit(1)", "exited with error: exit status 1"),
        ("os.kill(os.getpid(), 9)", "exited with error: signal: killed"),
        ("os.kill(os.getpid(), 11)", "exited with error: signal: segmentation fault"),
        ("os.closerange(3, 99)", "exited with error: exit status 1"),
        ("exec('raise KeyboardInterrupt')", "exited with error: signal: interrupt"),
    ],
)
async def test_a_process_that_ends(bench: Bench, source: str, how: str) -> None:
    bench.write(
        "f.py",
        (
            f"import os, sys\n\ndef handler(event, context):\n    if event: {source}\n    return "
            "'well'"
        ),
    )
    answer = await bench("f", True)  # by the end of the process: otherwise it would be a timeout
    assert answer.text == (
        f'{{"errorType":"Runtime.ExitError","errorMessage":"RequestId: {ID} Error: Runtime {how}"}}'
    )
    assert await bench.value("f", False) == "well"


async def test_a_function_that_writes_to_the_socket_of_the_runtime_api(bench: Bench) -> None:
    """It writes to every open file: its call fails, other calls are not affected, and the process
    ends.
    """
    bench.write(
        "f.py",
        """
        import os

        def handler(event, context):
            for fd in range(3, 1024):
                try:
                    os.write(fd, b"\\x00\\x00\\x00\\x30" + b"0" * 36 + b"=" + b"1" * 11)
                except OSError:
                    pass
            return os.getpid()
        """,
    )
    assert (await bench.error("f"))["errorType"] == "Runtime.ExitError"


async def test_standard_input_is_empty(bench: Bench) -> None:
    bench.write("f.py", "import sys\n\ndef handler(event, context): return sys.stdin.read()")
    assert await bench.value("f") == ""
