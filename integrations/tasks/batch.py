"""AWS Batch: submitJob, plain and `.sync`."""

from typing import Final

from stepwell.integrations.tasks.optimised import Job, Service

_JOB = Job(
    "DescribeJobs",
    lambda parameters, answer: {"jobs": [answer["jobId"]]},
    ("jobs", 0, "status"),
    ("SUCCEEDED",),
    ("FAILED",),
    ("jobs", 0),
    (
        "TerminateJob",
        lambda parameters, answer: {
            "jobId": answer["jobId"],
            "reason": "The task of the workflow has ended",
        },
    ),
)
SERVICE: Final = Service("batch", "Batch", "AWSBatch", "AWSBatchException", {"submitJob": _JOB})
actions = SERVICE.actions
