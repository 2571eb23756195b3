"""AWS CodeBuild: builds and batches of builds; starting one also `.sync`."""

from typing import Final

from stepwell.integrations.tasks.optimised import Job, Service

_BAD = ("FAILED", "FAULT", "TIMED_OUT", "STOPPED")
_BUILD = Job(
    "BatchGetBuilds",
    lambda parameters, answer: {"ids": [answer["build"]["id"]]},
    ("builds", 0, "buildStatus"),
    ("SUCCEEDED",),
    _BAD,
    ("builds", 0),
    ("StopBuild", lambda parameters, answer: {"id": answer["build"]["id"]}),
    inside="Build",
)
_BATCH = Job(
    "BatchGetBuildBatches",
    lambda parameters, answer: {"ids": [answer["buildBatch"]["id"]]},
    ("buildBatches", 0, "buildBatchStatus"),
    ("SUCCEEDED",),
    _BAD,
    ("buildBatches", 0),
    ("StopBuildBatch", lambda parameters, answer: {"id": answer["buildBatch"]["id"]}),
    inside="BuildBatch",
)
_JOBS = {"startBuild": _BUILD, "startBuildBatch": _BATCH}
SERVICE: Final = Service("codebuild", "CodeBuild", "AWSCodeBuild", "AWSCodeBuildException", _JOBS)
actions = SERVICE.actions
