"""The choice of the JSONata engine: jlens, or jsonata-python on platforms without a build of jlens.

Both have the same interface: `Expression(source)` with evaluate(), reads() and register_function(),
`Document`, and the error `JlensError` with code, position and start. The engine is imported when
the first expression is compiled.
"""

import sys
from functools import cache
from types import ModuleType
from typing import Final

from stepwell.asl.expression_errors import ExpressionSyntaxError

NO_ENGINE: Final = (
    "JSONata needs the package jlens, or jsonata-python where jlens has no build: `pip install "
    "jsonata-python`"
)


@cache
def engine() -> ModuleType:
    """The module of the engine. Raises ExpressionSyntaxError if neither is installed."""
    try:
        import jlens
    except ImportError:
        try:
            return fallback()
        except ImportError:
            raise ExpressionSyntaxError(NO_ENGINE, 1) from None
    return jlens


def fallback() -> ModuleType:
    """jsonata-python, with the interface of jlens. Importing it raises Python's recursion limit
    beyond the size of the stack; that is reverted.
    """
    limit = sys.getrecursionlimit()
    try:
        from stepwell.asl import jsonata_python
    finally:
        sys.setrecursionlimit(limit)
    return jsonata_python
