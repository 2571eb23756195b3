"""Further areas of generated examples: what machines do beside running through: distributed Maps,
machines in machines, the end before the end, limits, a state by itself, functions, and fields whose
service an endpoint need not have, which are only validated.

A child of a distributed Map and a machine that another one starts are executions of their own: the
oracle says what each comes to.
"""

import json
from collections.abc import Iterator
from dataclasses import replace
from random import Random
from typing import Any, Final

from stepwell.conformance.generate import case_of
from stepwell.conformance.generate.scripts import ACTIVITY, scripted
from stepwell.conformance.generate.values import chance, string, value
from stepwell.conformance.oracle import Outcome, outcomes
from stepwell.conformance.oracle.interpreter import matches
from stepwell.conformance.oracle.values import ANY, MISSING, fits, text
from stepwell.conformance.run import metamorphic_checks
from stepwell.conformance.run.case import EXPRESS, STANDARD, Case, changed
from stepwell.conformance.run.case_runner import Runner
from stepwell.conformance.run.compare import differences
from stepwell.conformance.run.endpoint import Run, Unfinished, fresh_name, pauses

Json = Any
State = dict[str, Any]

_CALM: Final = ("paths", "composites", "variables")  # areas whose machines never wait
_SHIFTING: Final = (
    "$$",
    "$states.context",
    "States.UUID",
    "States.MathRandom",
    "$uuid",
    "$random",
)  # not the same in another execution
THRESHOLD: Final = "States.ExceedToleratedFailureThreshold"


def calm_case(r: Random) -> Case:
    """A machine that comes to one end, the same wherever it is run."""
    while True:
        case = case_of(r, r.choice(_CALM))
        written = json.dumps(case.definition)
        if (
            not any(word in written for word in _SHIFTING)
            and "TimeoutSeconds" not in case.definition
        ):
            return replace(case, kind=STANDARD)


def only_outcome(definition: State, given: Json) -> Outcome | None:
    """The one way in which an execution may end; None if there are several, or if its output is not
    determined.
    """
    found = list(outcomes(definition, given, scripted))
    if len(found) > 1 or (found[0].output is not MISSING and ANY in text(found[0].output)):
        return None
    return found[0]


# --- distributed Maps -----------------------------------------------------------------------------
def distributed_case(r: Random) -> Case:
    """Items from the input; a child that is any machine; batches, a selector, tolerance, a
    catcher.
    """
    if chance(r, 0.15):
        return _undone_case(r)
    child = calm_case(r).definition
    jsonata = child.get("QueryLanguage") == "JSONata"
    items = [value(r, 1) for _ in range(r.randrange(6))]
    given = {
        "l": items,
        "count": r.randrange(4),
        "percent": r.choice((0, 33.4, 50, 100)),
        "n": r.randrange(1, 4),
        "bytes": 262144,
    }
    config = {"Mode": "DISTRIBUTED", "ExecutionType": r.choice((STANDARD, EXPRESS))}
    block = {name: child[name] for name in ("StartAt", "States")}
    state: State = {
        "Type": "Map",
        "ItemProcessor": {"ProcessorConfig": config, **block},
        "End": True,
    }
    state |= {"Items": "{% $states.input.l %}"} if jsonata else {"ItemsPath": "$.l"}

    def field(name: str, member: str) -> State:
        if chance(r, 0.5):
            return {name: given[member]}
        return (
            {name: f"{{% $states.input.{member} %}}"} if jsonata else {f"{name}Path": f"$.{member}"}
        )

    if chance(r, 0.4):
        state |= field("ToleratedFailureCount", "count")
    if chance(r, 0.4):
        state |= field("ToleratedFailurePercentage", "percent")
    if chance(r, 0.3):
        name, index = (
            ("{% $states.context.Map.Item.Index %}", "i")
            if jsonata
            else ("$$.Map.Item.Index", "i.$")
        )
        state["ItemSelector"] = {index: name, "fixed": value(r, 1)}
    if chance(r, 0.4):
        state["ItemBatcher"] = field("MaxItemsPerBatch", "n") | (
            field("MaxInputBytesPerBatch", "bytes") if chance(r, 0.4) else {}
        )
        if chance(r, 0.4):
            state["ItemBatcher"]["BatchInput"] = {"b": 1}
    if chance(r, 0.3):
        state["Label"] = "label"
    if chance(r, 0.3):
        state["MaxConcurrency"] = r.randrange(1, 4)
    states = {"Each": state}
    if chance(r, 0.4):
        state["Catch"] = [{"ErrorEquals": [THRESHOLD], "Next": "Caught"}]
        states["Caught"] = (
            {"Type": "Pass", "Output": "caught"}
            if jsonata
            else {"Type": "Pass", "Result": "caught"}
        )
        states["Caught"]["End"] = True
    language = {"QueryLanguage": "JSONata"} if jsonata else {}
    return Case({"StartAt": "Each", **language, "States": states}, given, STANDARD, "distributed")


def _undone_case(r: Random) -> Case:
    """Children that fail until they are redriven; `note` is what they give then."""
    output = value(r)
    script = {
        "script": [{"error": "Undone"}, {"output": output}],
        "turn.$": "$$.Execution.RedriveCount",
    }
    task = {"Type": "Task", "Resource": ACTIVITY.format(0), "Parameters": script, "End": True}
    processor = {
        "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": STANDARD},
        "StartAt": "T",
        "States": {"T": task},
    }
    state = {"Type": "Map", "ItemProcessor": processor, "End": True}
    items = [value(r, 0) for _ in range(r.randrange(1, 4))]
    return Case(
        {"StartAt": "Each", "States": {"Each": state}},
        items,
        STANDARD,
        "distributed",
        json.dumps(output),
    )


def _undone_problems(runner: Runner, case: Case) -> list[str]:
    run = runner.run(case)
    if (run.status, run.error) != ("FAILED", THRESHOLD):
        return [f"expected {THRESHOLD}, got {run.status} {run.error}"]
    again = runner.redrive(run.arn)
    wanted = [json.loads(case.note)] * len(case.input)
    if again.status != "SUCCEEDED" or json.loads(again.output or "null") != wanted:
        return [
            f"redriven: expected {text(wanted)}, got {again.status} {again.error} {again.output}"
        ]
    return []


def distributed_problems(runner: Runner, case: Case) -> list[str]:
    """The Map gives what its children give, in the order of the items; too many failures are its
    failure.
    """
    if case.note:
        return _undone_problems(runner, case)
    state, given = case.definition["States"]["Each"], case.input
    child = {
        "QueryLanguage": case.definition.get("QueryLanguage", "JSONPath"),
        **state["ItemProcessor"],
    }
    batches = list(_batches(state, given))
    ends = [only_outcome(child, each) for each, _ in batches]
    if any(end is None for end in ends):
        return []
    failed = sum(
        size for end, (_, size) in zip(ends, batches) if end is not None and end.status == "FAILED"
    )
    total = len(given["l"])
    names = {name.removesuffix("Path") for name in state}
    limits = [failed > given["count"]] if "ToleratedFailureCount" in names else []
    limits += (
        [failed * 100 > given["percent"] * total] if "ToleratedFailurePercentage" in names else []
    )
    exceeded = any(limits) if limits else failed > 0
    run = runner.run(case)
    found = metamorphic_checks.of_history(run.history)
    wanted = ("FAILED", THRESHOLD) if exceeded and "Catch" not in state else ("SUCCEEDED", None)
    if (run.status, run.error) != wanted:
        return [
            *found,
            (
                f"{failed} of {total} items failed: expected {wanted}, got "
                f"{(run.status, run.error)} {run.cause}"
            ),
        ]
    if run.status == "SUCCEEDED" and (exceeded or not failed):
        output = "caught" if exceeded else [end.output for end in ends if end is not None]
        if not fits(output, json.loads(run.output or "null")):
            found.append(f"output: expected {text(output)}, got {run.output}")
    return found + list(_map_run(runner, run, None if exceeded else (total, len(batches), failed)))


def same_map(case: Case, smaller: Case) -> bool:
    """The child, the items and whole fields of the Map may go, but not parts of what is
    expected.
    """
    one, other = (each.definition["States"].get("Each", {}) for each in (case, smaller))
    kept = all(
        name in ("ItemProcessor", "Comment") or one.get(name) == each
        for name, each in other.items()
    )
    names = ("count", "percent", "n", "bytes")
    given = isinstance(smaller.input, dict) and isinstance(smaller.input.get("l"), list)
    config = (
        other.get("ItemProcessor", {}).get("ProcessorConfig")
        == one["ItemProcessor"]["ProcessorConfig"]
    )
    return (
        not case.note
        and kept
        and given
        and config
        and all(smaller.input.get(name) == case.input[name] for name in names)
    )


def _batches(state: State, given: Json) -> Iterator[tuple[Json, int]]:
    """(input, number of items) of each child."""
    selector = state.get("ItemSelector")
    items = [
        {"i": index, "fixed": selector["fixed"]} if selector else item
        for index, item in enumerate(given["l"])
    ]
    if "ItemBatcher" not in state:
        yield from ((item, 1) for item in items)
        return
    shared = {name: each for name, each in state["ItemBatcher"].items() if name == "BatchInput"}
    for start in range(0, len(items), given["n"]):
        batch = items[start : start + given["n"]]
        yield {**shared, "Items": batch}, len(batch)


def _map_run(runner: Runner, run: Run, counts: tuple[int, int, int] | None) -> Iterator[str]:
    """What the API says about the Map Run. `counts`: items, children and failed items of one that
    succeeded.
    """
    (listed,) = runner.call("ListMapRuns", executionArn=run.arn)["mapRuns"]
    told = runner.call("DescribeMapRun", mapRunArn=listed["mapRunArn"])
    status = "FAILED" if counts is None else "SUCCEEDED"
    if told["status"] != status:
        yield f"DescribeMapRun: expected {status}, got {told['status']}"
    shown = (
        told["itemCounts"]["total"],
        told["executionCounts"]["total"],
        told["itemCounts"]["failed"],
    )
    if counts is not None and shown != counts:
        yield f"DescribeMapRun: expected (items, children, failed items) {counts}, got {shown}"


# --- a machine that another one starts ------------------------------------------------------------
def nested_case(r: Random) -> Case:
    """The child; now and then one that takes too long."""
    if chance(r, 0.05):
        return Case(
            {"StartAt": "Long", "States": {"Long": {"Type": "Wait", "Seconds": 3, "End": True}}},
            {},
            STANDARD,
            "nested",
        )
    return replace(calm_case(r), area="nested")


def nested_problems(runner: Runner, case: Case) -> list[str]:
    """The task comes to what the child comes to: its output, or States.TaskFailed with its error in
    the cause.
    """
    wanted = only_outcome(case.definition, case.input)
    if (
        wanted is None or case.input is None or isinstance(case.input, str)
    ):  # null is no Input, and a text is the JSON text of one
        return []
    late = wanted.seconds > 1
    made = runner.call(
        "CreateStateMachine",
        name=fresh_name(),
        definition=json.dumps(case.definition),
        roleArn=runner.endpoint.role,
    )
    try:
        task: State = {
            "Type": "Task",
            "Resource": "arn:aws:states:::states:startExecution.sync:2",
            "TimeoutSeconds": 1 if late else 60,
        }
        task |= {
            "Parameters": {"StateMachineArn": made["stateMachineArn"], "Input": case.input},
            "OutputPath": "$.Output",
            "End": True,
        }
        run = runner.run(replace(case, definition={"StartAt": "Child", "States": {"Child": task}}))
    finally:
        runner.call("DeleteStateMachine", stateMachineArn=made["stateMachineArn"])
    found = metamorphic_checks.of_history(run.history)
    if late or wanted.status == "FAILED":
        error = "States.Timeout" if late else "States.TaskFailed"
        if (run.status, run.error) != ("FAILED", error):
            found.append(f"expected {error}, got {run.status} {run.error} {run.output}")
        elif not late and json.loads(run.cause or "{}").get("Error") != wanted.error:
            found.append(f"expected a cause with {wanted.error}, got {run.cause}")
    elif run.status != "SUCCEEDED" or not fits(wanted.output, json.loads(run.output or "null")):
        found.append(f"expected {text(wanted.output)}, got {run.status} {run.error} {run.output}")
    return found


# --- ends before the end --------------------------------------------------------------------------
_SILENT: Final = {
    "Type": "Task",
    "Resource": ACTIVITY.format(0),
    "Parameters": {"script": [{"silent": True}]},
    "End": True,
}
_WAIT: Final = {"Type": "Wait", "Seconds": 3600, "End": True}
_MISSED: Final = [
    "States.HeartbeatTimeout",
    "States.Timeout",
]  # recorded under one name, documented under the other
ENDS: Final = {
    "stopped": ("ABORTED", "Stopped"),
    "branch fails": ("FAILED", "E1"),
    "out of time": ("TIMED_OUT", None),
    "no heartbeat": ("SUCCEEDED", None),
}


def stopped_case(r: Random) -> Case:
    """States that do not end by themselves, in each other; `note` says what ends them."""
    names = iter(range(100))

    def blocker(depth: int) -> State:
        kind = r.choice("WTPMD" if depth else "WT")
        if kind in "WT":
            state = dict(_WAIT if kind == "W" else _SILENT)
        elif kind == "P":
            state = {
                "Type": "Parallel",
                "Branches": [blocker(depth - 1) for _ in range(r.randrange(1, 3))],
                "End": True,
            }
        else:
            config = (
                {"Mode": "INLINE"}
                if kind == "M"
                else {"Mode": "DISTRIBUTED", "ExecutionType": STANDARD}
            )
            processor = {"ProcessorConfig": config, **blocker(depth - 1 if kind == "M" else 0)}
            state = {"Type": "Map", "ItemsPath": "$.l", "ItemProcessor": processor, "End": True}
            if kind == "M":
                state["ItemSelector"] = {"l": [1]}
        name = f"B{next(names)}"
        return {"StartAt": name, "States": {name: state}}

    note = r.choice(tuple(ENDS))
    failing = {
        "StartAt": "Soon",
        "States": {
            "Soon": {"Type": "Wait", "Seconds": 1, "Next": "F"},
            "F": {"Type": "Fail", "Error": "E1"},
        },
    }
    branches = [blocker(2), *([failing] if note == "branch fails" else [])]
    definition: State = {
        "StartAt": "Around",
        "States": {"Around": {"Type": "Parallel", "Branches": branches, "End": True}},
    }
    if note == "no heartbeat":
        catch = [{"ErrorEquals": _MISSED, "Next": "Caught"}]
        states = {
            "Around": {**_SILENT, "HeartbeatSeconds": 1, "Catch": catch},
            "Caught": {"Type": "Succeed"},
        }
        definition = {"StartAt": "Around", "States": states}
    if note == "out of time":
        definition = {"TimeoutSeconds": 1, **definition}
    return Case(definition, {"l": [1, 2]}, STANDARD, "stopped", note)


def stopped_problems(runner: Runner, case: Case) -> list[str]:
    """It ends as it is told to, at once and once, with everything that was under way; nothing comes
    after that.
    """
    definition = changed(case.definition, lambda each: runner.resources.get(each, each))
    arn = runner.call(
        "CreateStateMachine",
        name=fresh_name(),
        definition=json.dumps(definition),
        roleArn=runner.endpoint.role,
    )
    try:
        execution = runner.start(arn["stateMachineArn"], json.dumps(case.input))
        found = list(_widened(runner, execution)) if case.note == "stopped" else []
        if case.note == "stopped":
            runner.call("StopExecution", executionArn=execution, error="Stopped")
        run = runner.ended(execution)
    finally:
        runner.call("DeleteStateMachine", stateMachineArn=arn["stateMachineArn"])
    status, error = ENDS[case.note]
    if run.status != status or (error is not None and run.error != error):
        found.append(f"expected {status} {error}, got {run.status} {run.error}")
    left = [
        event["type"]
        for event in run.history
        if event["type"].endswith(("StateSucceeded", "MapRunSucceeded"))
    ]
    if left:
        found.append(f"never over, and yet: {', '.join(left)}")
    return found + metamorphic_checks.of_history(run.history)


def _widened(runner: Runner, execution: str) -> Iterator[str]:
    """A Map Run that is under way takes another concurrency."""
    _underway(runner, execution)
    for each in runner.call("ListMapRuns", executionArn=execution)["mapRuns"]:
        runner.call("UpdateMapRun", mapRunArn=each["mapRunArn"], maxConcurrency=2)
        told = runner.call("DescribeMapRun", mapRunArn=each["mapRunArn"])["maxConcurrency"]
        if told != 2:
            yield f"a concurrency of 2 was asked for, DescribeMapRun says {told}"


def _underway(runner: Runner, execution: str) -> None:
    """Wait until a state that blocks has been reached."""
    for _ in pauses(10):
        events = runner.call("GetExecutionHistory", executionArn=execution, maxResults=1000)[
            "events"
        ]
        if any(
            event["type"] in ("WaitStateEntered", "ActivityScheduled", "MapRunStarted")
            for event in events
        ):
            return
    raise Unfinished("nothing is under way after 10 s")


# --- limits ---------------------------------------------------------------------------------------
def limit_case(r: Random) -> Case:
    """An output of as many bytes as there may be, or a few more or less; one text counts in
    characters, another in bytes of UTF-8.
    """
    letter = r.choice(("x", "é"))
    room = 262_144 - len('{"a":"","b":""}') + r.randrange(-2, 3)
    half = room // 2 // len(letter.encode())
    given = {"s": letter * half, "rest": "y" * (room - 2 * half * len(letter.encode()))}
    doubled = {"a.$": "$.s", "b.$": "States.Format('{}{}', $.s, $.rest)"}
    state = {"Type": "Pass", "Parameters": doubled, "End": True}
    return Case(
        {"StartAt": "Doubled", "States": {"Doubled": state}},
        given,
        r.choice((STANDARD, EXPRESS)),
        "limits",
    )


# --- a state by itself ----------------------------------------------------------------------------
def single_case(r: Random) -> Case:
    """A Pass state, as TestState takes it."""
    while True:
        case = case_of(r, "paths")
        state = case.definition["States"][case.definition["StartAt"]]
        if state["Type"] == "Pass" and not any(word in json.dumps(state) for word in _SHIFTING):
            alone = {name: each for name, each in state.items() if name != "Next"} | {"End": True}
            return Case({"StartAt": "S", "States": {"S": alone}}, case.input, STANDARD, "single")


def same_state(case: Case, smaller: Case) -> bool:
    return list(smaller.definition["States"]) == ["S"]


def single_problems(runner: Runner, case: Case) -> list[str]:
    """TestState says what an execution of the state alone comes to."""
    wanted = only_outcome(case.definition, case.input)
    if wanted is None:
        return []
    state = json.dumps(case.definition["States"]["S"])
    told = runner.call(
        "TestState", definition=state, input=json.dumps(case.input), roleArn=runner.endpoint.role
    )
    run = Run("", told["status"], told.get("output"), told.get("error"), None)
    return differences([replace(wanted, cause=ANY)], run)


# --- functions ------------------------------------------------------------------------------------
_FUNCTION: Final = "arn:aws:lambda:us-east-1:123456789012:function:conformance_"
FUNCTIONS: Final = {
    "echo": None,
    "fail": "CustomError",
    "slow": "States.Timeout",
}  # those of cases/functions, and how they fail


def function_case(r: Random) -> Case:
    """A task that calls a function, by its ARN or by lambda:invoke; `note` says which function."""
    note = "slow" if chance(r, 0.1) else r.choice(("echo", "echo", "fail"))
    given = {"s": string(r), "v": value(r)}
    task: State = {"Type": "Task", "Resource": _FUNCTION + note, "Next": "Done"}
    if chance(r, 0.5):
        task |= {"Resource": "arn:aws:states:::lambda:invoke"}
        if chance(r, 0.5):
            task |= {
                "Parameters": {"FunctionName": _FUNCTION + note, "Payload.$": "$"},
                "OutputPath": "$.Payload",
            }
        else:
            task |= {
                "QueryLanguage": "JSONata",
                "Arguments": {"FunctionName": _FUNCTION + note, "Payload": given},
            }
            task |= {"Output": "{% $states.result.Payload %}"}
    if note == "slow":
        task["TimeoutSeconds"] = 1
    if chance(r, 0.5):
        names = r.choice(
            (["CustomError"], ["States.TaskFailed"], ["States.Timeout", "E1"], ["States.ALL"])
        )
        task["Catch"] = [{"ErrorEquals": names, "Next": "Caught"}]
    states = {
        "F": task,
        "Done": {"Type": "Succeed"},
        "Caught": {"Type": "Pass", "Result": "caught", "End": True},
    }
    if "Catch" not in task:
        del states["Caught"]
    return Case({"StartAt": "F", "States": states}, given, STANDARD, "functions", note)


def function_problems(runner: Runner, case: Case) -> list[str]:
    """The function's answer is the task's; what it raises is the task's error."""
    real = (
        f"arn:aws:lambda:{runner.endpoint.region}:{runner.endpoint.account}:function:conformance_"
    )
    run = runner.run(
        replace(
            case, definition=changed(case.definition, lambda each: each.replace(_FUNCTION, real))
        )
    )
    error, catchers = FUNCTIONS[case.note], case.definition["States"]["F"].get("Catch", ())
    caught = error is not None and any(matches(each["ErrorEquals"], error) for each in catchers)
    found = metamorphic_checks.of_history(run.history)
    if error is not None and not caught:
        return (
            found
            if (run.status, run.error) == ("FAILED", error)
            else [*found, f"expected {error}, got {run.status} {run.error}"]
        )
    wanted = "caught" if caught else case.input
    if run.status != "SUCCEEDED" or not fits(wanted, json.loads(run.output or "null")):
        found.append(f"expected {text(wanted)}, got {run.status} {run.error} {run.output}")
    return found


# --- fields that are only validated ---------------------------------------------------------------
_READERS: Final[tuple[tuple[str, State], ...]] = (
    (
        "getObject",
        {
            "InputType": "CSV",
            "CSVHeaderLocation": "GIVEN",
            "CSVHeaders": ["a", "b"],
            "CSVDelimiter": "PIPE",
        },
    ),
    ("getObject", {"InputType": "CSV", "CSVHeaderLocation": "FIRST_ROW"}),
    ("getObject", {"InputType": "JSON", "ItemsPointer": "/a/b"}),
    ("getObject", {"InputType": "JSONL"}),
    ("getObject", {"InputType": "MANIFEST", "ManifestType": "S3_INVENTORY"}),
    ("listObjectsV2", {}),
    ("listObjectsV2", {"InputType": "JSON", "Transformation": "LOAD_AND_FLATTEN"}),
)
_WRONG: Final[dict[str, State]] = {
    "an unknown InputType": {"InputType": "XML"},
    "MaxItems of no number": {"MaxItems": "many"},
    "an unknown field": {"MaxThings": 1},
}


def declared_case(r: Random) -> Case:
    """Readers and writers of S3, and credentials; `note` says what is wrong, if anything is."""
    jsonata = chance(r, 0.4)
    given, place = ("Arguments" if jsonata else "Parameters"), {"Bucket": "b"}
    what, config = r.choice(_READERS)
    config = dict(config)
    if chance(r, 0.5):
        config |= {"MaxItems": 5} if jsonata or chance(r, 0.5) else {"MaxItemsPath": "$.n"}
    where = {**place, "Key": "k"} if what == "getObject" else {**place, "Prefix": "p"}
    note = r.choice(tuple(_WRONG)) if chance(r, 0.3) else ""
    config |= _WRONG.get(note, {})
    reader = {
        "Resource": f"arn:aws:states:::s3:{what}",
        given: where,
        **({"ReaderConfig": config} if config else {}),
    }
    writer: State = {"Resource": "arn:aws:states:::s3:putObject", given: {**place, "Prefix": "out"}}
    if chance(r, 0.5):
        writer["WriterConfig"] = {
            "Transformation": r.choice(("NONE", "COMPACT", "FLATTEN")),
            "OutputType": r.choice(("JSON", "JSONL")),
        }
    role = "arn:aws:iam::123456789012:role/other"
    task = {
        "Type": "Task",
        "Resource": ACTIVITY.format(0),
        "Credentials": {"RoleArn": role},
        "End": True,
    }
    processor = {
        "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": STANDARD},
        "StartAt": "T",
        "States": {"T": task},
    }
    state: State = {"Type": "Map", "ItemReader": reader, "ItemProcessor": processor, "End": True}
    state["Catch"] = [
        {"ErrorEquals": ["States.ItemReaderFailed", "States.ResultWriterFailed"], "Next": "C"}
    ]
    if chance(r, 0.6):
        state["ResultWriter"] = writer
    language = {"QueryLanguage": "JSONata"} if jsonata else {}
    states = {"M": state, "C": {"Type": "Pass", "End": True}}
    return Case({"StartAt": "M", **language, "States": states}, None, STANDARD, "declared", note)


def declared_problems(runner: Runner, case: Case) -> list[str]:
    found = runner.call(
        "ValidateStateMachineDefinition", definition=json.dumps(case.definition), type=case.kind
    )
    wanted = "FAIL" if case.note else "OK"
    return (
        []
        if found["result"] == wanted
        else [f"expected {wanted} ({case.note or 'well-formed'}), got {found}"]
    )
