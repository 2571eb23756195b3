"""A durable engine for the Amazon States Language.

`Engine` has the operations of the Step Functions API as `async` methods; `SyncEngine` has them as
plain calls, for scripts and notebooks. Both raise `ApiError`. `workflow` is for tests: it runs a
definition with mocks in virtual time.

Names are imported on first use: importing a part of the package does not import the engine.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from stepwell.engine import ApiError as ApiError
    from stepwell.engine import Engine as Engine
    from stepwell.engine import ExecutionFailedError as ExecutionFailedError
    from stepwell.engine import SyncEngine as SyncEngine
    from stepwell.integrations.testing.workflow import workflow as workflow

    __version__: str

__all__ = ["ApiError", "Engine", "ExecutionFailedError", "SyncEngine", "__version__", "workflow"]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("stepwell")
    if name == "workflow":
        from stepwell.integrations.testing import workflow

        return workflow.workflow
    if name in __all__:
        from stepwell import engine

        return getattr(engine, name)
    raise AttributeError(f"module 'stepwell' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
