"""Requests of every kind for every operation, drawn from botocore's model: sensible ones, odd ones,
and ones that are no JSON.
"""

import json
from typing import Any

from botocore.model import ListShape, MapShape, Shape, StructureShape
from hypothesis import strategies as st
from tests.integrations.server.asgi import MODEL

HOME = "arn:aws:states:us-east-1:123456789012:"
ROLE = "arn:aws:iam::123456789012:role/any"
TOKEN, RUN, PARENT = (
    "@token",
    "@run",
    "@parent",
)  # the sender puts a live task token in its place, a Map Run and its execution
PASS = json.dumps({"StartAt": "P", "States": {"P": {"Type": "Pass", "End": True}}})
FAIL = json.dumps({"StartAt": "F", "States": {"F": {"Type": "Fail", "Error": "E", "Cause": "c"}}})
LONG = json.dumps(
    {"StartAt": "W", "States": {"W": {"Type": "Wait", "Seconds": 9_999_999, "End": True}}}
)
WORK = json.dumps(
    {
        "StartAt": "T",
        "States": {"T": {"Type": "Task", "Resource": f"{HOME}activity:hands", "End": True}},
    }
)
_EACH = {
    "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"},
    **json.loads(LONG),
}
_MAP = {
    "Type": "Map",
    "QueryLanguage": "JSONata",
    "Items": [1, 2],
    "ItemProcessor": _EACH,
    "End": True,
}
MANY = json.dumps({"StartAt": "M", "States": {"M": _MAP}})
DEFINITIONS = [
    PASS,
    FAIL,
    LONG,
    WORK,
    '{"Type":"Pass","End":true}',
    '{"Type":"Succeed"}',
    '{"StartAt":"x"}',
    "{}",
    "null",
    "[" * 200,
    "",
]
TEXTS = [
    "{}",
    "null",
    '{"a":1}',
    "[1,2]",
    "{",
    "not json",
    '"\\ud800"',
    "1e400",
    "NaN",
    "[" * 2_000,
    '{"a":1,"a":2}',
    " ",
    "x" * 262_145,
]
MACHINES = [
    f"{HOME}stateMachine:{name}"
    for name in (
        "pass",
        "fail",
        "long",
        "work",
        "express",
        "never",
        "pass:1",
        "pass:live",
        "pass/m",
    )
]
EXECUTIONS = [
    PARENT,
    *(f"{HOME}execution:{name}" for name in ("pass:e", "fail:e", "long:e", "work:e")),
]
EXECUTIONS += [f"{HOME}execution:{name}" for name in ("pass:never", "never:never", "pass/m:x")]
ODD_ARNS = [
    "arn",
    "arn:aws:states",
    f"{HOME}nothing:x",
    f"{HOME}express:express:e:1",
    "arn:aws:sns:us-east-1:1:x",
    f"{HOME}stateMachine:",
    "::::::::",
]
RUNS = [RUN, RUN, RUN, f"{HOME}mapRun:pass/m:1", f"{HOME}mapRun:pass/m"]
ARNS = [*MACHINES, *EXECUTIONS, *ODD_ARNS, *RUNS, f"{HOME}activity:hands", f"{HOME}activity:never"]

# What stands often for members of these names, so that requests come far.
SENSIBLE: dict[str, st.SearchStrategy[Any]] = {
    "stateMachineArn": st.sampled_from(MACHINES),
    "executionArn": st.sampled_from(EXECUTIONS),
    "activityArn": st.sampled_from([f"{HOME}activity:hands", f"{HOME}activity:never"]),
    "mapRunArn": st.sampled_from(RUNS),
    "roleArn": st.just(ROLE),
    "definition": st.sampled_from(DEFINITIONS),
    "taskToken": st.just(TOKEN),
    "name": st.sampled_from(["pass", "e", "fresh", "a b", "123", "ä", "a/b"])
    | st.text("ab-_.1é\u0000\ud800", max_size=12),
    "revisionId": st.just("INITIAL"),
    "stateName": st.sampled_from(["P", "F", "T", "no"]),
    **dict.fromkeys(
        ("input", "output", "context", "variables", "result", "mapItemReaderData"),
        st.sampled_from(TEXTS),
    ),
}

_ODD = (
    st.none()
    | st.booleans()
    | st.sampled_from(
        [0, -1, 2**31, -(2**63), 10**400, 1e308, 0.1, float("nan"), float("inf"), -0.0]
    )
    | st.sampled_from(
        [
            "",
            " ",
            "\u0000",
            "\ud800",
            "é" * 300,
            "x" * 5_000,
            "😀",
            "{}",
            "../..",
            "%s",
            "' OR 1=1 --",
            "\r\nX: y",
        ]
    )
    | st.text(max_size=20)
)
ODD = st.recursive(
    _ODD,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)


def sensible(shape: Shape, name: str = "") -> st.SearchStrategy[Any]:
    """Values of a shape, most of them as its constraints want them."""
    facts = shape.metadata
    if name.endswith("Arn") and name not in SENSIBLE:
        return st.sampled_from(ARNS)
    if name in SENSIBLE:
        return SENSIBLE[name]
    if "enum" in facts:
        return st.sampled_from(facts["enum"])
    if isinstance(shape, StructureShape):
        members = {member: part(inner, member) for member, inner in shape.members.items()}
        needed = {member: members.pop(member) for member in shape.required_members}
        return st.fixed_dictionaries(needed, optional=members)
    if isinstance(shape, ListShape):
        return st.lists(part(shape.member), max_size=3)
    if isinstance(shape, MapShape):
        return st.dictionaries(st.text(max_size=3), part(shape.value), max_size=2)
    if shape.type_name == "string":
        return st.text(
            st.characters(codec="utf-8"), min_size=min(facts.get("min", 0), 1), max_size=30
        )
    if shape.type_name == "boolean":
        return st.booleans()
    numbers = st.integers(facts.get("min", -5), min(facts.get("max", 2_000), 2_000))
    return numbers if shape.type_name in ("integer", "long") else numbers | st.floats(0, 100)


def part(shape: Shape, name: str = "") -> st.SearchStrategy[Any]:
    """Nearly always a sensible value."""
    return st.integers(0, 11).flatmap(
        lambda dice: (
            ODD if dice == 0 else st.sampled_from(ARNS) if dice == 1 else sensible(shape, name)
        )
    )


@st.composite
def body(draw: st.DrawFn, operation: str) -> bytes:
    """The body of a request of an operation."""
    shape = MODEL.operation_model(operation).input_shape
    given: Any = draw(sensible(shape)) if shape else {}
    if draw(st.integers(0, 9)) == 0 and given:
        del given[draw(st.sampled_from(sorted(given)))]
    if draw(st.integers(0, 9)) == 0:
        given[draw(st.text(max_size=9))] = draw(ODD)
    if draw(st.integers(0, 29)) == 0:
        given = draw(ODD)
    data = json.dumps(given, ensure_ascii=draw(st.booleans())).encode("utf-8", "surrogatepass")
    if draw(st.integers(0, 19)) == 0:
        at = draw(st.integers(0, len(data)))
        data = data[:at] + draw(st.binary(max_size=4)) + data[at + draw(st.integers(0, 4)) :]
    return data


def refusals(operation: str) -> set[str]:
    """The codes with which an operation may refuse."""
    return {shape.name for shape in MODEL.operation_model(operation).error_shapes} | {
        "ValidationException",
        "SerializationException",
    }
