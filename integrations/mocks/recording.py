"""A history of an execution -> the test case that repeats what its tasks returned. Pure.

recording = Recording(events)            # of the execution
recording.add(events, path)              # of each child of its Map Runs: recording.map_runs
merge(value, machine, case, recording)   # into the JSON value of a mock file
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import count, groupby
from typing import Any, Final, NamedTuple, TypeAlias

from stepwell.asl import json_text
from stepwell.asl import messages as asl_messages
from stepwell.asl.evaluation import Json
from stepwell.asl.histories.history_visits import Visits
from stepwell.asl.histories.state_visits import Event, Visit, details
from stepwell.engine.tasks import part_key
from stepwell.integrations.mocks import messages

Path: TypeAlias = tuple[tuple[int, int], ...]
"""(index, run) of each Map iteration: see engine/core/mocked_attempts.py."""
Response: TypeAlias = dict[str, Json]
"""As in a mock file: {"Return": ...}, {"Throw": ...} or {"Pending": true}."""

_FAMILIES: Final = ("Task", "LambdaFunction", "Activity")
_PENDING: Final[Response] = {"Pending": True}


class MapRun(NamedTuple):
    """A Map Run: the path of its Map, how often that started before, and its visit."""

    path: Path
    run: int
    visit: Visit


class RecordingError(ValueError):
    """The history does not have what a test case needs."""


class _Attempt:
    """One attempt of a task. response: _PENDING if it did not end."""

    __slots__ = ("visit", "path", "scheduled", "response")

    def __init__(self, visit: Visit, path: Path, scheduled: Event) -> None:
        self.visit, self.path, self.scheduled = visit, path, scheduled
        self.response = _PENDING


class Recording:
    """attempts  of all tasks, in order
    map_runs  by ARN
    parts     of the ItemReader and the ResultWriter of a Map: key -> path -> responses, one for
              each time that the Map starts
    """

    def __init__(self, events: Iterable[Event] = ()) -> None:
        self.attempts: list[_Attempt] = []
        self.map_runs: dict[str, MapRun] = {}
        self.parts: dict[str, dict[Path, list[Response]]] = {}
        self.add(events)

    def add(self, events: Iterable[Event], path: Path = ()) -> None:
        """Of an execution, or of the child of a Map Run with this path. Raises RecordingError."""
        history = _History(path)
        for event in events:
            history.feed(event)
        self.attempts += history.attempts
        self.map_runs |= history.map_runs

    def add_part(self, run: MapRun, part: str, result: Json) -> None:
        """What the ItemReader or the ResultWriter of a Map Run has returned. In order."""
        key = part_key(run.visit.name, part)
        self.parts.setdefault(key, {}).setdefault(run.path, []).append({"Return": result})

    def states(self) -> dict[str, dict[Path, list[Response]]]:
        """The responses of each state, by iteration."""
        found: dict[str, dict[Path, list[Response]]] = {}
        for each in self.attempts:
            found.setdefault(each.visit.name, {}).setdefault(each.path, []).append(each.response)
        return {**found, **self.parts}


class _History:
    """One history, event by event."""

    def __init__(self, path: Path) -> None:
        self.attempts: list[_Attempt] = []
        self.map_runs: dict[str, MapRun] = {}
        self._outside, self._visits = path, Visits()
        self._open: dict[Visit, _Attempt] = {}  # the last attempt of each visit
        self._runs: dict[tuple[Path, str], int] = {}  # of the Map of a path and name

    def feed(self, event: Event) -> None:
        kind: str = event["type"]
        if kind == "ExecutionRedriven":
            self._forget_failures()
        visit, detail = self._visits.feed(event), details(event)
        if kind == "ExecutionFailed" and detail.get("error") == asl_messages.RUNTIME:
            self._end_by_runtime_error(event, detail)
        if visit is None:
            return
        if kind == "MapStateStarted":
            key = (self._path(visit), visit.name)
            self._runs[key] = self._runs.get(key, -1) + 1
        elif kind == "MapRunStarted":
            key = (self._path(visit), visit.name)
            run = MapRun(key[0], self._runs.get(key, 0), visit)
            self.map_runs[str(detail["mapRunArn"])] = run
        elif kind.startswith(_FAMILIES) and visit.type == "Task":
            self._task(kind, event, detail, visit)

    def _task(self, kind: str, event: Event, detail: Mapping[str, Any], visit: Visit) -> None:
        if kind.endswith("Scheduled"):
            attempt = self._open[visit] = _Attempt(visit, self._path(visit), event)
            self.attempts.append(attempt)
            return
        attempt = self._open[visit] if visit in self._open else _Attempt(visit, (), event)
        if kind.endswith("Succeeded"):
            attempt.response = {"Return": _output(event, detail)}
        elif kind.endswith("TimedOut"):
            attempt.response = _throw(_time_limit(attempt.scheduled, event), detail.get("cause"))
        elif kind.endswith("Failed"):
            attempt.response = _throw(detail.get("error"), detail.get("cause"))

    def _path(self, visit: Visit) -> Path:
        around = visit.parent
        if around is None:
            return self._outside
        path = self._path(around)
        if around.type != "Map" or visit.index is None:
            return path
        return (*path, (visit.index, self._runs.get((path, around.name), 0)))

    def _end_by_runtime_error(self, event: Event, detail: Mapping[str, Any]) -> None:
        """States.Runtime ends an execution without an event of the task."""
        for visit, attempt in self._open.items():
            if attempt.response is _PENDING and event["previousEventId"] in visit.events:
                attempt.response = _throw(asl_messages.RUNTIME, detail.get("cause"))

    def _forget_failures(self) -> None:
        """After a redrive, what had failed runs again: the test case succeeds at once."""
        kept = [each for each in self.attempts if each.visit.exited is not None]
        self.attempts[:] = kept


def _output(event: Event, detail: Mapping[str, Any]) -> Json:
    if "output" not in detail or detail.get("outputDetails", {}).get("truncated"):
        raise RecordingError(messages.NO_OUTPUT.format(id=event["id"], type=event["type"]))
    return json_text.loads(detail["output"])


def _throw(error: str | None, cause: str | None) -> Response:
    return {"Throw": {"Error": error, **({} if cause is None else {"Cause": cause})}}


def _time_limit(scheduled: Event, event: Event) -> str:
    """Histories show a heartbeat that was missed as States.Timeout: it is one if TimeoutSeconds is
    not over.
    """
    detail = details(scheduled)
    heartbeat, timeout = detail.get("heartbeatInSeconds"), detail.get("timeoutInSeconds")
    early = timeout is None or event["timestamp"] - scheduled["timestamp"] < float(timeout)
    return (
        asl_messages.HEARTBEAT_TIMEOUT if heartbeat is not None and early else asl_messages.TIMEOUT
    )


# --- the file -------------------------------------------------------------------------------------


def merge(value: dict[str, Any], machine: str, case: str, recording: Recording) -> dict[str, Any]:
    """The JSON value of a mock file with the test case; one of the same name is replaced. Responses
    that are there already are used again.
    """
    shared: dict[str, Any] = dict(value.get("MockedResponses", {}))
    states = {
        state: _entry(by_path, _Names(shared, state, case))
        for state, by_path in recording.states().items()
    }
    machines = dict(value.get("StateMachines", {}))
    entry = machines.get(machine, {})
    cases = {**entry.get("TestCases", {}), case: states}
    machines[machine] = {**entry, "TestCases": cases}
    return {**value, "StateMachines": machines, "MockedResponses": shared}


class _Names(NamedTuple):
    """Names the responses to a state, and keeps each of them once."""

    shared: dict[str, Any]
    state: str
    case: str

    def of(self, responses: Sequence[Response]) -> str:
        entry = _numbered(responses)
        first = f"{self.state} ({self.case})"
        names = (first, *(f"{first} {number}" for number in range(2, len(self.shared) + 3)))
        name = next(each for each in names if self.shared.get(each, entry) == entry)
        self.shared[name] = entry
        return name


def _numbered(responses: Sequence[Response]) -> dict[str, Response]:
    """{"0": ..., "1-2": ...}"""
    number, entry = count(), {}
    for response, same in groupby(responses):
        numbers = [next(number) for _ in same]
        entry[_range(numbers)] = response
    return entry


def _range(numbers: Sequence[int]) -> str:
    return str(numbers[0]) if len(numbers) == 1 else f"{numbers[0]}-{numbers[-1]}"


def _entry(by_path: Mapping[Path, list[Response]], names: _Names) -> Json:
    """What a test case has for a state: the name of a response, or Items."""
    if by_path.keys() == {()}:
        return names.of(by_path[()])
    every = [response for responses in by_path.values() for response in responses]
    alike = all(each == every[0] and "Return" in each for each in every)
    if alike and len(every) == len(by_path):  # also what Step Functions Local can do
        return names.of(every)
    runs = any(run for path in by_path for _, run in path)
    items: dict[str, Json] = {}
    for (outer, run), paths in _families(by_path):
        for responses, same in groupby(paths, key=lambda path: by_path[path]):
            for indexes in _consecutive([path[-1][0] for path in same]):
                parts = (*(_part(str(index), each, runs) for index, each in outer),)
                key = ".".join((*parts, _part(_range(indexes), run, runs)))
                items[key] = names.of(responses)
    return {"Items": items}


def _families(paths: Iterable[Path]) -> Iterator[tuple[tuple[Path, int], list[Path]]]:
    """The iterations of each run of a Map, in order."""
    family: Callable[[Path], tuple[Path, int]] = lambda path: (path[:-1], path[-1][1])
    ordered = sorted(paths, key=lambda path: (*family(path), path[-1][0]))
    for key, same in groupby(ordered, key=family):
        yield key, list(same)


def _part(index: str, run: int, runs: bool) -> str:
    return f"{index}@{run}" if runs else index


def _consecutive(indexes: Sequence[int]) -> Iterator[list[int]]:
    for _, same in groupby(enumerate(indexes), key=lambda pair: pair[1] - pair[0]):
        yield [index for _, index in same]
