"""Amazon Athena: queries, startQueryExecution also `.sync`."""

from typing import Final

from stepwell.integrations.tasks.optimised import Job, Service

_JOB = Job(
    "GetQueryExecution",
    lambda parameters, answer: {"QueryExecutionId": answer["QueryExecutionId"]},
    ("QueryExecution", "Status", "State"),
    ("SUCCEEDED",),
    ("FAILED", "CANCELLED"),
    (),
    (
        "StopQueryExecution",
        lambda parameters, answer: {"QueryExecutionId": answer["QueryExecutionId"]},
    ),
)
SERVICE: Final = Service(
    "athena", "Athena", "AmazonAthena", "AmazonAthenaException", {"startQueryExecution": _JOB}
)
actions = SERVICE.actions
