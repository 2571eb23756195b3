"""Each picture is made by both layout programs; the system's is passed over where it is not
installed.
"""

import pytest

from stepwell.visualize import layout


@pytest.fixture(params=[layout.PURE, layout.SYSTEM])
def engine(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    if name == layout.SYSTEM and layout.program(name) is None:
        pytest.skip("the system has no Graphviz")
    return name
