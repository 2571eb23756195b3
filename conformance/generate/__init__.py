"""Generated machines and inputs.

Everything is drawn from a random.Random. `case_of(Random(seed), area)` is fast, for long runs;
run/shrink.py shrinks a failing example. `cases(area)` and `machines()` are the same as hypothesis
strategies, which hypothesis shrinks.
"""

from random import Random
from typing import Any, Final

from hypothesis import strategies as st

from stepwell.conformance.generate.machines import machine_case
from stepwell.conformance.generate.profiles import PROFILES
from stepwell.conformance.run.case import Case

AREAS: Final = tuple(area for area in PROFILES if area != "twins")


def case_of(r: Random, area: str | None = None) -> Case:
    """A machine with its input; `area` None: a random area."""
    return machine_case(r, area or r.choice(AREAS))


def cases(area: str | None = None) -> st.SearchStrategy[Case]:
    return st.randoms(use_true_random=False).map(lambda r: case_of(r, area))


def machines(area: str | None = None) -> st.SearchStrategy[dict[str, Any]]:
    """Definitions alone."""
    return cases(area).map(lambda case: case.definition)
