"""The process that test_kill.py kills: an engine on a real file, workflows that are started (again)
by name, and a journal of every effect.

It stays an interpreter with everything imported and forks a child for each line `FOLDER
MILLISECONDS` of its standard input; the child is sent SIGKILL after that time, 0: never. So a
thousand kills cost a thousand engines, not a thousand imports.
What the children print:

    process PID              it begins
    started NAME ARN DATE    the start was acknowledged          ended NAME STATUS    the end was
    exited CODE              the child has ended: 0 by itself, -9 killed
"""

import asyncio
import hashlib
import json
import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from stepwell.asl.evaluation import Json
from stepwell.asl.resources import Resource
from stepwell.engine import Engine
from stepwell.engine.errors import ApiError
from stepwell.engine.search.wanted import STATUSES
from stepwell.engine.sharding import Shard
from stepwell.engine.tasks import Handler, TaskError, TaskRequest
from stepwell.integrations.tasks.registry import Registry

LAMBDA = "arn:aws:lambda:us-east-1:123456789012:function:"
AGAIN = {
    "ErrorEquals": ["Flaky"],
    "IntervalSeconds": 1,
    "MaxAttempts": 3,
    "MaxDelaySeconds": 2,
    "JitterStrategy": "FULL",
}
CATCH = {"ErrorEquals": ["States.TaskFailed"], "ResultPath": "$.caught", "Next": "Last"}


def chain(*states: tuple[str, dict[str, Any]], **fields: Any) -> dict[str, Any]:
    """States one after the other; a Next of their own goes before."""
    named = {}
    for (name, state), (following, _) in zip(states, [*states[1:], ("", {})]):
        ends = state["Type"] in ("Choice", "Succeed", "Fail") or "Next" in state
        named[name] = (
            state if ends else {**state, **({"Next": following} if following else {"End": True})}
        )
    return {"StartAt": states[0][0], "States": named, **fields}


def task(function: str = "work", **fields: Any) -> dict[str, Any]:
    """The function gets its input and which attempt this is: that tells any two attempts of an
    execution's state apart.
    """
    return {
        "Type": "Task",
        "Resource": LAMBDA + function,
        "Parameters": {"in.$": "$", "n.$": "$$.State.RetryCount"},
        **fields,
    }


def loop(times: int, *body: tuple[str, dict[str, Any]]) -> tuple[tuple[str, dict[str, Any]], ...]:
    """The body again and again, with $.i from 0."""
    more = {
        "Type": "Choice",
        "Choices": [{"Variable": "$.i", "NumericLessThan": times, "Next": body[0][0]}],
        "Default": "Out",
    }
    count = {
        "Type": "Pass",
        "Parameters": {"i.$": "States.MathAdd($.i, 1)", "run.$": "$.run"},
        "Next": "More",
    }
    begin = {"Type": "Pass", "Parameters": {"i": 0, "run.$": "$.run"}}
    return ("Begin", begin), ("More", more), *body, ("Count", count), ("Out", {"Type": "Pass"})


def each(*states: tuple[str, dict[str, Any]], **fields: Any) -> dict[str, Any]:
    """A Map over $.items: a child's input is {"run", "x": the item, "of": the item of the Map
    around it}.
    """
    selector = {"run.$": "$.run", "x.$": "$$.Map.Item.Value", "of.$": "$.x"}
    processor = chain(
        *states, **({"ProcessorConfig": fields.pop("config")} if "config" in fields else {})
    )
    return {
        "Type": "Map",
        "ItemsPath": "$.items",
        "ItemSelector": selector,
        "ItemProcessor": processor,
        "MaxConcurrency": 2,
        **fields,
    }


def numbers(count: int) -> dict[str, Any]:
    return {
        "Type": "Pass",
        "Parameters": {
            "items.$": f"States.ArrayRange(1, {count}, 1)",
            "run.$": "$.run",
            "x.$": "$.x",
        },
    }


DISTRIBUTED = {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}
QUICK = ("Quick", {"Type": "Wait", "Seconds": 0})
JSONATA = {
    "QueryLanguage": "JSONata",
    "StartAt": "Set",
    "States": {
        "Set": {
            "Type": "Pass",
            "Assign": {"total": 0, "i": 0, "run": "{% $states.input.run %}"},
            "Next": "Work",
        },
        "Work": {
            "Type": "Task",
            "Resource": LAMBDA + "work",
            "Arguments": {
                "in": {"run": "{% $run %}", "i": "{% $i %}"},
                "n": "{% $states.context.State.RetryCount %}",
            },
            "Assign": {"total": "{% $total + $states.result.score %}", "i": "{% $i + 1 %}"},
            "Output": "{% $merge([$states.result, {'total': $total}]) %}",
            "Next": "More",
        },
        "More": {
            "Type": "Choice",
            "Choices": [{"Condition": "{% $i < 12 %}", "Next": "Work"}],
            "Default": "Until",
        },
        "Until": {
            "Type": "Wait",
            "Timestamp": "{% $fromMillis($toMillis($states.context.Execution.StartTime) + 1000) %}",
            "Output": "{% {'total': $total, 'i': $i} %}",
            "End": True,
        },
    },
}
SEARCHED = {"Comment": "stepwell:searchAttributes run"}
MACHINES: dict[str, dict[str, Any]] = {
    "tasks": chain(
        *((f"T{n}", task("flaky" if n == 1 else "work", Retry=[AGAIN])) for n in range(8))
    ),
    "loop": chain(
        *loop(
            12,
            ("Step", {"Type": "Pass", "Result": 1, "ResultPath": "$.p"}),
            ("Work", task(ResultPath="$.w")),
            QUICK,
        )
    ),
    "spin": chain(
        *loop(140, ("Spin", {"Type": "Pass"})), ("Work", task())
    ),  # more transitions than one commit unit takes
    "branches": chain(
        ("Items", numbers(5)),
        (
            "Both",
            {
                "Type": "Parallel",
                "Branches": [
                    chain(
                        (
                            "Each",
                            each(
                                ("Flaky", task("flaky", Retry=[AGAIN], ResultPath="$.f")),
                                QUICK,
                                ("Work", task()),
                            ),
                        )
                    ),
                    chain(
                        ("B1", task(ResultPath="$.b")),
                        ("Nap", {"Type": "Wait", "Seconds": 1}),
                        ("B2", task()),
                    ),
                    chain(("C1", {"Type": "Pass"})),
                ],
                "ResultPath": "$.both",
            },
        ),
        ("After", task()),
    ),
    "nested": chain(
        ("Items", numbers(4)),
        ("Outer", each(("Inner items", numbers(3)), ("Inner", each(("Work", task()))))),
    ),
    "waits": chain(
        ("Past", {"Type": "Wait", "Timestamp": "2024-01-01T00:00:00Z"}),
        ("First", task(ResultPath="$.f")),
        ("One", {"Type": "Wait", "Seconds": 1}),
        ("Second", task(ResultPath="$.s")),
        ("None", {"Type": "Wait", "SecondsPath": "$.s.zero"}),
        ("Third", task(ResultPath="$.t")),
    ),
    "jsonata": JSONATA,
    "caught": chain(("Bad", task("bad", Catch=[CATCH])), ("Last", task("bad"))),
    "distributed": chain(
        ("Items", numbers(5)),
        (
            "Run",
            each(("Work", task("flaky", Retry=[AGAIN])), config=DISTRIBUTED, ResultPath="$.done"),
        ),
        ("After", task()),
    ),
}


# --- effects --------------------------------------------------------------------------------------


def digest(payload: Json) -> int:
    return int.from_bytes(
        hashlib.blake2b(json.dumps(payload, sort_keys=True).encode(), digest_size=4).digest(), "big"
    )


async def work(payload: Any) -> Json:
    """An answer that hangs on the payload alone, after 0 to 60 ms."""
    score = digest(payload) % 1000
    await asyncio.sleep(score % 61 / 1000)
    return {"run": payload["in"]["run"], "zero": 0, "score": score}


async def flaky(payload: Any) -> Json:
    answer = await work(payload)
    if payload["n"] < 1 + digest(payload["in"]) % 2:
        raise TaskError("Flaky", f"attempt {payload['n']}")
    return answer


async def bad(payload: Any) -> Json:
    await work(payload)
    raise TaskError("Bad", "always")


class Journalled(Registry):
    """Writes every effect down, durably, before it does it."""

    def __init__(self, journal: int) -> None:
        super().__init__({"work": work, "flaky": flaky, "bad": bad})
        self._journal = journal

    def resolve(self, resource: Resource) -> Handler | None:
        handler = super().resolve(resource)
        assert handler is not None

        async def journalled(request: TaskRequest) -> Json:
            payload: Any = request.payload
            line = [
                os.getpid(),
                request.token,
                payload["in"]["run"],
                request.state_name,
                request.again,
                payload,
            ]
            os.write(self._journal, json.dumps(line).encode() + b"\n")
            os.fsync(self._journal)
            return await handler(request)

        return journalled


# --- the process ----------------------------------------------------------------------------------


def say(*words: object) -> None:
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


async def start(engine: Engine, name: str) -> str:
    """Start it, or find it: a client that does not know whether its first call arrived."""
    machine = await engine.create_state_machine(name, json.dumps(MACHINES[name] | SEARCHED))
    try:
        started = await engine.start_execution(
            machine["stateMachineArn"], name=name, input=json.dumps({"run": name, "x": 0})
        )
    except ApiError as error:
        if error.code != "ExecutionAlreadyExists":
            raise
        started = await engine.describe_execution(
            machine["stateMachineArn"].replace(":stateMachine:", ":execution:") + f":{name}"
        )
    say("started", name, started["executionArn"], started["startDate"])
    arn: str = started["executionArn"]
    return arn


async def check_index(engine: Engine, attribute: str, statuses: Sequence[str]) -> None:
    """A search finds what is committed, and nothing else."""
    listed = (await engine.list_all_executions(max_results=1000))["executions"]
    wanted = [
        each["name"]
        for each in listed
        if "/" not in each["stateMachineArn"] and each["status"] in statuses
    ]
    found = await engine.search_executions(f'{attribute}>=""', max_results=1000)
    names = [each["name"] for each in found["executions"]]
    assert names == wanted, (attribute, names, wanted)


async def run(folder: Path) -> None:
    """Start everything, wait for it, and leave what Describe and the history show in
    `folder`/ended.json.
    """
    say("process", os.getpid())
    journal = os.open(folder / "journal", os.O_CREAT | os.O_APPEND | os.O_WRONLY)
    url = folder / "url"
    db = url.read_text() if url.exists() else folder / "stepwell.db"
    whole = Shard()  # a schema with one: each machine has one execution, of its own name
    async with Engine(db, tasks=Journalled(journal), shard=whole) as engine:

        async def one(name: str) -> None:
            ended = await engine.wait(await start(engine, name))
            say("ended", name, ended["status"])

        await check_index(engine, "run", STATUSES)
        await asyncio.gather(*map(one, MACHINES))
        await check_index(engine, "run", STATUSES)
        await check_index(engine, "error", ("FAILED", "TIMED_OUT"))
        shown = []
        for item in (await engine.list_all_executions())["executions"]:
            described = await engine.describe_execution(item["executionArn"])
            shown.append(
                [
                    described,
                    (await engine.get_execution_history(item["executionArn"], max_results=1000))[
                        "events"
                    ],
                ]
            )
    (folder / "ended.json").write_text(json.dumps(shown))


async def warm_up() -> None:
    """Import and build what compiling needs."""
    async with Engine(tasks=Registry({"work": work, "flaky": flaky, "bad": bad})) as engine:
        for name, definition in MACHINES.items():
            await engine.create_state_machine(name, json.dumps(definition))


def main() -> NoReturn:
    asyncio.run(warm_up())
    for line in sys.stdin:
        folder, milliseconds = line.split()
        child = os.fork()
        if not child:
            try:
                asyncio.run(run(Path(folder)))
            except BaseException as error:
                say("error", repr(error))
                raise
            os._exit(0)
        if int(milliseconds):
            time.sleep(int(milliseconds) / 1000)
            os.kill(child, signal.SIGKILL)
        say("exited", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    sys.exit(0)


if __name__ == "__main__":
    main()
