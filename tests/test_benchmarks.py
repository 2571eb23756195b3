"""The smaller benchmarks run, and print what they promise. Those of the store and of Map Runs are
tested beside what they measure.
"""

import subprocess
import sys

import pytest
from tests.conftest import ROOT

FIGURES = {
    ("topics", "--queues", "3"): ("Publish", "in all queues", "CPU of the loop"),
    ("services", "--seconds", "0.05"): ("warm Python function, 64", "events against 100 rules"),
    ("search", "--executions", "200"): ("4 attributes cpu by without", "executions before"),
}


@pytest.mark.parametrize("command", FIGURES, ids=lambda command: command[0])
def test_it_runs(command: tuple[str, ...]) -> None:
    name, *options = command
    ran = subprocess.run(
        [sys.executable, "-m", f"benchmarks.{name}", *options],
        check=False,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert ran.returncode == 0, ran.stderr
    assert all(figure in ran.stdout for figure in FIGURES[command]), ran.stdout
