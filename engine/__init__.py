"""The durable engine. What a library user needs of it is here; `from stepwell import Engine` is the
same.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from stepwell.engine.engine import Engine as Engine
    from stepwell.engine.errors import ApiError as ApiError
    from stepwell.engine.errors import ExecutionFailedError as ExecutionFailedError
    from stepwell.engine.sync import SyncEngine as SyncEngine

__all__ = ["ApiError", "Engine", "ExecutionFailedError", "SyncEngine"]

_MODULES: Final = {
    "ApiError": "errors",
    "Engine": "engine",
    "ExecutionFailedError": "errors",
    "SyncEngine": "sync",
}


def __getattr__(
    name: str,
) -> Any:  # imported on demand: `stepwell --help` must not pay for the engine
    if name in _MODULES:
        return getattr(import_module(f"stepwell.engine.{_MODULES[name]}"), name)
    raise AttributeError(f"module 'stepwell.engine' has no attribute {name!r}")
