"""Distributed Maps over items of the input. A child is any machine; the oracle says how each child
ends.
"""

import json
from collections.abc import Iterator
from random import Random
from typing import Any, Final

from stepwell.conformance.generate.scenarios.deterministic import deterministic_case, only_outcome
from stepwell.conformance.generate.scripts import ACTIVITY
from stepwell.conformance.generate.values import chance, value
from stepwell.conformance.oracle.values import Json, fits, text
from stepwell.conformance.run import metamorphic_checks
from stepwell.conformance.run.case import EXPRESS, STANDARD, Case
from stepwell.conformance.run.case_runner import Runner
from stepwell.conformance.run.endpoint import Run

State = dict[str, Any]

THRESHOLD: Final = "States.ExceedToleratedFailureThreshold"
_SETTINGS: Final = ("count", "percent", "n", "bytes")  # input members that fields of the Map use


def distributed_case(r: Random) -> Case:
    """A Map with batches, a selector, tolerated failures, a catcher; sometimes one to redrive."""
    if chance(r, 0.15):
        return _redrive_case(r)
    child = deterministic_case(r).definition
    jsonata = child.get("QueryLanguage") == "JSONata"
    execution_input = {
        "l": [value(r, 1) for _ in range(r.randrange(6))],
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
    state |= _map_fields(r, execution_input, jsonata)
    states = {"Each": state}
    if chance(r, 0.4):
        state["Catch"] = [{"ErrorEquals": [THRESHOLD], "Next": "Caught"}]
        result = "Output" if jsonata else "Result"
        states["Caught"] = {"Type": "Pass", result: "caught", "End": True}
    language = {"QueryLanguage": "JSONata"} if jsonata else {}
    definition = {"StartAt": "Each", **language, "States": states}
    return Case(definition, execution_input, STANDARD, "distributed")


def _map_fields(r: Random, execution_input: Json, jsonata: bool) -> State:
    """The optional fields of a distributed Map: some literal, some that read the input."""

    def drawn(name: str, member: str) -> State:
        if chance(r, 0.5):
            return {name: execution_input[member]}
        if jsonata:
            return {name: f"{{% $states.input.{member} %}}"}
        return {f"{name}Path": f"$.{member}"}

    fields: State = {}
    if chance(r, 0.4):
        fields |= drawn("ToleratedFailureCount", "count")
    if chance(r, 0.4):
        fields |= drawn("ToleratedFailurePercentage", "percent")
    if chance(r, 0.3):
        index = (
            {"i": "{% $states.context.Map.Item.Index %}"}
            if jsonata
            else {"i.$": "$$.Map.Item.Index"}
        )
        fields["ItemSelector"] = {**index, "fixed": value(r, 1)}
    if chance(r, 0.4):
        batcher = fields["ItemBatcher"] = drawn("MaxItemsPerBatch", "n")
        if chance(r, 0.4):
            batcher |= drawn("MaxInputBytesPerBatch", "bytes")
        if chance(r, 0.4):
            batcher["BatchInput"] = {"b": 1}
    if chance(r, 0.3):
        fields["Label"] = "label"
    if chance(r, 0.3):
        fields["MaxConcurrency"] = r.randrange(1, 4)
    return fields


def distributed_problems(runner: Runner, case: Case) -> list[str]:
    """The output holds the children's outputs in the order of the items; more failures than
    tolerated fail the Map.
    """
    if case.note:
        return _redrive_problems(runner, case)
    state = case.definition["States"]["Each"]
    language = case.definition.get("QueryLanguage", "JSONPath")
    child = {"QueryLanguage": language, **state["ItemProcessor"]}
    batches = list(_batches(state, case.input))
    ends = [only_outcome(child, child_input) for child_input, _ in batches]
    if any(end is None for end in ends):
        return []
    failed = sum(
        size for end, (_, size) in zip(ends, batches) if end is not None and end.status == "FAILED"
    )
    total = len(case.input["l"])
    exceeded = _exceeded(state, case.input, failed, total)
    run = runner.run(case)
    found = metamorphic_checks.of_history(run.history)
    wanted = ("FAILED", THRESHOLD) if exceeded and "Catch" not in state else ("SUCCEEDED", None)
    if (run.status, run.error) != wanted:
        found.append(
            f"{failed} of {total} items failed: expected {wanted}, got "
            f"{(run.status, run.error)} {run.cause}"
        )
        return found
    if run.status == "SUCCEEDED" and (exceeded or not failed):
        output = "caught" if exceeded else [end.output for end in ends if end is not None]
        if not fits(output, json.loads(run.output or "null")):
            found.append(f"output: expected {text(output)}, got {run.output}")
    return found + list(_map_run(runner, run, None if exceeded else (total, len(batches), failed)))


def _exceeded(state: State, execution_input: Json, failed: int, total: int) -> bool:
    """Whether more items failed than the Map tolerates."""
    names = {name.removesuffix("Path") for name in state}
    limits = []
    if "ToleratedFailureCount" in names:
        limits.append(failed > execution_input["count"])
    if "ToleratedFailurePercentage" in names:
        limits.append(failed * 100 > execution_input["percent"] * total)
    return any(limits) if limits else failed > 0


def _batches(state: State, execution_input: Json) -> Iterator[tuple[Json, int]]:
    """(input, number of items) of each child."""
    selector = state.get("ItemSelector")
    items = [
        {"i": index, "fixed": selector["fixed"]} if selector else item
        for index, item in enumerate(execution_input["l"])
    ]
    if "ItemBatcher" not in state:
        yield from ((item, 1) for item in items)
        return
    shared = {name: each for name, each in state["ItemBatcher"].items() if name == "BatchInput"}
    size = execution_input["n"]
    for start in range(0, len(items), size):
        batch = items[start : start + size]
        yield {**shared, "Items": batch}, len(batch)


def _map_run(runner: Runner, run: Run, counts: tuple[int, int, int] | None) -> Iterator[str]:
    """What is wrong with DescribeMapRun. `counts`: items, children and failed items of a Map Run
    that succeeded; None if it failed.
    """
    (listed,) = runner.call("ListMapRuns", executionArn=run.arn)["mapRuns"]
    described = runner.call("DescribeMapRun", mapRunArn=listed["mapRunArn"])
    status = "FAILED" if counts is None else "SUCCEEDED"
    if described["status"] != status:
        yield f"DescribeMapRun: expected {status}, got {described['status']}"
    items, executions = described["itemCounts"], described["executionCounts"]
    shown = (items["total"], executions["total"], items["failed"])
    if counts is not None and shown != counts:
        yield f"DescribeMapRun: expected (items, children, failed items) {counts}, got {shown}"


def same_map(case: Case, smaller: Case) -> bool:
    """A smaller case may lack the child's states, items and whole fields of the Map, but no part of
    what is expected.
    """
    one, other = (each.definition["States"].get("Each", {}) for each in (case, smaller))
    unchanged = all(
        name in ("ItemProcessor", "Comment") or one.get(name) == each
        for name, each in other.items()
    )
    has_items = isinstance(smaller.input, dict) and isinstance(smaller.input.get("l"), list)
    config = other.get("ItemProcessor", {}).get("ProcessorConfig")
    return (
        not case.note
        and unchanged
        and has_items
        and config == one["ItemProcessor"]["ProcessorConfig"]
        and all(smaller.input.get(name) == case.input[name] for name in _SETTINGS)
    )


# --- redrive --------------------------------------------------------------------------------------
def _redrive_case(r: Random) -> Case:
    """Children that fail until they are redriven; `note` is the JSON text of their output then."""
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
    definition = {"StartAt": "Each", "States": {"Each": state}}
    return Case(definition, items, STANDARD, "distributed", json.dumps(output))


def _redrive_problems(runner: Runner, case: Case) -> list[str]:
    run = runner.run(case)
    if (run.status, run.error) != ("FAILED", THRESHOLD):
        return [f"expected {THRESHOLD}, got {run.status} {run.error}"]
    again = runner.redrive(run.arn)
    wanted = [json.loads(case.note)] * len(case.input)
    if again.status == "SUCCEEDED" and json.loads(again.output or "null") == wanted:
        return []
    return [f"redriven: expected {text(wanted)}, got {again.status} {again.error} {again.output}"]
