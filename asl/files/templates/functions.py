"""The Lambda functions of a template, whose code is beside it: of CloudFormation, SAM, the CDK and
Serverless.
"""

import posixpath
import re
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from stepwell.asl.evaluation import Json
from stepwell.asl.files.placeholders import as_text
from stepwell.asl.files.templates.stack import Stack

_SAM: Final = "AWS::Serverless::Function"
_LAMBDA: Final = "AWS::Lambda::Function"
_ASSET: Final = "aws:asset:path"  # in the Metadata that the CDK writes
_RUNTIME: Final = re.compile(r"python|nodejs")


class FunctionCode(NamedTuple):
    """name: of the function; folder: of its code, relative to the template's; handler, runtime:
    of Lambda; environment: variables whose values are known; seconds, memory_mb: None: as usual;
    code: its text, if the template has that, and ending: of its file.
    """

    name: str
    folder: str
    handler: str
    environment: Mapping[str, str]
    seconds: float | None
    memory_mb: int | None
    code: str = ""
    ending: str = ".py"


def functions(stack: Stack) -> Iterator[FunctionCode]:
    """Those in Python and Node.js."""
    for id, resource in stack.resources.items():
        properties = resource.get("Properties")
        if id in stack.functions or not isinstance(properties, dict):
            continue
        if resource.get("Type") == _SAM:
            given = _merged(stack.defaults, properties)
            code = _text(stack, given.get("InlineCode"))
            yield from _function(stack, id, given, _text(stack, given.get("CodeUri", ".")), code)
        elif resource.get("Type") == _LAMBDA and "Code" in properties:
            code = properties["Code"]
            text = _text(stack, code.get("ZipFile")) if isinstance(code, dict) else None
            yield from _function(stack, id, properties, _folder(stack, resource), text)
    for name, function in stack.functions.items():
        given = _merged(stack.provider, function)
        yield from _function(
            stack,
            name,
            {
                "Handler": given.get("handler"),
                "Runtime": given.get("runtime"),
                "Environment": {"Variables": given.get("environment")},
                "Timeout": given.get("timeout"),
                "MemorySize": given.get("memorySize"),
            },
            ".",
        )


def _merged(defaults: Mapping[str, Json], own: Mapping[str, Json]) -> dict[str, Json]:
    """Own values, and those of Globals; objects are merged."""
    merged = {**defaults, **own}
    for key, value in defaults.items():
        mine = own.get(key)
        if isinstance(value, dict) and isinstance(mine, dict):
            merged[key] = _merged(value, mine)
    return merged


def _folder(stack: Stack, resource: Mapping[str, Json]) -> str | None:
    """The folder of a function's code, where it is beside the template."""
    metadata, code = resource.get("Metadata"), resource["Properties"]["Code"]
    if isinstance(metadata, dict) and isinstance(metadata.get(_ASSET), str):
        return str(metadata[_ASSET])
    if isinstance(code, dict):
        key = _text(stack, code.get("S3Key"))
        return f"asset.{posixpath.splitext(posixpath.basename(key))[0]}" if key else None
    return _text(stack, code)


def _function(
    stack: Stack,
    id: str,
    properties: Mapping[str, Json],
    folder: str | None,
    code: str | None = None,
) -> Iterator[FunctionCode]:
    handler, runtime = (_text(stack, properties.get(key)) for key in ("Handler", "Runtime"))
    name = stack.find(id)
    if (
        not (folder or code)
        or not handler
        or name is None
        or not _RUNTIME.match(runtime or "python")
    ):
        return
    environment = properties.get("Environment")
    variables = environment.get("Variables") if isinstance(environment, dict) else None
    if isinstance(variables, str) and (whole := stack.value(variables)) is not None:
        variables = whole.value
    items = variables.items() if isinstance(variables, dict) else ()
    known = {key: stack.value(value) for key, value in items}
    yield FunctionCode(
        str(name.value),
        folder or ".",
        handler,
        {key: as_text(each.value) for key, each in known.items() if each is not None},
        _number(stack, properties.get("Timeout")),
        _number(stack, properties.get("MemorySize")),
        code or "",
        ".js" if code and (runtime or "").startswith("nodejs") else ".py",
    )


def _text(stack: Stack, value: Json) -> str | None:
    known = stack.value(value)
    return known.value if known is not None and isinstance(known.value, str) else None


def _number(stack: Stack, value: Json) -> int | None:
    known = stack.value(value)
    number = known.value if known is not None else None
    return number if isinstance(number, int) and not isinstance(number, bool) else None
