"""The children of Map Runs on the command line."""

import json

import pytest
from tests.integrations.cli.conftest import unique

CHILD = {
    "StartAt": "Even?",
    "States": {
        "Even?": {
            "Type": "Choice",
            "Choices": [{"Variable": "$", "NumericEquals": 1, "Next": "Odd"}],
            "Default": "Yes",
        },
        "Odd": {"Type": "Fail", "Error": "Odd", "Cause": "one is odd"},
        "Yes": {"Type": "Pass", "End": True},
    },
}
LOAD = {
    "StartAt": "Load",
    "States": {
        "Load": {
            "Type": "Map",
            "Label": "Rows",
            "ToleratedFailurePercentage": 50,
            "ItemProcessor": {
                "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"},
                **CHILD,
            },
            "End": True,
        }
    },
}


@pytest.fixture
def load(at, invoke, write):
    machine = unique("load")
    file = write(f"{machine}.asl.json", LOAD)
    done = invoke("run", file, "--name", "nightly", "--input", "[0, 1, 2]", "-q", *at)
    assert done.exit_code == 0, done.stderr
    return machine


def lines(done):
    assert done.exit_code == 0, done.stderr
    return [json.loads(each) for each in done.stdout.splitlines()]


def test_children_are_listed(at, load, invoke):
    parent = f"{load}/nightly"

    def listed(*words):
        return lines(invoke("list", "--map-run", parent, *words, "--json", *at))

    assert len(listed()) == 3
    assert len(listed("--limit", "2")) == 2
    failed = listed("--status", "failed")
    assert [each["status"] for each in failed] == ["FAILED"]
    assert listed("--error", "Odd") == failed and listed("--error", "Even") == []
    assert len(listed("status=SUCCEEDED")) == 2
    assert listed("--until", "1d") == []
    run = failed[0]["mapRunArn"]
    assert len(lines(invoke("list", "--map-run", run, "--json", *at))) == 3
    table = invoke("list", "--map-run", parent, *at).stdout.splitlines()
    assert f"{load}/Rows" in table[1]


def test_a_child_is_shown_by_its_name(at, load, invoke):
    shown = invoke("show", f"{load}/nightly", *at).stdout
    assert "next: stepwell list --map-run nightly --status FAILED" in shown
    [failed] = lines(
        invoke("list", "--map-run", f"{load}/nightly", "--status", "FAILED", "--json", *at)
    )
    name = f"{load}/Rows/{failed['name']}"
    shown = invoke("show", name, *at).stdout
    assert "Odd: one is odd" in shown and f"stepwell inspect {name} Odd" in shown
    assert "one is odd" in invoke("inspect", name, "Odd", *at).stdout


def test_what_has_no_children(at, load, invoke, write):
    plain = unique("plain")
    file = write(f"{plain}.asl.json", {"StartAt": "A", "States": {"A": {"Type": "Succeed"}}})
    invoke("run", file, "--name", "alone", "-q", *at)
    done = invoke("list", "--map-run", f"{plain}/alone", *at)
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr == f"stepwell: {plain}/alone has no Map Runs: no Distributed Map ran in it\n"
    done = invoke("list", "--map-run", f"{load}/nightly", "customer=ada", *at)
    assert "children of Map Runs have no search attributes such as customer" in done.stderr
    done = invoke("list", "--map-run", f"{load}/nightly", "--machine", load, *at)
    assert "--map-run and --machine exclude each other" in done.stderr


def test_times_in_json_are_iso_8601(at, load, invoke):
    file_name = unique("fails")
    with open(f"{file_name}.asl.json", "w") as file:
        json.dump({"StartAt": "A", "States": {"A": {"Type": "Fail"}}}, file)
    invoke("run", f"{file_name}.asl.json", "--name", "once", "-q", *at)
    invoke("redrive", f"{file_name}/once", *at)
    [shown] = lines(invoke("show", f"{file_name}/once", "--json", *at))
    assert shown["redriveDate"].endswith("+00:00")
