"""Asks how the job is: it is done when it was asked `needed` times."""


def handler(event, context):
    done = event["poll"] >= event["needed"]
    return {
        "status": "DONE" if done else "RUNNING",
        "percent": min(100, 100 * event["poll"] // event["needed"]),
    }
