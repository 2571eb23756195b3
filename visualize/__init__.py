"""Pictures of state machines and of their executions.

from stepwell.visualize import Diagram

Diagram(definition).save("order.svg")
history = client.get_execution_history(executionArn=arn)["events"]
Diagram(definition, history, theme="dark").png()

Names are imported on first use: the words of the command do not need the drawing.
"""

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from stepwell.visualize.diagram import FORMATS as FORMATS
    from stepwell.visualize.diagram import Diagram as Diagram
    from stepwell.visualize.layout import RenderError as RenderError
    from stepwell.visualize.overlay import Overlay as Overlay
    from stepwell.visualize.overlay import read_history as read_history
    from stepwell.visualize.theme import STATUSES as STATUSES
    from stepwell.visualize.theme import stylesheet as stylesheet

__all__ = ["FORMATS", "STATUSES", "Diagram", "Overlay", "RenderError", "read_history", "stylesheet"]

_MODULES: Final = {
    "FORMATS": "diagram",
    "Diagram": "diagram",
    "RenderError": "layout",
    "Overlay": "overlay",
    "read_history": "overlay",
    "STATUSES": "theme",
    "stylesheet": "theme",
}


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        from importlib import import_module

        return getattr(import_module(f"stepwell.visualize.{_MODULES[name]}"), name)
    raise AttributeError(f"module 'stepwell.visualize' has no attribute {name!r}")
