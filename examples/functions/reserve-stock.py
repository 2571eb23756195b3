"""Reserves the items of an order. The id is derived from the order, so that two calls for the same
order make one reservation.
"""

STOCK = {"lamp": 40, "desk": 3, "chair": 12}


class OutOfStock(Exception):
    """The stock of an item is smaller than the ordered quantity."""


def handler(event, context):
    for line in event["lines"]:
        if line["quantity"] > STOCK.get(line["sku"], 0):
            raise OutOfStock(
                f"{line['quantity']} of {line['sku']} ordered, {STOCK.get(line['sku'], 0)} in stock"
            )
    return {
        "reservationId": f"res-{event['orderId']}",
        "units": sum(line["quantity"] for line in event["lines"]),
    }
