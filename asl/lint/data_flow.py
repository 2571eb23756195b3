"""Rules about fields that always fail with what flows in: flow.py finds them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from stepwell.asl.inference import field_shapes as fields
from stepwell.asl.inference.flow import Failure
from stepwell.asl.lint.rule import Find, Found, Rule, Subject


def _failures(subject: Subject) -> Iterator[Failure]:
    """Without those of errors that a catcher takes: they may be intended."""
    return (each for each in subject.facts.failures if not each.handled)


def _of(code: str) -> Find:
    def find(subject: Subject) -> Iterator[Found]:
        for failure in _failures(subject):
            if failure.cause.code == code:
                yield failure.cause.location, failure.cause.message

    return find


def handled(subject: Subject) -> Iterator[Found]:
    for failure in subject.facts.failures:
        if failure.handled:
            yield failure.cause.location, f"{failure.cause.message} (a catcher takes the error)"


RULES: Final = (
    Rule(
        fields.NOT_FOUND,
        "path-finds-nothing",
        "A path never finds a value.",
        _of(fields.NOT_FOUND),
    ),
    Rule(
        fields.WRONG_TYPE,
        "wrong-type",
        "A field never gets a value of its type.",
        _of(fields.WRONG_TYPE),
    ),
    Rule(
        fields.RESULT_PATH,
        "result-path-mismatch",
        "The input has no place for the result.",
        _of(fields.RESULT_PATH),
    ),
    Rule(
        fields.INTRINSIC,
        "intrinsic-fails",
        "An intrinsic function never gets arguments of its types.",
        _of(fields.INTRINSIC),
    ),
    Rule(
        fields.UNDEFINED,
        "expression-undefined",
        "A JSONata path never finds a value.",
        _of(fields.UNDEFINED),
    ),
    Rule("N106", "always-caught", "A field always fails, and a catcher takes the error.", handled),
    Rule(
        fields.UNASSIGNED,
        "variable-not-assigned-yet",
        "A variable is read before any state assigns it.",
        _of(fields.UNASSIGNED),
    ),
)
