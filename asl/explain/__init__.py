"""Why a value is missing or wrong: hints about one visit of a state. Pure.

    explain(Subject(...)) -> (Hint(code, level, field, text), ...)

readings.py follows every path of the state as far as it leads, by the evaluators that the engine
runs. Tables of rules turn what they found into sentences: missing.py (paths without a result),
choices.py (comparisons that cannot be true), literals.py (text that looks like an expression),
failures.py (errors, Retry and Catch).
"""

from stepwell.asl.explain.hints import explain
from stepwell.asl.explain.subject import CAUSE, NOTE, WARNING, Earlier, Hint, Subject

__all__ = ["CAUSE", "NOTE", "WARNING", "Earlier", "Hint", "Subject", "explain"]
