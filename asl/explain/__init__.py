"""Why a value is missing or wrong: hints about one visit of a state. Pure.

    explain(Subject(...)) -> (Hint(code, level, field, text), ...)

readings.py follows every path of the state as far as it leads, by the evaluators that the engine
runs. Tables of rules turn what they found into sentences:

    missing      paths without a result; with names (a value under another name), roots ($, $$,
                 $states, variables) and upstream (which state lost the value)
    failures     errors, Retry and Catch; with jsonata
    choices      comparisons that cannot be true
    literals     text that looks like an expression
    services     parameters that a service does not take, and what it returns instead
    definitions  mistakes that make a definition invalid
"""

from stepwell.asl.explain.hints import explain
from stepwell.asl.explain.subject import CAUSE, NOTE, WARNING, Earlier, Hint, Subject

__all__ = ["CAUSE", "NOTE", "WARNING", "Earlier", "Hint", "Subject", "explain"]
