"""History events -> what a picture shows of an execution: how each state stands, which way was taken, how often, how long. Pure.

The history is AWS's (GetExecutionHistory, its export, or ours); Visits reads it. A state that was visited often shows its last visit;
inside a Map, the last visit of each iteration counts: one that runs makes it running, then one that failed makes it failed, and so on.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from statistics import median
from typing import Any, Final

from stepwell.asl import jsontext
from stepwell.asl import visits as v
from stepwell.asl.visits import Visit, Visits, details
from stepwell.visualize.choices import Choices
from stepwell.visualize.graph import Edge
from stepwell.visualize.theme import ABORTED, CAUGHT, FAILED, NOT_RUN, RUNNING, SUCCEEDED, TIMED_OUT
from stepwell.visualize.words import count, printable, took

_STATUS: Final = {
    v.RUNNING: RUNNING,
    v.FAILED: FAILED,
    v.TIMED_OUT: TIMED_OUT,
    v.ABORTED: ABORTED,
    v.CAUGHT: CAUGHT,
    v.SUCCEEDED: SUCCEEDED,
}  # the first that any iteration has is the state's
_BAR_CELLS: Final = 10
_ERROR_CHARS: Final = 40


def read_history(text: str | bytes) -> list[dict[str, Any]]:
    """The events in a file: the answer of GetExecutionHistory, an array of events, or one event a line.

    Times may be epoch seconds or ISO 8601, the order may be reversed. Raises ValueError with what is wrong for people.
    """
    text = text.decode() if isinstance(text, bytes) else text
    try:
        given = jsontext.loads(text)
    except jsontext.JsonFault as fault:
        try:
            given = [jsontext.loads(line) for line in text.splitlines() if line.strip()]
        except jsontext.JsonFault:
            raise ValueError(f"not JSON: {fault.message}") from None
    if isinstance(given, dict):
        given = given.get("events", [given])
    if not isinstance(given, list):
        raise ValueError('not a history: an object with "events", an array of events, or one event a line')
    return [_event(number, each) for number, each in enumerate(given, 1)]


def _event(number: int, given: Any) -> dict[str, Any]:
    if not isinstance(given, dict) or not isinstance(given.get("id"), int) or not isinstance(given.get("type"), str):
        raise ValueError(f"event {number} is none: it lacks id or type")
    try:
        return {**given, "previousEventId": int(given.get("previousEventId", 0)), "timestamp": _seconds(given.get("timestamp"))}
    except (TypeError, ValueError):
        raise ValueError(f"event {number} has a timestamp or a previousEventId that is none") from None


def _seconds(given: Any) -> float:
    if isinstance(given, datetime):
        return given.timestamp()
    return datetime.fromisoformat(given).timestamp() if isinstance(given, str) else float(given)


class Overlay:
    """What is known of one execution.

    events    its history, in any order          now  epoch seconds, for what still runs; None: the time of the last event
    map_runs  answers of DescribeMapRun by mapRunArn: the history of a distributed Map does not tell how far it is
    choices   knows which rules were taken; None: all that lead to where the execution went
    """

    def __init__(
        self,
        events: Iterable[Mapping[str, Any]],
        now: float | None = None,
        map_runs: Mapping[str, Any] | None = None,
        choices: Choices | None = None,
    ) -> None:
        self.visits = Visits()
        self._choices = choices
        self._rules: Counter[tuple[str, int]] = Counter()  # (Choice, rule)
        self._map_runs: dict[Visit, Any] = {}
        self._by_name: defaultdict[str, list[Visit]] = defaultdict(list)
        self.transitions: Counter[tuple[str, str, bool]] = Counter()  # (from, to, caught)
        self._entries: Counter[str] = Counter()  # first states of blocks
        self._ends: Counter[str] = Counter()  # states after which a block ended
        self._map_runs_given = map_runs or {}
        for event in sorted(events, key=lambda each: each["id"]):
            self.feed(event)
        self.now = self.visits.last if now is None else now

    def feed(self, event: Mapping[str, Any]) -> Visit | None:
        """Take the next event; the visit that it belongs to, None for the execution's own events."""
        visit = self.visits.feed(event)
        if self._choices is not None:
            self._choices.see(event, visit)
        if visit is None:
            return None
        if event["type"] in ("MapRunStarted", "MapRunRedriven"):
            self._map_runs[visit] = self._map_runs_given.get(details(event).get("mapRunArn", ""))
        elif event["id"] == visit.exited:
            self._ends[visit.name] += 1  # until the next state follows
        elif event["id"] == visit.entered:
            self._by_name[visit.name].append(visit)
            if visit.before is None:
                self._entries[visit.name] += 1
            else:
                self._ends[visit.before.name] -= 1
                self.transitions[visit.before.name, visit.name, visit.before.status == v.CAUGHT] += 1
                if self._choices is not None and visit.before.type == "Choice":
                    self._rules.update((visit.before.name, rule) for rule in self._choices.taken(visit.before, visit.name))
        return visit

    def visited(self, name: str) -> list[Visit]:
        """Every visit of a state, in the order of entering."""
        return self._by_name.get(name, [])

    # --- states ---

    def current(self, name: str) -> list[Visit]:
        """The visits that count: the last one of each iteration, in the last visit of the state of the top level around it."""
        last: dict[tuple[int | None, ...], Visit] = {}
        for visit in self._by_name.get(name, ()):
            around = visit.around()
            if not around or self.visits.tops[around[0].name].last is around[0]:
                last[(*(each.index for each in around), visit.index)] = visit
        return list(last.values())

    def status(self, name: str) -> str:
        """One of theme.STATUSES."""
        found = {visit.status for visit in self.current(name)}
        if not found:
            return ABORTED if self._by_name.get(name) else NOT_RUN
        return next(status for word, status in _STATUS.items() if word in found)

    def badge(self, name: str) -> str:
        """succeeded · 1.24 s · 2 retries; "" for a state that was not visited. The error, if it failed or was caught."""
        current, every = self.current(name), self._by_name.get(name, [])
        if not every:
            return ""
        status = self.status(name)
        words = [status.replace("-", " "), *self._duration(current or every, status), *self._items(current, status)]
        retries = sum(visit.retries for visit in every)
        words += [count(retries, "retry")] if retries else []
        words += [f"×{len(every):,}"] if len(every) > 1 else []
        error = next((each.error for each in reversed(current) if _STATUS[each.status] == status and each.error), None)
        words += [printable(error, _ERROR_CHARS)] if error and status in (FAILED, CAUGHT, TIMED_OUT) else []
        return " · ".join(words)

    def _duration(self, visits: Sequence[Visit], status: str) -> list[str]:
        if status == RUNNING:
            running = [visit for visit in visits if visit.status == v.RUNNING]
            longest = took(self.now - min(visit.start for visit in running))
            return [longest] if len(running) == 1 else [f"{len(running):,} active", longest]
        seconds = [visit.end - visit.start for visit in visits if visit.end is not None and visit.type != "Fail"]
        if not seconds:
            return []
        return [f"p50 {took(median(seconds))}" if len(seconds) > 1 else took(seconds[0])]

    def _items(self, visits: Sequence[Visit], status: str) -> list[str]:
        """A Map's progress: 12/12, or a bar while it runs."""
        total, done, failed = map(sum, zip(*map(self._counts, visits), strict=True)) if visits else (0, 0, 0)
        if not total:
            return []
        words = [f"{done:,}/{total:,}"]
        if status == RUNNING:
            part = (done + failed) / total
            full = int(part * _BAR_CELLS)
            words = [f"{'█' * full}{'░' * (_BAR_CELLS - full)} {int(part * 100)}% {words[0]}"]
        return words + ([f"{failed:,} failed"] if failed else [])

    def _counts(self, visit: Visit) -> tuple[int, int, int]:
        """Items of a Map: all, succeeded, failed."""
        run = self._map_runs.get(visit)
        if run is not None:
            counts = run["itemCounts"]
            return counts["total"], counts["succeeded"], counts["failed"] + counts["timedOut"] + counts["aborted"]
        return visit.length or 0, visit.done, visit.failed

    # --- edges ---

    def taken(self, edge: Edge) -> int:
        """How often an edge was gone along."""
        match edge.kind:
            case "start":
                return 1 if self.visits.all else 0
            case "enter":
                return self._entries[edge.target]
            case "end" | "leave":
                return self._ends[edge.source]
            case "choice" | "default" if self._choices is not None and edge.rule is not None:
                return self._rules[edge.source, edge.rule]
            case _:
                return self.transitions[edge.source, edge.target, edge.kind == "catch"]
