"""python -m benchmarks.services [--json] [--seconds N] [--folder DIR]: the embedded services, in
one process with the engine.

Functions: a workflow of one Lambda task, compared with the same workflow with an empty task, on a
durable engine, synchronous=FULL. Events: one bus with 100 rules.
"""

import argparse
import asyncio
import json
import random
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.workloads import INPUT, TASK, Echo, chain
from stepwell.engine import Engine
from stepwell.integrations.loop import run
from stepwell.integrations.services.common.event_patterns import Index, compile_pattern
from stepwell.integrations.services.runtime.folder import Functions
from stepwell.integrations.tasks.registry import Registry

COLD = 12
RULES = 100


async def tasks(path: Path, registry: Any, clients: int, seconds: float) -> dict[str, float]:
    """Concurrent clients, each of which runs one execution of one task after the other."""
    latencies: list[float] = []
    async with Engine(path, tasks=registry) as engine:
        arn = (await engine.create_state_machine("task", json.dumps(chain(TASK))))[
            "stateMachineArn"
        ]
        until = 0.0

        async def client() -> None:
            while (started := time.perf_counter()) < until:
                execution = await engine.start_execution(arn, input=json.dumps(INPUT))
                ended = await engine.wait(execution["executionArn"])
                assert ended["status"] == "SUCCEEDED", ended
                latencies.append(time.perf_counter() - started)

        for part in (seconds, seconds):  # the first one starts the processes
            latencies.clear()
            until = time.perf_counter() + part
            await asyncio.gather(*(client() for _ in range(clients)))
    return {"per_second": len(latencies) / seconds, "p50_ms": median(latencies) * 1000}


async def cold(folder: Path) -> list[float]:
    """ms of the first call of each of COLD functions."""
    functions, took = Functions(folder), []
    async with Engine(tasks=Registry(functions)) as engine:
        for number in range(COLD):
            name = f"cold-{number}"
            (folder / f"{name}.py").write_text("def handler(event, context):\n    return event\n")
            state = {
                "Type": "Task",
                "Resource": f"arn:aws:lambda:us-east-1:123456789012:function:{name}",
            }
            arn = (await engine.create_state_machine(name, json.dumps(chain(state))))[
                "stateMachineArn"
            ]
            began = time.perf_counter()
            ended = await engine.wait((await engine.start_execution(arn))["executionArn"])
            took.append((time.perf_counter() - began) * 1000)
            assert ended["status"] == "SUCCEEDED", ended
    return took


def _pattern(number: int) -> dict[str, Any]:
    """An event pattern; five kinds in turn."""
    kinds: tuple[Callable[[], dict[str, Any]], ...] = (
        lambda: {"source": [f"shop.{number}"]},
        lambda: {
            "source": ["shop"],
            "detail-type": [f"Order {number}"],
            "detail": {"total": [{"numeric": [">", number]}]},
        },
        lambda: {"detail": {"region": [{"prefix": f"eu-{number}"}], "tags": ["new"]}},
        lambda: {
            "detail": {"file": [{"suffix": f".{number}"}], "size": [{"numeric": ["<", 1000]}]}
        },
        lambda: {
            "source": ["shop"],
            "detail": {"state": [{"anything-but": ["done"]}], "customer": [f"c{number}"]},
        },
    )
    return kinds[number % len(kinds)]()


def events(seconds: float) -> dict[str, float]:
    """Events per second, each matched against all rules."""
    patterns = [_pattern(number) for number in range(RULES)]
    index = Index(
        [(number, pattern, compile_pattern(pattern)) for number, pattern in enumerate(patterns)]
    )
    draw = random.Random(1)
    made = [
        {
            "id": str(number),
            "source": draw.choice(["shop", f"shop.{draw.randrange(RULES)}"]),
            "detail-type": f"Order {draw.randrange(RULES)}",
            "detail": {
                "total": draw.randrange(200),
                "region": f"eu-{draw.randrange(RULES)}-a",
                "tags": ["new", "b"],
                "file": f"x.{draw.randrange(RULES)}",
                "size": draw.randrange(2000),
                "state": "open",
                "customer": f"c{draw.randrange(RULES)}",
            },
        }
        for number in range(1000)
    ]
    count = found = 0
    began = time.perf_counter()
    while time.perf_counter() - began < seconds:
        for event in made:
            found += len(index.find(event))
        count += len(made)
    return {
        "per_second": count / (time.perf_counter() - began),
        "rules_that_fit_an_event": found / count,
    }


def measure(folder: Path, seconds: float) -> dict[str, Any]:
    (folder / "functions").mkdir()
    (folder / "functions" / "echo.py").write_text(
        "def handler(event, context):\n    return event\n"
    )
    found: dict[str, Any] = {}
    for clients in (1, 64):
        found[f"empty task, {clients}"] = run(
            tasks(folder / f"empty{clients}.db", Echo(), clients, seconds)
        )
        registry = Registry(functions_folder=folder / "functions")
        found[f"warm Python function, {clients}"] = run(
            tasks(folder / f"warm{clients}.db", registry, clients, seconds)
        )
    starts = run(cold(folder / "functions"))
    found["cold Python function"] = {"per_second": 1000 / median(starts), "p50_ms": median(starts)}
    found[f"events against {RULES} rules"] = events(seconds)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.services", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--folder", default=tempfile.gettempdir(), help="folder for the databases")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        found = measure(Path(folder), options.seconds)
    if options.json:
        print(json.dumps(found, indent=2))
        return
    print("workload, clients              per second    p50 ms")
    for name, row in found.items():
        print(
            f"{name:28} {row['per_second']:12,.0f} {row['p50_ms']:9.2f}"
            if "p50_ms" in row
            else f"{name:28} {row['per_second']:12,.0f}"
        )
    print(
        "a warm function above an empty task: "
        f"{found['warm Python function, 1']['p50_ms'] - found['empty task, 1']['p50_ms']:.2f} "
        "ms"
    )


if __name__ == "__main__":
    main()
