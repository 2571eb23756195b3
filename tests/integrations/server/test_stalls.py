"""Work that held the event loop of a server for seconds, while this process asks for /health; then
SIGTERM.

What is judged is the processor time of the loop's thread between a question and its answer: a busy
machine makes the answer late, not the loop. STEPWELL_STALL=0.25 pytest -s
tests/integrations/server/test_stalls.py judges the time on the clock too, on a quiet machine.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from tests.integrations.server.conftest import Serve
from tests.integrations.server.live import ROLE, Live, eventually

BAR = float(os.environ.get("STEPWELL_STALL", "0"))
# seconds of processor time; the bar of a quiet machine is half of that, what was seen before were 5
# to 60
HELD = 0.5
LIMIT = 180  # seconds that a workload may take on a busy machine

WAIT = {"Type": "Wait", "Seconds": 5, "End": True}


def block(states: dict[str, Any]) -> dict[str, Any]:
    return {"StartAt": next(iter(states)), "States": states}


def fan(make: Callable[[str], dict[str, Any]], name: str, *more: dict[str, Any]) -> dict[str, Any]:
    """A Parallel of 60 branches."""
    return block(
        {
            f"P{name}": {
                "Type": "Parallel",
                "Branches": [*(make(f"{name}.{place}") for place in range(60)), *more],
                "End": True,
            }
        }
    )


def each(name: str, inner: dict[str, Any]) -> dict[str, Any]:
    return block(
        {
            name: {
                "Type": "Map",
                "ItemsPath": "$$.Execution.Input",
                "ItemProcessor": inner,
                "ResultPath": None,
                "End": True,
            }
        }
    )


def waits(name: str) -> dict[str, Any]:
    return fan(lambda inner: block({f"W{inner}": WAIT}), name)


def pass_on(number: int) -> dict[str, Any]:
    return {
        "Type": "Pass",
        "Parameters": {"n": number, "s.$": "$.s"},
        **({"End": True} if number == 3 else {"Next": f"S{number + 1}"}),
    }


DEEP: Any = 0
for _ in range(600):
    DEEP = [DEEP, [0] * 100]
FAILING = block(
    {"A": {"Type": "Wait", "Seconds": 3, "Next": "F"}, "F": {"Type": "Fail", "Error": "Broken"}}
)
LONG = {
    f"S{n}": {
        "Type": "Pass",
        "Parameters": {"a.$": f"$.x{n}[?(@.b == {n})]", "c": "text" * 20},
        "Next": f"S{n + 1}",
    }
    for n in range(5000)
}
DEFINITIONS: dict[str, tuple[dict[str, Any], Any, int, str]] = {
    "60 x 60 Waits": (fan(waits, "0"), {}, 1, "SUCCEEDED"),
    "Express Map of 20 x 20 x 20": (
        each("M1", each("M2", each("M3", block({"W": WAIT})))),
        list(range(20)),
        1,
        "SUCCEEDED",
    ),
    "large payloads": (
        block({f"S{number}": pass_on(number) for number in range(4)}),
        {"s": "x" * 220_000},
        300,
        "SUCCEEDED",
    ),
    "3,600 frames that fail": (fan(waits, "0", FAILING), {}, 1, "FAILED"),
    "a path of 10^8 nodes": (
        block({"P": {"Type": "Pass", "InputPath": "$..[*]..[*]", "End": True}}),
        DEEP,
        3,
        "FAILED",
    ),
    "a definition of 1 MB": (
        block(LONG | {"S5000": {"Type": "Succeed"}}),
        {"x0": []},
        1,
        "SUCCEEDED",
    ),
}


class Loop:
    """The thread of the server's event loop, which is its first one."""

    def __init__(self, live: Live) -> None:
        self.live, self.file = (
            live,
            Path(f"/proc/{live.process.pid}/task/{live.process.pid}/schedstat"),
        )
        self.held = self.late = 0.0

    def seconds(self) -> float:
        return int(self.file.read_text().split()[0]) / 1e9

    def ask(self) -> None:
        began, used = time.monotonic(), self.seconds()
        assert self.live.get("/health") == "ok\n"
        self.held, self.late = (
            max(self.held, self.seconds() - used),
            max(self.late, time.monotonic() - began),
        )

    def watch(self, done: Callable[[], bool]) -> None:
        end = time.monotonic() + LIMIT
        while not done():
            assert time.monotonic() < end, "it never came to that"
            for _ in range(5):
                self.ask()
                time.sleep(0.01)


@pytest.mark.skipif(
    not sys.platform.startswith("linux"),
    reason="the processor time of a thread of another process is read from /proc",
)
@pytest.mark.parametrize("name", DEFINITIONS)
def test_the_server_answers_while_it_works(serve: Serve, name: str) -> None:
    machine, input, count, status = DEFINITIONS[name]
    live = serve()
    client, text, express = (
        live.client(max_pool_connections=20),
        json.dumps(input),
        name.startswith("Express"),
    )
    loop = Loop(live)
    loop.ask()
    loop.held = loop.late = 0.0

    def work() -> None:
        arn = client.create_state_machine(
            name="m",
            definition=json.dumps(machine),
            roleArn=ROLE,
            type="EXPRESS" if express else "STANDARD",
        )["stateMachineArn"]
        if express:
            assert client.start_sync_execution(stateMachineArn=arn, input=text)["status"] == status
            return
        with ThreadPoolExecutor(20) as pool:
            started = list(
                pool.map(
                    lambda _: client.start_execution(stateMachineArn=arn, input=text)[
                        "executionArn"
                    ],
                    range(count),
                )
            )
        for each in started:
            eventually(
                lambda each=each: client.describe_execution(executionArn=each)["status"] == status,
                LIMIT,
            )

    with ThreadPoolExecutor(1) as pool:
        working = pool.submit(work)
        loop.watch(working.done)
        working.result()
    print(
        f"{name}: held for {loop.held:.3f} s of processor time, answered within {loop.late:.3f} s",
        file=sys.stderr,
    )
    assert loop.held < HELD
    assert not BAR or loop.late < BAR


def test_a_server_ends_while_it_evaluates_and_goes_on_after_a_restart(serve: Serve) -> None:
    endless = {"Type": "Pass", "InputPath": "$..[?($..[?($..no == 1)] == 1)]", "End": True}
    live = serve(jsonpath_nodes=1 << 60)
    client = live.client()
    arn = client.create_state_machine(
        name="m", definition=json.dumps(block({"P": endless})), roleArn=ROLE
    )["stateMachineArn"]
    execution = client.start_execution(stateMachineArn=arn, input=json.dumps(DEEP))["executionArn"]
    for _ in range(2):
        began = time.monotonic()
        assert live.stop(seconds=60) == 0
        print(f"SIGTERM: {time.monotonic() - began:.2f} s", file=sys.stderr)
        live = serve(jsonpath_nodes=1 << 60)
        assert live.get("/health") == "ok\n"
    client = live.client()
    client.stop_execution(executionArn=execution)
    assert client.describe_execution(executionArn=execution)["status"] == "ABORTED"
