"""Packs: at most five units to a parcel."""


def handler(event, context):
    return {"parcels": -(-event["units"] // 5)}
