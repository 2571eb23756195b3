"""What jobs and nested executions return is known, so that paths into their results are checked."""

import json

import pytest

from stepwell.asl.lint import lint
from stepwell.integrations.tasks.results import result_shape

KNOWN = [
    ("ecs:runTask.sync", "$.Tasks[0].TaskArn", "$.TaskArn"),
    ("glue:startJobRun.sync", "$.JobRunId", "$.Id"),
    ("athena:startQueryExecution.sync", "$.QueryExecutionId", "$.QueryExecution.QueryExecutionId"),
    ("codebuild:startBuild.sync", "$.Builds[0].ReportArns", "$.Build.ReportArns"),
    ("codebuild:startBuildBatch.sync", "$.Id", "$.BuildBatch.Id"),
    ("batch:submitJob.sync", "$.Job.Container", "$.Container"),
    ("sagemaker:createTrainingJob.sync", "$.TrainingJob", "$.ModelArtifacts.S3ModelArtifacts"),
    ("states:startExecution.sync", "$.Output.id", "$.Output"),
    ("states:startExecution.sync:2", "$.Result", "$.Output.id"),
]


def found(resource: str, path: str) -> list[str]:
    states = {
        "S": {"Type": "Task", "Resource": f"arn:aws:states:::{resource}", "Next": "T"},
        "T": {"Type": "Pass", "InputPath": path, "End": True},
    }
    machine = json.dumps({"StartAt": "S", "States": states})
    return [each.code for each in lint(machine, results=result_shape) if each.code == "E101"]


@pytest.mark.parametrize(("resource", "wrong", "right"), KNOWN)
def test_paths_into_the_result_of_a_job(resource: str, wrong: str, right: str) -> None:
    assert found(resource, wrong) == ["E101"]
    assert found(resource, right) == []


def test_a_result_that_is_not_known() -> None:
    assert found("emr-serverless:startJobRun.sync", "$.x") == []
    assert found("sqs:sendMessage.waitForTaskToken", "$.x") == []
