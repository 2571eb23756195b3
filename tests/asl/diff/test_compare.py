"""What compare() says of planted changes; two ways to write the same are no change."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest

from stepwell.asl.diff import Difference, compare
from stepwell.conformance.generate import case_of
from stepwell.visualize.changes import texts as changes

Json = dict[str, Any]
ORDER: Json = json.loads(Path("examples/order.asl.json").read_text())


def task(name: str, **more: Any) -> Json:
    return {
        "Type": "Task",
        "Resource": "arn:aws:states:::lambda:invoke",
        "Parameters": {"FunctionName": name, "Payload.$": "$"},
        **more,
    }


MACHINE: Json = {
    "StartAt": "Get",
    "States": {
        "Get": task(
            "get", Next="Big?", Retry=[{"ErrorEquals": ["E", "F"]}, {"ErrorEquals": ["G"]}]
        ),
        "Big?": {
            "Type": "Choice",
            "Choices": [
                {"Variable": "$.n", "NumericGreaterThan": 10, "Next": "Both"},
                {"Variable": "$.n", "NumericGreaterThan": 5, "Next": "Each"},
            ],
            "Default": "Small",
        },
        "Both": {
            "Type": "Parallel",
            "Branches": [
                {"StartAt": "A", "States": {"A": task("a", End=True)}},
                {"StartAt": "B", "States": {"B": task("b", End=True)}},
            ],
            "Catch": [{"ErrorEquals": ["States.ALL"], "Next": "Small"}],
            "Next": "Nap",
        },
        "Each": {
            "Type": "Map",
            "MaxConcurrency": 2,
            "Iterator": {"StartAt": "One", "States": {"One": task("one", End=True)}},
            "Next": "Nap",
        },
        "Nap": {"Type": "Wait", "Seconds": 5, "Next": "Small"},
        "Small": {"Type": "Pass", "End": True},
    },
}


def changed(change: Callable[[Json], object]) -> Difference:
    new = copy.deepcopy(MACHINE)
    change(new)
    return compare(MACHINE, new)


def lines(found: Difference) -> list[str]:
    shown = [f"machine: {changes.text(each)}" for each in found.machine]
    for each in found.states:
        texts = [changes.text(change) for change in each.changes] or [""]
        shown += [f"{changes.SIGNS[each.kind]} {changes.headline(each)}: {text}" for text in texts]
    return shown


def state(machine: Json, name: str) -> Json:
    found: Json = machine["States"][name]
    return found


def rename(machine: Json, old: str, new: str) -> None:
    text = json.dumps(machine).replace(json.dumps(old), json.dumps(new))
    machine.clear()
    machine.update(json.loads(text))


def insert(machine: Json) -> None:
    machine["States"]["New"] = task("new", Next="Small")
    state(machine, "Nap")["Next"] = "New"


def move(machine: Json) -> None:
    branches = state(machine, "Both")["Branches"]
    branches[0]["States"]["C"] = {"Type": "Pass", "End": True}
    branches[0]["States"]["A"] |= {"Next": "Nap"}
    del branches[0]["States"]["A"]["End"], branches[0]["States"]["C"]
    branches[0]["States"]["Nap"] = {"Type": "Wait", "Seconds": 5, "End": True}
    del machine["States"]["Nap"]
    state(machine, "Both")["Next"] = state(machine, "Each")["Next"] = "Small"


PLANTED: dict[str, tuple[Callable[[Json], object], list[str]]] = {
    "a state is inserted": (insert, ["~ Nap: Next: Small → New", "+ New: "]),
    "a state is renamed": (lambda m: rename(m, "Nap", "Rest"), ["= Nap → Rest: "]),
    "a state without fields is renamed": (
        lambda m: rename(m, "Small", "Done"), ["= Small → Done: "],
    ),
    "a Parallel is renamed": (lambda m: rename(m, "Both", "All"), ["= Both → All: "]),
    "a renamed state changes too": (
        lambda m: (rename(m, "Nap", "Rest"), state(m, "Rest").update(Seconds=6)),
        ["= Nap → Rest: Seconds: 5 → 6"],
    ),
    "a state moves into a branch": (
        move,
        [
            "~ Both: Next: Nap → Small",
            "~ Each: Next: Nap → Small",
            "~ A: Next: End → Nap",
            "> Nap: moved: the top level → branch 1 of Both",
            "> Nap: Next: Small → End",
        ],
    ),
    "branches change places": (
        lambda m: state(m, "Both")["Branches"].reverse(),
        ["~ Both: branch 2: branch 1 → branch 2", "~ Both: branch 1: branch 2 → branch 1"],
    ),
    "a branch is added": (
        lambda m: state(m, "Both")["Branches"].append(
            {"StartAt": "C", "States": {"C": {"Type": "Pass", "End": True}}}
        ),
        ["~ Both: added branch 3: C", "+ C: "],
    ),
    "a state is removed": (
        lambda m: (m["States"].pop("Nap"), rename(m, "Nap", "Small")),
        ["~ Both: Next: Nap → Small", "~ Each: Next: Nap → Small", "- Nap: "],
    ),
    "a threshold": (
        lambda m: state(m, "Big?")["Choices"][0].update(NumericGreaterThan=20),
        ["~ Big?: rule 1: $.n > 10 → $.n > 20"],
    ),
    "a rule is inserted": (
        lambda m: state(m, "Big?")["Choices"].insert(
            0, {"Variable": "$.n", "IsNull": True, "Next": "Small"}
        ),
        ["~ Big?: added rule 1: $.n is null → Small"],
    ),
    "rules change places": (
        lambda m: state(m, "Big?")["Choices"].reverse(),
        ["~ Big?: rules · order: [1,2] → [2,1]"],
    ),
    "a rule leads elsewhere": (
        lambda m: state(m, "Big?")["Choices"][1].update(Next="Nap"),
        ["~ Big?: rule 2 · Next: Each → Nap"],
    ),
    "Default": (
        lambda m: state(m, "Big?").update(Default="Nap"), ["~ Big?: Default: Small → Nap"],
    ),
    "MaxAttempts from its default": (
        lambda m: state(m, "Get")["Retry"][1].update(MaxAttempts=0),
        ["~ Get: Retry G · MaxAttempts: 3 → 0"],
    ),
    "a retrier matches another error": (
        lambda m: state(m, "Get")["Retry"][0]["ErrorEquals"].append("H"),
        ["~ Get: added Retry E, F · ErrorEquals[2]: H"],
    ),
    "retriers change places": (
        lambda m: state(m, "Get")["Retry"].reverse(),
        ['~ Get: Retry · order: ["E, F","G"] → ["G","E, F"]'],
    ),
    "a catcher is removed": (
        lambda m: state(m, "Both").pop("Catch"), ["~ Both: removed Catch States.ALL: → Small"],
    ),
    "parameters": (
        lambda m: state(m, "Get")["Parameters"].update({"Payload.$": "$.id"}),
        ["~ Get: Parameters.Payload.$: $ → $.id"],
    ),
    "a path from its default": (
        lambda m: state(m, "Get").update(ResultPath="$.got"), ["~ Get: ResultPath: $ → $.got"],
    ),
    "a result is discarded": (
        lambda m: state(m, "Get").update(ResultPath=None), ["~ Get: ResultPath: $ → null"],
    ),
    "true is not 1": (
        lambda m: state(m, "Small").update(Result=True), ["~ Small: added Result: true"],
    ),
    "concurrency": (
        lambda m: state(m, "Each").update(MaxConcurrency=0), ["~ Each: MaxConcurrency: 2 → 0"],
    ),
    "a state has another type": (
        lambda m: m["States"].update(Nap={"Type": "Pass", "Next": "Small"}),
        ["~ Nap: Type: Wait → Pass", "~ Nap: removed Seconds: 5"],
    ),
    "the first state": (lambda m: m.update(StartAt="Nap"), ["machine: StartAt: Get → Nap"]),
    "the time limit": (
        lambda m: m.update(TimeoutSeconds=60), ["machine: added TimeoutSeconds: 60"],
    ),
    "the query language": (
        lambda m: state(m, "Nap").update(QueryLanguage="JSONata"),
        ["~ Nap: QueryLanguage: JSONPath → JSONata"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_change_is_found_and_nothing_else(name: str) -> None:
    change, expected = PLANTED[name]
    assert lines(changed(change)) == expected


SAME: dict[str, Callable[[Json], object]] = {
    "comments": lambda m: (m.update(Comment="x"), state(m, "Get").update(Comment="y")),
    "the version": lambda m: m.update(Version="1.0"),
    "the language": lambda m: m.update(QueryLanguage="JSONPath"),
    "paths": lambda m: state(m, "Get").update(InputPath="$", ResultPath="$", OutputPath="$"),
    "retriers": lambda m: state(m, "Get")["Retry"][0].update(
        ErrorEquals=["F", "E"], MaxAttempts=3, BackoffRate=2.0, IntervalSeconds=1
    ),
    "no retriers": lambda m: state(m, "Nap").update(Retry=[]),
    "a catcher's path": lambda m: state(m, "Both")["Catch"][0].update(ResultPath="$"),
    "Iterator": lambda m: state(m, "Each").update(
        ItemProcessor={"ProcessorConfig": {"Mode": "INLINE"}, **state(m, "Each").pop("Iterator")}
    ),
    "an order of keys": lambda m: m.update(
        States={name: dict(reversed(each.items())) for name, each in reversed(m["States"].items())}
    ),
}


@pytest.mark.parametrize("name", SAME)
def test_another_way_to_write_the_same_is_no_change(name: str) -> None:
    assert lines(changed(SAME[name])) == []


def test_a_resource_that_is_no_longer_called_is_needed_by_old_executions() -> None:
    found = changed(lambda m: state(m, "Get")["Parameters"].update(FunctionName="fetch"))
    assert found.dropped == {"get": ("Get",)}
    assert "needed until" in changes.notes(found)[1] and "get" in changes.notes(found)[1]


def test_generated_machines_equal_themselves_and_lose_no_renamed_state() -> None:
    for seed in range(60):
        machine = case_of(Random(seed)).definition
        again = json.loads(json.dumps(machine, sort_keys=True))
        assert not compare(machine, again), seed
        names = [name for name in again["States"] if json.dumps(again).count(json.dumps(name)) > 1]
        rename(again, names[0], "Another name")
        found = compare(machine, again)
        assert found.renamed == {names[0]: "Another name"}, (seed, lines(found))
