"""Read an invoice and compute its total."""


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
    except (KeyError, TypeError) as error:
        raise Unreadable(f"{type(error).__name__} {error}") from None
