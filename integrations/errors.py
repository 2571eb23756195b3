"""What the commands and the server tell their user."""


class UsageError(Exception):
    """What the user asked for cannot be done; the text says why. Exit code 2."""
