"""Undoes reserve-stock."""


def handler(event, context):
    return {"released": event["reservationId"]}
