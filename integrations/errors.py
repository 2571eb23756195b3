"""The errors of commands and server that their user sees."""


class UsageError(Exception):
    """The command cannot do what it was asked to; the text says why. Exit code 2."""
