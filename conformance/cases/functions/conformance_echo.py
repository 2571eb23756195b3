"""Returns its event."""


def handler(event: object, context: object) -> object:
    return event
