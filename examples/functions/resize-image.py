"""Pretends to resize an image; a file that is not an image is refused."""


class NotAnImage(Exception):
    """The name says that it is something else."""


def handler(event, context):
    name, _, extension = event["file"].rpartition(".")
    if extension not in ("png", "jpg"):
        raise NotAnImage(event["file"])
    return {"file": f"{name}-{event['width']}.{extension}", "bytes": event["width"] * 10}
