"""The errors of expressions in a definition: compiling raises them, the validator reports them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

from stepwell.asl import messages

if TYPE_CHECKING:
    from lark import UnexpectedInput


class ExpressionSyntaxError(ValueError):
    """An expression cannot be parsed. message: AWS's; column: from 1, of the mistake."""

    def __init__(self, message: str, column: int = 1) -> None:
        super().__init__(message)
        self.message, self.column = message, column


def unparsed(text: str, error: UnexpectedInput) -> ExpressionSyntaxError:
    """A parser's error as an ExpressionSyntaxError, whose message is one line."""
    at_end = getattr(error, "token", None) == ""
    position = len(text) if at_end else error.pos_in_stream or 0
    if at_end:
        return ExpressionSyntaxError(messages.UNEXPECTED_END, position + 1)
    return ExpressionSyntaxError(
        messages.UNEXPECTED_CHARACTER.format(character=text[position], position=position),
        position + 1,
    )


class Fault(NamedTuple):
    """One mistake. location: below the compiled field, in AWS's spelling: "", "/address",
    "/And[0]/Variable".
    """

    location: str
    message: str


class ExpressionError(ValueError):
    """All mistakes of a template or choice rule, in the order of its text."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults = tuple(faults)
        super().__init__(
            "; ".join(f"{message} at {location or '/'}" for location, message in self.faults)
        )
