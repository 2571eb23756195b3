"""Packs at most five units into a parcel."""


def handler(event, context):
    return {"parcels": -(-event["units"] // 5)}
