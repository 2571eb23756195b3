"""AWS Glue: startJobRun, plain and `.sync`."""

from typing import Final

from stepwell.integrations.tasks.optimised import Job, Service

_JOB = Job(
    "GetJobRun",
    lambda parameters, answer: {"JobName": parameters["JobName"], "RunId": answer["JobRunId"]},
    ("JobRun", "JobRunState"),
    ("SUCCEEDED",),
    ("FAILED", "STOPPED", "TIMEOUT", "ERROR", "EXPIRED"),
    ("JobRun",),
    (
        "BatchStopJobRun",
        lambda parameters, answer: {
            "JobName": parameters["JobName"],
            "JobRunIds": [answer["JobRunId"]],
        },
    ),
)
SERVICE: Final = Service("glue", "Glue", "AWSGlue", "AWSGlueException", {"startJobRun": _JOB})
actions = SERVICE.actions
