"""Asks one supplier for a price. Each supplier is unreliable in its own way, and always in the same
one.
"""

import time


class SupplierBusy(Exception):
    """Comes with the first attempt, goes with the second."""


def handler(event, context):
    supplier, quantity = event["supplier"], event["quantity"]
    if supplier == "busy" and event["attempt"] == 0:
        raise SupplierBusy("our lines are full")
    if supplier == "slow":
        time.sleep(30)  # longer than the state's TimeoutSeconds: never seen through
    if supplier == "broken":
        return {"supplier": supplier, "price": quantity / 0}
    return {"supplier": supplier, "price": quantity * 12, "attempts": event["attempt"] + 1}
