"""The errors of commands and server that their user sees."""

from collections.abc import Sequence


class UsageError(Exception):
    """The command cannot do what it was asked to; the text says why. Exit code 2.

    picture  lines that are printed below it, in a fixed width
    """

    picture: Sequence[str] = ()
