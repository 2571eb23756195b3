"""python -m benchmarks [--json] [--seconds N] [--folder DIR]: the engine's benchmarks, all in one
run so that their figures can be compared.

Absolute times depend on the machine and its load; compare the shares of the raw SQLite probe. The
folder decides which disk is measured; the default is the system's temporary folder.
"""

import argparse
import json
import os
import platform
import resource
import sqlite3
import sys
import tempfile
from typing import Any

from benchmarks.probe import raw
from benchmarks.workloads import LOOP, MACHINES, MAP, durable, in_memory, once
from stepwell.integrations.loop import run


def bytes_per_event(path: str) -> float:
    """Bytes of the stored history for each event of closed executions."""
    with sqlite3.connect(path) as connection:
        stored = connection.execute("SELECT sum(length(blob)) FROM history").fetchone()[0]
        events = connection.execute(
            "SELECT sum(events) FROM execution WHERE events IS NOT NULL"
        ).fetchone()[0]
    return float(stored / events)


def measure(folder: str, seconds: float) -> dict[str, Any]:
    found: dict[str, Any] = {
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "cores": os.cpu_count(),
    }
    found["in_memory_cpu_us_per_transition"] = {
        name: in_memory(machine, 25) for name, machine in MACHINES.items()
    }
    found["raw_probe"] = {
        name: raw(tempfile.mkdtemp(dir=folder), machine, 640) for name, machine in MACHINES.items()
    }
    found["durable"] = {}
    for name, machine in MACHINES.items():
        rows = found["durable"][name] = []
        for clients in (1, 64, 1000):
            path = os.path.join(tempfile.mkdtemp(dir=folder), "engine.db")
            row = run(durable(path, machine, clients, seconds))
            row["bytes_per_event"] = bytes_per_event(path)
            probe = found["raw_probe"][name]
            units = probe["units"] / 640  # commit units of one execution
            row["share_of_raw_probe"] = (
                row["executions_per_second"] * units / probe["units_per_second"]
            )
            rows.append(row)
    took, events, times = run(once(os.path.join(folder, "loop.db"), LOOP, {"n": 0}))
    quarter = len(times) // 4
    found["choice_loop"] = {
        "turns": 5000,
        "events": events,
        "seconds": took,
        "seconds_of_each_quarter": [
            times[(part + 1) * quarter - 1] - times[part * quarter] for part in range(4)
        ],
    }
    took, events, _ = run(once(os.path.join(folder, "map.db"), MAP, {"items": list(range(1000))}))
    found["map"] = {
        "items": 1000,
        "events": events,
        "seconds": took,
        "items_per_second": 1000 / took,
    }
    found["peak_rss_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (
        1024 if sys.platform == "linux" else 1024 * 1024
    )
    return found


def show(found: dict[str, Any]) -> None:
    print(
        f"Python {found['python']}, SQLite {found['sqlite']}, {found['cores']} cores, "
        "synchronous=FULL\n"
    )
    print("decide() alone, us of CPU for each transition")
    for name, value in found["in_memory_cpu_us_per_transition"].items():
        print(f"  {name:10} {value:8.2f}   {1e6 / value:10,.0f} transitions/s")
    print("\nraw SQLite probe: the same rows, 64 units in each transaction")
    for name, row in found["raw_probe"].items():
        print(
            f"  {name:10} {row['units_per_second']:10,.0f} units/s "
            f"{row['rows_per_second']:10,.0f} rows/s"
        )
    print(
        "\ndurable    clients  executions/s  transitions/s   p50 ms   p99 ms  CPU us/tr.  "
        "bytes/event  share of probe"
    )
    for name, rows in found["durable"].items():
        for row in rows:
            print(
                f"  {name:10} {row['clients']:5} {row['executions_per_second']:13,.0f} "
                f"{row['transitions_per_second']:14,.0f}"
                f" {row['p50_ms']:8.2f} {row['p99_ms']:8.2f} "
                f"{row['cpu_us_per_transition']:11.1f} {row['bytes_per_event']:12.1f}"
                f" {row['share_of_raw_probe']:15.2f}"
            )
    loop, each = found["choice_loop"], found["map"]
    quarters = " ".join(f"{part:.3f}" for part in loop["seconds_of_each_quarter"])
    print(
        f"\nChoice loop of {loop['turns']} turns: {loop['seconds']:.2f} s, {loop['events']} "
        f"events; its quarters: {quarters} s"
    )
    print(
        f"Map of {each['items']} items, one task each: {each['seconds']:.2f} s, "
        f"{each['items_per_second']:,.0f} items/s"
    )
    print(f"peak memory {found['peak_rss_mb']:.0f} MB")


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")
    parser.add_argument("--seconds", type=float, default=3.0, help="for each durable workload")
    parser.add_argument("--folder", help="folder for the databases, which are deleted again")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        found = measure(folder, arguments.seconds)
    if arguments.json:
        print(json.dumps(found, indent=1))
    else:
        show(found)


if __name__ == "__main__":
    main()
