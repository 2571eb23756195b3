"""Which engine evaluates JSONata: jlens, or on platforms for which it has no build the pure-Python
jsonata-python.

Both are used in the same way: `Expression(source)` with evaluate(), reads() and
register_function(), `Document`, and the error `JlensError`, which has a code, a position and a
start. They are imported when the first expression is compiled.
"""

import sys
from functools import cache
from types import ModuleType
from typing import Final

from stepwell.asl.expression_errors import SyntaxFault

NO_ENGINE: Final = (
    "JSONata needs the package jlens, or jsonata-python where jlens has no build: `pip install "
    "jsonata-python`"
)


@cache
def engine() -> ModuleType:
    """The module of the engine. Raises SyntaxFault if neither is installed."""
    try:
        import jlens
    except ImportError:
        try:
            return fallback()
        except ImportError:
            raise SyntaxFault(NO_ENGINE, 1) from None
    return jlens


def fallback() -> ModuleType:
    """jsonata-python, as jlens. Importing it raises Python's limit of recursion beyond what a stack
    may hold: that is taken back.
    """
    limit = sys.getrecursionlimit()
    try:
        from stepwell.asl import jsonata_python
    finally:
        sys.setrecursionlimit(limit)
    return jsonata_python
