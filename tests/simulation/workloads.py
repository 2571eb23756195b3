"""What runs in the simulated world: one machine a topic. What a function answers depends on its
payload alone, never on the time.
"""

import json
import re
from collections.abc import Callable
from typing import Any, NamedTuple

from tests.simulation.functions import HANG, Publish

from stepwell.asl.evaluation import Json
from stepwell.engine.tasks import TaskError

LAMBDA = "arn:aws:lambda:us-east-1:123456789012:function:"
SERVICE = "arn:aws:states:::"
ACTIVITY = "arn:aws:states:us-east-1:123456789012:activity:"
MACHINE = "arn:aws:states:us-east-1:123456789012:stateMachine:"
QUEUE = "http://localhost:8083/123456789012/letters"
AGAIN = {"ErrorEquals": ["States.ALL"], "IntervalSeconds": 2, "MaxAttempts": 3, "BackoffRate": 2}


def chain(*states: tuple[str, dict[str, Any]], **fields: Any) -> dict[str, Any]:
    """States one after the other; a Next of their own goes before."""
    named = dict(states)
    for (name, state), (following, _) in zip(states, [*states[1:], ("", {})]):
        if state["Type"] not in ("Choice", "Succeed", "Fail") and "Next" not in state:
            named[name] = {**state, **({"Next": following} if following else {"End": True})}
    return {"StartAt": states[0][0], "States": named, **fields}


def task(function: str, **fields: Any) -> dict[str, Any]:
    """The function gets {"n": number of the attempt, "in": the state's input}."""
    return {
        "Type": "Task",
        "Resource": LAMBDA + function,
        "Parameters": {"n.$": "$$.State.RetryCount", "in.$": "$"},
        **fields,
    }


def integrated(resource: str, function: str, **fields: Any) -> dict[str, Any]:
    inner = {"n.$": "$$.State.RetryCount", "in.$": "$"}
    if resource.endswith("waitForTaskToken"):
        inner["token.$"] = "$$.Task.Token"
    return {
        "Type": "Task",
        "Resource": SERVICE + resource,
        "Parameters": {"FunctionName": function, "Payload": inner},
        **fields,
    }


def wait(seconds: int) -> dict[str, Any]:
    return {"Type": "Wait", "Seconds": seconds}


def nested(pattern: str, machine: str, item: str = "0", **fields: Any) -> dict[str, Any]:
    """Start an execution of one of the workload's inner machines, of a name of its own for each
    attempt (and each item).
    """
    name = (
        f"States.Format('{{}}-{{}}-{{}}-{{}}', $$.Execution.Name, $$.State.Name, "
        f"$$.State.RetryCount, {item})"
    )
    inner = {
        "StateMachineArn": f"{MACHINE}{machine}",
        "Name.$": name,
        "Input": {"n.$": "$$.State.RetryCount", "in.$": "$"},
    }
    return {
        "Type": "Task",
        "Resource": f"{SERVICE}states:startExecution{pattern}",
        "Parameters": inner,
        **fields,
    }


def pass_(**fields: Any) -> dict[str, Any]:
    return {"Type": "Pass", **fields}


def choose(variable: str, least: int, then: str, otherwise: str) -> dict[str, Any]:
    return {
        "Type": "Choice",
        "Choices": [{"Variable": variable, "NumericGreaterThanEquals": least, "Next": then}],
        "Default": otherwise,
    }


# --- functions ------------------------------------------------------------------------------------


def succeed(payload: Json) -> Json:
    return {"did": payload["in"], "attempt": payload["n"]}


def fail_twice(payload: Json) -> Json:
    if payload["n"] < 2:
        raise TaskError("Flaky", f"attempt {payload['n']}")
    return {"attempt": payload["n"]}


def fail_once(payload: Json) -> Json:
    if payload["n"] < 1:
        raise TaskError("Flaky", f"attempt {payload['n']}")
    return {"attempt": payload["n"]}


def fail(payload: Json) -> Json:
    raise TaskError("Broken", "for good")


def hang_once(payload: Json) -> Json:
    return HANG if payload["n"] == 0 else {"attempt": payload["n"]}


ANSWERS: dict[str, Callable[[Json], Json]] = {
    "ok": succeed,
    "flaky": fail_twice,
    "once": fail_once,
    "broken": fail,
    "slow": hang_once,
    "big": lambda payload: {"text": "x" * 3000, "in": payload["in"]},
    "count": lambda payload: {"i": payload["in"]["i"] + 1},
    "one": lambda payload: 1,
    "ask": lambda payload: {"asked": True},
    "@ask": lambda payload: {"answer": payload["in"], "attempt": payload["n"]},
    "askflaky": lambda payload: {"asked": True},
    "@askflaky": fail_twice,
    "publish": lambda payload: Publish({"published": payload["in"]}),
    "publishflaky": lambda payload: Publish(fail_twice(payload)),
    "asknobody": lambda payload: {"asked": True},
    "@asknobody": hang_once,
    "#work": lambda payload: {"worked": payload},
    "#nowork": lambda payload: HANG,
}


class Workload(NamedTuple):
    """input: of the execution. stop, delete: seconds after which a client stops it, or deletes its
    machine.
    activities: those it needs. shows: what is in its history.

    redrives: how often a client redrives it. express: "sync" or "async", how it is started. inner:
    machines that it starts, by name.
    services: embedded ones that it needs
    """

    definition: dict[str, Any]
    input: Json = {}  # noqa: RUF012  # never changed
    stop: float | None = None
    delete: float | None = None
    activities: tuple[str, ...] = ()
    shows: str = "ExecutionSucceeded"
    redrives: int = 0
    express: str = ""
    services: tuple[str, ...] = ()
    inner: dict[str, dict[str, Any]] = {}  # noqa: RUF012

    @property
    def patient(self) -> bool:
        """No time limit of its can be exceeded, however far the clock jumps."""
        return not self.express and not re.search(r"TimeoutSeconds|HeartbeatSeconds", text(self))


def _items(*states: tuple[str, dict[str, Any]], **fields: Any) -> dict[str, Any]:
    return {"Type": "Map", "ItemsPath": "$.items", "ItemProcessor": chain(*states), **fields}


def _run(*states: tuple[str, dict[str, Any]], **fields: Any) -> dict[str, Any]:
    processor = {
        **chain(*states),
        "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"},
    }
    return {"Type": "Map", "ItemsPath": "$.items", "ItemProcessor": processor, **fields}


def _over_numbers(
    *states: tuple[str, dict[str, Any]], count: int, express: bool, **fields: Any
) -> dict[str, Any]:
    """A Map Run of a dataset (streams.py)."""
    run = _run(*states, **fields)
    run["ItemProcessor"]["ProcessorConfig"]["ExecutionType"] = "EXPRESS" if express else "STANDARD"
    return run | {
        "ItemReader": {
            "Resource": SERVICE + "s3:getObject",
            "ReaderConfig": {"InputType": "JSONL"},
            "Parameters": {"Bucket": "b", "Key": str(count)},
        },
        "ResultWriter": {
            "Resource": SERVICE + "s3:putObject",
            "WriterConfig": {"Transformation": "COMPACT"},
            "Parameters": {"Bucket": "b"},
        },
    }


_FIRST = {"in": {"i": 1}}
_OUTPUT = {"o.$": "$.Output"}
_TWELVE = (
    ("Mp", pass_(Result={"text": "z" * 1500})),
    ("Mt", task("count", Parameters=_FIRST)),
)  # many frames, and long ones


def _sent(body: str) -> dict[str, Any]:
    message = {"QueueUrl": QUEUE, "MessageBody": body}
    return {
        "Type": "Task",
        "Resource": SERVICE + "sqs:sendMessage",
        "Parameters": message,
        "ResultPath": None,
    }


_CAUGHT = [{"ErrorEquals": ["Broken"], "ResultPath": "$.error", "Next": "Last"}]
_ENDLESS = {
    "ErrorEquals": ["States.Timeout"],
    "IntervalSeconds": 1,
    "MaxAttempts": 90,
    "BackoffRate": 1,
}

_REDRIVEN = {
    "Parameters": {"n.$": "$$.Execution.RedriveCount", "in.$": "$"}
}  # its functions count redrives, not retries

VICTIM = chain(
    (
        "M",
        _items(
            ("Mp", pass_(Result={"text": "v" * 1500})),
            ("Mw", wait(40)),
            ("Mt", task("count", Parameters=_FIRST)),
            MaxConcurrency=12,
        ),
    ),
    ("W", wait(200)),
    ("Z", pass_()),
)
"""What runs where stored bytes are damaged."""

WORKLOADS = {
    "redriven": Workload(
        chain(
            ("A", task("ok", ResultPath=None)),
            (
                "Both",
                {
                    "Type": "Parallel",
                    "Branches": [
                        chain(("L1", pass_()), ("L2", task("flaky") | _REDRIVEN)),
                        chain(("R", pass_())),
                    ],
                    "Retry": [{**AGAIN, "MaxAttempts": 1}],
                    "ResultPath": "$.both",
                },
            ),
            (
                "Each",
                _items(("T", task("flaky") | _REDRIVEN), MaxConcurrency=1, ResultPath="$.each"),
            ),
            ("Wait", wait(20)),
            ("Z", task("ok")),
        ),
        {"items": [1, 2]},
        shows="ExecutionRedriven",
        redrives=2,
    ),
    "map run redriven": Workload(
        chain(
            ("M", _run(("T", task("once") | _REDRIVEN), ("W", wait(3)), MaxConcurrency=1)),
            ("Z", pass_()),
        ),
        {"items": [1, 2, 3]},
        shows="MapRunRedriven",
        redrives=3,
    ),
    "chain": Workload(
        chain(
            ("A", task("ok", ResultPath="$.a")),
            ("B", task("flaky", ResultPath="$.b", Retry=[AGAIN])),
            ("C", task("broken", Retry=[AGAIN], Catch=_CAUGHT)),
            ("Never", task("ok")),
            ("Last", task("big", ResultPath="$.big")),
        )
    ),
    "loop": Workload(
        chain(
            ("More", choose("$.i", 6, "Done", "Step")),
            ("Step", pass_()),
            ("Step2", pass_(ResultPath=None)),
            ("Count", task("count")),
            ("Nap", {**wait(2), "Next": "More"}),
            ("Done", {"Type": "Succeed"}),
        ),
        {"i": 0},
    ),
    "spin": Workload(chain(*((f"P{n}", pass_(Result=n, ResultPath=f"$.p{n}")) for n in range(45)))),
    "waits": Workload(
        chain(
            ("Two", wait(2)),
            ("P", pass_(Result=1, ResultPath="$.p")),
            ("Long", wait(45)),
            ("Longer", wait(600)),
            ("T", task("ok")),
        )
    ),
    "parallel": Workload(
        chain(
            (
                "P",
                {
                    "Type": "Parallel",
                    "Branches": [
                        chain(
                            (
                                "M",
                                _items(
                                    ("Mt", task("flaky", Retry=[AGAIN])),
                                    ("Mw", wait(2)),
                                    ("Mp", pass_()),
                                    MaxConcurrency=2,
                                ),
                            )
                        ),
                        chain(("B1", task("ok")), ("B2", wait(25)), ("B3", task("ok"))),
                        chain(("C1", pass_())),
                    ],
                    "ResultPath": "$.p",
                },
            ),
            ("After", task("ok")),
        ),
        {"items": [1, 2, 3, 4, 5]},
    ),
    "failing": Workload(
        chain(
            (
                "P",
                {
                    "Type": "Parallel",
                    "Branches": [
                        chain(("Bad1", task("ok")), ("Bad", task("broken"))),
                        chain(("Sleep", wait(4000)), ("S2", task("ok"))),
                        chain(("Hang", task("slow", TimeoutSeconds=4000))),
                        chain(("In", _items(("Im", wait(4000))))),
                    ],
                    "Retry": [{"ErrorEquals": ["Broken"], "IntervalSeconds": 3, "MaxAttempts": 1}],
                    "Catch": [
                        {"ErrorEquals": ["States.TaskFailed"], "ResultPath": "$.e", "Next": "Last"}
                    ],
                },
            ),
            ("Last", task("ok")),
        ),
        {"items": [1, 2, 3]},
    ),
    "timeouts": Workload(
        chain(
            ("T", task("slow", TimeoutSeconds=300, Retry=[AGAIN], ResultPath="$.t")),
            (
                "H",
                integrated(
                    "lambda:invoke.waitForTaskToken",
                    "asknobody",
                    HeartbeatSeconds=200,
                    Retry=[AGAIN],
                    ResultPath="$.h",
                ),
            ),
            ("W", wait(30)),
        )
    ),
    "callback": Workload(
        chain(
            ("A", integrated("lambda:invoke.waitForTaskToken", "ask", ResultPath="$.a")),
            (
                "B",
                integrated(
                    "sqs:sendMessage.waitForTaskToken", "askflaky", Retry=[AGAIN], ResultPath="$.b"
                ),
            ),
            ("J", integrated("glue:startJobRun.sync", "ok", ResultPath="$.j")),
            ("L", wait(20)),
        ),
        {"x": 1},
    ),
    "activity": Workload(
        chain(
            (
                "A",
                {
                    "Type": "Task",
                    "Resource": ACTIVITY + "work",
                    "TimeoutSeconds": 5000,
                    "HeartbeatSeconds": 90,
                    "Retry": [_ENDLESS],
                },
            ),
            (
                "B",
                {
                    "Type": "Task",
                    "Resource": ACTIVITY + "work",
                    "HeartbeatSeconds": 90,
                    "Retry": [_ENDLESS],
                },
            ),
        ),
        {"job": 7},
        activities=("work",),
    ),
    "map run": Workload(
        chain(
            (
                "M",
                _run(
                    ("Mt", task("ok")),
                    ("Mw", wait(3)),
                    ("Mx", pass_()),
                    MaxConcurrency=2,
                    ResultPath="$.m",
                ),
            ),
            ("After", task("ok")),
        ),
        {"items": [10, 20, 30, 40, 50]},
    ),
    "map run of a dataset": Workload(
        chain(
            (
                "M",
                _over_numbers(
                    ("Mt", task("ok")),
                    count=17,
                    express=False,
                    MaxConcurrency=3,
                    ItemBatcher={"MaxItemsPerBatch": 2},
                ),
            ),
            ("After", task("ok")),
        ),
    ),
    "express map run": Workload(
        chain(
            (
                "M",
                _over_numbers(
                    ("Mc", choose("$", 20, "Mf", "Mp")),
                    ("Mf", {"Type": "Fail", "Error": "Broken"}),
                    ("Mp", pass_()),
                    count=23,
                    express=True,
                    ToleratedFailureCount=3,
                ),
            ),
            ("After", task("ok")),
        ),
    ),
    "map run stopped": Workload(
        chain(("M", _run(("Mt", task("slow")), ("Mw", wait(9000))))),
        {"items": [1, 2]},
        stop=700,
        shows="ExecutionAborted",
    ),
    "map run out of time": Workload(
        chain(("M", _run(("Mw", wait(9000)), ("Mt", task("ok")))), TimeoutSeconds=800),
        {"items": [1, 2, 3]},
        shows="ExecutionTimedOut",
    ),
    "variables": Workload(
        {
            "QueryLanguage": "JSONata",
            **chain(
                (
                    "Init",
                    pass_(
                        Assign={
                            "total": 0,
                            "items": "{% $states.input.items %}",
                            "text": "{% $pad('', 2500, 'y') %}",
                        }
                    ),
                ),
                (
                    "M",
                    {
                        "Type": "Map",
                        "Items": "{% $items %}",
                        "MaxConcurrency": 2,
                        "ItemSelector": {"v": "{% $states.context.Map.Item.Value %}"},
                        "ItemProcessor": chain(
                            (
                                "T",
                                {
                                    "Type": "Task",
                                    "Resource": LAMBDA + "one",
                                    "Arguments": {"v": "{% $states.input.v %}"},
                                    "Assign": {"seen": "{% $states.result %}"},
                                    "Output": "{% $total + $states.result + $states.input.v %}",
                                },
                            ),
                        ),
                        "Assign": {"total": "{% $sum($states.result) %}"},
                    },
                ),
                (
                    "Heavy",
                    pass_(
                        Output={
                            "sum": "{% $sum([1..300].($ * 2)) + $total %}",
                            "length": "{% $length($text) %}",
                        },
                        Assign={"total": "{% $total + 1 %}"},
                    ),
                ),
                (
                    "Again",
                    {
                        "Type": "Choice",
                        "Choices": [{"Condition": "{% $total < 12 %}", "Next": "Heavy"}],
                        "Default": "End",
                    },
                ),
                ("End", {"Type": "Succeed", "Output": "{% $total %}"}),
            ),
        },
        {"items": [1, 2, 3]},
    ),
    "many": Workload(
        chain(("M", _items(("Mt", task("ok")), MaxConcurrency=9)), ("P", pass_())),
        {"items": list(range(30))},
    ),
    "records": Workload(
        chain(
            ("A", task("publish", ResultPath="$.a")),
            (
                "M",
                _items(
                    ("Mp", task("publish")),
                    ("Mw", wait(2)),
                    ("Mq", task("publishflaky", Retry=[AGAIN])),
                    MaxConcurrency=2,
                ),
            ),
            ("R", _run(("Rp", task("publish")), ItemsPath="$")),
            ("Last", task("publish")),
        ),
        {"items": [1, 2, 3]},
    ),
    "express": Workload(
        chain(
            ("A", task("publish", ResultPath="$.a")),
            ("B", task("flaky", Retry=[AGAIN], ResultPath="$.b")),
            ("M", _items(*_TWELVE, MaxConcurrency=12, ResultPath="$.m")),
            ("W", wait(5)),
            ("Last", task("publish", ResultPath=None)),
        ),
        {"items": list(range(12))},
        express="async",
        shows="Last",
    ),
    "express answered": Workload(
        chain(
            ("A", task("publish")),
            ("P", pass_(Result=1, ResultPath="$.p")),
            ("W", wait(2)),
            ("Last", task("publish")),
        ),
        express="sync",
        shows="SUCCEEDED",
    ),
    "express failing": Workload(
        chain(
            ("A", task("publish", ResultPath=None)),
            ("B", task("broken", Retry=[AGAIN], Catch=[{"ErrorEquals": ["Broken"], "Next": "C"}])),
            ("C", task("publishflaky", Retry=[AGAIN])),
            ("F", {"Type": "Fail", "Error": "Enough", "Cause": "by design"}),
        ),
        express="sync",
        shows="FAILED",
    ),
    "nested": Workload(
        chain(
            ("A", nested(".sync:2", "nested-inner", ResultPath="$.a")),
            ("B", nested(".sync", "nested-flaky", Retry=[AGAIN], ResultPath="$.b")),
            ("C", nested("", "nested-inner", ResultPath="$.c")),
            (
                "M",
                _items(
                    (
                        "Mn",
                        nested(
                            ".sync:2",
                            "nested-short",
                            "$$.Map.Item.Index",
                            ResultSelector={"o.$": "$.Output"},
                        ),
                    ),
                    MaxConcurrency=3,
                ),
            ),
        ),
        {"items": [1, 2, 3, 4]},
        inner={
            "nested-inner": chain(("I", task("ok")), ("W", wait(15)), ("J", task("publish"))),
            "nested-flaky": chain(
                ("E", choose("$.n", 1, "S", "F")),
                ("S", {"Type": "Succeed"}),
                ("F", {"Type": "Fail", "Error": "Flaky"}),
            ),
            "nested-short": chain(("I", pass_(Result=7))),
        },
    ),
    "crowd": Workload(
        chain(
            (
                "M",
                _items(
                    (
                        "Mn",
                        nested(
                            ".sync:2", "crowd-inner", "$$.Map.Item.Index", ResultSelector=_OUTPUT
                        ),
                    ),
                    MaxConcurrency=9,
                ),
            )
        ),
        {"items": list(range(9))},
        inner={
            "crowd-inner": chain(
                ("S", nested(".sync:2", "crowd-short", ResultSelector=_OUTPUT)), ("T", task("ok"))
            ),
            "crowd-short": chain(("I", pass_(Result=7))),
        },
    ),
    "sleepers": Workload(
        chain(
            (
                "P",
                {
                    "Type": "Parallel",
                    "Branches": [
                        chain((f"M{n}", _items((f"W{n}", wait(30)), MaxConcurrency=40)))
                        for n in range(2)
                    ],
                },
            ),
            ("Z", pass_(Result=1)),
        ),
        {"items": list(range(40))},
    ),
    "deleted": Workload(
        chain(*((f"W{n}", wait(100)) for n in range(15))), delete=150, shows="ABORTED"
    ),
    "queue": Workload(
        chain(
            ("A", _sent("first")),
            ("W", wait(10)),
            (
                "M",
                _items(("Ms", _sent("each")), ("Mw", wait(2)), MaxConcurrency=3, ResultPath=None),
            ),
            ("B", task("flaky", Retry=[AGAIN], ResultPath=None)),
            ("Z", _sent("last")),
        ),
        {"items": list(range(5))},
        services=("sqs",),
    ),
    "stopped": Workload(
        chain(("A", task("ok")), ("W", wait(31_536_000 // 2)), ("B", task("ok"))),
        stop=900,
        shows="ExecutionAborted",
    ),
}


def text(workload: Workload) -> str:
    return json.dumps(workload.definition)
