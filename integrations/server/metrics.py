"""The answer of /metrics, in Prometheus' text format. The numbers are counted elsewhere and read at
each request.

Names: the unit last, `_total` for counters. A label has few values, never an execution's name or a
client's text.
"""

from __future__ import annotations

import asyncio
import os
import platform
import resource
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import fields
from importlib.metadata import version
from itertools import accumulate, chain
from pathlib import Path
from typing import Final, NamedTuple

from stepwell.engine.engine import Engine
from stepwell.engine.runtime.counters import Histogram
from stepwell.engine.store.base import Health
from stepwell.engine.supervisor import LoopState
from stepwell.integrations.limits import Limits
from stepwell.integrations.log_sink import Sink
from stepwell.integrations.tracing.telemetry import Telemetry

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
BEAT_SECONDS: Final = 1.0
# of requests: 1 ms to the longest long poll
REQUEST_SECONDS: Final = (
    *(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0),
)
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")
_TICKS: Final = os.sysconf("SC_CLK_TCK")

Labels = tuple[tuple[str, str], ...]


class Family(NamedTuple):
    """One metric. values: (labels, number), or (labels, Histogram)."""

    name: str
    kind: str
    help: str
    values: Iterable[tuple[Labels, float | Histogram]]


def plain(name: str, kind: str, help: str, value: float | Histogram) -> Family:
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


def of_build(store: str) -> Iterator[Family]:
    """store: sqlite or postgresql"""
    labels = ("version", version("stepwell")), ("python", platform.python_version())
    yield Family(
        "stepwell_build_info",
        "gauge",
        "1; the labels tell the version of stepwell and of Python, and the store.",
        [((*labels, ("store", store)), 1)],
    )


def of_limits(limits: Limits) -> Iterator[Family]:
    """All of them: queries divide what is used by its limit, and compare the nodes of a cluster."""
    values = [((("name", each.name),), getattr(limits, each.name)) for each in fields(limits)]
    yield Family("stepwell_limit", "gauge", "The limits in force, by their names.", values)


def of_parts(engine: Engine) -> Iterator[Family]:
    """Of an engine and its background loops."""
    yield from of_engine(engine)
    yield from of_loops(engine.supervisor.loops)


def counters(engine: Engine) -> Iterator[Family]:
    """The same without what is true for a moment only."""
    return (family for family in of_parts(engine) if family.kind != "gauge")


def of_store(up: bool) -> Iterator[Family]:
    yield plain(
        "stepwell_store_up", "gauge", "1 while the store takes commits, as /ready says.", int(up)
    )


def of_engine(engine: Engine) -> Iterator[Family]:
    yield from _executions(engine)
    yield from _tasks(engine)
    yield from _commits(engine)
    yield from _timers(engine)


def _executions(engine: Engine) -> Iterator[Family]:
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


def _tasks(engine: Engine) -> Iterator[Family]:
    pools = [
        ((("kind", kind),), pool) for kind, pool in sorted(engine.worker.effects.pools.items())
    ]
    yield plain(
        "stepwell_effects_in_flight",
        "gauge",
        "Tasks that are running or queued.",
        engine.worker.in_flight,
    )
    yield Family(
        "stepwell_effects_queued",
        "gauge",
        "Tasks that wait for a slot, by kind.",
        [(labels, len(pool.waiting)) for labels, pool in pools],
    )
    yield Family(
        "stepwell_slots_taken",
        "gauge",
        "Slots in use, by kind. Waiting tasks use none.",
        [(labels, pool.taken) for labels, pool in pools],
    )
    yield Family(
        "stepwell_slots",
        "gauge",
        "Slots, by kind: the most tasks of that kind at a time.",
        [(labels, pool.most) for labels, pool in pools],
    )


def _commits(engine: Engine) -> Iterator[Family]:
    worker, counts = engine.worker, engine.worker.counts
    yield plain(
        "stepwell_queue_units", "gauge", "Decided units that are not committed yet.", worker.queued
    )
    yield plain("stepwell_commit_units", "histogram", "Units in one commit.", counts.batch_units)
    yield plain(
        "stepwell_commit_seconds", "histogram", "Duration of a commit.", counts.commit_seconds
    )
    yield plain("stepwell_commit_errors_total", "counter", "Failed commits.", counts.commit_errors)
    yield plain(
        "stepwell_wal_bytes",
        "gauge",
        "Size of the SQLite write-ahead log at the last commit.",
        engine.store.wal_bytes,
    )


def _timers(engine: Engine) -> Iterator[Family]:
    timers, now = engine.worker.timers, engine.clock.now()
    yield plain(
        "stepwell_timers", "gauge", "Deadlines of the next minutes, in memory.", len(timers.at)
    )
    yield plain(
        "stepwell_timers_lag_seconds",
        "gauge",
        "How long the oldest deadline that is due has been waiting.",
        max(0, now - (timers.earliest or now)) / 1000,
    )
    yield plain(
        "stepwell_clock_drift_seconds",
        "gauge",
        "The system clock minus the engine's: positive while a jump is smoothed.",
        (engine.clock.wall() - now) / 1000,
    )


def of_shards(owned: int, total: int) -> Iterator[Family]:
    """How many shards of the database this process owns, and how many there are."""
    yield plain("stepwell_shards_owned", "gauge", "Shards that this process owns.", owned)
    yield plain("stepwell_shards", "gauge", "Shards of the database.", total)


def of_database(health: Health | None) -> Iterator[Family]:
    """Nothing if it does not answer."""
    if health is not None:
        for name, help, value in (
            ("bytes", "Size of the database.", health.bytes),
            ("free_bytes", "Of its size, what new rows use before it grows.", health.free_bytes),
            ("dead_rows", "Old versions of rows that wait for a vacuum.", health.dead_rows),
            (
                "oldest_transaction_seconds",
                "Age of the oldest open transaction: no vacuum removes what died since.",
                health.snapshot_seconds,
            ),
            ("synchronous_standbys", "Synchronous standbys that are connected.", health.standbys),
        ):
            if value is not None:
                yield plain(f"stepwell_database_{name}", "gauge", help, value)


def of_log_sink(sink: Sink | None) -> Iterator[Family]:
    """Of the execution logs; nothing if there is no sink."""
    if sink is not None:
        yield plain(
            "stepwell_log_records_written_total",
            "counter",
            "Records of execution logs written.",
            sink.written,
        )
        yield plain(
            "stepwell_log_records_dropped_total",
            "counter",
            "Records of execution logs lost: the destination failed or was too slow.",
            sink.dropped,
        )


def of_traces(telemetry: Telemetry | None) -> Iterator[Family]:
    """Nothing if traces are off."""
    if telemetry is not None:
        for what, count, help in (
            ("spans_exported", telemetry.exported, "Spans that the receiver took."),
            ("spans_failed", telemetry.failed, "Spans that the receiver did not take."),
            ("spans_dropped", telemetry.spans_dropped, "Spans that found the queue full."),
            ("events_dropped", telemetry.events_dropped, "Events that found their queue full."),
        ):
            yield plain(f"stepwell_trace_{what}_total", "counter", help, count)


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
    requests: Mapping[tuple[str, str, int], Histogram], open_requests: int
) -> Iterator[Family]:
    """requests: (operation, code, status) -> durations in seconds"""
    by_operation: dict[str, Histogram] = {}
    for (operation, _, _), seconds in sorted(requests.items()):
        by_operation.setdefault(operation, Histogram(REQUEST_SECONDS)).merge(seconds)
    counts = [
        ((("operation", operation), ("code", code), ("status", str(status))), seconds.count)
        for (operation, code, status), seconds in sorted(requests.items())
    ]
    yield Family(
        "stepwell_requests_total",
        "counter",
        "Requests answered, by operation, code (OK, or the error's) and HTTP status.",
        counts,
    )
    yield Family(
        "stepwell_request_seconds",
        "histogram",
        "Duration of requests, including the time of long polls and synchronous executions.",
        [((("operation", operation),), seconds) for operation, seconds in by_operation.items()],
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
    with suppress(OSError):
        files = len(os.listdir("/proc/self/fd"))
        yield plain("process_open_fds", "gauge", "Open file descriptors.", files)
        yield plain("process_start_time_seconds", "gauge", "Start, epoch seconds.", _started())
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    yield plain("process_max_fds", "gauge", "Limit of open file descriptors.", most)


def resident_bytes() -> int | None:
    """None where the system does not tell it."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE
    except OSError:
        return None


def _started() -> float:
    """Epoch seconds. Raises OSError where the system does not tell it."""
    stat = Path("/proc/self/stat").read_text()
    after_boot = int(stat.rpartition(")")[2].split()[19]) / _TICKS
    boot = Path("/proc/stat").read_text().partition("\nbtime ")[2]
    return int(boot.partition("\n")[0]) + after_boot


_LARGEST: Final = frozenset({"stepwell_timers_lag_seconds", "stepwell_clock_drift_seconds"})


def summed(parts: Iterable[Iterable[Family]]) -> Iterator[Family]:
    """The families of several engines of one process as one: numbers added up, delays at their
    largest.
    """
    families: dict[str, Family] = {}
    values: dict[str, dict[Labels, float | Histogram]] = {}
    for family in chain.from_iterable(parts):
        families.setdefault(family.name, family)
        of_name = values.setdefault(family.name, {})
        for labels, value in family.values:
            before = of_name.get(labels)
            if isinstance(value, Histogram):
                total = of_name.setdefault(labels, Histogram(value.bounds))
                assert isinstance(total, Histogram)
                total.merge(value)
            elif before is None:
                of_name[labels] = value
            else:
                assert not isinstance(before, Histogram)
                largest = family.name in _LARGEST
                of_name[labels] = max(before, value, key=abs) if largest else before + value
    for name, family in families.items():
        yield family._replace(values=list(values[name].items()))


def text(families: Iterable[Family]) -> str:
    lines = []
    for family in families:
        lines += [f"# HELP {family.name} {family.help}", f"# TYPE {family.name} {family.kind}"]
        for labels, value in family.values:
            if isinstance(value, Histogram):
                lines += _histogram(family.name, labels, value)
            else:
                lines.append(f"{family.name}{_labels(labels)} {value!r}")
    return "\n".join(lines) + "\n"


def _histogram(name: str, labels: Labels, histogram: Histogram) -> Iterator[str]:
    totals = list(accumulate(histogram.counts))
    for bound, total in zip((*histogram.bounds, "+Inf"), totals):
        yield f"{name}_bucket{_labels((*labels, ('le', str(bound))))} {total}"
    yield f"{name}_sum{_labels(labels)} {histogram.sum!r}"
    yield f"{name}_count{_labels(labels)} {totals[-1]}"


def _labels(labels: Labels) -> str:
    inside = ",".join(f'{name}="{_escaped(value)}"' for name, value in labels)
    return f"{{{inside}}}" if labels else ""


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
