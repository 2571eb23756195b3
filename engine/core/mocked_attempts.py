"""What the mocks of a test case need to know of an attempt: how many attempts of its state came
before, and in which iterations it is. All of it is durable with the attempt, so it is the same
after a crash.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from stepwell.asl import messages as asl_messages
from stepwell.asl.evaluation import StateError
from stepwell.asl.program import MAP
from stepwell.engine import messages
from stepwell.engine.core.model import Execution, Frame, Payload
from stepwell.engine.core.run import Run
from stepwell.engine.core.transitions import clipped, complete, fail, retry_or_fail

Path: TypeAlias = tuple[tuple[int, int], ...]
"""(index, run) of each Map iteration around a frame, the outermost first; run: how often its Map
started before, in the iteration around the Map.
"""


def number(run: Run, frame: Frame) -> tuple[int, int]:
    """Count an attempt of the frame's state: how many came before it, in the execution and in the
    innermost iteration.
    """
    name, before = frame.state.name, run.x.extras.get("attempts", {})
    count = inner = before.get(name, 0)
    run.x.extras = {**run.x.extras, "attempts": {**before, name: count + 1}}
    around = _iteration(run.x, frame)
    if around is not None:
        iteration = run.touch(around.id)
        known = iteration.attempts or {}
        inner = known.get(name, 0)
        iteration.attempts = {**known, name: inner + 1}
    return count, inner


def answered(run: Run, frame: Frame, number: int, succeeded: int) -> bool:
    """Whether a test case answers for the state of a frame, which has started: then it has ended.

    number     attempts of the state before this one
    succeeded  code of its ...StateSucceeded event
    """
    name = frame.state.name
    steps = run.x.extras.get("mocked", {}).get(name)
    if steps is None:
        return False
    step = next((each for each in steps if each["last"] is None or number <= each["last"]), None)
    if step is None:
        cause = messages.NO_MOCKED_RESULT.format(state=name, number=number)
        fail(run, frame, StateError(asl_messages.RUNTIME, cause))
    elif "output" in step:
        complete(run, frame, Payload(step["output"]), run.add((succeeded, frame.prev)))
    else:
        retry_or_fail(run, frame, *clipped(run.limits, step["error"], step["cause"]))
    return True


def path(x: Execution, frame: Frame) -> Path:
    """Of the iterations that a frame is in. A child of a Map Run is one, too."""
    inside: list[tuple[int, int]] = []
    while (iteration := _iteration(x, frame)) is not None:
        frame = x.frames[iteration.parent]
        inside.append((iteration.slot, map_runs(x, frame)))
    outside = (tuple(each) for each in x.extras.get("iteration", ()))
    return (*outside, *reversed(inside))  # type: ignore[arg-type]


def map_runs(x: Execution, frame: Frame) -> int:
    """How often the Map of a frame started before it did so last."""
    iteration = _iteration(x, frame)
    counts: Mapping[str, int] | None
    counts = x.extras.get("attempts") if iteration is None else iteration.attempts
    return (counts or {}).get(frame.state.name, 1) - 1


def _iteration(x: Execution, frame: Frame) -> Frame | None:
    """The first frame of the innermost inline iteration that a frame is in."""
    while frame.parent:
        around = x.frames[frame.parent]
        if around.state.type == MAP:
            return frame
        frame = around
    return None
