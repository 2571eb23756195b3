"""SyncEngine: the operations as plain calls, for scripts and notebooks; and inputs given as Python
values.
"""

import asyncio
import inspect
import json
import subprocess
import sys
import threading

import pytest
from tests.conftest import ROOT

from stepwell import ApiError, Engine, ExecutionFailedError, SyncEngine
from stepwell.engine.errors import EngineError, StoreError
from stepwell.integrations.tasks.registry import Registry

ECHO = {"StartAt": "Echo", "States": {"Echo": {"Type": "Pass", "End": True}}}
REFUSE = {
    "StartAt": "Refuse",
    "States": {"Refuse": {"Type": "Fail", "Error": "NoStock", "Cause": "sold out"}},
}


def task(resource):
    return {
        "StartAt": "Work",
        "States": {"Work": {"Type": "Task", "Resource": resource, "End": True}},
    }


FUNCTION = task("arn:aws:lambda:us-east-1:123456789012:function:work")


def test_a_machine_is_created_started_and_awaited(tmp_path):
    with SyncEngine(tmp_path / "stepwell.db") as engine:
        machine = engine.create_state_machine("echo", ECHO)
        started = engine.start_execution(machine["stateMachineArn"], name="one", input={"id": 1})
        ended = engine.wait(started["executionArn"], timeout=60)
        assert (ended["status"], json.loads(ended["output"])) == ("SUCCEEDED", {"id": 1})
        assert [event["type"] for event in engine.watch(started["executionArn"])] == [
            "ExecutionStarted",
            "PassStateEntered",
            "PassStateExited",
            "ExecutionSucceeded",
        ]
    with SyncEngine(tmp_path / "stepwell.db") as engine:  # closed, and opened again
        assert engine.describe_execution(started["executionArn"])["output"] == ended["output"]


@pytest.mark.parametrize("value", [{"a": [1, None]}, [], 7, 1.5, True], ids=repr)
def test_run_gives_the_output_as_a_value(value):
    with SyncEngine() as engine:
        assert engine.run(ECHO, value) == value
        assert engine.run(json.dumps(ECHO), json.dumps(value)) == value  # a str is JSON text
        assert len(engine.list_state_machines()["stateMachines"]) == 1 + (
            json.dumps(ECHO) != json.dumps(ECHO, separators=(",", ":"))
        )
        machine = engine.create_state_machine("echo", ECHO)
        assert engine.run(machine["stateMachineArn"], value) == value


def test_run_raises_what_the_execution_failed_with():
    with SyncEngine() as engine:
        with pytest.raises(ExecutionFailedError, match="FAILED: NoStock: sold out") as caught:
            engine.run(REFUSE)
        assert (caught.value.execution["status"], caught.value.error, caught.value.cause) == (
            "FAILED",
            "NoStock",
            "sold out",
        )


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "input is None: leave it out, or pass 'null' for JSON's null"),
        ({1, 2}, "input is not JSON: .*set.* convert it, or pass JSON text"),
        ({"at": object()}, "input is not JSON: .*object.* convert it, or pass JSON text"),
    ],
    ids=["None", "set", "object"],
)
async def test_a_value_that_is_not_json_is_refused(value, text):
    async with Engine() as engine:
        arn = (await engine.create_state_machine("echo", ECHO))["stateMachineArn"]
        with pytest.raises(TypeError, match=text):
            await engine.start_execution(arn, input=value)
        assert (await engine.list_executions(arn))["executions"] == []


def test_errors_of_the_api_come_through():
    with SyncEngine() as engine, pytest.raises(ApiError) as caught:
        engine.start_execution("arn:aws:states:us-east-1:123456789012:stateMachine:none")
    assert caught.value.code == "StateMachineDoesNotExist"


def test_a_closed_engine_says_what_to_do():
    engine = SyncEngine()
    engine.close()
    engine.close()
    with pytest.raises(EngineError, match="is closed: create another one"):
        engine.list_state_machines()
    assert not any(each.name == "stepwell" and each.is_alive() for each in threading.enumerate())


def test_a_database_that_cannot_be_opened_leaves_no_thread(tmp_path):
    with pytest.raises(StoreError):
        SyncEngine(tmp_path / "no" / "folder" / "stepwell.db")
    assert not any(each.name == "stepwell" and each.is_alive() for each in threading.enumerate())


def test_a_plain_function_may_call_the_engine_and_an_async_one_gets_an_error():
    def ask(event):
        return len(engine.list_state_machines()["stateMachines"])

    async def ask_on_the_loop(event):
        return len(engine.list_state_machines()["stateMachines"])

    with SyncEngine(tasks=Registry(functions={"work": ask})) as engine:
        assert engine.run(FUNCTION, {}) == 1
    engine = SyncEngine(tasks=Registry(functions={"work": ask_on_the_loop}))
    with engine, pytest.raises(ExecutionFailedError, match="make the function a plain `def`"):
        engine.run(FUNCTION, {})


async def test_it_works_where_a_loop_runs_already():
    assert asyncio.get_running_loop().is_running()
    with SyncEngine() as engine:
        assert engine.run(ECHO, [1]) == [1]


def test_every_operation_is_there_as_it_is_in_engine():
    own = {"open", "close", "watch"}  # made otherwise
    within = {
        "program",
        "inspect_execution",
        "inspect_machine",
        "machine_extras",
        "start_nested_execution",
        "exported_execution",
        "history_event",
        "parked_executions",
    }
    within |= {"watch_express_execution"}  # of the command and the console
    within |= {"finish_deletion", "forget_definitions"}  # of the other shards of a cluster
    operations = {
        name
        for name, each in inspect.getmembers(Engine, inspect.iscoroutinefunction)
        if not name.startswith("_")
    }
    plain = {name for name in vars(SyncEngine) if not name.startswith("_")} - {"engine"}
    assert operations - own - within == plain - own
    for name in plain - own:
        assert inspect.getdoc(getattr(Engine, name)), f"{name} has no docstring"
        assert inspect.signature(getattr(SyncEngine, name)) == inspect.signature(
            getattr(Engine, name)
        )


def test_a_script_that_never_closes_it_ends(tmp_path):
    program = (
        "from stepwell import "
        f"SyncEngine\nprint(SyncEngine({str(tmp_path / 's.db')!r}).run({ECHO!r}, [1]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT / ".dev",
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.stdout, done.returncode) == ("[1]\n", 0), done.stderr


def test_close_ends_what_other_threads_wait_for():
    engine = SyncEngine()
    machine = engine.create_state_machine(
        "w", {"StartAt": "W", "States": {"W": {"Type": "Wait", "Seconds": 3600, "End": True}}}
    )
    started = engine.start_execution(machine["stateMachineArn"])
    ended: list[BaseException] = []
    begun = threading.Event()

    def wait():
        begun.set()
        try:
            engine.wait(started["executionArn"])
        except BaseException as error:
            ended.append(error)

    waiting = threading.Thread(target=wait, daemon=True)
    waiting.start()
    begun.wait(20)
    engine.close()
    waiting.join(20)
    assert not waiting.is_alive() and isinstance(ended[0], EngineError)
