"""Raises."""


class CustomError(Exception):
    pass


def handler(event: object, context: object) -> object:
    raise CustomError("it failed")
