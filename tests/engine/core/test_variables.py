"""Assign: what it reads, when its variables become visible, in which scope, and how history shows
them.
"""

from typing import Any

import pytest
from tests.engine.core.driver import (
    PASS,
    PLAIN,
    TASK,
    Fails,
    catch,
    distributed,
    each,
    in_state,
    jsonata,
    lines,
    machine,
    only,
    parallel,
    retry,
    run,
    wait,
)

from stepwell.engine.limits import Limits


def read(**names: str) -> dict[str, Any]:
    """A Pass state whose output consists of variables."""
    return {**PASS, "Parameters": {f"{key}.$": path for key, path in names.items()}}


def test_history_shows_what_was_assigned() -> None:
    trace = run(
        machine(
            "A",
            A={**PASS, "Assign": {"n": 7, "s.$": "$.x", "o": {"k": [1, None]}}, "Next": "B"},
            B=read(n="$n"),
        ),
        {"x": "é"},
    )
    assert trace.lines == lines("""
        1<0 ExecutionStarted {"x":"é"}
        2<0 PassStateEntered A {"x":"é"}
        3<2 PassStateExited A {"x":"é"} n:=7 s:="é" o:={"k":[1,null]}
        4<3 PassStateEntered B {"x":"é"}
        5<4 PassStateExited B {"n":7}
        6<5 ExecutionSucceeded {"n":7}
    """)


@pytest.mark.parametrize("assign", [{}, None])
def test_nothing_assigned_is_nothing_shown(assign: Any) -> None:
    trace = run(only({**PASS, "Assign": assign}))
    assert set(trace.events[2]["stateExitedEventDetails"]) == {"name", "output", "outputDetails"}


RESULT = {"r": {"v": 5}}


@pytest.mark.parametrize(
    ("state", "value"),
    [
        ({**PASS, "InputPath": "$.a", "ResultPath": "$.x"}, {"b": 1}),  # the result
        ({**PASS, "Result": 3, "ResultPath": None}, 3),
        (
            {**PLAIN, "ResultSelector": {"s": 0}, "ResultPath": "$.x", "OutputPath": "$.x"},
            RESULT,
        ),  # the raw result
        (wait(1, InputPath="$.a", OutputPath="$.b"), {"b": 1}),  # the effective input
        (parallel(machine("P", P={**PASS, "Result": 1}), ResultSelector={"s": 0}), [1]),
        (
            each(machine("P", P={**PASS, "Result": 1}), ItemsPath="$.l", ResultSelector={"s": 0}),
            [1, 1],
        ),
    ],
    ids=lambda value: value["Type"] if isinstance(value, dict) and "Type" in value else None,
)
def test_what_the_root_of_a_path_is(state: dict[str, Any], value: Any) -> None:
    states = machine("S", S={**state, "Assign": {"v.$": "$"}, "Next": "R"}, R=read(v="$v"))
    assert run(states, {"a": {"b": 1}, "l": [1, 2]}, S=RESULT).output == {"v": value}


def test_choice_assigns_by_the_rule_that_matched() -> None:
    rules = [
        {
            "Variable": "$.n",
            "NumericEquals": 1,
            "Next": "R",
            "Assign": {"v.$": "$.n", "rule": "first"},
        },
        {"Variable": "$.n", "NumericEquals": 2, "Next": "R"},
    ]
    choice = {
        "Type": "Choice",
        "Choices": rules,
        "Default": "R",
        "Assign": {"v": "default", "rule": "none"},
        "InputPath": "$.e",
    }
    start = {**PASS, "Assign": {"v": "old", "rule": "old"}, "Next": "C"}
    states = machine("A", A=start, C=choice, R=read(v="$v", rule="$rule"))
    assert run(states, {"e": {"n": 1}}).output == {"v": 1, "rule": "first"}
    assert run(states, {"e": {"n": 2}}).output == {"v": "old", "rule": "old"}
    assert run(states, {"e": {"n": 3}}).output == {"v": "default", "rule": "none"}


def test_jsonata_choice_has_assign_and_output_for_each_rule() -> None:
    rules = [
        {
            "Condition": "{% $states.input = 1 %}",
            "Next": "R",
            "Assign": {"v": "{% $states.input + 1 %}"},
            "Output": "{% $states.input * 10 %}",
        },
        {"Condition": "{% $states.input = 2 %}", "Next": "R", "Assign": {"v": 0}},
    ]
    choice = {
        "Type": "Choice",
        "Choices": rules,
        "Default": "R",
        "Assign": {"v": "d"},
        "Output": "default",
    }
    states = machine(
        "C", "JSONata", C=choice, R={**PASS, "Output": ["{% $v %}", "{% $states.input %}"]}
    )
    assert [run(states, number).output for number in (1, 2, 3)] == [
        [2, 10],
        [0, 2],
        ["d", "default"],
    ]


def test_assign_reads_the_variables_as_they_were_at_entry() -> None:
    states = machine(
        "A",
        A={**PASS, "Assign": {"a": 1, "b": 2}, "Next": "B"},
        B={**PASS, "Assign": {"a.$": "$b", "b.$": "$a"}, "Parameters": {"a.$": "$a"}, "Next": "R"},
        R=read(a="$a", b="$b"),
    )
    trace = run(states)
    assert trace.output == {"a": 2, "b": 1}
    assert trace.lines[4] == '5<4 PassStateExited B {"a":1} a:=2 b:=1'


def test_output_and_assign_do_not_see_each_other() -> None:
    states = machine(
        "A",
        "JSONata",
        A={**PASS, "Assign": {"v": 1}, "Next": "B"},
        B={**PASS, "Assign": {"v": "{% $v + 1 %}"}, "Output": "{% $v %}"},
    )
    trace = run(states)
    assert trace.output == 1
    assert trace.lines[4] == "5<4 PassStateExited B 1 v:=2"


def test_a_failed_assign_assigns_nothing() -> None:
    states = machine(
        "A",
        "JSONata",
        A={**PASS, "Assign": {"v": "old"}, "Next": "T"},
        T={
            "Type": "Task",
            "Resource": PLAIN["Resource"],
            "Assign": {"v": "new", "w": "{% $no %}"},
            "Catch": catch(),
            "Next": "R",
        },
        C={**PASS, "Next": "R"},
        R={**PASS, "Output": {"v": "{% $v %}", "w": "{% $exists($w) %}"}},
    )
    trace = run(states)
    assert trace.output == {"v": "old", "w": False}
    assert "location=Assign/w" in trace.lines[7]
    assert trace.lines[8].startswith("9<8 TaskStateExited T {") and ":=" not in trace.lines[8]


def test_an_attempt_that_is_retried_assigns_nothing() -> None:
    states = machine(
        "A",
        A={**PASS, "Assign": {"n": 0}, "Next": "T"},
        T={
            **PLAIN,
            "Parameters": {"n.$": "$n"},
            "Assign": {"n": 1},
            "Retry": retry("E"),
            "Next": "R",
        },
        R=read(n="$n"),
    )
    trace = run(states, T=(Fails("E"), 1))
    assert [payload for _, payload in trace.tasks] == [{"n": 0}, {"n": 0}]
    assert trace.output == {"n": 1}


def test_catcher_assigns_instead_of_the_state() -> None:
    state = {
        **TASK,
        "Assign": {"v": "state"},
        "Catch": catch("E", Assign={"v.$": "$.Cause", "i.$": "$$.State.Name"}, ResultPath="$.e"),
    }
    trace = run(machine("S", S=state, C=read(v="$v", i="$i")), {"x": 1}, S=Fails("E", "why"))
    assert trace.output == {"v": "why", "i": "S"}
    assert (
        trace.lines[5]
        == '6<5 TaskStateExited S {"x":1,"e":{"Error":"E","Cause":"why"}} v:="why" i:="S"'
    )


def test_inner_scopes_read_the_outer_variables_and_keep_their_own() -> None:
    branch_a = machine(
        "A1",
        A1={**PASS, "Assign": {"own.$": "$outer"}, "Next": "A2"},
        A2=read(own="$own", outer="$outer"),
    )
    branch_b = machine("B1", B1={**PASS, "Assign": {"own": "b"}, "Next": "B2"}, B2=read(own="$own"))
    states = machine(
        "S",
        S={**PASS, "Assign": {"outer": 1}, "Next": "P"},
        P=parallel(branch_a, branch_b, Assign={"own": "outer scope"}, Next="R"),
        R={**PASS, "Parameters": {"all.$": "$", "own.$": "$own"}},
    )
    assert run(states).output == {
        "all": [{"own": 1, "outer": 1}, {"own": "b"}],
        "own": "outer scope",
    }


def test_iterations_do_not_see_one_another() -> None:
    item = machine(
        "A", "JSONata", A={**PASS, "Output": "{% $exists($seen) %}", "Assign": {"seen": True}}
    )
    states = machine(
        "M", "JSONata", M=each({"StartAt": "A", "States": item["States"]}, MaxConcurrency=1)
    )
    assert run(states, [1, 2, 3]).output == [False, False, False]


def test_inner_variables_vanish() -> None:
    inner = {"StartAt": "A", "States": {"A": {**PASS, "Assign": {"inner": 1}, "End": True}}}
    states = machine(
        "P", "JSONata", P=parallel(inner, Next="R"), R={**PASS, "Output": "{% $exists($inner) %}"}
    )
    assert run(states).output is False


def test_catch_of_a_parallel_assigns_in_the_outer_scope() -> None:
    inner = machine(
        "A", A={**PASS, "Assign": {"inner": 1}, "Next": "F"}, F={"Type": "Fail", "Error": "E"}
    )
    state = parallel(inner, Catch=catch(Assign={"caught.$": "$.Error"}))
    trace = run(
        machine(
            "S",
            S=state,
            C={
                **PASS,
                "QueryLanguage": "JSONata",
                "Output": ["{% $caught %}", "{% $exists($inner) %}"],
            },
        )
    )
    assert trace.output == ["E", False]


def test_children_of_a_map_run_see_no_variables_but_the_item_selector_does() -> None:
    child = {
        "StartAt": "A",
        "States": {
            "A": {**PASS, "Output": ["{% $exists($v) %}", "{% $states.input %}"], "End": True}
        },
    }
    state = distributed(child, ItemSelector={"from": "{% $v %}"})
    states = machine("S", "JSONata", S={**PASS, "Assign": {"v": 1}, "Next": "M"}, M=state)
    assert run(states, [0]).output == [[False, {"from": 1}]]


def test_variables_are_read_everywhere() -> None:
    states = machine(
        "S",
        S={**PASS, "Assign": {"n": 1, "list": [1, 2], "o": {"k": "v"}}, "Next": "T"},
        T={
            **TASK,
            "Parameters": {"FunctionName": "f", "k.$": "$o.k", "f.$": "States.Format('{}', $n)"},
            "TimeoutSecondsPath": "$n",
            "Next": "C",
        },
        C={
            "Type": "Choice",
            "Choices": [{"Variable": "$n", "NumericEqualsPath": "$list[0]", "Next": "W"}],
        },
        W={"Type": "Wait", "SecondsPath": "$n", "Next": "M"},
        M=each(machine("I", I=PASS), ItemsPath="$list", MaxConcurrencyPath="$n", Next="X"),
        X={**PASS, "InputPath": "$o", "Next": "Y"},
        Y={**PASS, "OutputPath": "$list[1]", "Next": "F"},
        F={"Type": "Fail", "ErrorPath": "$o.k", "CausePath": "$o.k"},
    )
    trace = run(states)
    assert trace.tasks == [("T", {"FunctionName": "f", "k": "v", "f": "1"})]
    assert trace.elapsed == 1
    assert trace.failure == ("v", "v")
    assert trace.lines[-2].split(" ", 2)[2] == "F 2"


def test_a_variable_that_nothing_has_assigned() -> None:
    choice = {
        "Type": "Choice",
        "Choices": [{"Variable": "$.x", "IsPresent": True, "Next": "A"}],
        "Default": "B",
    }
    states = machine(
        "C", C=choice, A={**PASS, "Assign": {"v": 1}, "Next": "B"}, B={**PASS, "InputPath": "$v"}
    )
    assert run(states, {"x": 1}).output == 1
    assert run(states).failure == (
        "States.Runtime",
        in_state("Invalid path '$v' : The variable '$v' has no value.", "B", 4),
    )
    undefined = (
        "The JSONata expression '$v' specified for the field 'Output' returned nothing (undefined)."
    )
    assert run(jsonata({**PASS, "Output": "{% $v %}"})).failure == (
        "States.QueryEvaluationError",
        in_state(undefined),
    )


TINY = Limits(variable_bytes=10, assign_bytes=15, variables_bytes=30)


@pytest.mark.parametrize(
    ("first", "second", "fits"),
    [
        ({"a": "x" * 8}, {}, True),
        ({"a": "x" * 9}, {}, False),  # one variable
        ({"a": "x" * 8, "b": "y" * 3}, {}, True),
        ({"a": "x" * 8, "b": "y" * 4}, {}, False),  # one Assign
        ({"a": "x" * 8, "b": 12345}, {"c": "x" * 8, "d": 12345}, True),
        (
            {"a": "x" * 8, "b": 12345},
            {"c": "x" * 8, "d": 12345, "b": ""},
            False,
        ),  # one Assign again
        ({"a": "x" * 8, "b": 12345}, {"a": 1, "c": "x" * 8}, True),  # a is replaced
    ],
)
def test_sizes(first: dict[str, Any], second: dict[str, Any], fits: bool) -> None:
    states = machine("A", A={**PASS, "Assign": first, "Next": "B"}, B={**PASS, "Assign": second})
    trace = run(states, limits=TINY)
    assert trace.status == ("SUCCEEDED" if fits else "FAILED")
    assert fits or trace.failure[0] == "States.DataLimitExceeded"


def test_size_of_all_variables() -> None:
    names = [f"S{number}" for number in range(4)]
    states = {
        name: {**PASS, "Assign": {name: "x" * 8}, **({"Next": following} if following else {})}
        for name, following in zip(names, [*names[1:], None])
    }
    trace = run(machine("S0", **states), limits=TINY)
    assert trace.failure[0] == "States.DataLimitExceeded"
    assert trace.lines[-2] == "8<7 PassStateEntered S3 {}"


def test_size_is_caught_by_its_name() -> None:
    state = {
        **TASK,
        "Assign": {"a.$": "$"},
        "Catch": catch("States.DataLimitExceeded", ResultPath=None),
    }
    assert run(machine("S", S=state, C=PASS), S="x" * 9, limits=TINY).output == {}
