"""Takes longer than its caller waits."""

import time


def handler(event, context):
    time.sleep(5)
    return event
