"""Asks a supplier for a price: "busy" fails once, "slow" times out, "broken" always fails."""

import time


class SupplierBusy(Exception):
    """Raised by the first attempt only."""


def handler(event, context):
    supplier, quantity = event["supplier"], event["quantity"]
    if supplier == "busy" and event["attempt"] == 0:
        raise SupplierBusy("our lines are full")
    if supplier == "slow":
        time.sleep(30)  # longer than the state's TimeoutSeconds
    if supplier == "broken":
        return {"supplier": supplier, "price": quantity / 0}
    return {"supplier": supplier, "price": quantity * 12, "attempts": event["attempt"] + 1}
