"""Submits a long job to another system, which returns an id at once."""


def handler(event, context):
    return {"jobId": f"job-{event['report']}"}
