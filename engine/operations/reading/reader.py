"""class Reader: what is committed in a store, by operations of the API that read. It works
beside the process that works on the database, or without one.

It imports neither the worker nor the language, which take most of a second to start with: a command
that lists executions needs neither.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stepwell.engine.arns import Home
from stepwell.engine.clock import SystemClock
from stepwell.engine.delegation import delegated
from stepwell.engine.ids import uuids
from stepwell.engine.limits import Limits
from stepwell.engine.machines.rows import MachineRows
from stepwell.engine.observers.tracker import Tracker
from stepwell.engine.operations.paging import Pages
from stepwell.engine.operations.reading.base import ReadingBase
from stepwell.engine.operations.reading.executions import Executions
from stepwell.engine.operations.reading.histories import Histories
from stepwell.engine.operations.reading.machines import Machines
from stepwell.engine.operations.reading.map_runs import MapRuns
from stepwell.engine.operations.reading.searches import Searches
from stepwell.engine.store.base import Store

if TYPE_CHECKING:
    from stepwell.asl.program import Program


class Reader:
    """store  an open one; home: of its ARNs. The operations are Engine's."""

    def __init__(self, store: Store, home: Home, limits: Limits) -> None:
        self.store, self.home, self.limits = store, home, limits
        self.clock = SystemClock(limits)
        base = ReadingBase(
            store=store,
            clock=self.clock,
            limits=limits,
            home=home,
            pages=Pages(store.secret, self.clock),
            machines=MachineRows(store, 0, uuids(), _unchanged),
            tracker=Tracker(store, limits, store.check),
        )
        self.machines, self.map_runs = Machines(base), MapRuns(base)
        self.executions = Executions(base, self.map_runs)
        self.histories, self.searches = Histories(base), Searches(base)

    async def program(self, definition_id: int) -> Program:
        """The compiled definition that executions are pinned to."""
        from stepwell.engine.machines.programs import Programs

        return await Programs(self.store, self.limits).program(definition_id)

    describe_state_machine = delegated("machines", Machines.describe_state_machine)
    list_state_machines = delegated("machines", Machines.list_state_machines)

    describe_execution = delegated("executions", Executions.describe_execution)
    describe_state_machine_for_execution = delegated(
        "executions", Executions.describe_state_machine_for_execution
    )
    list_executions = delegated("executions", Executions.list_executions)
    list_all_executions = delegated("executions", Executions.list_all_executions)
    search_executions = delegated("searches", Searches.search_executions)
    inspect_execution = delegated("executions", Executions.inspect_execution)
    inspect_machine = delegated("executions", Executions.inspect_machine)
    parked_executions = delegated("executions", Executions.parked_executions)
    list_parked_executions = delegated("executions", Executions.list_parked_executions)

    get_execution_history = delegated("histories", Histories.get_execution_history)
    inspect_history = delegated("histories", Histories.inspect_history)

    list_map_runs = delegated("map_runs", MapRuns.list_map_runs)
    describe_map_run = delegated("map_runs", MapRuns.describe_map_run)


async def _unchanged(_: str) -> None:
    """Readers write no state machine."""
