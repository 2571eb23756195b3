"""`stepwell canary`: weights of an alias, the numbers of both versions, and the verdict; on a
database that a server has open, and over HTTP.
"""

import json
from pathlib import Path
from typing import Any

import pytest
from tests.integrations.server.conftest import Serve
from tests.integrations.server.live import eventually

from stepwell import SyncEngine
from stepwell.integrations.cli.commands.revisions import canary
from stepwell.integrations.cli.options import Where
from stepwell.integrations.cli.versions import canary as numbers
from stepwell.integrations.cli.versions.canary import Numbers
from stepwell.integrations.cli.versions.statistics import fisher, needed, rank_test, wilson

WAIT: dict[str, Any] = {
    "StartAt": "Wait",
    "States": {
        "Wait": {"Type": "Pass", "Next": "Fail?"},
        "Fail?": {
            "Type": "Choice",
            "Choices": [{"Variable": "$.fail", "BooleanEquals": True, "Next": "Broken"}],
            "Default": "Done",
        },
        "Broken": {"Type": "Fail", "Error": "Broken"},
        "Done": {"Type": "Succeed"},
    },
}
BROKEN: dict[str, Any] = json.loads(json.dumps(WAIT).replace("BooleanEquals", "IsBoolean"))


def close(*pairs: tuple[float, float]) -> bool:
    return all(abs(one - other) < 1e-4 for one, other in pairs)


def test_statistics_equal_published_values() -> None:
    assert close(*zip(wilson(5, 100), (0.02154, 0.11175)))
    assert close(*zip(wilson(0, 10), (0.0, 0.27753)))
    assert wilson(0, 0) == (0.0, 1.0) and close((wilson(10, 10)[1], 1.0))
    assert close(
        (fisher(8, 10, 1, 6), 0.034965), (fisher(3, 3, 0, 3), 0.1), (fisher(0, 9, 0, 9), 1)
    )
    assert rank_test([1] * 20, [1] * 20) == 1.0 and rank_test([1, 2], [8, 9]) == 1.0
    assert rank_test(range(20), range(40, 60)) < 1e-6
    assert needed(0.01, 0.05) == 209


def sample(failed: int, total: int, seconds: float = 1.0) -> Numbers:
    found = Numbers("arn:1", 50)
    found.statuses.update({"FAILED": failed, "SUCCEEDED": total - failed, "ABORTED": 3})
    found.seconds = [seconds + number / 1000 for number in range(total - failed)]
    return found


@pytest.mark.parametrize(
    ("base", "new", "expected"),
    [
        ((1, 900), (9, 100), numbers.WORSE),
        ((90, 900), (1, 100), numbers.BETTER),
        ((0, 900), (0, 5), numbers.TOO_FEW),
        ((0, 0), (0, 500), numbers.TOO_FEW),
        ((2, 900), (1, 300), numbers.ALIKE),
        ((2, 900), (1, 300, 1.5), numbers.SLOWER),
        ((2, 900, 1.5), (1, 300), numbers.ALIKE),
    ],
)
def test_verdicts(base: tuple[Any, ...], new: tuple[Any, ...], expected: str) -> None:
    assert numbers.verdict(sample(*base), sample(*new))[0] == expected


def test_a_canary_from_its_start_to_its_rollback(
    serve: Serve, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "served.db"
    with SyncEngine(file) as engine:
        arn = engine.create_state_machine("order", WAIT, publish=True)["stateMachineArn"]
        for definition in (BROKEN, {**BROKEN, "Comment": "again"}):
            engine.update_state_machine(arn, definition=definition, publish=True)
        route = [{"stateMachineVersionArn": f"{arn}:1", "weight": 100}]
        engine.create_state_machine_alias("live", route)
    live = serve()

    def run(command: str, *words: Any, remote: bool = False, **options: Any) -> int:
        where = Where(server=live.url) if remote else Where(db=str(file))
        if command == "end":
            return canary.end("order", "live", *words, where=where)
        if command == "start":
            return canary.start("order", "live", *words, where=where)
        return canary.status("order", "live", None, 10_000, utc=False, where=where, **options)

    assert run("end", True) == 2
    assert "no canary runs: live routes to version 1 alone" in capsys.readouterr().err
    assert run("start", "1", 10) == 2
    assert "routes to version 1 already" in capsys.readouterr().err
    assert run("start", "9", 10) == 2
    assert run("start", "2", 10) == 0
    assert "10 % of new executions to version 2" in capsys.readouterr().err
    assert run("start", "3", 10, remote=True) == 2
    assert "a canary of version 2 runs" in capsys.readouterr().err
    assert run("start", "2", 50, remote=True) == 0
    client = live.client("stepfunctions")
    for _ in range(40):
        client.start_execution(stateMachineArn=f"{arn}:live", input='{"fail": false}')
    running = {"stateMachineArn": arn, "statusFilter": "RUNNING"}
    eventually(lambda: not client.list_executions(**running)["executions"])
    answers = []
    for remote in (False, True):
        capsys.readouterr()
        assert run("status", json=True, remote=remote) == 1
        answers.append(json.loads(capsys.readouterr().out))
    answer, other = answers
    assert {**answer, "since": 0} == {**other, "since": 0}
    assert answer["verdict"] == "worse"
    one, two = answer["versions"]
    assert one["executions"] + two["executions"] == 40
    assert (one["errors"], two["errors"]) == ({}, {"Broken": two["executions"]})
    assert (one["transitions"], two["transitions"]) == (3, 3)
    assert (one["failureRate"], two["failureRate"]) == (0, 1)
    assert run("status", json=False) == 1
    assert "version 2 fails more often" in capsys.readouterr().out
    assert run("end", False) == 0
    assert "all new executions to version 1" in capsys.readouterr().err
    assert run("status", json=False) == 0
    assert "no canary runs" in capsys.readouterr().out
