"""Takes longer than its caller waits."""

import time


def handler(event: object, context: object) -> object:
    time.sleep(5)
    return event
