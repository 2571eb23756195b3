"""Simulates the resizing of an image; fails for a file that is not an image."""


class NotAnImage(Exception):
    """The file's suffix is not that of an image."""


def handler(event, context):
    name, _, extension = event["file"].rpartition(".")
    if extension not in ("png", "jpg"):
        raise NotAnImage(event["file"])
    return {"file": f"{name}-{event['width']}.{extension}", "bytes": event["width"] * 10}
