"""Gives back what it is given."""


def handler(event, context):
    return event
