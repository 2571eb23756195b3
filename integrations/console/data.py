"""The data of the console that the AWS API does not have: diagrams, data flows, searches, exports,
and streams of changes.

Answers are JSON, made from the query of a request. Streams are server-sent events without a buffer:
each message is read from the database when the client has taken the previous one. A slow page gets
fewer and longer messages.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import re
from collections import OrderedDict
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import aclosing, contextmanager
from time import perf_counter
from typing import Any, Final

from stepwell.asl import json_text
from stepwell.asl.blocks import every_state
from stepwell.asl.evaluation import Json
from stepwell.engine import arns
from stepwell.engine.core import model
from stepwell.engine.engine import Engine
from stepwell.engine.errors import ApiError
from stepwell.engine.operations.data_flow import DataFlow, as_json, data_flow
from stepwell.engine.operations.executions import shapes
from stepwell.engine.operations.results import HistoryEvent
from stepwell.engine.runtime.live import Live as LiveExecution
from stepwell.engine.store.base import StoreFormatError, Unit
from stepwell.integrations.console import messages
from stepwell.integrations.console.lists import Lists
from stepwell.integrations.console.searches import Searches
from stepwell.integrations.limits import DEFAULT_LIMITS, Limits
from stepwell.visualize import Diagram, RenderError
from stepwell.visualize.live import Live
from stepwell.visualize.words import executions as words

Query = Mapping[str, str]


log: Final = logging.getLogger("stepwell.server")


class Data:
    """answers, streams: the methods, by the names below /console/api/."""

    def __init__(
        self, engine: Engine, lists: Lists, read_only: bool, limits: Limits = DEFAULT_LIMITS
    ) -> None:
        self._engine, self._lists, self._read_only, self._limits = engine, lists, read_only, limits
        self._pictures: OrderedDict[bytes, bytes] = OrderedDict()
        # drawing and evaluating take long: one of each at a time, in a thread
        self._drawing, self._evaluating = asyncio.Lock(), asyncio.Lock()
        self._changes = Changes(engine, limits)
        self._searches = Searches(engine, limits)
        self.answers: Mapping[str, Callable[[Query], Awaitable[bytes]]] = {
            "info": self.info,
            "limits": self.limits,
            "diagram": self.diagram,
            "expect": self.expect,
            "look": self.look,
            "parked": self.parked,
            "state": self.state,
            "inspect": self.inspect,
            "event": self.event,
            "search": self.search,
            "listing": self.listing,
            "thing": self.thing,
            "deliveries": self.deliveries,
        }
        self.streams: Mapping[str, Callable[[Query], AsyncGenerator[bytes, None]]] = {
            "watch": self.watch,
            "changes": self.changes,
        }

    # --- answers ----------------------------------------------------------------------------------

    async def info(self, query: Query) -> bytes:
        """The region and account, whether the page offers actions, and its lists of services."""
        home = self._engine.home
        return _json(
            {
                "region": home.region,
                "account": home.account,
                "readOnly": self._read_only,
                "listings": self._lists.titles(),
            }
        )

    async def limits(self, query: Query) -> bytes:
        """{"limits": [{"name", "value", "default"}]}: those in force."""
        pairs = ((each, getattr(self._limits, each)) for each in Limits.__dataclass_fields__)
        return _json(
            {
                "limits": [
                    {"name": name, "value": value, "default": getattr(DEFAULT_LIMITS, name)}
                    for name, value in pairs
                ]
            }
        )

    async def expect(self, query: Query) -> bytes:
        """{}. Announces that the page will start and watch the synchronous Express execution of
        this name.
        """
        self._engine.expect_express(arns.check_name(_need(query, "name"), self._limits.name_chars))
        return _json({})

    async def look(self, query: Query) -> bytes:
        """DescribeExecution's answer, also for a watched Express execution."""
        return _json(await self._engine.inspect_execution(_need(query, "arn")))

    async def parked(self, query: Query) -> bytes:
        """{"parked"?}: why a running execution is parked, as text."""
        reason = (await self._engine.parked_executions()).get(_need(query, "arn"))
        return _json({} if reason is None else {"parked": words.parked(reason)})

    async def diagram(self, query: Query) -> bytes:
        """{"svg", "ids": {state: id of its element}, "collapsed"}: the diagram of a machine, a
        version, an alias or the definition of an execution.

        collapse: names of Parallel and Map states that are drawn collapsed, one on each line
        """
        definition = await self._definition(_need(query, "arn"))
        collapse = query.get("collapse", "").split("\n")
        key = hashlib.sha256(json.dumps([definition, sorted(collapse)]).encode()).digest()
        if key not in self._pictures:
            async with self._drawing:
                if key not in self._pictures:
                    self._pictures[key] = await asyncio.to_thread(
                        _picture, definition, collapse, self._limits
                    )
                while len(self._pictures) > self._limits.console_pictures:
                    self._pictures.popitem(last=False)
        self._pictures.move_to_end(key)
        return self._pictures[key]

    async def _definition(self, arn: str) -> str:
        """The JSON text of the definition of a machine, a version, an alias or an execution."""
        if ":execution:" in arn or ":express:" in arn:
            described, _ = await self._engine.inspect_machine(arn)
            definition: Any = json_text.loads(described["definition"])
            definition.pop("ProcessorConfig", None)  # of the child of a Map Run
            return json_text.dumps(definition)
        if arn.count(":") > 6 and not arn.rpartition(":")[2].isdigit():
            routes = (await self._engine.describe_state_machine_alias(arn))["routingConfiguration"]
            arn = routes[0]["stateMachineVersionArn"]
        found: str = (await self._engine.describe_state_machine(arn))["definition"]
        return found

    async def state(self, query: Query) -> bytes:
        """{"definition"}: the JSON text of one state of a machine, a version, an alias or an
        execution.
        """
        definition = json_text.loads(await self._definition(_need(query, "arn")))
        found = dict(every_state(definition)).get(_need(query, "state"))
        if found is None:
            raise ApiError("NotFound", messages.NOT_FOUND)
        return _json({"definition": json_text.dumps(found)})

    async def inspect(self, query: Query) -> bytes:
        """data_flow.as_json's answer for a visit (from 1; without it, the last one) of a state,
        with every value as JSON text.
        """
        arn, state, visit = _need(query, "arn"), _need(query, "state"), query.get("visit", "")
        described = await self._engine.inspect_execution(arn)
        pinned, definition_id = await self._engine.inspect_machine(arn)
        definition = json_text.loads(pinned["definition"])
        program = await self._engine.program(definition_id)
        async with self._evaluating:
            events: list[HistoryEvent] = []
            async for event in self._engine.inspect_history(arn):
                if len(events) >= self._limits.console_events:
                    text = messages.HISTORY_TOO_LONG.format(limit=self._limits.console_events)
                    raise ApiError("HistoryTooLong", text)
                events.append(event)
            try:
                flow = await asyncio.to_thread(
                    data_flow,
                    program,
                    definition,
                    described,
                    events,
                    state,
                    int(visit) if visit else None,
                )
            except LookupError as fault:
                raise ApiError("NotFound", fault.args[0]) from None
        return await asyncio.to_thread(_inspected, flow)

    async def event(self, query: Query) -> bytes:
        """One event of a history, as in GetExecutionHistory."""
        event = await self._engine.history_event(_need(query, "arn"), _number(query, "id"))
        if event is None:
            raise ApiError("NotFound", messages.NOT_FOUND)
        return _json(event)

    async def search(self, query: Query) -> bytes:
        """See searches.py."""
        return _json(await self._searches.search(query, _number(query, "limit", 50)))

    async def listing(self, query: Query) -> bytes:
        """The list of an embedded service; this and the next two: see lists.py."""
        return _json(await self._lists.listing(_need(query, "service")))

    async def thing(self, query: Query) -> bytes:
        return _json(await self._lists.thing(_need(query, "service"), _need(query, "arn")))

    async def deliveries(self, query: Query) -> bytes:
        return _json(self._lists.deliveries(_need(query, "service"), query.get("arn", "")))

    async def export(self, query: Query) -> tuple[AsyncGenerator[bytes, None], str]:
        """The parts of a JSON document with an execution and its whole history, and the name of
        its file.
        """
        arn = _need(query, "arn")
        described = await self._engine.inspect_execution(arn)
        return self._exported(arn, described), re.sub(
            r"[^A-Za-z0-9._-]+", "-", described["name"]
        ) + ".json"

    async def _exported(
        self, arn: str, described: Mapping[str, Any]
    ) -> AsyncGenerator[bytes, None]:
        yield b'{"execution": ' + _json(described) + b',\n"events": ['
        between = b"\n"
        async for event in self._engine.inspect_history(arn):
            yield between + _json(event)
            between = b",\n"
        yield b"\n]}\n"

    # --- streams ----------------------------------------------------------------------------------

    async def watch(self, query: Query) -> AsyncGenerator[bytes, None]:
        """_watch's messages. If the definition or the history cannot be read, the last one has the
        type `damaged`: {"message"}.
        """
        try:
            async with aclosing(self._watch(query)) as parts:
                async for part in parts:
                    yield part
        except StoreFormatError as error:
            log.error("%s: %s", query.get("arn"), error)
            yield _message({"message": str(error)}, type="damaged")

    async def _watch(self, query: Query) -> AsyncGenerator[bytes, None]:
        """An execution's events after an id, with the changes that they make (visualize/live.py).
        The first message has all states and visits; the last one has the type `end`, or `full`
        after `console_events`: {"message"}.

        data: {"whole", "clock", "rows", ...changes}; clock: the server's time
        """
        arn, after = _need(query, "arn"), _number(query, "after")
        definition, collapse = await self._definition(arn), query.get("collapse", "").split("\n")
        live = Live(
            await asyncio.to_thread(
                lambda: Diagram(definition, collapse=collapse, limits=self._limits).graph
            )
        )
        yield b"retry: 1000\n\n"
        whole = True
        async with aclosing(
            _ticking(
                self._engine.watch_pages(arn, 0, data_of=live.data_of),
                lambda: bool(live.uncounted()),
            )
        ) as pages:
            async for page in pages:
                began = perf_counter()
                rows = [row for row in live.feed(page) if row[0] > after]
                counted = await self._count(live)
                if rows or (counted and not whole):
                    clock = self._engine.clock.now() / 1000
                    message = {"whole": whole, "clock": clock, "rows": rows}
                    last = page[-1]["id"] if page else None
                    yield _message(
                        message | (live.everything() if whole else live.changes()), id=last
                    )
                    whole = False
                if page and page[-1]["id"] >= self._limits.console_events:
                    text = messages.HISTORY_CUT.format(limit=self._limits.console_events)
                    yield _message({"message": text}, type="full")
                    return
                spent = perf_counter() - began
                await asyncio.sleep(
                    0
                    if len(page) == self._limits.history_page
                    else max(self._limits.console_pace_seconds, 9 * spent)
                )
        yield _message({}, type="end")

    async def _count(self, live: Live) -> bool:
        """Count the items of running Map Runs, of at most `console_map_runs`. Whether there were
        any.
        """
        map_runs = live.uncounted()[: self._limits.console_map_runs]
        for each in map_runs:
            live.count(each, await self._engine.describe_map_run(each))
        return bool(map_runs)

    async def changes(self, query: Query) -> AsyncGenerator[bytes, None]:
        """Executions that started or ended, of a machine or of all.

        data: {"executions": [items of ListExecutions], "more"}; more: there were too many
        """
        with self._changes.subscribed(query.get("machine")) as subscription:
            yield b"retry: 1000\n\n"
            while True:
                yield _message(await subscription.take())
                await asyncio.sleep(max(self._limits.console_pace_seconds, 0.25))


class Subscription:
    """The changes that one page has not received yet: the latest of each execution, and whether
    there were more than `limit`.
    """

    def __init__(self, machine: str | None, limit: int) -> None:
        self._machine, self._limit = machine, limit
        self._items: OrderedDict[str, Json] = OrderedDict()  # by the execution's ARN
        self._more = False
        self._changed = asyncio.Event()

    def add(self, x: model.Execution) -> None:
        if self._machine in (None, x.machine_arn):
            self._items.pop(x.arn, None)
            self._items[x.arn] = shapes.execution_item(x)
            if len(self._items) > self._limit:
                self._items.popitem(last=False)
                self._more = True
            self._changed.set()

    async def take(self) -> dict[str, Json]:
        """Wait for changes, and remove them."""
        await self._changed.wait()
        changes: dict[str, Json] = {"executions": list(self._items.values()), "more": self._more}
        self._items, self._more = OrderedDict(), False
        self._changed.clear()
        return changes


class Changes:
    """Informs subscribers of executions that start and end. It observes commits only while there
    are subscribers.
    """

    def __init__(self, engine: Engine, limits: Limits) -> None:
        self._worker, self._limits = engine.worker, limits
        self._subscriptions: set[Subscription] = set()
        self._then: Callable[[LiveExecution, Unit], None] | None = None

    @contextmanager
    def subscribed(self, machine: str | None) -> Iterator[Subscription]:
        """machine: ARN of the one whose executions are reported; None: all."""
        subscription = Subscription(machine, self._limits.console_changed)
        self._subscriptions.add(subscription)
        if self._then is None:
            self._then, self._worker.on_commit = self._worker.on_commit, self._committed
        try:
            yield subscription
        finally:
            self._subscriptions.discard(subscription)
            if not self._subscriptions:
                self._worker.on_commit, self._then = self._then, None

    def _committed(self, live: LiveExecution, unit: Unit) -> None:
        assert self._then is not None
        self._then(live, unit)
        x = unit.execution
        if (
            not x.express
            and x.parent is None
            and (unit.created or x.status != model.RUNNING or "redrives" in x.extras)
        ):
            for each in self._subscriptions:
                each.add(x)


async def _ticking(
    pages: AsyncIterator[list[HistoryEvent]], ticks: Callable[[], bool]
) -> AsyncGenerator[list[HistoryEvent], None]:
    """The pages as they come; while ticks() is true, also an empty page each second, and after the
    last one.
    """
    coming = asyncio.ensure_future(anext(pages, None))
    try:
        while True:
            await asyncio.wait((coming,), timeout=1 if ticks() else None)
            page = coming.result() if coming.done() else []
            if page is None:
                break
            if coming.done():
                coming = asyncio.ensure_future(anext(pages, None))
            yield page
        if ticks():
            yield []
    finally:
        coming.cancel()
        await asyncio.gather(coming, return_exceptions=True)


def _picture(definition: str, collapse: list[str], limits: Limits) -> bytes:
    try:
        diagram = Diagram(definition, collapse=collapse, limits=limits)
        ids = {name: node.id for name, node in diagram.graph.states.items()}
        return _json({"svg": diagram.svg(style=False), "ids": ids, "collapsed": collapse})
    except RenderError as fault:
        raise ApiError("NotImplemented", str(fault)) from None


def _need(query: Query, name: str) -> str:
    if not query.get(name):
        raise ApiError("ValidationException", f"{name} is missing.")
    return query[name]


def _number(query: Query, name: str, default: int = 0) -> int:
    text = query.get(name) or str(default)
    if not (text.isascii() and text.isdigit() and len(text) < 16):
        raise ApiError("ValidationException", f"{name} is not a number.")
    return int(text)


def _inspected(flow: DataFlow) -> bytes:
    """See Data.inspect(). Encoded value by value: nothing else runs while one is encoded."""
    shown = as_json(flow)
    shown["input"], shown["output"] = flow.visit.input, flow.visit.output
    variables = {name: json_text.dumps(value) for name, value in shown.pop("variables").items()}
    stages = []
    for stage in shown.pop("stages"):
        texts = {name: json_text.dumps(stage[name]) for name in ("field", "value") if name in stage}
        stages.append(_object({name: _json(value) for name, value in (stage | texts).items()}))
    return _object(
        {name: _json(value) for name, value in shown.items()}
        | {"variables": _object({name: _json(value) for name, value in variables.items()})}
        | {"stages": b"[%b]" % b",".join(stages)}
    )


def _object(members: Mapping[str, bytes]) -> bytes:
    """Of JSON texts."""
    return b"{%b}" % b",".join(b"%b:%b" % (_json(name), text) for name, text in members.items())


def _json(value: Any) -> bytes:
    """ASCII, because texts of users may have any character."""
    return json.dumps(value, separators=(",", ":"), default=str).encode()


def _message(data: Any, id: int | None = None, type: str | None = None) -> bytes:
    head = (f"id: {id}\n" if id is not None else "") + (f"event: {type}\n" if type else "")
    return head.encode() + b"data: " + _json(data) + b"\n\n"
