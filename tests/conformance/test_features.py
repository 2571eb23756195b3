"""The areas of generated examples use what there is to use; what they leave to the vectors is listed here, each with its reason."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from stepwell.conformance import areas, features, generated
from stepwell.conformance.endpoint import Endpoint
from stepwell.conformance.features import features_of
from stepwell.conformance.running import Runner
from stepwell.conformance.worker import Workers

SAMPLE = 250  # definitions of each area
RUN = 120  # examples of each area that are run
LAMBDA = "needs functions, which an endpoint need not have"
NOT_GENERATED = {
    **{f"event:LambdaFunction{what}": LAMBDA for what in ("Scheduled", "Started", "Succeeded", "Failed", "TimedOut")},
}


def test_every_feature_is_used_by_an_area(endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fields, functions and names from the definitions; events, errors and operations from what is called when examples are run."""
    used = set[str]()
    for area in areas.AREAS:
        if area != "validator":  # whose definitions are refused
            for number in range(SAMPLE):
                used |= features_of(generated.numbered(1, area, number).definition)
    called = set[str]()

    def watched(call: Callable[..., Any]) -> Callable[..., Any]:
        def recording(operation: str, **parameters: Any) -> Any:
            called.add(f"api:{operation}")
            answer = call(operation, **parameters)
            if operation == "GetExecutionHistory":
                called.update(features_of(None, answer["events"]))
            return answer

        return recording

    monkeypatch.setattr(endpoint, "call", watched(endpoint.call))
    with Workers(endpoint) as workers, Runner(endpoint, workers.real) as runner:
        monkeypatch.setattr(runner, "call", watched(runner.call))
        for area in areas.AREAS:
            tally = generated.Tally(most=1)
            generated.run_many(runner, partial(generated.numbered, 2, area), RUN, None, tally)
            assert tally.failures == []
    used |= called
    assert sorted(features.TABLE - used - set(NOT_GENERATED) - set(features.UNSEEN)) == []
    assert sorted(used & set(NOT_GENERATED)) == []
