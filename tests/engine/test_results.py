"""The results of operations have the shapes of the API."""

import inspect
import pydoc
from typing import Any, get_type_hints

import botocore.session
import pytest
from botocore import xform_name

from stepwell.engine import Engine, SyncEngine
from stepwell.engine.operations import results

MODEL = botocore.session.get_session().get_service_model("stepfunctions")
OWN = {"DescribeStateMachineOutput": {"extras"}}
RENAMED = {"CloudWatchEventsExecutionDataDetails": "DataDetails"}
PLAIN = {
    "string": str,
    "timestamp": float,
    "integer": int,
    "long": int,
    "boolean": bool,
    "float": float,
    "map": dict[str, list[str]],
}


def expected(shape: Any) -> Any:
    if shape.type_name == "structure":
        return getattr(results, RENAMED.get(shape.name, shape.name))
    return list[expected(shape.member)] if shape.type_name == "list" else PLAIN[shape.type_name]


def check(kind: Any, shape: Any) -> None:
    """Members, which of them may be absent, and their types."""
    assert kind.__required_keys__ == set(shape.required_members), kind
    own = OWN.get(shape.name, set())
    assert set(kind.__annotations__) == set(shape.members) | own, kind
    hints = get_type_hints(kind)
    for name, member in shape.members.items():
        if shape.name == "HistoryEvent" and member.type_name == "structure":
            assert hints[name] == results.Details
            continue
        assert hints[name] == expected(member), (kind, name)
        inner = member.member if member.type_name == "list" else member
        if inner.type_name == "structure":
            check(hints[name] if inner is member else expected(inner), inner)


@pytest.mark.parametrize("name", MODEL.operation_names)
def test_the_result_of_an_operation_is_that_of_the_model(name: str) -> None:
    shape = MODEL.operation_model(name).output_shape
    for method in (getattr(kind, xform_name(name)) for kind in (Engine, SyncEngine)):
        kind = get_type_hints(inspect.unwrap(method))["return"]
        if shape is None or not shape.members:
            assert kind is results.EmptyOutput
        else:
            assert kind.__name__ == shape.name
            check(kind, shape)


def test_help_shows_every_operation_with_its_signature_and_docstring() -> None:
    text = pydoc.plain(pydoc.render_doc(Engine))
    for name in map(xform_name, MODEL.operation_names):
        method = getattr(Engine, name)
        assert f"async {name}(" in text, name
        first = (inspect.getdoc(method) or "").splitlines()[0]
        assert first and first in text, name
