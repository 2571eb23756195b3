"""The durable engine. `from stepwell.engine import Engine` is the whole public door."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from stepwell.engine.engine import Engine as Engine

__all__ = ["Engine"]


def __getattr__(name: str) -> Any:  # imported on demand: `stepwell --help` must not pay for the engine
    if name == "Engine":
        from stepwell.engine.engine import Engine

        return Engine
    raise AttributeError(name)
