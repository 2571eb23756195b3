"""The oracle: a small reference interpreter of the Amazon States Language, written from its
definition and from nothing else.

It shares no code with the engine: paths, templates, intrinsic functions, Choice rules, Retry, Catch
and timestamps are written anew, small and clear. Only JSONata text is evaluated by stepwell.asl: a
second JSONata engine would be absurd.

    outcomes(definition, input, tasks) -> every way in which an execution may end: status, output or
    error, and the events of its history
"""

from stepwell.conformance.oracle.interpreter import outcomes
from stepwell.conformance.oracle.model import Outcome, TaskResult
from stepwell.conformance.oracle.values import ANY, Undetermined

__all__ = ["ANY", "Outcome", "TaskResult", "Undetermined", "outcomes"]
