"""Counts words and lines."""


def handler(event, context):
    return {"words": len(event["text"].split()), "lines": len(event["text"].splitlines())}
