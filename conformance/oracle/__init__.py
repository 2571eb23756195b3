"""The oracle: a small reference interpreter of the Amazon States Language, written from the
specification only.

It shares no code with the engine, except that stepwell.asl evaluates JSONata expressions.

    outcomes(definition, input, tasks) -> every way in which an execution may end: status, output or
    error, and the events of its history
"""

from stepwell.conformance.oracle.interpreter import outcomes
from stepwell.conformance.oracle.model import Outcome, TaskResult
from stepwell.conformance.oracle.values import ANY, UndeterminedError

__all__ = ["ANY", "Outcome", "TaskResult", "UndeterminedError", "outcomes"]
