"""class SyncEngine: the operations of Engine as plain calls, for scripts and notebooks.

    with SyncEngine("stepwell.db") as engine:
        print(engine.run(definition, {"id": 1}))

The engine runs on an event loop in a thread of its own: executions continue between the calls, and
it works where a loop runs already (notebooks). Calls are allowed from any thread.
"""

from __future__ import annotations

import asyncio
import functools
import threading
from collections.abc import Callable, Coroutine, Iterator
from os import PathLike
from typing import Any, Concatenate, Final, ParamSpec, Self, TypeVar

from stepwell.engine.engine import Engine
from stepwell.engine.errors import EngineError
from stepwell.engine.operations.results import HistoryEvent
from stepwell.engine.tasks import Tasks

CLOSING_SECONDS: Final = 1.0
# in virtual time: operations that wait for executions, and the beginnings of the names of those
# after which a client continues
_WAITS: Final = ("run", "wait", "advance_time", "start_sync_execution", "get_activity_task")
_CHANGES: Final = ("create", "update", "start_execution", "stop", "redrive", "send", "delete")
P = ParamSpec("P")
T = TypeVar("T")


def _plain(
    operation: Callable[Concatenate[Engine, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate[SyncEngine, P], T]:
    """An operation of Engine as a plain method, with its signature and docstring."""

    name = operation.__name__

    @functools.wraps(operation)
    def method(self: SyncEngine, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return self._call(
            lambda: operation(self.engine, *args, **kwargs),
            waits=name in _WAITS,
            changes=name.startswith(_CHANGES),
        )

    method.__qualname__ = f"SyncEngine.{operation.__name__}"
    return method


class SyncEngine:
    """Runs state machines durably; every operation of `Engine` as a plain call.

    db       a file's path, ":memory:", or the URL of a database
    tasks    resolves Task resources: Registry(functions={"name": callable}) of
             stepwell.integrations.tasks.registry
    options  the others of Engine: region, account, limits, log_sink ...

    It is open once it is created: the executions in its database are resumed. Use it in a `with`
    block, or call close().
    """

    engine: Engine  # to be used on its own event loop only

    def __init__(
        self, db: str | PathLike[str] = ":memory:", *, tasks: Tasks | None = None, **options: Any
    ) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="stepwell", daemon=True)
        self._thread.start()
        try:
            self._call(lambda: self._open(db, tasks, options))
        except BaseException:
            self._stop()
            raise

    def _run(self) -> None:
        self._loop.run_forever()
        if rest := asyncio.all_tasks(
            self._loop
        ):  # calls of other threads: they fail because the engine is closed
            self._loop.run_until_complete(asyncio.wait(rest, timeout=CLOSING_SECONDS))
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._loop.run_until_complete(self._loop.shutdown_default_executor())
        self._loop.close()

    async def _open(
        self, db: str | PathLike[str], tasks: Tasks | None, options: dict[str, Any]
    ) -> None:
        self.engine = Engine(db, tasks=tasks, **options)
        await self.engine.open()

    def close(self) -> None:
        """Stop the engine. Running executions are resumed by the next engine on this database. A
        second call does nothing.
        """
        if self._loop.is_closed():
            return
        try:
            self._call(self.engine.close)
        finally:
            self._stop()

    def _stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _call(
        self,
        operation: Callable[[], Coroutine[Any, Any, T]],
        waits: bool = False,
        changes: bool = False,
    ) -> T:
        if self._loop.is_closed():
            raise EngineError("this SyncEngine is closed: create another one on the same database")
        if threading.current_thread() is self._thread:
            raise EngineError(
                "a SyncEngine cannot be called from an async function that it runs: make the "
                "function a plain `def`"
            )
        if waits or changes:
            operation = functools.partial(self._in_time, operation, waits)
        future = asyncio.run_coroutine_threadsafe(operation(), self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()  # for KeyboardInterrupt
            raise

    async def _in_time(self, operation: Callable[[], Coroutine[Any, Any, T]], waits: bool) -> T:
        """Let a virtual clock know a client that waits, or may go on after its change."""
        virtual = self.engine.virtual
        if virtual is not None and waits:
            virtual.release()
        try:
            return await operation()
        finally:
            if virtual is not None and not waits:
                virtual.hold()

    def watch(self, execution_arn: str, after: int = 0) -> Iterator[HistoryEvent]:
        """Every history event as it is committed, from the one after `after`; ends after the
        last.
        """
        events = self.engine.watch(execution_arn, after)

        async def following() -> HistoryEvent | None:
            return await anext(events, None)

        while (event := self._call(following, waits=True)) is not None:
            yield event

    create_state_machine = _plain(Engine.create_state_machine)
    update_state_machine = _plain(Engine.update_state_machine)
    describe_state_machine = _plain(Engine.describe_state_machine)
    describe_state_machine_for_execution = _plain(Engine.describe_state_machine_for_execution)
    list_state_machines = _plain(Engine.list_state_machines)
    delete_state_machine = _plain(Engine.delete_state_machine)
    validate_state_machine_definition = _plain(Engine.validate_state_machine_definition)
    test_state = _plain(Engine.test_state)
    tag_resource = _plain(Engine.tag_resource)
    untag_resource = _plain(Engine.untag_resource)
    list_tags_for_resource = _plain(Engine.list_tags_for_resource)

    publish_state_machine_version = _plain(Engine.publish_state_machine_version)
    list_state_machine_versions = _plain(Engine.list_state_machine_versions)
    delete_state_machine_version = _plain(Engine.delete_state_machine_version)
    create_state_machine_alias = _plain(Engine.create_state_machine_alias)
    update_state_machine_alias = _plain(Engine.update_state_machine_alias)
    describe_state_machine_alias = _plain(Engine.describe_state_machine_alias)
    list_state_machine_aliases = _plain(Engine.list_state_machine_aliases)
    delete_state_machine_alias = _plain(Engine.delete_state_machine_alias)

    run = _plain(Engine.run)
    start_execution = _plain(Engine.start_execution)
    start_sync_execution = _plain(Engine.start_sync_execution)
    wait = _plain(Engine.wait)
    describe_execution = _plain(Engine.describe_execution)
    list_executions = _plain(Engine.list_executions)
    search_executions = _plain(Engine.search_executions)
    index_executions = _plain(Engine.index_executions)
    describe_execution_index = _plain(Engine.describe_execution_index)
    list_all_executions = _plain(Engine.list_all_executions)
    get_execution_history = _plain(Engine.get_execution_history)
    list_parked_executions = _plain(Engine.list_parked_executions)
    fire_timer = _plain(Engine.fire_timer)
    advance_time = _plain(Engine.advance_time)
    stop_execution = _plain(Engine.stop_execution)
    redrive_execution = _plain(Engine.redrive_execution)

    list_map_runs = _plain(Engine.list_map_runs)
    describe_map_run = _plain(Engine.describe_map_run)
    update_map_run = _plain(Engine.update_map_run)

    create_activity = _plain(Engine.create_activity)
    describe_activity = _plain(Engine.describe_activity)
    list_activities = _plain(Engine.list_activities)
    delete_activity = _plain(Engine.delete_activity)
    get_activity_task = _plain(Engine.get_activity_task)
    send_task_success = _plain(Engine.send_task_success)
    send_task_failure = _plain(Engine.send_task_failure)
    send_task_heartbeat = _plain(Engine.send_task_heartbeat)
