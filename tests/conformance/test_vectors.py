"""The vectors: they match their schema, list their features, and the engine passes them; matchers
and comparison.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator

import botocore.session
import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepwell.asl import choice, definition, intrinsics, messages
from stepwell.conformance.report import features
from stepwell.conformance.report.features import features_of
from stepwell.conformance.report.results import Verdict
from stepwell.conformance.run import suites, vectors
from stepwell.conformance.run.endpoint import Endpoint
from stepwell.conformance.run.matching import differences
from stepwell.conformance.run.vectors import PLAIN, Vector, compare_histories, filled
from stepwell.conformance.testing import check, vector_params
from stepwell.engine import messages as engine_messages
from stepwell.engine.core import history
from stepwell.integrations.tasks import messages as task_messages

EVERY = vectors.load()


def test_the_engine_passes_all_vectors(endpoint: Endpoint) -> None:
    results = list(suites.run_vectors(endpoint, EVERY, frozenset({"lambda"})))
    assert {
        result.name: result.problems for result in results if result.verdict is not Verdict.PASSED
    } == {}
    assert len(results) == len(EVERY)


def test_names_are_unique() -> None:
    assert len(EVERY) >= 1000
    assert [
        name for name, count in Counter(vector.name for vector in EVERY).items() if count > 1
    ] == []


def test_files_match_the_schema() -> None:
    validator = jsonschema.Draft202012Validator(
        json.loads((vectors.CASES / "schema.json").read_text("utf-8"))
    )
    faults = [
        f"{vector.name} {fault.json_path}: {fault.message}"
        for vector in EVERY
        for fault in validator.iter_errors(vector.data)
    ]
    assert faults == []
    assert {(vector.data["name"], vector.data["$schema"]) for vector in EVERY} == {
        (vector.name, "../schema.json") for vector in EVERY
    }


def test_the_readme_has_every_area() -> None:
    told = re.findall(
        r"^\| \[(\S+)\]\((\S+)\) \|", (vectors.CASES / "README.md").read_text("utf-8"), re.MULTILINE
    )
    assert (
        [area for area, _ in told]
        == [folder for _, folder in told]
        == sorted({vector.area for vector in EVERY})
    )


def test_every_feature_is_used_by_a_vector() -> None:
    used = frozenset[str]().union(*(vector.features_used() for vector in EVERY))
    assert sorted(features.TABLE - used - set(features.UNSEEN)) == []
    assert set(features.UNSEEN) <= features.TABLE and all(features.UNSEEN.values())


def test_vectors_list_the_features_that_they_use() -> None:
    said = {vector.name: set(vector.features) for vector in EVERY}
    assert said == {
        vector.name: {name for name in vector.features_used() if not PLAIN.search(name)}
        for vector in EVERY
    }


# --- the suite's tables and the engine's are written separately, and must agree -------------------
def test_the_tables_have_all_operations_and_events() -> None:
    model = botocore.session.get_session().get_service_model("stepfunctions")
    assert set(features.OPERATIONS) == set(model.operation_names)
    assert (
        set(features.EVENTS)
        == set(model.shape_for("HistoryEventType").enum)
        == {row[0] for row in history.TABLE}
    )


MODELS = {
    "Machine": definition.StateMachine,
    **{name: getattr(definition, f"{name}State") for name in history.STATE_TYPES},
    "Retry": definition.Retrier,
    "Catch": definition.Catcher,
    "Choices": definition.ChoiceRule,
    "Branches": definition.Branch,
    **{
        name: getattr(definition, name)
        for name in ("ItemProcessor", "ProcessorConfig", "Credentials")
    },
    **{
        name: getattr(definition, name)
        for name in ("ItemReader", "ReaderConfig", "ItemBatcher", "ResultWriter", "WriterConfig")
    },
}
IN_RULES = {"Variable", "And", "Or", "Not"}  # what a rule of JSONPath says is choice.py's to know
UNCOMMENTED = {
    "ProcessorConfig",
    "ItemReader",
    "ReaderConfig",
    "ItemBatcher",
    "ResultWriter",
    "WriterConfig",
}  # AWS takes one, and says nowhere so


@pytest.mark.parametrize("owner", features.FIELDS)
def test_the_tables_have_all_fields(owner: str) -> None:
    MODELS[owner].model_rebuild()  # its parts may be defined after it
    model = {
        field.alias.removesuffix(".$")
        for field in MODELS[owner].model_fields.values()
        if field.alias is not None
    }
    ours = set(features.FIELDS[owner]) - (IN_RULES if owner == "Choices" else set())
    assert ours == model - ({"Comment"} if owner in UNCOMMENTED else set())
    assert set(MODELS) == set(features.FIELDS)


def test_the_tables_have_all_operators_functions_and_errors() -> None:
    assert set(features.OPERATORS) == set(choice.OPERATORS)
    assert set(features.INTRINSICS) == set(intrinsics.FUNCTIONS)
    every = {
        **vars(messages),
        **vars(engine_messages),
        "HTTP_STATUS": task_messages.HTTP_STATUS.format(status=404),
    }
    texts = {text for text in every.values() if isinstance(text, str)}
    raised = {text for text in texts if re.fullmatch(r"States\.[\w.]+", text)}
    assert raised <= set(features.ERRORS) and len(raised) > 12


def test_features_of_a_definition() -> None:
    branch = {"StartAt": "A", "States": {"A": {"Type": "Wait", "SecondsPath": "$.s", "End": True}}}
    state = {
        "Type": "Parallel",
        "Branches": [branch],
        "Retry": [{"ErrorEquals": ["States.ALL"]}],
        "End": True,
    }
    found = features_of(
        {"StartAt": "P", "States": {"P": state}},
        [{"type": "TaskTimedOut", "taskTimedOutEventDetails": {"error": "States.Timeout"}}],
    )
    wanted = {
        "Parallel.Branches",
        "Parallel.Retry",
        "Retry.ErrorEquals",
        "error:States.ALL",
        "Wait.SecondsPath",
        "Branches.States",
    }
    assert wanted | {"event:TaskTimedOut", "error:States.Timeout"} <= found
    rule = {"Not": {"Variable": "$.v", "IsNull": True}, "Next": "C"}
    found = features_of({"StartAt": "C", "States": {"C": {"Type": "Choice", "Choices": [rule]}}})
    assert {"Choices.Not", "Choices.Variable", "Choice.IsNull"} <= found
    written = {
        "Type": "Pass",
        "Result": {"x": "States.UUID()"},
        "Parameters": {"y.$": "States.Format('{}', States.Hash($.a, 'MD5'))"},
    }
    found = features_of({"StartAt": "S", "States": {"S": written}})
    assert {"States.Format()", "States.Hash()"} <= found and "States.UUID()" not in found
    assert features_of("no JSON") == features_of([]) == set()


# --- vectors fail when the answers differ ---------------------------------------------------------
def _spoilt(vector: Vector) -> Iterator[Vector]:
    """Copies of a vector, each with another expectation in one place."""
    expect = vector.data.get("expect", {})
    if "output" in expect:
        yield _with(vector, expect={**expect, "output": [expect["output"], "more"]})
    if "error" in expect:
        yield _with(vector, expect={**expect, "error": "Another.Error"})
    if "history" in vector.data:
        yield _with(vector, history=vector.data["history"][:-1])
        first, *rest = vector.data["history"]
        yield _with(vector, history=[[first[0], 7], *rest])
    if "invalid" in vector.data:
        yield _with(vector, invalid=[{"code": "NO_SUCH_CODE"}])
        yield _with(vector, definition={"StartAt": "S", "States": {"S": {"Type": "Succeed"}}})


def _with(vector: Vector, **changes: object) -> Vector:
    return Vector(vector.area, vector.name, {**vector.data, **changes})


def test_vectors_fail_for_other_results(endpoint: Endpoint) -> None:
    chosen = [
        vector
        for vector in EVERY
        if vector.area in ("pass", "succeed-fail", "intrinsics", "validation")
        and "steps" not in vector.data
    ]
    spoilt = [copy for vector in chosen[::3] for copy in _spoilt(vector)]
    assert len(spoilt) > 100
    passed = [
        result.name
        for result in suites.run_vectors(endpoint, spoilt)
        if result.verdict is Verdict.PASSED
    ]
    assert passed == []


def test_steps_fail_for_other_answers(endpoint: Endpoint) -> None:
    def verdict(*steps: dict[str, object]) -> Verdict:
        return vectors.run(endpoint, Vector("api", "made-up", {"steps": list(steps)})).verdict

    unknown = {
        "call": "DescribeActivity",
        "with": {"activityArn": "arn:aws:states:${region}:${account}:activity:${name}"},
    }
    made = {
        "call": "CreateActivity",
        "with": {"name": "${name}"},
        "save": {"activity": "activityArn"},
    }
    assert verdict(made, {**unknown, "answer": {"name": "${name}"}}) is Verdict.PASSED
    assert verdict(made, {**unknown, "answer": {"name": "another"}}) is Verdict.FAILED
    assert verdict(made, {**unknown, "error": {"code": "ActivityDoesNotExist"}}) is Verdict.FAILED
    assert verdict({**unknown, "error": {"code": "ActivityDoesNotExist"}}) is Verdict.PASSED
    assert verdict({**unknown, "error": {"code": "InvalidArn"}}) is Verdict.FAILED
    assert verdict(unknown) is Verdict.FAILED


@pytest.mark.parametrize(
    "vector", vector_params("lambda", offers=frozenset({"lambda"})) + vector_params("express")
)
def test_vectors_as_pytest_parameters(vector: Vector, endpoint: Endpoint) -> None:
    check(vector, str(endpoint.url))


def test_check_lists_differences(endpoint: Endpoint) -> None:
    with pytest.raises(AssertionError, match=r"(?s)pass-result-null.*output: expected 5, got null"):
        check(
            _with(_named("pass-result-null"), expect={"status": "SUCCEEDED", "output": 5}), endpoint
        )


def _named(name: str) -> Vector:
    return next(vector for vector in EVERY if vector.name == name)


# --- matching -------------------------------------------------------------------------------------
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(alphabet="abc"), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(JSON)
def test_a_value_matches_itself(value: object) -> None:
    assert list(differences(value, value, exact=True)) == []


@given(JSON, JSON)
def test_different_values_do_not_match(one: object, other: object) -> None:
    same = json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
    fits = not list(differences(one, other, exact=True))
    assert fits if same else not fits or _plain(one) == _plain(other)


def _plain(value: object) -> object:
    """Numbers compare by value, and differ from booleans."""
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    return (
        (bool, value)
        if isinstance(value, bool)
        else (float, value)
        if isinstance(value, int | float)
        else value
    )


@pytest.mark.parametrize(
    ("wanted", "good", "wrong"),
    [
        ({"$match": "a+"}, "aa", "aab"),
        ({"$any": True}, 0, None),
        ({"$has": [1]}, [2, 1], [2]),
        ({"$unordered": [1, 2]}, [2, 1], [2, 1, 3]),
        ({"$between": [1, 2]}, 1.5, True),
        ({"$length": 2}, "ab", "abc"),
        ({"$text": "[1]"}, "[1]", "[ 1]"),
        ({"input": [1]}, {"input": "[ 1 ]", "more": 1}, {"input": "[1, 2]"}),
        ({"input": {"a": 1}}, {"input": '{"a":1.0}'}, {"input": '{"a":1,"b":2}'}),
        ({"input": {"$text": "[ 1]"}}, {"input": "[ 1]"}, {"input": "[1]"}),
        ({"a": {"$absent": True}}, {}, {"a": 0}),
        (
            {"assignedVariables": {"x": "t"}},
            {"assignedVariables": {"x": '"t"'}},
            {"assignedVariables": {"x": "t"}},
        ),
        (1, 1.0, True),
        ({"$other": 1}, {"$other": 1}, {"$other": 2}),
    ],
)
def test_matchers(wanted: object, good: object, wrong: object) -> None:
    assert list(differences(wanted, good)) == []
    assert len(list(differences(wanted, wrong))) >= 1


def test_histories() -> None:
    events = (
        {"id": 1, "previousEventId": 0, "type": "A", "aEventDetails": {"x": 1}},
        {"id": 2, "previousEventId": 1, "type": "B"},
    )
    fitting: list[list[list[object]]] = [
        [["A", 0, {"x": 1}], ["B", 1, None]],
        [["A", None], ["B", 1]],
    ]
    assert [list(compare_histories(wanted, events)) for wanted in fitting] == [[], []]
    for wanted in (
        [["A", 0]],
        [["A", 0], ["B", 0]],
        [["A", 0, {"x": 2}], ["B", 1]],
        [["A", 0, None], ["B", 1]],
        [["B", 0], ["A", 1]],
    ):
        assert list(compare_histories(wanted, events))


def test_known_names_are_replaced() -> None:
    assert filled({"${a}": ["x${a}y", "${b}", 5]}, {"a": "1"}) == {"1": ["x1y", "${b}", 5]}
