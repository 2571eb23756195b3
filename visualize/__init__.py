"""Pictures of state machines and of their executions.

from stepwell.visualize import Diagram

Diagram(definition).save("order.svg")
history = client.get_execution_history(executionArn=arn)["events"]
Diagram(definition, history, theme="dark").png()
"""

from stepwell.visualize.diagram import FORMATS, Diagram
from stepwell.visualize.layout import RenderError
from stepwell.visualize.overlay import Overlay, read_history
from stepwell.visualize.theme import STATUSES, stylesheet

__all__ = ["FORMATS", "STATUSES", "Diagram", "Overlay", "RenderError", "read_history", "stylesheet"]
