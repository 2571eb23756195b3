"""The table of all rules, in the order of their codes."""

from typing import Final

from stepwell.asl.lint import (
    choices,
    data_flow,
    errors,
    expressions,
    growth,
    parameters,
    portability,
    searches,
    timing,
    variables,
)
from stepwell.asl.lint.rule import Rule

_TOPICS: Final = (
    choices, data_flow, parameters, errors, timing, variables, expressions, growth, portability,
    searches,
)  # fmt: skip
RULES: Final[tuple[Rule, ...]] = tuple(
    sorted((rule for topic in _TOPICS for rule in topic.RULES), key=lambda rule: rule.code[1:])
)
UNUSED: Final = "W901"
"""The code of a suppression that suppresses nothing; linter.py finds it."""
