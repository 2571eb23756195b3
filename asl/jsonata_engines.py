"""Which engine evaluates JSONata: jlens, or on platforms for which it has no build the pure-Python jsonata-python.

Both are used in the same way: `Expression(source)` with evaluate(), reads() and register_function(), `Document`, and the error
`JlensError`, which has a code, a position and a start. They are imported when the first expression is compiled.
"""

from functools import cache
from types import ModuleType

from stepwell.asl import messages
from stepwell.asl.faults import SyntaxFault


@cache
def engine() -> ModuleType:
    """The module of the engine. Raises SyntaxFault if neither is installed."""
    try:
        import jlens
    except ImportError:
        try:
            from stepwell.asl import jsonata_python
        except ImportError:
            raise SyntaxFault(messages.JSONATA_NO_ENGINE, 1) from None
        return jsonata_python
    return jlens
