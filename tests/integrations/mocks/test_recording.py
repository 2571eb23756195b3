"""Recordings: a mock file of an execution repeats it."""

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.conftest import ROOT
from tests.integrations.mocks.samples import machine

from stepwell import Engine
from stepwell.engine.engine import Engine as EngineClass
from stepwell.engine.virtual_clock import VirtualClock
from stepwell.integrations.cli.clients.local import EngineClient
from stepwell.integrations.cli.commands import mock_record
from stepwell.integrations.cli.commands.mock_record import of_execution
from stepwell.integrations.limits import DEFAULT_LIMITS
from stepwell.integrations.mocks.cases import Return, TestCase
from stepwell.integrations.mocks.files import parse_mocks, read_mocks
from stepwell.integrations.mocks.recording import merge
from stepwell.integrations.mocks.tasks import MockedTasks
from stepwell.integrations.tasks.registry import Registry

Functions = Mapping[str, Any]


class Ended(NamedTuple):
    status: str
    output: Any
    error: str | None
    cause: str | None


def client(engine: EngineClass) -> EngineClient:
    return EngineClient(engine, "the database", [], DEFAULT_LIMITS)


async def end(engine: EngineClass, target: str, input: Any) -> tuple[str, Ended]:
    arn = (await engine.start_execution(target, input=json.dumps(input)))["executionArn"]
    done = await engine.wait(arn, 60)
    output = json.loads(done["output"]) if "output" in done else None
    return arn, Ended(done["status"], output, done.get("error"), done.get("cause"))


async def record(definition: Any, functions: Functions, input: Any) -> tuple[Ended, Any]:
    """How an execution ended, and the JSON of its mock file."""
    async with Engine(tasks=Registry(functions=functions), clock=VirtualClock()) as engine:
        made = await engine.create_state_machine("m", json.dumps(definition))
        arn, ended = await end(engine, made["stateMachineArn"], input)
        found = await of_execution(client(engine), arn)
        return ended, merge({}, "m", "C", found.recording)


async def replay(definition: Any, value: Any, input: Any) -> Ended:
    mocks = parse_mocks(json.dumps(value).encode(), "mocks.json")
    tasks = MockedTasks(Registry(), mocks)
    async with Engine(tasks=tasks, clock=VirtualClock()) as engine:
        made = await engine.create_state_machine("m", json.dumps(definition))
        _, ended = await end(engine, f"{made['stateMachineArn']}#C", input)
        return ended


async def check(definition: Any, functions: Functions, input: Any = None) -> Any:
    ended, value = await record(definition, functions, input)
    again = await replay(definition, value, input)
    # the text of a cause may tell the id of an event, and ids are those of another interleaving
    assert again[:3] == ended[:3], (again, ended, value)
    return value


class Calls:
    """A function whose result depends on its calls so far: what a service may do."""

    def __init__(self, outcomes: list[Any]) -> None:
        self._outcomes, self._calls = outcomes, 0

    def __call__(self, event: Any) -> Any:
        self._calls += 1
        outcome = self._outcomes[(self._calls - 1) % len(self._outcomes)]
        if isinstance(outcome, str):
            raise {"Busy": BlockingIOError, "Broken": ValueError}[outcome](self._calls)
        return {"call": self._calls, "value": outcome}


def name(resource: str) -> str:
    return f"arn:aws:lambda:us-east-1:123456789012:function:{resource}"


RETRY = [{"ErrorEquals": ["BlockingIOError"], "IntervalSeconds": 1, "MaxAttempts": 2}]


async def test_retries_and_loops_are_recorded_in_their_order() -> None:
    states = {
        "Poll": {"Type": "Task", "Resource": name("f"), "Retry": RETRY},
        "Done?": {
            "Type": "Choice",
            "Choices": [{"Variable": "$.value", "NumericEquals": 3, "Next": "End"}],
            "Default": "Poll",
        },
        "End": {"Type": "Pass"},
    }
    value = await check(machine(states), {"f": Calls([1, "Busy", 2, 2, 3])})
    assert value["StateMachines"] == {"m": {"TestCases": {"C": {"Poll": "Poll (C)"}}}}
    assert list(value["MockedResponses"]["Poll (C)"]) == ["0", "1", "2", "3", "4"]
    thrown = value["MockedResponses"]["Poll (C)"]["1"]["Throw"]
    assert thrown["Error"] == "BlockingIOError"


def mapped(states: dict[str, Any], mode: str) -> dict[str, Any]:
    config = {"Mode": mode, **({"ExecutionType": "STANDARD"} if mode == "DISTRIBUTED" else {})}
    return {"Type": "Map", "ItemProcessor": {**machine(states), "ProcessorConfig": config}}


@pytest.mark.parametrize("mode", ["INLINE", "DISTRIBUTED"])
async def test_iterations_that_differ_are_recorded_by_their_index(mode: str) -> None:
    def ship(event: int) -> Any:
        if event == 2:
            raise ValueError("no")
        return "ok" if event < 4 else "late"

    catch = [{"ErrorEquals": ["States.ALL"], "Next": "Late"}]
    states = {
        "Ship": {"Type": "Task", "Resource": name("ship"), "Catch": catch, "End": True},
        "Late": {"Type": "Pass"},
    }
    value = await check(
        machine({"Each": mapped(states, mode)}), {"ship": ship}, [0, 1, 2, 3, 4, 5, 6]
    )
    assert value["StateMachines"]["m"]["TestCases"]["C"]["Ship"] == {
        "Items": {"0-1": "Ship (C)", "2": "Ship (C) 2", "3": "Ship (C)", "4-6": "Ship (C) 3"}
    }


async def test_iterations_that_are_alike() -> None:
    each = mapped({"Ship": {"Type": "Task", "Resource": name("ship")}}, "INLINE")
    value = await check(machine({"Each": each}), {"ship": lambda event: "ok"}, [0, 1, 2])
    assert value["StateMachines"]["m"]["TestCases"]["C"] == {"Ship": "Ship (C)"}
    assert value["MockedResponses"] == {"Ship (C)": {"0-2": {"Return": "ok"}}}


async def test_failure_beside_a_task_that_runs() -> None:
    async def slow(event: Any) -> None:
        await asyncio.sleep(60)

    def fail(event: Any) -> Any:
        raise ValueError("no")

    branches = [
        machine({"Slow": {"Type": "Task", "Resource": name("slow")}}),
        machine({"Fail": {"Type": "Task", "Resource": name("fail")}}),
    ]
    value = await check(
        machine({"Both": {"Type": "Parallel", "Branches": branches}}), {"slow": slow, "fail": fail}
    )
    assert value["MockedResponses"]["Slow (C)"] == {"0": {"Pending": True}}


@pytest.mark.parametrize("example", ["order", "order-declined", "polling"])
async def test_recorded_examples_repeat(example: str) -> None:
    folder = ROOT / "examples"
    definition = json.loads((folder / f"{example.partition('-')[0]}.asl.json").read_text())
    input = json.loads((folder / f"{example}.json").read_text())
    tasks = Registry(functions_folder=folder / "functions")
    async with Engine(tasks=tasks, clock=VirtualClock()) as engine:
        made = await engine.create_state_machine("m", json.dumps(definition))
        arn, ended = await end(engine, made["stateMachineArn"], input)
        value = merge({}, "m", "C", (await of_execution(client(engine), arn)).recording)
    assert (await replay(definition, value, input))[:3] == ended[:3]


READER = {
    "Resource": "arn:aws:states:::s3:getObject",
    "ReaderConfig": {"InputType": "JSON"},
    "Parameters": {"Bucket": "orders", "Key": "k"},
}
WRITER = {"Resource": "arn:aws:states:::s3:putObject", "Parameters": {"Bucket": "results"}}
ITEMS = [{"id": 1, "of": {"who": "a"}}, {"id": 2, "of": {"who": "b"}}]
VALUE = "$$.Map.Item.Value"
SOURCE = "$$.Map.Item.Source"
WHOLE = "{% $states.context.Map.Item.Value %}"


@pytest.mark.parametrize(
    ("fields", "items"),
    [
        ({}, ITEMS),
        ({"ItemSelector": {"order.$": VALUE, "from.$": SOURCE, "n": 1}}, ITEMS),
        ({"ItemSelector": {"x": {"id.$": f"{VALUE}.id", "w.$": f"{VALUE}.of.who"}}}, ITEMS),
        ({"ItemSelector": {"id.$": f"{VALUE}.id"}}, [{"id": 1}, {"id": 2}]),
        ({"ItemSelector": {"v": WHOLE}, "QueryLanguage": "JSONata"}, ITEMS),
        ({"ItemSelector": WHOLE, "QueryLanguage": "JSONata"}, ITEMS),
        ({"ItemBatcher": {"MaxItemsPerBatch": 3, "BatchInput": {"k": 1}}}, ITEMS),
        ({"ItemSelector": {"s.$": f"States.Format('{{}}', {VALUE}.id)"}}, None),
        ({"ItemSelector": {"at.$": "$$.Map.Item.Index"}}, None),
        ({"ResultSelector": {"r.$": "$"}, "ResultPath": "$.r"}, ITEMS),
    ],
)
async def test_items_and_results_of_a_map_run(fields: dict[str, Any], items: Any) -> None:
    """They are what the children, and the output of the state, show."""
    task = {"StartAt": "Work", "States": {"Work": {"Type": "Task", "Resource": name("f")}}}
    task["States"]["Work"]["End"] = True
    jsonata = "QueryLanguage" in fields
    state = {
        "Type": "Map",
        "ItemReader": {**READER, "Arguments": READER["Parameters"]} if jsonata else READER,
        "ResultWriter": {**WRITER, "Arguments": WRITER["Parameters"]} if jsonata else WRITER,
        "ItemProcessor": {
            "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}, **task,
        },
        **fields,
    }  # fmt: skip
    for part in ("ItemReader", "ResultWriter") if jsonata else ():
        del state[part]["Parameters"]
    definition = machine({"Import": state})
    case = TestCase({"Import.ItemReader": Return(ITEMS), "Import.ResultWriter": Return({"B": "b"})})
    tasks = MockedTasks(Registry(functions={"f": lambda event: event}), case)
    async with Engine(tasks=tasks, clock=VirtualClock()) as engine:
        made = await engine.create_state_machine("m", json.dumps(definition))
        arn, ended = await end(engine, made["stateMachineArn"], {})
        assert ended.status == "SUCCEEDED", ended
        found = await of_execution(client(engine), arn)
    value = merge({}, "m", "C", found.recording)
    recorded = value["StateMachines"]["m"]["TestCases"]["C"]
    if items is None:
        assert "Import.ItemReader" not in recorded
        assert found.warnings == [
            "warning: Import.ItemReader is not recorded: its children do not show the items; add "
            "its response by hand"
        ]
        return
    assert value["MockedResponses"]["Import.ItemReader (C)"] == {"0": {"Return": items}}
    if "ResultSelector" in fields:
        assert "Import.ResultWriter is not recorded" in found.warnings[0]
        return
    assert found.warnings == []
    assert (await replay(definition, value, {}))[:3] == ended[:3]


# --- the command ----------------------------------------------------------------------------------


class Command:
    """`stepwell mock record`, in this process."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.output, self.db, self._capsys = folder / "mocks.json", folder / "m.db", capsys

    def __call__(self, execution: str | None, case: str | None = None, **more: Any) -> Any:
        """The exit code and what it printed."""
        options = {"history": None, "definition": None, "machine": None, "output": self.output}
        code = mock_record.record(
            execution,
            case=case,
            **{**options, **more},
            force=False,
            server=None,
            db=str(self.db),
            limits=None,
        )
        said = self._capsys.readouterr()
        return code, said.out + said.err


@pytest.fixture
def command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(tmp_path, capsys)


async def executed(db: Path) -> Any:
    """An execution in a database: its history, as the API gives it."""
    tasks = Registry(functions={"f": lambda event: {"n": event["n"]}})
    async with Engine(db, tasks=tasks) as engine:
        definition = machine({"A": {"Type": "Task", "Resource": name("f")}})
        made = await engine.create_state_machine("order", json.dumps(definition))
        arn = made["stateMachineArn"]
        for number in (1, 2):
            started = await engine.start_execution(arn, name=f"e{number}", input={"n": number})
            await engine.wait(started["executionArn"])
        return await engine.get_execution_history(started["executionArn"])


def test_the_command_adds_test_cases_to_a_file(command: Command, tmp_path: Path) -> None:
    history = asyncio.run(executed(command.db))
    assert command("e1") == (0, "")
    assert command("order/e2", "Second") == (0, "")
    mocks = read_mocks(command.output)
    assert {name: list(cases) for name, cases in mocks.machines.items()} == {
        "order": ["e1", "Second"]
    }
    assert command("e1") == (
        2,
        f"stepwell: {command.output} has the test case e1 of order: use another --case, or "
        "--force\n",
    )
    code, text = command("e1", "Other", output=None)
    assert (code, json.loads(text)["MockedResponses"]) == (
        0,
        {"A (Other)": {"0": {"Return": {"n": 1}}}},
    )
    file = tmp_path / "history.json"
    file.write_text(json.dumps(history))
    code, text = command(None, history=file)
    assert (code, "use --definition or --machine" in text) == (2, True)
    page = {"events": history["events"][:3], "NextToken": "t"}
    file.write_text(json.dumps(page))
    code, text = command(None, history=file, machine="m", output=None)
    assert f"warning: {file} ends with event 3 (LambdaFunctionScheduled): what follows is" in text
    file.write_text(json.dumps(history))
    code, text = command(None, history=file, definition=Path("ship.asl.json"), output=None)
    assert json.loads(text) == {
        "StateMachines": {"ship": {"TestCases": {"Recorded": {"A": "A (Recorded)"}}}},
        "MockedResponses": {"A (Recorded)": {"0": {"Return": {"n": 2}}}},
    }


def test_command_refuses_what_it_cannot_use(command: Command, tmp_path: Path) -> None:
    asyncio.run(executed(command.db))
    command.output.write_text("{}")
    assert "not a valid mock file" in command("e1")[1]
    assert "there is no execution called e3" in command("e3", output=None)[1]
    file, event = tmp_path / "history.json", {"timestamp": 0, "previousEventId": 0}
    file.write_text(
        json.dumps(
            [
                {**event, "id": 1, "type": "ExecutionStarted"},
                {
                    **event,
                    "id": 2,
                    "type": "TaskStateEntered",
                    "stateEnteredEventDetails": {"name": "A"},
                },
                {**event, "id": 3, "previousEventId": 2, "type": "TaskScheduled"},
                {**event, "id": 4, "previousEventId": 3, "type": "TaskSucceeded"},
            ]
        )
    )
    code, text = command(None, history=file, machine="m", output=None)
    assert (code, "event 4 (TaskSucceeded) has no output" in text) == (2, True)


# --- generated machines ---------------------------------------------------------------------------


class Names:
    def __init__(self) -> None:
        self._count = 0

    def __call__(self, kind: str) -> str:
        self._count += 1
        return f"{kind}{self._count}"


@st.composite
def blocks(draw: st.DrawFn, names: Names, depth: int) -> dict[str, Any]:
    states: dict[str, Any] = {}
    for _ in range(draw(st.integers(1, 3))):
        kind = draw(st.sampled_from(["Task", "Task", "Parallel", "Map"] if depth else ["Task"]))
        if kind == "Task":
            number = draw(st.integers(0, 2))
            state: dict[str, Any] = {"Type": "Task", "Resource": name(f"f{number}")}
        elif kind == "Parallel":
            inner = [draw(blocks(names, depth - 1)) for _ in range(draw(st.integers(1, 3)))]
            state = {"Type": "Parallel", "Branches": inner}
        else:
            mode = draw(st.sampled_from(["INLINE", "INLINE", "DISTRIBUTED"]))
            processor = draw(blocks(names, depth - 1))
            more = {"ExecutionType": "STANDARD"} if mode == "DISTRIBUTED" else {}
            processor["ProcessorConfig"] = {"Mode": mode, **more}
            count = draw(st.integers(1, 3))
            items = [f"{number}" for number in range(count)]
            state = {
                "Type": "Map",
                "ItemProcessor": processor,
                "QueryLanguage": "JSONata",
                "Items": items,
                "MaxConcurrency": draw(st.sampled_from([0, 1, 2])),
            }
        if draw(st.booleans()):
            state["Retry"] = [
                {"ErrorEquals": ["States.ALL"], "MaxAttempts": draw(st.integers(1, 2))}
            ]
        states[names(kind)] = state
        if draw(st.booleans()):
            end = names("Caught")
            states[list(states)[-1]]["Catch"] = [{"ErrorEquals": ["States.ALL"], "Next": end}]
            states[end] = {"Type": "Pass"}
    return machine(states)


@st.composite
def machines(draw: st.DrawFn) -> tuple[Any, Functions]:
    outcomes = st.lists(st.sampled_from([0, 1, "Busy", "Broken"]), min_size=1, max_size=5)
    functions = {f"f{number}": Calls(draw(outcomes)) for number in range(3)}
    return draw(blocks(Names(), 2)), functions


@given(machines())
@settings(max_examples=12)
def test_recorded_executions_repeat(generated: tuple[Any, Functions]) -> None:
    asyncio.run(check(*generated))
