"""class Engine: the operations of the Step Functions API as async Python methods. It is the main
class of the library.

    async with Engine("stepwell.db", tasks=Registry(functions={"charge": charge})) as engine:
        machine = await engine.create_state_machine("order", definition_text)
        started = await engine.start_execution(machine["stateMachineArn"], input={"id": 1})
        ended = await engine.wait(started["executionArn"])

Answers are dicts with the names of the API (boto3's), times are epoch seconds, JSON payloads are
text; inputs may also be Python values. Errors of the API are ApiError with AWS's code and text. A
method returns only after what it reports is durable.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, nullcontext
from os import PathLike
from typing import Any, Final, Self

from stepwell.asl import json_text
from stepwell.engine.arns import Home
from stepwell.engine.clock import Clock, SystemClock
from stepwell.engine.core import model
from stepwell.engine.delegation import delegated
from stepwell.engine.errors import ExecutionFailedError, StoreError
from stepwell.engine.ids import uuids
from stepwell.engine.inputs import Definition, JsonInput, json_text_of
from stepwell.engine.limits import DEFAULT_LIMITS, Limits
from stepwell.engine.machines.caches import DefinitionCaches
from stepwell.engine.machines.deletions import Deletions
from stepwell.engine.machines.naming import Namings
from stepwell.engine.machines.programs import Programs
from stepwell.engine.machines.rows import MachineRows
from stepwell.engine.map_runs.children import Children
from stepwell.engine.map_runs.leftovers import Leftovers
from stepwell.engine.map_runs.orphans import end_orphans
from stepwell.engine.map_runs.streams import Streams
from stepwell.engine.observers.commit_events import CommitEvents
from stepwell.engine.observers.trace_context import TraceSink
from stepwell.engine.observers.tracker import Tracker
from stepwell.engine.operations.activities import Activities, TaskTokens
from stepwell.engine.operations.base import Base, NoTasks
from stepwell.engine.operations.executions.ends import Ends
from stepwell.engine.operations.executions.indexing import Indexer
from stepwell.engine.operations.executions.redrive import Redrives
from stepwell.engine.operations.executions.starts import Starts
from stepwell.engine.operations.machines.state_machines import StateMachines
from stepwell.engine.operations.machines.versions import Versions
from stepwell.engine.operations.map_runs import MapRunUpdates
from stepwell.engine.operations.paging import Pages
from stepwell.engine.operations.reading.executions import Executions
from stepwell.engine.operations.reading.histories import Histories
from stepwell.engine.operations.reading.machines import Machines
from stepwell.engine.operations.reading.map_runs import MapRuns
from stepwell.engine.operations.reading.searches import Searches
from stepwell.engine.operations.tags import Tags
from stepwell.engine.operations.test_state.operation import TestStates
from stepwell.engine.operations.timers import Timers
from stepwell.engine.runtime.activity_queues import ActivityQueues
from stepwell.engine.runtime.execution_logs import LogSink
from stepwell.engine.runtime.records import Records
from stepwell.engine.runtime.retention import Retention
from stepwell.engine.runtime.worker import Worker
from stepwell.engine.sharding import Shard
from stepwell.engine.store.base import Store
from stepwell.engine.store.opening import open_store
from stepwell.engine.supervisor import Supervisor
from stepwell.engine.tasks import Tasks
from stepwell.engine.virtual_clock import VirtualClock
from stepwell.engine.virtual_clock.activity import WorkerActivity

_HASH_CHARS: Final = 16


class Engine:
    """Runs state machines durably.

    db         a file's path, ":memory:", or the URL of a database (see store/opening.py)
    tasks      resolves Task resources: Registry(functions={"name": callable}) of
               stepwell.integrations.tasks.registry; without it no Task can run
    store      in place of `db`: another Store
    shard      of a database in PostgreSQL: which one this engine works on; None: the first
    clock      the time and the alarms of the engine; SystemClock if None. A VirtualClock skips
               the time that executions wait for
    limits     DEFAULT_LIMITS if None
    region, account  of all ARNs
    new_uuid   returns a random UUID as text, for names and the seeds of executions
    log_sink   where the logs of machines with a loggingConfiguration go
               (stepwell.integrations.log_sink); without it nowhere
    trace_sink where traces go (stepwell.integrations.tracing); without it nowhere

    Attributes for the embedded services and the server: worker, records, virtual (the clock, if it
    is a VirtualClock) and activity (what that follows), supervisor (of background loops), on_open
    (called when the store is open and nothing runs yet).

    Where other engines work on other shards, also

    on_definitions_changed  home: awaited after each write of a state machine (also of its versions,
                            aliases and tags) or activity with its ARN, before the answer: calls
                            forget_definitions(ARN) of all shards that have an owner
    on_deletion             not home: awaited with the ARN of a state machine that is being deleted
                            and that nothing seems to run any more: calls finish_deletion() of home
    """

    def __init__(
        self,
        db: str | PathLike[str] = ":memory:",
        *,
        tasks: Tasks | None = None,
        store: Store | None = None,
        shard: Shard | None = None,
        clock: Clock | None = None,
        limits: Limits | None = None,
        region: str = "us-east-1",
        account: str = "123456789012",
        new_uuid: Callable[[], str] | None = None,
        log_sink: LogSink | None = None,
        trace_sink: TraceSink | None = None,
    ) -> None:
        limits = limits or DEFAULT_LIMITS
        self.virtual = clock if isinstance(clock, VirtualClock) else None
        self.limits = limits = limits if self.virtual is None else self.virtual.limits(limits)
        self.home, self.tasks = Home(region, account), tasks or NoTasks()
        self.clock = clock or SystemClock(limits)
        inline = self.virtual is not None
        self.store: Store = store or open_store(db, limits=limits, shard=shard, inline=inline)
        self.supervisor = Supervisor(self.clock, limits, self._ended)
        self.on_open: list[Callable[[], Awaitable[object]]] = []
        self.on_definitions_changed: Callable[[str], Awaitable[None]] = _nothing
        self.on_deletion: Callable[[str], Awaitable[None]] = _nothing
        self._compose(new_uuid or uuids(), log_sink, trace_sink)
        self.tasks.connect(self)

    def _compose(
        self,
        new_uuid: Callable[[], str],
        log_sink: LogSink | None,
        trace_sink: TraceSink | None,
    ) -> None:
        store, clock, limits, queues = self.store, self.clock, self.limits, ActivityQueues()
        self.pages = Pages(store.secret, clock)
        self._programs = Programs(store, limits)
        machines = MachineRows(store, limits.programs, new_uuid, self._definitions_changed)
        self.worker = worker = Worker(
            store, clock, self.tasks, self._programs.program, queues, limits
        )
        self.namings = namings = Namings(worker, self._definitions_changed)
        machines.before = namings.noticed
        self.activity = WorkerActivity(worker)
        self.records = Records(store, worker)
        self.tracker = tracker = Tracker(store, limits, worker.check)
        self.retention = Retention(store, clock, limits, self.supervisor, tracker, worker)
        self.deletions = Deletions(machines, tracker, worker, self.supervisor, self._tell_home)
        children = Children(store, clock, limits, new_uuid, worker, self.retention)
        leftovers = Leftovers(store, limits, self.supervisor)
        self.events = events = CommitEvents(
            *(self.home, limits, self.tasks, log_sink, trace_sink),
            *(machines, tracker, self.deletions, leftovers),
        )
        if trace_sink is not None:
            worker.attempts.context = trace_sink.context
        worker.start_child, worker.also_store = children.start, events.status_changes
        worker.on_commit, worker.on_failure = events.committed, self._failed
        base = Base(
            store=store,
            clock=clock,
            limits=limits,
            home=self.home,
            tasks=self.tasks,
            new_uuid=new_uuid,
            pages=self.pages,
            programs=self._programs,
            machines=machines,
            worker=worker,
            tracker=tracker,
        )
        self._compose_operations(base, queues, namings)

    def _compose_operations(self, base: Base, queues: ActivityQueues, namings: Namings) -> None:
        worker, deletions = self.worker, self.deletions
        self.activities, self.task_tokens = Activities(base, queues), TaskTokens(base)
        self.machines, self.versions = Machines(base), Versions(base)
        self.machine_changes = StateMachines(base, deletions)
        known = self.activities
        self.caches = DefinitionCaches(
            *(base.machines, deletions, namings, self.tracker, worker),
            *(known.reload, known.reread),
        )
        self.tags = Tags(base, self.activities)
        held = nullcontext if self.virtual is None else self.activity.held
        self.starts, self.histories = Starts(base, held), Histories(base)
        self.searches = Searches(base)
        self.indexer = Indexer(base, namings, self.supervisor)
        self.map_runs = MapRuns(base)
        self.map_run_updates = MapRunUpdates(base, self.map_runs)
        self.executions, self.ends = Executions(base, self.map_runs), Ends(base)
        self.redrives = Redrives(base, self.executions, self.retention)
        failed = self.map_runs.failed_children
        self.streams = Streams(self.store, self.tasks, self.limits, failed, worker.park)
        worker.attempts.map_run = self.streams.handler
        self.test_states, self.timers = TestStates(base, self.records), Timers(base)

    # --- life -------------------------------------------------------------------------------------

    async def open(self) -> Self:
        """Open the store and resume everything that it holds."""
        await self.store.open()
        try:
            await self.activities.reload()
            await self.deletions.open()
            await self.namings.open()
            self.clock.raise_to(await self.store.clock())
            for each in self.on_open:
                await each()
            await self.worker.start()
            self.worker.spawn(end_orphans(self.worker))
            self.deletions.resume()
            await self.indexer.resume()
            await self.retention.open()
            if self.virtual is not None:
                self.worker.timers.moved = self.virtual.look
                self.virtual.follow(self.activity)
        except BaseException:
            await self.store.close()
            raise
        return self

    async def close(self) -> None:
        """Stop. All acknowledged work is durable; the next open() repeats effects in flight. A part
        that raises does not keep the others open, the store's lock least of all.
        """
        if self.virtual is not None:
            self.virtual.leave(self.activity)
        self.retention.close()
        async with AsyncExitStack() as parts:  # the last one is closed first
            parts.push_async_callback(self.store.close)
            parts.push_async_callback(self.supervisor.close)
            if self.events.trace_sink is not None:
                parts.push_async_callback(self.events.trace_sink.close)
            if self.events.log_sink is not None:
                parts.push_async_callback(self.events.log_sink.close)
            parts.push_async_callback(self.tasks.close)
            parts.push_async_callback(self.streams.close)
            parts.push_async_callback(self.worker.close)

    @property
    def shard(self) -> Shard:
        return self.store.shard

    async def __aenter__(self) -> Self:
        return await self.open()

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def _failed(self, error: BaseException, execution_id: int | None) -> None:
        """The store failed, or one execution is parked: callers that wait for it get the error."""
        self.tracker.failed(error, execution_id)
        if execution_id is None:
            self.activities.queues.fail(error)

    async def _definitions_changed(self, arn: str) -> None:
        await self.on_definitions_changed(arn)

    async def _tell_home(self, arn: str) -> None:
        await self.on_deletion(arn)

    def _ended(self, error: Exception) -> bool:
        """Whether background loops end after an error: the engine is closing, or the store has
        failed, which a loop may notice first.
        """
        try:
            self.worker.check()
        except StoreError:
            return True
        try:
            self.store.check()
        except StoreError as failure:
            self.worker.fail(failure)
            return True
        return False

    # --- operations -------------------------------------------------------------------------------

    async def run(
        self, machine: Definition, input: JsonInput = "{}", *, timeout: float | None = None
    ) -> Any:
        """Run a Standard state machine to its end. Returns its output as a Python value; raises
        ExecutionFailedError if it has none.

        machine  a definition (a dict or JSON text; it is kept as the state machine run-HASH), or
                 the ARN of a state machine
        timeout  seconds, then TimeoutError; the execution continues
        """
        arn = json_text_of(machine, "machine")
        if not arn.startswith("arn:"):
            name = f"run-{hashlib.sha256(arn.encode()).hexdigest()[:_HASH_CHARS]}"
            arn = (await self.create_state_machine(name, arn))["stateMachineArn"]
        started = await self.start_execution(arn, input=input)
        ended = await self.wait(started["executionArn"], timeout)
        if ended["status"] != model.SUCCEEDED:
            raise ExecutionFailedError(ended)
        return json_text.loads(ended["output"])

    forget_definitions = delegated("caches", DefinitionCaches.forget)
    finish_deletion = delegated("deletions", Deletions.finish)

    create_state_machine = delegated("machine_changes", StateMachines.create_state_machine)
    update_state_machine = delegated("machine_changes", StateMachines.update_state_machine)
    describe_state_machine = delegated("machines", Machines.describe_state_machine)
    list_state_machines = delegated("machines", Machines.list_state_machines)
    delete_state_machine = delegated("machine_changes", StateMachines.delete_state_machine)
    validate_state_machine_definition = delegated(
        "machine_changes", StateMachines.validate_state_machine_definition
    )
    machine_extras = delegated("machines", Machines.machine_extras)
    program = delegated("_programs", Programs.program)

    publish_state_machine_version = delegated("versions", Versions.publish_state_machine_version)
    list_state_machine_versions = delegated("versions", Versions.list_state_machine_versions)
    delete_state_machine_version = delegated("versions", Versions.delete_state_machine_version)
    create_state_machine_alias = delegated("versions", Versions.create_state_machine_alias)
    update_state_machine_alias = delegated("versions", Versions.update_state_machine_alias)
    describe_state_machine_alias = delegated("versions", Versions.describe_state_machine_alias)
    list_state_machine_aliases = delegated("versions", Versions.list_state_machine_aliases)
    delete_state_machine_alias = delegated("versions", Versions.delete_state_machine_alias)

    tag_resource = delegated("tags", Tags.tag_resource)
    untag_resource = delegated("tags", Tags.untag_resource)
    list_tags_for_resource = delegated("tags", Tags.list_tags_for_resource)

    start_execution = delegated("starts", Starts.start_execution)
    start_nested_execution = delegated("starts", Starts.start_nested_execution)
    start_sync_execution = delegated("starts", Starts.start_sync_execution)
    watch_express_execution = delegated("starts", Starts.watch_express_execution)
    expect_express = delegated("starts", Starts.expect_express)

    describe_execution = delegated("executions", Executions.describe_execution)
    describe_state_machine_for_execution = delegated(
        "executions", Executions.describe_state_machine_for_execution
    )
    list_executions = delegated("executions", Executions.list_executions)
    search_executions = delegated("searches", Searches.search_executions)
    index_executions = delegated("indexer", Indexer.index_executions)
    describe_execution_index = delegated("indexer", Indexer.describe_execution_index)
    list_all_executions = delegated("executions", Executions.list_all_executions)
    fire_timer = delegated("timers", Timers.fire_timer)
    advance_time = delegated("timers", Timers.advance_time)
    stop_execution = delegated("ends", Ends.stop_execution)
    redrive_execution = delegated("redrives", Redrives.redrive_execution)
    wait = delegated("ends", Ends.wait)
    inspect_execution = delegated("executions", Executions.inspect_execution)
    inspect_machine = delegated("executions", Executions.inspect_machine)
    parked_executions = delegated("executions", Executions.parked_executions)
    list_parked_executions = delegated("executions", Executions.list_parked_executions)

    get_execution_history = delegated("histories", Histories.get_execution_history)
    watch = delegated("histories", Histories.watch)
    watch_pages = delegated("histories", Histories.watch_pages)
    inspect_history = delegated("histories", Histories.inspect_history)
    history_event = delegated("histories", Histories.history_event)

    list_map_runs = delegated("map_runs", MapRuns.list_map_runs)
    describe_map_run = delegated("map_runs", MapRuns.describe_map_run)
    update_map_run = delegated("map_run_updates", MapRunUpdates.update_map_run)
    exported_execution = delegated("map_runs", MapRuns.exported_execution)

    create_activity = delegated("activities", Activities.create_activity)
    delete_activity = delegated("activities", Activities.delete_activity)
    describe_activity = delegated("activities", Activities.describe_activity)
    list_activities = delegated("activities", Activities.list_activities)
    get_activity_task = delegated("activities", Activities.get_activity_task)
    send_task_success = delegated("task_tokens", TaskTokens.send_task_success)
    send_task_failure = delegated("task_tokens", TaskTokens.send_task_failure)
    send_task_heartbeat = delegated("task_tokens", TaskTokens.send_task_heartbeat)

    test_state = delegated("test_states", TestStates.test_state)


async def _nothing(*_: object) -> None:
    """The hook of an engine that works alone."""
