"""The vectors as pytest tests, for any engine.

import pytest
from stepwell.conformance.testing import check, vector_params

@pytest.mark.parametrize("vector", vector_params("choice", "map"))
def test_vector(vector, my_endpoint_url):
    check(vector, my_endpoint_url)
"""

from functools import cache
from pathlib import Path
from typing import Any

import pytest

from stepwell.conformance.run import vectors
from stepwell.conformance.run.endpoint import Endpoint
from stepwell.conformance.run.suites import known_differences
from stepwell.conformance.run.vectors import Vector


def vector_params(
    *areas: str, known: Path | None = None, offers: frozenset[str] = frozenset()
) -> list[Any]:
    """A pytest.param for each vector of some areas, or of all.

    `known`: a file of known differences; vectors that match one without a problem are expected to
    fail (strictly). `offers`: the optional features that the endpoint has; vectors that need others
    are skipped.
    """
    expected = [each for each in known_differences(known) if not each.problem] if known else []
    params = []
    for vector in vectors.load():
        if areas and vector.area not in areas:
            continue
        marks: list[Any] = [
            pytest.mark.xfail(reason=each.reason, strict=True)
            for each in expected
            if each.names(vector.name)
        ]
        if missing := vector.needs - offers:
            marks = [pytest.mark.skip(reason=f"needs {', '.join(sorted(missing))}")]
        params.append(pytest.param(vector, marks=marks, id=vector.name))
    return params


def check(vector: Vector, endpoint: Endpoint | str, seconds: float = vectors.SECONDS) -> None:
    """Run a vector. AssertionError with a line for each difference."""
    result = vectors.run(
        endpoint if isinstance(endpoint, Endpoint) else _endpoint(endpoint), vector, seconds
    )
    assert not result.problems, "\n".join((vector.name, *result.problems))


@cache
def _endpoint(url: str) -> Endpoint:
    return Endpoint(url)
