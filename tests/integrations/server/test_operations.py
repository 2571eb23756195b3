"""The table of operations: each of botocore's model is a method of the engine, by its name and the
names of its members.
"""

import inspect
from typing import Any

import pytest
from botocore import xform_name
from tests.integrations.server.asgi import MODEL

from stepwell.engine import Engine

# Parameters beyond the model's, for callers in Python.
OWN = {
    "GetActivityTask": {"timeout"},
    "CreateStateMachine": {"extras"},
    "UpdateStateMachine": {"extras"},
}


@pytest.mark.parametrize("name", MODEL.operation_names)
def test_every_operation_is_a_method_of_the_engine(name: str) -> None:
    method = getattr(Engine, xform_name(name))
    assert inspect.iscoroutinefunction(method)
    shape = MODEL.operation_model(name).input_shape
    members: dict[str, Any] = shape.members if shape else {}
    required = {xform_name(member) for member in (shape.required_members if shape else ())}
    parameters = dict(inspect.signature(method).parameters)
    del parameters["self"]
    assert set(parameters) - OWN.get(name, set()) == {xform_name(member) for member in members}
    needed = {each.name for each in parameters.values() if each.default is each.empty}
    assert needed <= required, "an optional member may be absent"
    assert required <= needed | {"role_arn"}, "what the model requires has no default"
