"""JSONPath payload templates: what is replaced, what is kept, what AWS says of a missing path, and
every fault at once.
"""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepwell.asl.evaluation import Env, StateError
from stepwell.asl.expression_errors import ExpressionSyntaxError, Fault
from stepwell.asl.intrinsics import TEXT_FUNCTIONS
from stepwell.asl.templates import ExpressionError, compile_template, compile_value_path

VALUE = {"a": 1, "list": [1, 2], "text": "t", "null": None}
CONTEXT = {"Execution": {"Input": {"id": 7}}}
ENV = Env({}, {"v": [10, 20]}, lambda: CONTEXT, lambda: bytes(16), 0.0)


def fill(template: Any, value: Any = VALUE) -> Any:
    return compile_template(template)(value, ENV)


@pytest.mark.parametrize(
    ("template", "result"),
    [
        ({"x.$": "$.a"}, {"x": 1}),
        ({"x.$": "$"}, {"x": VALUE}),
        ({"x.$": "$.null"}, {"x": None}),
        ({"x.$": "$$.Execution.Input.id"}, {"x": 7}),
        ({"x.$": "$v[1]"}, {"x": 20}),
        ({"x.$": "$.list[?(@ > 1)]", "y.$": "$..absent"}, {"x": [2], "y": []}),
        ({"x.$": "States.Format('{}-{}', $.text, States.ArrayLength($v))"}, {"x": "t-2"}),
        (
            {"deep": {"er": [{"x.$": "$.a", "y": [1]}, "$.a"]}},
            {"deep": {"er": [{"x": 1, "y": [1]}, "$.a"]}},
        ),
        ([{"x.$": "$.a"}, 5], [{"x": 1}, 5]),
        ({".$": "$.a"}, {"": 1}),
        ({"x.$.$": "$.a", "$": 3, "x.": 4}, {"x.$": 1, "$": 3, "x.": 4}),
        ({"Comment": "kept", "comment": 1}, {"Comment": "kept", "comment": 1}),
        ("$.a", "$.a"),
        (None, None),
        ({}, {}),
    ],
)
def test_results(template: Any, result: Any) -> None:
    before = repr(template)
    assert fill(template) == result
    assert fill(template) == result
    assert repr(template) == before


def test_names_keep_their_order() -> None:
    assert list(fill({"z": 1, "m.$": "$.a", "a": {"x.$": "$.a"}, "b": 2})) == ["z", "m", "a", "b"]


def test_constant_parts_are_shared() -> None:
    constant = {"big": [1, {"deep": 2}]}
    evaluate = compile_template({"c": constant, "x.$": "$.a"})
    assert evaluate(VALUE, ENV)["c"] is constant is evaluate(VALUE, ENV)["c"]
    assert compile_template(constant)(VALUE, ENV) is constant
    assert evaluate(VALUE, ENV) is not evaluate(VALUE, ENV)


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("$.no_such_jsonpath", '{"a":1,"list":[1,2],"text":"t","null":null}'),
        ("$$.Execution.Input.no_such_jsonpath", '{"Execution":{"Input":{"id":7}}}'),
        ("$v.no", "[10,20]"),
        ("$unset", '{"v":[10,20]}'),
    ],
)
def test_a_path_without_result(path: str, shown: str) -> None:
    with pytest.raises(StateError) as raised:
        fill({"deep": [{"value.$": path}]})
    assert (raised.value.error, raised.value.location, raised.value.bare) == (
        "States.Runtime",
        None,
        False,
    )
    assert raised.value.cause == (
        f"The JSONPath '{path}' specified for the field 'value.$' could not be found in the "
f"input '{shown}'"
    )  # fmt: skip


def test_a_call_that_fails() -> None:
    with pytest.raises(StateError) as raised:
        fill({"x.$": "States.ArrayLength($.a)"})
    assert raised.value.error == "States.IntrinsicFailure"


def test_all_mistakes_are_reported() -> None:
    bad = "The value for the field '{}' must be a valid JSONPath or a valid intrinsic function call"
    with pytest.raises(ExpressionError) as raised:
        compile_template(
            {
                "plain.$": "text",
                "ok.$": "$.a",
                "in": {
                    "number.$": 5,
                    "list": [0, {"half.$": "$.["}, [{"call.$": "States.Nope()"}]],
                },
                "twice": 1,
                "twice.$": "$.a",
                "escape.$": 'States.StringToJson(\'{"text":"An \\"escaped\\" quote"}\')',
                "empty.$": "",
            }
        )
    assert raised.value.faults == (
        Fault("", bad.format("plain.$")),
        Fault("/in", bad.format("number.$")),
        Fault("/in/list[1]", bad.format("half.$")),
        Fault("/in/list[2][0]", bad.format("call.$")),
        Fault("", "The field 'twice' is defined more than once"),
        Fault("", bad.format("escape.$")),
        Fault("", bad.format("empty.$")),
    )


def test_the_functions_of_a_field_can_be_narrowed() -> None:
    allowed = compile_value_path(
        "States.Format('{}', States.ArrayLength($v))", "CausePath", TEXT_FUNCTIONS
    )
    assert allowed(VALUE, ENV) == "2"
    assert compile_value_path("$.text", "CausePath", TEXT_FUNCTIONS)(VALUE, ENV) == "t"
    with pytest.raises(
        ExpressionSyntaxError,
        match=(
            r"^The value for the field 'CausePath' must be a valid JSONPath or a valid intrinsic "
            r"function call$"
        ),
    ):
        compile_value_path("States.ArrayLength($v)", "CausePath", TEXT_FUNCTIONS)
    with pytest.raises(
        StateError,
        match=(
            r"The JSONPath '\$\.no' specified for the field 'CausePath' could not be found in "
            r"the input '5'"
        ),
    ):
        compile_value_path("$.no", "CausePath", TEXT_FUNCTIONS)(5, ENV)


# --- properties -----------------------------------------------------------------------------------
SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=6)
)
KEYS = st.text(max_size=4).filter(lambda key: not key.endswith(".$"))
JSON = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4)
)


@given(JSON)
def test_a_template_without_paths_is_itself(template: Any) -> None:
    assert fill(template) is template


@given(JSON, JSON)
def test_a_template_of_roots_holds_the_value_everywhere(shape: Any, value: Any) -> None:
    def marked(part: Any) -> Any:
        if isinstance(part, list):
            return list(map(marked, part))
        return {f"{key}.$": "$" for key in part} if isinstance(part, dict) else part

    def expected(part: Any) -> Any:
        if isinstance(part, list):
            return list(map(expected, part))
        return dict.fromkeys(part, value) if isinstance(part, dict) else part

    assert fill(marked(shape), value) == expected(shape)
