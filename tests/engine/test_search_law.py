"""The law of searches: an answer is what a plain filter over all executions finds, however far one
page may look.
"""

import random
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.engine.store.conftest import own_schema

from stepwell import SyncEngine
from stepwell.asl import json_text
from stepwell.engine.arns import execution_arn
from stepwell.engine.limits import Limits

DEFINITION = {
    "Comment": "stepwell:searchAttributes a b=deep.0.b c=output.c",
    "StartAt": "Any",
    "States": {
        "Any": {
            "Type": "Choice",
            "Choices": [{"Variable": "$.fail", "IsPresent": True, "Next": "No"}],
            "Default": "Yes",
        },
        "No": {"Type": "Fail", "ErrorPath": "$.fail"},
        "Yes": {"Type": "Succeed"},
    },
}
WORDS = ["ada", "Ada", "a", "", "1", "true", "null", "é", "\U0001f40d", "a b", 'a"b', "lamp-1"]
NUMBERS = [0, -1, 1, 1.5, -1.5, 10, 2**53, 2**53 + 1, -(2**60) - 1, 1e17, 10**17]
SCALARS = [*WORDS, *NUMBERS, True, False, None]
ERRORS = ["Busy", "Bust", "OutOfStock"]
OPERATORS = {
    "<": lambda one, other: one < other,
    "<=": lambda one, other: one <= other,
    ">": lambda one, other: one > other,
    ">=": lambda one, other: one >= other,
}


class Ran(NamedTuple):
    name: str
    machine: str
    status: str
    attributes: dict[str, list[Any]]


class Condition(NamedTuple):
    """operator: "=", "*" (begins so) or a comparison"""

    name: str
    operator: str
    values: list[Any]

    def text(self) -> str:
        values = [json_text.dumps(each) for each in self.values]
        if self.operator == "*":
            return f"{self.name}={self.values[0]}*"
        return f"{self.name}{self.operator}{','.join(values)}"

    def fits(self, value: Any) -> bool:
        if self.operator == "*":
            return isinstance(value, str) and value.startswith(self.values[0])
        if self.operator == "=":
            return any(_same(value, each) for each in self.values)
        bound = self.values[0]
        if isinstance(bound, str) != isinstance(value, str) or isinstance(value, bool | None):
            return False
        return bool(OPERATORS[self.operator](value, bound))


def _same(value: Any, asked: Any) -> bool:
    """A value that is not quoted also asks for a string."""
    if isinstance(value, str) and not isinstance(asked, str):
        return value == json_text.dumps(asked)
    plain = isinstance(value, bool | None) or isinstance(asked, bool | None)
    return value is asked if plain else bool(value == asked)


def inputs(number: int) -> list[dict[str, Any]]:
    drawn = random.Random(13)
    made = []
    for _ in range(number):
        several = drawn.sample(SCALARS, drawn.randrange(4))
        made.append(
            {
                "a": drawn.choice([drawn.choice(SCALARS), several, {"a": 1}]),
                "deep": [{"b": drawn.choice(SCALARS)}] if drawn.random() < 0.8 else [],
                "c": drawn.choice(SCALARS),
                **({"fail": drawn.choice(ERRORS)} if drawn.random() < 0.3 else {}),
            }
        )
    return made


def _listed(value: Any) -> list[Any]:
    found = value if isinstance(value, list) else [value]
    return [each for each in found if not isinstance(each, dict)]


def run_all(engine: SyncEngine, machines: list[str], number: int) -> list[Ran]:
    ran = []
    for place, input in enumerate(inputs(number)):
        arn = machines[place % len(machines)]
        name, _ = engine.engine.shard.draw(
            partial(execution_arn, arn), map(f"{place}-{{}}".format, range(10_000)).__next__
        )
        started = engine.start_execution(arn, name=name, input=input)["executionArn"]
        ended = engine.wait(started, timeout=60)
        attributes = {"a": _listed(input["a"]), "b": [each["b"] for each in input["deep"]]}
        if ended["status"] == "SUCCEEDED":
            attributes["c"] = [input["c"]]
        else:
            attributes["error"] = [input["fail"]]
        ran.append(Ran(name, arn, ended["status"], attributes))
    return ran[::-1]


def found(engine: SyncEngine, query: str, page: int) -> list[str]:
    names: list[str] = []
    token: dict[str, str] = {}
    while True:
        answer = engine.search_executions(query, max_results=page, **token)
        names += [each["name"] for each in answer["executions"]]
        if "nextToken" not in answer:
            return names
        token = {"next_token": answer["nextToken"]}


conditions = st.one_of(
    st.builds(
        Condition,
        st.sampled_from(["a", "b", "c"]),
        st.just("="),
        st.lists(st.sampled_from(SCALARS), min_size=1, max_size=3),
    ),
    st.builds(
        Condition,
        st.sampled_from(["a", "b", "c", "error"]),
        st.sampled_from([*OPERATORS]),
        st.sampled_from([*WORDS, *NUMBERS, *ERRORS]).map(lambda each: [each]),
    ),
    st.builds(
        Condition,
        st.sampled_from(["a", "error"]),
        st.just("*"),
        st.sampled_from(["a", "A", "lamp", "Bus", "B"]).map(lambda each: [each]),
    ),
)


class Query(NamedTuple):
    conditions: list[Condition]
    status: str | None
    machine: int | None

    def text(self, machines: list[str]) -> str:
        words = [each.text() for each in self.conditions]
        words += [] if self.status is None else [f"status={self.status}"]
        words += [] if self.machine is None else [f"machine={machines[self.machine]}"]
        return " ".join(words)

    def fits(self, ran: Ran, machines: list[str]) -> bool:
        return (
            self.status in (None, ran.status)
            and (self.machine is None or machines[self.machine] == ran.machine)
            and all(
                any(
                    all(each.fits(value) for each in several)
                    for value in ran.attributes.get(name, [])
                )
                for name, several in self._groups()
            )
        )

    def _groups(self) -> list[tuple[str, list[Condition]]]:
        """Comparisons of one attribute are for the same value, other conditions for any."""
        groups = [(each.name, [each]) for each in self.conditions if each.operator in "=*"]
        compared = [each for each in self.conditions if each.operator not in "=*"]
        for name in {each.name for each in compared}:
            groups.append((name, [each for each in compared if each.name == name]))
        return groups


queries = st.builds(
    Query,
    st.lists(conditions, max_size=4),
    st.sampled_from([None, None, "SUCCEEDED", "FAILED", "RUNNING"]),
    st.sampled_from([None, None, 0, 1]),
)


class World(NamedTuple):
    """looks: engines on the same executions, by how far a page of theirs looks"""

    engine: SyncEngine
    machines: list[str]
    ran: list[Ran]


def opened(exits: ExitStack, db: str, search_rows: int, number: int) -> World:
    engine = exits.enter_context(SyncEngine(db, limits=Limits(search_rows=search_rows)))
    machines = [
        str(engine.create_state_machine(name, DEFINITION)["stateMachineArn"]) for name in "mn"
    ]
    return World(engine, machines, run_all(engine, machines, number))


@pytest.fixture(scope="module")
def worlds() -> Iterator[list[World]]:
    with ExitStack() as exits:
        yield [opened(exits, ":memory:", rows, 60) for rows in (10_000, 7)]


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(queries, st.sampled_from([1, 5, 100]))
def test_a_search_finds_what_a_filter_finds(worlds: list[World], query: Query, page: int) -> None:
    for engine, machines, ran in worlds:
        expected = [each.name for each in ran if query.fits(each, machines)]
        assert found(engine, query.text(machines), page) == expected


def test_it_does_so_on_postgresql(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> None:
    drawn = random.Random(7)
    asked = [
        Query(
            [Condition(name, "=", [each]) for name in drawn.sample("abc", drawn.randrange(1, 3))],
            drawn.choice([None, "FAILED"]),
            drawn.choice([None, 1]),
        )
        for each in SCALARS
    ]
    asked += [Query([Condition("a", each, [1])], None, None) for each in OPERATORS]
    asked += [Query([Condition("error", "*", ["Bus"]), Condition("b", ">", [0])], None, None)]
    with ExitStack() as exits:
        for rows in (10_000, 5):
            db = own_schema(request, tmp_path_factory.mktemp(f"rows{rows}"))
            engine, machines, ran = opened(exits, db, rows, 40)
            for query in asked:
                expected = [each.name for each in ran if query.fits(each, machines)]
                assert found(engine, query.text(machines), 3) == expected
