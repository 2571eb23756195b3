"""Read an invoice: check that it adds up."""


class Unreadable(Exception):
    pass


def handler(invoice, context):
    try:
        total = round(sum(line["price"] * line["count"] for line in invoice["lines"]), 2)
        return {
            "number": str(invoice["number"]),
            "supplier": str(invoice["supplier"]),
            "total": total,
        }
    except (KeyError, TypeError) as fault:
        raise Unreadable(f"{type(fault).__name__} {fault}") from None
