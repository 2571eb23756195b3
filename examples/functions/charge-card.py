"""Takes the money. A card whose token ends in "declined" is refused; the first call of an order
worth over 1,000 finds the bank busy.
"""


class BankBusy(Exception):
    """Worth another try."""


class CardDeclined(Exception):
    """Not worth another try."""


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
