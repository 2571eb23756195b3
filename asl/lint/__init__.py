"""Rules beyond AWS's validation: `lint(text)` returns the findings of a definition.

text --linter.py--> validate(), then the RULES on a Subject --comments.py--> Findings
"""

from stepwell.asl.lint.linter import is_selected, lint
from stepwell.asl.lint.rule import ERROR, NOTE, SEVERITIES, WARNING, Finding, Rule
from stepwell.asl.lint.rules import RULES

__all__ = [
    "ERROR",
    "NOTE",
    "RULES",
    "SEVERITIES",
    "WARNING",
    "Finding",
    "Rule",
    "is_selected",
    "lint",
]
