"""The heap of deadlines, against the simplest thing that could be right: a table of what is to be
looked at when.
"""

from hypothesis import given
from hypothesis import strategies as st

from stepwell.engine.clock import ManualClock
from stepwell.engine.limits import Limits
from stepwell.engine.runtime.timers import Timers

WHO = st.integers(1, 4)
STEPS = st.one_of(
    st.tuples(st.just("set"), WHO, st.integers(-5, 60)),
    st.tuples(st.just("drop"), WHO),
    st.tuples(st.just("pass"), st.integers(0, 20)),
)


@given(steps=st.lists(STEPS, max_size=40), page=st.integers(1, 3))
def test_each_is_looked_at_at_the_earliest_time_set(
    steps: list[tuple[str, int, int]], page: int
) -> None:
    """Once, neither before nor after that time; and not at all if it was dropped."""
    clock, fired = ManualClock(0), []
    timers = Timers(
        clock, Limits(timer_page=page), lambda id: fired.append((clock.now(), id)), lambda: page
    )
    table: dict[int, int] = {}
    for what, first, *rest in [*steps, ("pass", 100)]:
        if what == "set":
            at = max(0, clock.now() + rest[0])
            timers.set(at, first)
            table[first] = min(at, table.get(first, at))
        elif what == "drop":
            timers.drop(first)
            table.pop(first, None)
        else:
            for _ in range(first):
                clock.advance(1)
                due = {id for id, at in table.items() if at <= clock.now()}
                assert {id for now, id in fired if now == clock.now()} == due
                table = {id: at for id, at in table.items() if id not in due}
    assert len(fired) == len(set(fired)) and not timers.at and not table


def test_nothing_rings_after_the_end() -> None:
    clock, fired = ManualClock(0), []
    timers = Timers(clock, Limits(), fired.append, lambda: 1)
    timers.set(5, 1)
    timers.close()
    timers.set(3, 2)
    clock.advance(10)
    assert fired == [] and clock.next_alarm() is None
