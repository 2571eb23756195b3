"""The answer of /metrics, in Prometheus' text format. The numbers are counted elsewhere and read at
each request.
"""

from __future__ import annotations

import asyncio
import os
import resource
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import accumulate
from pathlib import Path
from typing import Final, NamedTuple

from stepwell.engine.engine import Engine
from stepwell.engine.runtime.counters import Histogram
from stepwell.engine.supervisor import LoopState

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
BEAT_SECONDS: Final = 1.0
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")

Labels = tuple[tuple[str, str], ...]


class Family(NamedTuple):
    """One metric. values: (labels, number), or a Histogram."""

    name: str
    kind: str
    help: str
    values: Iterable[tuple[Labels, float]] | Histogram


def plain(name: str, kind: str, help: str, value: float) -> Family:
    return Family(name, kind, help, [((), value)])


class Lag:
    """The delay of the event loop: by how much a timer of one second is late, in seconds. on_beat:
    called at each second.
    """

    def __init__(self, on_beat: Callable[[], None]) -> None:
        self._on_beat = on_beat
        self.last = self.most = 0.0
        self._handle: asyncio.TimerHandle | None = None

    def start(self) -> None:
        loop = asyncio.get_running_loop()
        self._due = loop.time() + BEAT_SECONDS
        self._handle = loop.call_at(self._due, self._beat)

    def _beat(self) -> None:
        self.last = max(0.0, asyncio.get_running_loop().time() - self._due)
        self.most = max(self.most, self.last)
        self.start()  # first: on_beat may raise
        self._on_beat()

    def stop(self) -> None:
        if self._handle is not None:
            self._handle.cancel()


def of_engine(engine: Engine) -> Iterator[Family]:
    worker, counts = engine.worker, engine.worker.counts
    yield plain(
        "stepwell_executions_started_total", "counter", "Executions started.", counts.started
    )
    ended = [((("status", status),), count) for status, count in sorted(counts.ended.items())]
    yield Family(
        "stepwell_executions_ended_total", "counter", "Executions ended, by status.", ended
    )
    yield plain("stepwell_transitions_total", "counter", "States entered.", counts.transitions)
    yield plain(
        "stepwell_executions_in_memory",
        "gauge",
        "Running executions in memory.",
        len(worker.live),
    )
    yield plain(
        "stepwell_executions_parked",
        "gauge",
        "Parked executions: they cannot proceed.",
        len(worker.parking),
    )
    yield plain(
        "stepwell_queue_units", "gauge", "Decided units that are not committed yet.", worker.queued
    )
    yield plain(
        "stepwell_effects_in_flight",
        "gauge",
        "Tasks that are running or queued.",
        worker.in_flight,
    )
    pools = sorted(worker.effects.pools.items())
    queued = [((("kind", kind),), len(pool.waiting)) for kind, pool in pools]
    yield Family("stepwell_effects_queued", "gauge", "Queued tasks, by kind.", queued)
    yield Family(
        "stepwell_slots_taken",
        "gauge",
        "Slots in use, by kind. Waiting tasks use none.",
        [((("kind", kind),), pool.taken) for kind, pool in pools],
    )
    yield plain(
        "stepwell_wal_bytes",
        "gauge",
        "Size of the database's write-ahead log at the last commit.",
        engine.store.wal_bytes,
    )
    drift = (engine.clock.wall() - engine.clock.now()) / 1000
    yield plain(
        "stepwell_clock_drift_seconds",
        "gauge",
        "The system clock minus the engine's: positive while a jump is smoothed.",
        drift,
    )
    yield Family("stepwell_commit_units", "histogram", "Units in one commit.", counts.batch_units)
    yield Family(
        "stepwell_commit_seconds", "histogram", "Duration of a commit.", counts.commit_seconds
    )


def of_loops(loops: Mapping[str, LoopState]) -> Iterator[Family]:
    """The background loops, by name."""

    def family(name: str, kind: str, help: str, number: Callable[[LoopState], int]) -> Family:
        return Family(
            name,
            kind,
            help,
            [((("loop", loop),), number(state)) for loop, state in sorted(loops.items())],
        )

    yield family(
        "stepwell_loops_running",
        "gauge",
        "Running background loops, by name.",
        lambda state: state.running,
    )
    yield family(
        "stepwell_loops_failing",
        "gauge",
        "Background loops that pause after a fault.",
        lambda state: state.failing,
    )
    yield family(
        "stepwell_loop_faults_total",
        "counter",
        "Faults in background loops, including faults of single items.",
        lambda state: state.faults,
    )
    yield family(
        "stepwell_loop_restarts_total",
        "counter",
        "Restarts of background loops.",
        lambda state: state.restarts,
    )


def of_requests(
    requests: Mapping[tuple[str, str], list[float]], open_requests: int
) -> Iterator[Family]:
    """requests: (operation, code) -> [count, seconds]"""
    named = [
        ((("operation", operation), ("code", code)), values)
        for (operation, code), values in sorted(requests.items())
    ]
    counts = [(labels, values[0]) for labels, values in named]
    seconds = [(labels, values[1]) for labels, values in named]
    yield Family(
        "stepwell_requests_total",
        "counter",
        "Requests answered, by operation and code (OK, or the error's).",
        counts,
    )
    yield Family(
        "stepwell_request_seconds_total",
        "counter",
        "Duration of requests, including the time of long polls and synchronous executions.",
        seconds,
    )
    yield plain("stepwell_open_requests", "gauge", "Requests without an answer.", open_requests)


def of_connections(open_connections: int, arriving: int, evicted: int) -> Iterator[Family]:
    yield plain("stepwell_connections", "gauge", "Open connections.", open_connections)
    yield plain(
        "stepwell_connections_arriving",
        "gauge",
        "Connections with an incomplete request.",
        arriving,
    )
    yield plain(
        "stepwell_connections_evicted_total",
        "counter",
        "Connections closed to make room for new ones.",
        evicted,
    )


def of_process(lag: Lag) -> Iterator[Family]:
    used = resource.getrusage(resource.RUSAGE_SELF)
    yield plain(
        "stepwell_event_loop_lag_seconds",
        "gauge",
        "Delay of the event loop, measured each second.",
        lag.last,
    )
    yield plain(
        "stepwell_event_loop_lag_max_seconds", "gauge", "Maximum delay of the event loop.", lag.most
    )
    yield plain(
        "process_cpu_seconds_total",
        "counter",
        "User and system CPU time.",
        used.ru_utime + used.ru_stime,
    )
    memory = resident_bytes()
    if memory is not None:
        yield plain("process_resident_memory_bytes", "gauge", "Memory of the process.", memory)


def resident_bytes() -> int | None:
    """None where the system does not tell it."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE
    except OSError:
        return None


def text(families: Iterable[Family]) -> str:
    lines = []
    for family in families:
        lines += [f"# HELP {family.name} {family.help}", f"# TYPE {family.name} {family.kind}"]
        if isinstance(family.values, Histogram):
            lines += _histogram(family.name, family.values)
        else:
            lines += [
                f"{family.name}{_labels(labels)} {value!r}" for labels, value in family.values
            ]
    return "\n".join(lines) + "\n"


def _histogram(name: str, histogram: Histogram) -> Iterator[str]:
    totals = list(accumulate(histogram.counts))
    for bound, total in zip((*histogram.bounds, "+Inf"), totals):
        yield f'{name}_bucket{{le="{bound}"}} {total}'
    yield f"{name}_sum {histogram.sum!r}"
    yield f"{name}_count {totals[-1]}"


def _labels(labels: Labels) -> str:
    inside = ",".join(f'{name}="{_escaped(value)}"' for name, value in labels)
    return f"{{{inside}}}" if labels else ""


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
