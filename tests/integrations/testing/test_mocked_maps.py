"""Parallels and Maps that are mocked as a whole, and the ItemReader and ResultWriter of a Map."""

import json
from pathlib import Path
from typing import Any

import pytest
from tests.integrations.mocks.test_cases import mock_file
from tests.integrations.mocks.test_cases import run as run_mocked

from stepwell import workflow
from stepwell.integrations.testing import coverage
from stepwell.integrations.testing.errors import UnansweredTaskError, WorkflowTestError
from stepwell.integrations.testing.scenarios import discovery, runs

FUNCTION = "arn:aws:lambda:us-east-1:123456789012:function:f"
WORK = {"StartAt": "Work", "States": {"Work": {"Type": "Task", "Resource": FUNCTION, "End": True}}}


def imported(mode: str = "STANDARD", **fields: Any) -> dict[str, Any]:
    """A Map that reads and writes S3."""
    processor = {"Mode": "DISTRIBUTED", "ExecutionType": mode}
    state = {
        "Type": "Map",
        "ItemReader": {
            "Resource": "arn:aws:states:::s3:getObject",
            "ReaderConfig": {"InputType": "JSON", "MaxItems": 2},
            "Parameters": {"Bucket": "orders", "Key.$": "$.key"},
        },
        "ItemSelector": {"order.$": "$$.Map.Item.Value", "from.$": "$$.Map.Item.Source"},
        "ItemProcessor": {"ProcessorConfig": processor, **WORK},
        "ResultWriter": {
            "Resource": "arn:aws:states:::s3:putObject",
            "Parameters": {"Bucket": "results", "Prefix": "p"},
        },
        "End": True,
        **fields,
    }
    return {"StartAt": "Import", "States": {"Import": state}}


def fan_out() -> dict[str, Any]:
    """A Parallel with Retry and Catch, and a Map."""
    states = {
        "Both": {
            "Type": "Parallel",
            "Branches": [WORK, json.loads(json.dumps(WORK).replace("Work", "Other"))],
            "Retry": [{"ErrorEquals": ["Busy"], "IntervalSeconds": 5, "BackoffRate": 1}],
            "Catch": [{"ErrorEquals": ["Broken"], "Next": "Mend"}],
            "ResultSelector": {"first.$": "$[0]"},
            "ResultPath": "$.both",
            "Next": "Each",
        },
        "Each": {
            "Type": "Map",
            "ItemsPath": "$.items",
            "ItemProcessor": json.loads(json.dumps(WORK).replace("Work", "Do")),
            "End": True,
        },
        "Mend": {"Type": "Pass", "Result": "mended", "End": True},
    }
    return {"StartAt": "Both", "States": states}


def test_whole_states() -> None:
    tested = workflow(fan_out())
    retried = tested.mock("Both", error="Busy", times=2).mock("Both", [1, 2])
    result = retried.mock("Each", ["x", "y"]).run({"items": [1]})
    assert (result.status, result.output, result.unused) == ("SUCCEEDED", ["x", "y"], [])
    assert (result.duration, result.state("Both").attempts) == (10, 3)
    assert result.state("Each").input == {"items": [1], "both": {"first": 1}}
    assert result.visited == ["Both", "Each"]
    assert [each["type"] for each in result.history[-4:]] == [
        "MapStateStarted",
        "MapStateSucceeded",
        "MapStateExited",
        "ExecutionSucceeded",
    ]
    caught = tested.mock("Both", error="Broken", cause="c").mock("Work", 1).run()
    assert (caught.output, caught.state("Both").error) == ("mended", "Broken")
    assert caught.unused == ["state 'Work' of test case 'mocks' was not run"]
    assert "Both (caught Broken)" in str(caught)
    counts = coverage.of(result)
    counts.merge(coverage.of(caught))
    assert [(point.kind, counts.hits(point)) for point in counts.points if point.state == "Both"][
        1:3
    ] == [("retrier", 2), ("catcher", 1)]
    assert tested.mock("Each", [3]).state("Each").run({"items": [1]}).output == [3]


@pytest.mark.parametrize("mode", ["STANDARD", "EXPRESS"])
def test_whole_states_without_a_result_left(mode: str, tmp_path: Path) -> None:
    """As with the mock of a task: an error of the test, although the execution has a failure."""
    text = "State 'Both' has no mocked response for attempt 1: the response of test case 'mocks' "
    with pytest.raises(UnansweredTaskError, match=f"^{text}has 0$"):
        workflow(fan_out()).mock("Both", error="Busy", times=1).run()
    machine = imported(mode, ToleratedFailurePercentage=100)
    state = machine["States"]["Import"]
    del state["ItemReader"], state["ResultWriter"]
    retried = {**fan_out()["States"]["Both"], "End": True}
    del retried["Next"], retried["Catch"]
    state["ItemProcessor"] |= {"StartAt": "Both", "States": {"Both": retried}}
    state["ItemSelector"] = {}
    tested = workflow(machine)
    both = {"both": {"first": 1}}
    assert tested.mock("Both", [1, 2], times=1).run([1, 2]).output == [both, both]  # each counts
    with pytest.raises(UnansweredTaskError, match=text):
        tested.mock("Both", error="Busy", times=1).run([1, 2])
    (tmp_path / "fan.asl.json").write_text(json.dumps(fan_out()))
    (tmp_path / "fan.test.yaml").write_text(
        "scenarios: [{name: a, mocks: {Both: [{error: Busy}]}, expect: {error: States.Runtime}}]"
    )
    (job,) = runs.jobs(discovery.find([tmp_path]).suites, [])
    outcome = runs.run(job, runs.Settings())
    assert "fan.test.yaml:1:13: State 'Both' has no mocked response" in outcome.failures[0][0]


def test_children_of_a_map_run() -> None:
    inner = imported(Label="Inner", ItemSelector={"order.$": "$.order"})["States"]["Import"]
    for field in ("ItemReader", "ResultWriter"):
        del inner[field]
    inner |= {"ItemsPath": "$.order.parts", "ItemSelector": {"part.$": "$$.Map.Item.Value"}}
    choose = {
        "Type": "Choice",
        "Choices": [{"Variable": "$.order.id", "NumericEquals": 2, "Next": "Bad"}],
        "Default": "Parts",
    }
    states = {"Large?": choose, "Bad": {"Type": "Fail", "Error": "Bad"}, "Parts": inner}
    processor = {"ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"}}
    outer = imported(
        ItemProcessor={**processor, "StartAt": "Large?", "States": states},
        ToleratedFailureCount=1,
    )
    tested = workflow(outer).mock("Import.ItemReader", [{"id": 1, "parts": [7, 8]}, {"id": 2}])
    tested = tested.mock("Import.ResultWriter", {}).mock("Work", lambda event: event["part"])
    result = tested.run({"key": "k"})
    assert result.visited == [
        "Import",
        "Import[0]/Large?",
        "Import[0]/Parts",
        "Import[0]/Parts[0]/Work",
        "Import[0]/Parts[1]/Work",
        "Import[1]/Large?",
        "Import[1]/Bad",
    ]
    assert result.path == ["Import"]
    work = result.state("Work")
    assert [each.arguments for each in work.visits] == [{"part": 7}, {"part": 8}]
    assert (work.place, work.output) == ("Import[0]/Parts[1]/Work", 8)
    large = result.state("Import[1]/Large?")
    assert large.arguments == {"order": {"id": 2}, "from": "S3://orders/k"}
    assert result.state("Bad").status == "failed"
    del outer["States"]["Import"]["ToleratedFailureCount"]
    failing = workflow(outer).mock("Import.ItemReader", [{"id": 2}]).run({"key": "k"})
    assert failing.error == "States.ExceedToleratedFailureThreshold"
    assert "\nfirst failure in it: Import[0]/Bad: Bad\n" in str(failing)
    counts = coverage.of(result)
    assert counts.total == (len(counts.points), len(counts.points))


@pytest.mark.parametrize("mode", ["STANDARD", "EXPRESS"])
def test_reader_and_writer(mode: str) -> None:
    tested = workflow(imported(mode)).mock("Import.ItemReader", ["a", "b", "c"])
    written: list[Any] = []
    keep = lambda payload: written.append(payload) or {"Prefix": payload["Prefix"]}
    mocked = tested.mock("Work", lambda event: event["order"]).mock("Import.ResultWriter", keep)
    result = mocked.run({"key": "k"})
    assert (result.status, result.output, result.unused) == ("SUCCEEDED", {"Prefix": "p"}, [])
    assert [json.loads(each["Output"]) for each in written[0]["Results"]] == ["a", "b"]  # MaxItems
    assert json.loads(written[0]["Results"][1]["Input"]) == {"order": "b", "from": "S3://orders/k"}
    failing = tested.mock("Import.ItemReader", error="S3.NoSuchKey", cause="none").run({"key": "k"})
    assert (failing.error, failing.cause) == ("States.ItemReaderFailed", "none")
    for machine, text in (
        (workflow(imported()), r"the ItemReader of 'Import' calls .*s3:getObject, which nothing"),
        (mocked.mock("Import.ItemReader", {"k": 1}).mock("Work", 1), ""),
        (tested.mock("Work", 1), r"mock it with .mock\('Import.ResultWriter', RESULT\)"),
    ):
        if text:
            with pytest.raises(UnansweredTaskError, match=text):
                machine.run({"key": "k"})
        else:
            assert machine.run({"key": "k"}).status == "SUCCEEDED"
    for name, value, text in (
        ("Import.ItemReader", 1, "'Import.ItemReader' is mocked with the items"),
        ("Import", [], "the Map 'Import' is mocked with the result of its ResultWriter"),
    ):
        with pytest.raises(WorkflowTestError, match=text):
            tested.mock(name, value)


def test_in_a_scenario(tmp_path: Path) -> None:
    (tmp_path / "load.asl.json").write_text(json.dumps(imported()))
    (tmp_path / "load.test.yaml").write_text(
        """
mocks: {Work: done, Import.ResultWriter: {Bucket: results}}
scenarios:
  - name: two items
    input: {key: k}
    mocks: {Import.ItemReader: [{id: 1}, {id: 2}]}
    expect: {output: {Bucket: results}}
  - name: no file
    input: {key: k}
    mocks: {Import.ItemReader: {error: S3.NoSuchKey}}
    expect: {error: States.ItemReaderFailed}
  - name: as a whole
    input: {key: k}
    mocks: {Import: {Bucket: other}}
    expect: {output: {Bucket: other}}
  - name: no items
    input: {key: k}
    expect: {output: 1}
"""
    )
    found = discovery.find([tmp_path])
    outcomes = [runs.run(job, runs.Settings()) for job in runs.jobs(found.suites, found.cases)]
    assert [(each.status, each.warnings) for each in outcomes] == [
        ("passed", []),
        ("passed", []),
        ("passed", []),
        ("failed", []),
    ]
    assert (
        outcomes[3]
        .failures[0][0]
        .endswith("add it to mocks, as in {Import.ItemReader: [ITEM, ...]}")
    )


def test_whole_states_in_a_list_of_calls(tmp_path: Path) -> None:
    (tmp_path / "fan.asl.json").write_text(json.dumps(fan_out()))
    (tmp_path / "fan.test.yaml").write_text(
        """
scenarios:
  - name: retried
    mocks: {Both: [{error: Busy}, {return: [1, 2]}], Each: [{error: x, also: 1}]}
    input: {items: []}
    expect: {output: [{error: x, also: 1}], duration: 5, visited: [Both, Each]}
  - name: takes time
    mocks: {Both: [1, 2], Do: {return: 1, after: 60}}
    input: {items: [1, 2]}
    expect: {output: [1, 1], duration: 60}
  - name: no time
    mocks: {Do: {error: E, after: soon}}
"""
    )
    found = discovery.find([tmp_path])
    *good, bad = [runs.run(job, runs.Settings()) for job in runs.jobs(found.suites, found.cases)]
    assert [each.failures for each in good] == [[], []]
    assert bad.failures[0][0].endswith(
        'fan.test.yaml:12:13: after is a number of seconds, not "soon"'
    )


async def test_in_a_mock_file() -> None:
    """Step Functions Local ignores such a key, as that of any state that it does not find."""
    case = {"Import.ItemReader": "Items", "Import.ResultWriter": "Written", "Work": "Done"}
    responses = {
        "Items": {"0": {"Return": [1, 2, 3]}},
        "Written": {"0": {"Return": {"Bucket": "b"}}},
        "Done": {"0": {"Return": "done"}},
    }
    mocks = {
        "StateMachines": {"machine": {"TestCases": {"C": case}}},
        "MockedResponses": responses,
    }
    ran = await run_mocked(imported(), mock_file(mocks), "C", input={"key": "k"})
    assert (ran.status, ran.output, ran.tasks.unused()) == ("SUCCEEDED", {"Bucket": "b"}, [])
    responses["Items"]["0"]["Return"] = 1
    ran = await run_mocked(imported(), mock_file(mocks), "C", input={"key": "k"})
    assert ran.error == "States.ItemReaderFailed"
    assert "The mock of an ItemReader must be an array or an object" in ran.cause
