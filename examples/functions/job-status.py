"""The status of a job: it is done at poll number `needed`."""


def handler(event, context):
    done = event["poll"] >= event["needed"]
    return {
        "status": "DONE" if done else "RUNNING",
        "percent": min(100, 100 * event["poll"] // event["needed"]),
    }
