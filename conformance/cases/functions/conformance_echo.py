"""Gives back what it is given."""


def handler(event: object, context: object) -> object:
    return event
