"""Raises."""


class CustomError(Exception):
    pass


def handler(event, context):
    raise CustomError("it failed")
