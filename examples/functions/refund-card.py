"""Undoes charge-card."""


def handler(event, context):
    return {"refunded": event["chargeId"], "amount": event["amount"]}
