"""AWS Glue DataBrew: startJobRun, plain and `.sync`."""

from stepwell.integrations.tasks.optimised import Job, Service

_JOB = Job(
    "DescribeJobRun",
    lambda parameters, answer: {"Name": parameters["Name"], "RunId": answer["RunId"]},
    ("State",),
    ("SUCCEEDED",),
    ("FAILED", "STOPPED", "TIMEOUT"),
    (),
    (
        "StopJobRun",
        lambda parameters, answer: {"Name": parameters["Name"], "RunId": answer["RunId"]},
    ),
)
actions = Service(
    "databrew", "DataBrew", "AWSGlueDataBrew", "AWSGlueDataBrewException", {"startJobRun": _JOB}
).actions
