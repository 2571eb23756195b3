"""The reports of commits: status events before a commit, in its transaction; to waiters,
deletions, logs and traces after it.
"""

from __future__ import annotations

import logging
from typing import Any, Final

from stepwell.engine.arns import Home
from stepwell.engine.limits import Limits
from stepwell.engine.machines.deletions import Deletions
from stepwell.engine.machines.rows import MachineRows
from stepwell.engine.map_runs.leftovers import Leftovers
from stepwell.engine.observers.status_events import status_events
from stepwell.engine.observers.trace_context import TraceSink
from stepwell.engine.observers.tracker import Tracker
from stepwell.engine.runtime import execution_logs
from stepwell.engine.runtime.execution_logs import LogSink
from stepwell.engine.runtime.live import Live
from stepwell.engine.store.base import Unit
from stepwell.engine.tasks import Tasks, Transaction

log: Final = logging.getLogger("stepwell.engine")


class CommitEvents:
    """Reports the commits of an engine's worker. An error of a receiver is logged: it does not stop
    the engine.

    log_sink    receives the log events of executions; None: there is none
    trace_sink  receives all units; None: there is none
    """

    def __init__(
        self,
        home: Home,
        limits: Limits,
        tasks: Tasks,
        log_sink: LogSink | None,
        trace_sink: TraceSink | None,
        machines: MachineRows,
        tracker: Tracker,
        deletions: Deletions,
        leftovers: Leftovers,
    ) -> None:
        self._home, self._limits, self._tasks, self.log_sink = home, limits, tasks, log_sink
        self.trace_sink = trace_sink
        self._machines, self._tracker, self._deletions = machines, tracker, deletions
        self._leftovers = leftovers

    def status_changes(self, unit: Unit) -> Transaction[Any] | None:
        """The writes of the receiver of status events, for the transaction of a unit."""
        if unit.execution.express or (on_status := self._tasks.on_status) is None:
            return None
        events = status_events(unit, self._home, self._limits)
        if not events:
            return None
        try:
            return on_status(events)
        except Exception:
            log.exception("%r failed; the engine continues", on_status)
            return None

    def committed(self, live: Live, unit: Unit) -> None:
        """A unit is durable."""
        x = unit.execution
        self._tracker.committed(x)
        if unit.map_runs:
            self._leftovers.committed(unit)
        if self._machines.deleting:
            self._deletions.committed(live, unit)
        if x.extras and self.log_sink is not None and "logging" in x.extras:
            events = execution_logs.log_events(unit, x.extras["logging"], self._limits)
            try:
                self.log_sink.write(events)
            except Exception:
                log.exception("%r failed; the engine continues", self.log_sink.write)
        if self.trace_sink is not None:
            self.trace_sink.write(unit)
