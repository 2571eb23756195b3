"""Charges a card. A card token that ends in "declined" fails; the first attempt for a total over
1,000 fails with BankBusy.
"""


class BankBusy(Exception):
    """A retry may succeed."""


class CardDeclined(Exception):
    """A retry cannot succeed."""


def handler(event, context):
    if event["card"].endswith("declined"):
        raise CardDeclined("the bank declined the card")
    if event["total"] > 1000 and event["attempt"] == 0:
        raise BankBusy("try again in a moment")
    return {
        "chargeId": f"chg-{event['orderId']}",
        "amount": event["total"],
        "attempts": event["attempt"] + 1,
    }
