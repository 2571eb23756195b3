"""History events -> what a picture shows of an execution: the status of each state, the edges that
were taken, counts and durations. Pure.

Histories are in AWS's shape, from any engine: GetExecutionHistory's answer or an export of it.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final, Protocol

from stepwell.asl import json_text
from stepwell.asl.definition import StateMachine
from stepwell.asl.histories import state_visits as v
from stepwell.asl.histories import summaries
from stepwell.asl.histories.history_visits import Visits
from stepwell.asl.histories.items import Items
from stepwell.asl.histories.passages import Passages
from stepwell.asl.histories.reevaluation import Reevaluation
from stepwell.asl.histories.state_visits import Visit
from stepwell.asl.histories.summaries import State
from stepwell.asl.limits import DEFAULT_LIMITS, Limits
from stepwell.asl.timestamps import epoch_seconds
from stepwell.visualize.graph import Edge
from stepwell.visualize.theme import ABORTED, CAUGHT, FAILED, NOT_RUN, RUNNING, SUCCEEDED, TIMED_OUT
from stepwell.visualize.words.executions import lasted, remarks

# status of a visit -> class in the picture
STATUS: Final = {
    v.RUNNING: RUNNING,
    v.FAILED: FAILED,
    v.TIMED_OUT: TIMED_OUT,
    v.ABORTED: ABORTED,
    v.CAUGHT: CAUGHT,
    v.SUCCEEDED: SUCCEEDED,
    summaries.NOT_RUN: NOT_RUN,
}
_BAR_CELLS: Final = 10


def read_history(text: str | bytes) -> list[dict[str, Any]]:
    """The events in a file: the answer of GetExecutionHistory, an array of events, or one event per
    line. Timestamps may be epoch seconds or ISO 8601; the order may be reversed.

    Raises ValueError with a message for users.
    """
    text = text.decode() if isinstance(text, bytes) else text
    try:
        history = json_text.loads(text)
    except json_text.JsonError as fault:
        try:
            history = [json_text.loads(line) for line in text.splitlines() if line.strip()]
        except json_text.JsonError:
            raise ValueError(f"not JSON: {fault.message}") from None
    if isinstance(history, dict):
        history = history.get("events", [history])
    if not isinstance(history, list):
        raise ValueError(
            'not a history: it must be an object with "events", an array of events, or one event '
            "per line"
        )
    return [_event(number, each) for number, each in enumerate(history, 1)]


def _event(number: int, event: Any) -> dict[str, Any]:
    if (
        not isinstance(event, dict)
        or not isinstance(event.get("id"), int)
        or not isinstance(event.get("type"), str)
    ):
        raise ValueError(f"event {number} is not a history event: it lacks id or type")
    try:
        return {
            **event,
            "previousEventId": int(event.get("previousEventId", 0)),
            "timestamp": epoch_seconds(event.get("timestamp")),
        }
    except (TypeError, ValueError):
        raise ValueError(f"event {number} has an invalid timestamp or previousEventId") from None


class Marks(Protocol):
    """What a picture shows over a state machine: an execution, or what differs."""

    def status(self, name: str) -> str:
        """Of a state: one of theme.STATUSES."""

    def badge(self, name: str) -> str:
        """The lines below a state, "" for none."""

    def taken(self, edge: Edge) -> int:
        """Whether an edge is marked."""

    def look(self, edge: Edge) -> str:
        """One of theme.STATUSES: the colours of a marked edge."""


class Overlay:
    """One execution, to be drawn over the picture of its state machine.

    events      its history, in any order
    now         epoch seconds, the end of durations that still run; None: the last event's time
    map_runs    answers of DescribeMapRun by mapRunArn: a history has no progress of a Map Run
    definition  of the state machine: it tells which rules were taken and the errors of Fail states;
                None: they stay unknown
    """

    def __init__(
        self,
        events: Iterable[Mapping[str, Any]],
        now: float | None = None,
        map_runs: Mapping[str, Any] | None = None,
        definition: StateMachine | None = None,
        limits: Limits = DEFAULT_LIMITS,
    ) -> None:
        self.reevaluation = None if definition is None else Reevaluation(definition, limits)
        self.visits = Visits(source=self.reevaluation)
        self.passages = Passages()
        for event in sorted(events, key=lambda each: each["id"]):
            self.feed(event)
        for arn, answer in (map_runs or {}).items():
            self.visits.count(arn, Items.of_map_run(answer))
        self.now = self.visits.last if now is None else now

    def feed(self, event: Mapping[str, Any]) -> Visit | None:
        """Take the next event. Returns its visit, None for the execution's own events."""
        visit = self.visits.feed(event)
        if visit is not None:
            self.passages.see(event, visit, self.reevaluation)
        return visit

    # --- states ---

    def state(self, name: str) -> State:
        """The summary of a state."""
        return summaries.of_state(self.visits, name, self.now)

    def status(self, name: str) -> str:
        """One of theme.STATUSES."""
        return STATUS[self.state(name).status]

    def badge(self, name: str) -> str:
        """The line below a state: "succeeded · 1.24 s · 2 retries", "failed · 3.00 s · Busy"; ""
        for a state that was not visited.
        """
        state = self.state(name)
        if not state.visits:
            return ""
        texts = [each.text for each in remarks(state, self.now)]
        if state.items is not None and state.items.total and state.status == v.RUNNING:
            texts[0] = f"{_bar(state.items)} {texts[0]}"
        return " · ".join(filter(None, [state.status, lasted(state), *texts]))

    # --- edges ---

    def taken(self, edge: Edge) -> int:
        """How often an edge was taken."""
        return times(self.passages, edge, self.reevaluation is not None)

    def look(self, edge: Edge) -> str:
        """One of theme.STATUSES: the colours of an edge that was taken."""
        return look(edge)


def look(edge: Edge) -> str:
    """One of theme.STATUSES: the colours of an edge that was taken."""
    return CAUGHT if edge.kind == "catch" else SUCCEEDED


def times(passages: Passages, edge: Edge, rules: bool = True) -> int:
    """How often an edge was taken. rules: whether it is known which rules of Choices were."""
    match edge.kind:
        case "start":
            return int(any(passages.entered.values()))
        case "enter":
            return passages.first[edge.target]
        case "end" | "leave":
            return passages.last[edge.source]
        case "choice" | "default" if rules and edge.rule is not None:
            return passages.rules[edge.source, edge.rule]
        case _:
            return passages.transitions[edge.source, edge.target, edge.kind == "catch"]


def _bar(items: Items) -> str:
    """The progress of a Map that runs: ██████░░░░ 61%."""
    part = (items.total - items.pending - items.running) / items.total
    full = int(part * _BAR_CELLS)
    return f"{'█' * full}{'░' * (_BAR_CELLS - full)} {int(part * 100)}%"
