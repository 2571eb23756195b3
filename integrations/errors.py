"""The errors of commands and server that their user sees."""

from collections.abc import Sequence


class UsageError(Exception):
    """The command cannot do what it was asked to; the text says why. Exit code 2.

    picture  lines that are printed below it, in a fixed width
    """

    picture: Sequence[str] = ()


def file_fault(file: object, fault: OSError | ValueError) -> str:
    """What a file could not be read or written for: "FILE: No such file or directory"."""
    return f"{file}: {getattr(fault, 'strerror', None) or fault}"
