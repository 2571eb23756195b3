"""The areas of generated examples: the engine passes all of them, and together they use every
feature.
"""

import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from stepwell.conformance.generate import generators
from stepwell.conformance.report import features
from stepwell.conformance.report.features import features_of
from stepwell.conformance.report.results import Result, Verdict
from stepwell.conformance.run import generated
from stepwell.conformance.run.endpoint import Endpoint
from stepwell.conformance.run.generated import Plan
from stepwell.conformance.run.wire import Wire

EXAMPLES = int(os.environ.get("STEPWELL_EXAMPLES", "60"))  # of each area, that are run
SEED = int(os.environ.get("STEPWELL_SEED", "1"))
SAMPLE = 250  # of each area, whose definitions are looked at
OFFERS = frozenset({"lambda"})

Ran = tuple[list[Result], set[str]]


@pytest.fixture(scope="module")
def ran(endpoint: Endpoint) -> Iterator[Callable[[str], Ran]]:
    """area -> its results, and what was called and seen in histories. An area is run once."""
    known: dict[str, Ran] = {}
    seen = set[str]()

    def watched(call: Callable[..., Any]) -> Callable[..., Any]:
        def recording(client: Any, operation: str, /, **parameters: Any) -> Any:
            seen.add(f"api:{operation}")
            answer = call(client, operation, **parameters)
            if operation == "GetExecutionHistory":
                seen.update(features_of(None, answer["events"]))
            return answer

        return recording

    def run(area: str) -> Ran:
        if area not in known:
            seen.clear()
            known[area] = (
                list(generated.check(endpoint, [area], Plan(EXAMPLES, SEED, offers=OFFERS))),
                set(seen),
            )
        return known[area]

    with pytest.MonkeyPatch.context() as patch:
        for door in (Endpoint, Wire):
            patch.setattr(door, "call", watched(door.call))
        yield run


@pytest.mark.parametrize("area", generated.AREAS)
def test_the_engine_passes_all_areas(ran: Callable[[str], Ran], area: str) -> None:
    results, _ = ran(area)
    assert [
        (result.problems, result.evidence)
        for result in results
        if result.verdict is not Verdict.PASSED
    ] == []
    assert results[-1].count > EXAMPLES * 0.85  # the others were left out


def test_every_feature_is_used_by_an_area(ran: Callable[[str], Ran]) -> None:
    """Fields, functions and names from the definitions; events, errors and operations from what is
    called when examples are run.
    """
    used = set[str]()
    for area in generators.AREAS:
        used |= ran(area)[1]
        for number in range(SAMPLE):
            used |= features_of(generated.numbered(SEED, area, number).definition)
    assert sorted(features.TABLE - used - set(features.UNSEEN)) == []
