"""The cost of decide() depends on the frames that it touches, not on the size of the execution: the
tests count frames, not seconds.
"""

from collections.abc import ItemsView, Iterator, ValuesView
from typing import Any

from tests.engine.core.driver import START_MS, compiled

from stepwell.engine.core.decide import decide
from stepwell.engine.core.events import Continue, Start, Tick
from stepwell.engine.core.index import survey
from stepwell.engine.core.model import Execution, Frame, Payload

WAIT = {"Type": "Wait", "Seconds": 5, "End": True}
FAIL = {"Type": "Fail", "Error": "Broken"}


class Counted(dict[int, Frame]):
    """A dict of frames that counts how many are read by iteration."""

    seen = 0

    def copy(self) -> "Counted":
        return Counted(self)

    def __iter__(self) -> Iterator[int]:
        Counted.seen += len(self)
        return super().__iter__()

    def values(self) -> ValuesView[Frame]:  # type: ignore[override]
        Counted.seen += len(self)
        return super().values()  # type: ignore[return-value]

    def items(self) -> ItemsView[int, Frame]:  # type: ignore[override]
        Counted.seen += len(self)
        return super().items()  # type: ignore[return-value]


class CountedExecution:
    """An execution whose decisions are counted."""

    def __init__(self, machine: dict[str, Any], express: bool = False) -> None:
        self.program = compiled(machine)
        arn = "arn:aws:states:us-east-1:123456789012:stateMachine:m"
        items = Payload(list(range(20)))
        self.x = Execution(
            1,
            "ab" * 16,
            arn,
            "e",
            arn,
            "m",
            "role",
            express,
            items,
            START_MS,
            None,
            frames=Counted(),
        )
        self.now, self.decisions, self.events, self.touched, self.longest = START_MS, 0, 0, 0, 0
        Counted.seen = 0

    def send(self, event: Any) -> None:
        """One decision, and what remains to be done."""
        more = True
        while more:
            decision = decide(self.program, self.x, event, self.now)
            self.x, more, event = decision.execution, decision.more, Continue()
            self.decisions, self.events, self.touched = (
                self.decisions + 1,
                self.events + len(decision.history),
                self.touched + len(decision.touched),
            )
            self.longest = max(self.longest, len(decision.history))
            before = Counted.seen
            assert (self.x.wake_at(), self.x.wake() == 0) == survey(self.x.frames)
            Counted.seen = before

    def sleep(self) -> None:
        self.now = self.x.wake_at() or 0
        self.send(Tick())


def named(block: dict[str, Any], path: str = "") -> dict[str, Any]:
    """The same block with names of its own for its states."""
    states = {}
    for name, state in block["States"].items():
        copy = {**state, **({"Next": path + state["Next"]} if "Next" in state else {})}
        copy |= (
            {"Catch": [{**each, "Next": path + each["Next"]} for each in copy["Catch"]]}
            if "Catch" in copy
            else {}
        )
        if "Branches" in copy:
            copy["Branches"] = [
                named(each, f"{path}{place}.") for place, each in enumerate(copy["Branches"])
            ]
        if "ItemProcessor" in copy:
            copy["ItemProcessor"] = named(copy["ItemProcessor"], f"{path}i.")
        states[path + name] = copy
    return {"StartAt": path + block["StartAt"], "States": states}


def single(state: dict[str, Any]) -> dict[str, Any]:
    return {"StartAt": "S", "States": {"S": state}}


def parallel(*branches: dict[str, Any]) -> dict[str, Any]:
    return single({"Type": "Parallel", "Branches": list(branches), "End": True})


def each(block: dict[str, Any]) -> dict[str, Any]:
    return single(
        {
            "Type": "Map",
            "ItemsPath": "$$.Execution.Input",
            "ItemProcessor": block,
            "ResultPath": None,
            "End": True,
        }
    )


WAITS = parallel(*[parallel(*[single(WAIT)] * 30)] * 30)


def test_timers_cost_what_they_touch() -> None:
    """900 Waits in 931 frames that are due at once; an index is built once, when the frames become
    many.
    """
    life = CountedExecution(named(WAITS))
    life.send(Start())
    while life.x.status == "RUNNING":
        life.sleep()
    assert life.x.status == "SUCCEEDED"
    assert Counted.seen < 100 * life.decisions, "a decision looks at frames that it does not touch"
    assert life.touched < 3 * life.events


def test_nested_maps_of_an_express_execution_cost_what_they_touch() -> None:
    life = CountedExecution(named(each(each(each(single(WAIT))))), express=True)
    life.send(Start())
    assert len(life.x.frames) == 8421 and life.x.index is not None
    while life.x.status == "RUNNING":
        life.sleep()
    assert life.x.status == "SUCCEEDED"
    assert Counted.seen < 1000 * life.decisions
    assert life.longest < 1000, "a decision fires all timers at once"


def test_a_failure_visits_each_frame_that_it_aborts_once() -> None:
    late = {"StartAt": "W", "States": {"W": {"Type": "Wait", "Seconds": 1, "Next": "F"}, "F": FAIL}}
    life = CountedExecution(named(parallel(*WAITS["States"]["S"]["Branches"], late)))
    life.send(Start())
    Counted.seen = 0
    life.sleep()
    assert life.x.status == "FAILED"
    assert Counted.seen < 3 * 933


def test_a_small_failure_in_a_large_execution_is_small() -> None:
    """The failing branch is caught; the other 900 Waits are not read."""
    broken = parallel(
        {"StartAt": "W", "States": {"W": {"Type": "Wait", "Seconds": 1, "Next": "F"}, "F": FAIL}},
        single(WAIT),
    )
    broken["States"]["S"] |= {"Catch": [{"ErrorEquals": ["States.ALL"], "Next": "D"}]}
    broken["States"]["D"] = {"Type": "Pass", "End": True}
    life = CountedExecution(named(parallel(*WAITS["States"]["S"]["Branches"], broken)))
    life.send(Start())
    Counted.seen, life.touched = 0, 0
    life.sleep()
    assert len(life.x.frames) > 900 and Counted.seen == 0 and life.touched < 20


def test_a_unit_that_resumes_touches_only_what_it_runs() -> None:
    """8,000 iterations are ready; a unit of 256 transitions neither copies nor reads the others."""
    life = CountedExecution(
        named(each(each(each(single({"Type": "Pass", "End": True}))))), express=True
    )
    life.send(Start())
    assert life.x.status == "SUCCEEDED"
    assert Counted.seen < 1000 * life.decisions and life.touched < 3 * life.events
