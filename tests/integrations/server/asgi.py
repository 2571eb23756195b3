"""Calling the App as a server does, and judging its answers as botocore does."""

import asyncio
import json
from collections.abc import MutableMapping
from typing import Any, NamedTuple

from botocore.model import ListShape, MapShape, Shape, StructureShape
from botocore.parsers import create_parser
from botocore.validate import ParamValidator

from stepwell.integrations.server.app import App, Scope
from stepwell.integrations.server.protocols.aws_json import service_model

MODEL = service_model("stepfunctions")
Message = MutableMapping[str, Any]


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        parsed: dict[str, Any] = json.loads(self.body)
        return parsed

    @property
    def code(self) -> str:
        """The error's name as SDKs read it; "" of an answer that is none."""
        code: str = self.json.get("__type", "")
        return code.rpartition("#")[2]

    @property
    def message(self) -> str:
        message: str = self.json.get("message", "")
        return message


class Call:
    """One request to an App: `send` and `receive` of ASGI, with what comes back. `hang_up()` is
    what a client does that goes away.
    """

    def __init__(self, app: App, scope: Scope, *pieces: bytes) -> None:
        self._incoming: asyncio.Queue[Message] = asyncio.Queue()
        for number, piece in enumerate(pieces, 1):
            self._incoming.put_nowait(
                {"type": "http.request", "body": piece, "more_body": number < len(pieces)}
            )
        self.sent: list[Message] = []
        self.done = asyncio.ensure_future(app(scope, self._incoming.get, self._send))

    async def _send(self, message: Message) -> None:
        self.sent.append(message)

    def hang_up(self) -> None:
        self._incoming.put_nowait({"type": "http.disconnect"})

    async def answer(self) -> Answer:
        await self.done
        start, *rest = self.sent
        headers = {name.decode(): value.decode() for name, value in start["headers"]}
        body = b"".join(message.get("body", b"") for message in rest)
        assert int(headers["content-length"]) == len(body)
        return Answer(start["status"], headers, body)


def scope(operation: str = "", method: str = "POST", path: str = "/", **headers: str) -> Scope:
    """The scope of a request; the names of headers with _ for -."""
    given = {"host": "localhost:8083", "content-type": "application/x-amz-json-1.0"}
    if operation:
        given["x-amz-target"] = f"AWSStepFunctions.{operation}"
    given |= {name.replace("_", "-"): value for name, value in headers.items()}
    pairs = [(name.encode(), value.encode("latin-1")) for name, value in given.items()]
    return {
        "type": "http",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": pairs,
    }


async def call(app: App, operation: str, body: Any = None, **headers: str) -> Answer:
    """One call of an operation; `body` is JSON, or the bytes themselves."""
    data = body if isinstance(body, bytes) else json.dumps(body or {}).encode()
    return await Call(app, scope(operation, **headers), data).answer()


def check(operation: str, answer: Answer) -> None:
    """An answer must be one that botocore understands to the last member."""
    assert len(answer.headers["x-amzn-requestid"]) == 36
    output = MODEL.operation_model(operation).output_shape
    headers = {
        "x-amzn-requestid": answer.headers["x-amzn-requestid"],
        "content-type": answer.headers["content-type"],
    }
    response = {
        "status_code": answer.status,
        "headers": headers,
        "body": answer.body,
        "context": {"operation_name": operation},
    }
    parsed = create_parser("json").parse(response, output)
    if answer.status != 200:
        assert parsed["Error"]["Code"] == answer.code
        assert parsed["Error"]["Message"] == answer.message
        return
    del parsed["ResponseMetadata"]
    odd = differences(output, answer.json)
    assert not odd, odd
    problems = ParamValidator().validate(parsed, output)
    assert not problems.has_errors(), problems.generate_report()


def differences(shape: Shape | None, value: Any, at: str = "") -> list[str]:
    """Where a value of an answer is not what the model says: members without a name there, null,
    enums, patterns and limits.
    """
    if value is None:
        return [f"{at}: null"]
    if isinstance(shape, StructureShape):
        if not isinstance(value, dict):
            return [f"{at}: no structure"]
        odd = [f"{at}.{name}: not in the model" for name in value if name not in shape.members]
        odd += [f"{at}.{name}: missing" for name in shape.required_members if name not in value]
        return odd + [
            line
            for name in value
            if name in shape.members
            for line in differences(shape.members[name], value[name], f"{at}.{name}")
        ]
    if isinstance(shape, ListShape):
        return [
            line
            for number, item in enumerate(value)
            for line in differences(shape.member, item, f"{at}[{number}]")
        ]
    if isinstance(shape, MapShape):
        return [
            line
            for key, item in value.items()
            for line in differences(shape.value, item, f"{at}.{key}")
        ]
    if shape is None:
        return [f"{at}: nothing may be here"] if value else []
    facts, wanted = shape.metadata, TYPES[shape.type_name]
    if type(value) not in wanted:
        return [f"{at}: {value!r} is no {shape.type_name}"]
    size = len(value) if isinstance(value, str) else value
    odd = (
        [f"{at}: {value!r} is not one of {facts['enum']}"]
        if "enum" in facts and value not in facts["enum"]
        else []
    )
    odd += [f"{at}: more than {facts['max']}"] if "max" in facts and size > facts["max"] else []
    return odd + (
        [f"{at}: less than {facts['min']}"] if "min" in facts and size < facts["min"] else []
    )


TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "long": (int,),
    "float": (float, int),
    "double": (float, int),
    "boolean": (bool,),
    "timestamp": (float, int),
}
