"""The work of a JSONPath is counted: the same in every run, in the same measure for whatever a path
can be made of.
"""

from typing import Any

import pytest

from stepwell.asl.evaluation import Env, InlineBudgetError, StateError
from stepwell.asl.meter import Cancellation, EvaluationCancelledError, Meter
from stepwell.asl.paths import compile_path

DEEP: Any = 0
for _ in range(60):
    DEEP = [DEEP, [0] * 20]


def env(steps: int, in_thread: Any = True, cancellation: Cancellation | None = None) -> Env:
    return Env(
        {}, {}, dict, lambda: bytes(16), 0.0, in_thread=in_thread, meter=Meter(steps, cancellation)
    )


MEMBERS: Any = {}
for _ in range(60):
    MEMBERS = {"a": MEMBERS}
FLAT: Any = {"n": list(range(300)), "text": "a" * 250_000}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("$..[*]..[*]", DEEP),
        ("$" + "[0,0]" * 40, DEEP),
        ("$" + "['a','a','a']" * 30 + ".a", MEMBERS),
        ("$..[?(@ == $)]", DEEP),
        ("$.n[?(@ in $.n)]", FLAT),
        ("$.n[?($.n subsetof $.n)]", FLAT),
        ("$.n[?($.text =~ /a*/)]", FLAT),
        ("$..[*][0:9][*]..[0]", DEEP),
    ],
)
def test_every_kind_of_expensive_path_is_counted(path: str, value: Any) -> None:
    left = []
    for _ in range(2):
        world = env(20_000)
        with pytest.raises(StateError, match="Too many nodes") as raised:
            compile_path(path).evaluate(value, world)
        assert raised.value.error == "States.Runtime" and world.meter is not None
        left.append(world.meter.left)
    assert left[0] == left[1] < 0


def test_a_descent_through_the_largest_payload_is_within_the_budget() -> None:
    found = compile_path("$..[*]").evaluate(
        [0] * 131_071, Env({}, {}, dict, lambda: bytes(16), 0.0)
    )
    assert len(found) == 131_071


def test_on_the_event_loop_the_evaluation_is_deferred() -> None:
    with pytest.raises(InlineBudgetError):
        compile_path("$..[*]..[*]").evaluate(DEEP, env(100, in_thread=False))


def test_evaluations_with_the_same_meter_share_its_steps() -> None:
    world = env(6_000, in_thread=False)
    compile_path("$..[*]").evaluate(DEEP, world)
    with pytest.raises(InlineBudgetError):
        compile_path("$..[*]").evaluate(DEEP, world)


def test_a_cancelled_evaluation_ends() -> None:
    cancellation = Cancellation()
    cancellation.cancelled = True
    for in_thread in (True, cancellation):
        with pytest.raises(EvaluationCancelledError):
            compile_path("$..[*]").evaluate(DEEP, env(1 << 60, in_thread, cancellation))
