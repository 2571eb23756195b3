"""Names of services, and times, for people."""

import pytest
from botocore.session import get_session

from stepwell.visualize.service_names import NAMES, letters, service_name
from stepwell.visualize.words.labels import task_label, wait_label
from stepwell.visualize.words.texts import when


@pytest.mark.parametrize(
    ("resource", "label", "chip"),
    [
        (
            "arn:aws:states:::aws-sdk:cloudformation:createStack",
            "CloudFormation: CreateStack",
            "CF",
        ),
        (
            "arn:aws:states:::aws-sdk:autoscaling:setDesiredCapacity",
            "Auto Scaling: SetDesiredCapacity",
            "AS",
        ),
        ("arn:aws:states:::bedrock:invokeModel", "Bedrock: InvokeModel", "BE"),
        ("arn:aws:states:::aws-sdk:bedrockruntime:converse", "Bedrock Runtime: Converse", "BR"),
        (
            "arn:aws:states:::aws-sdk:cloudwatchlogs:putLogEvents",
            "CloudWatch Logs: PutLogEvents",
            "CW",
        ),
        ("arn:aws:states:::aws-sdk:sfn:startExecution", "Step Functions: StartExecution", "SF"),
        (
            "arn:aws:states:::emr-serverless:startJobRun.sync",
            "EMR Serverless: StartJobRun (sync)",
            "EM",
        ),
        ("arn:aws:states:::aws-sdk:ec2:describeInstances", "EC2: DescribeInstances", "EC"),
        ("arn:aws:states:::aws-sdk:unheardof:doIt", "Unheardof: DoIt", "UN"),
    ],
)
def test_names_and_letters_of_services(resource: str, label: str, chip: str) -> None:
    assert task_label(resource) == label
    assert letters(resource.split(":::")[1].rpartition(":")[0]) == chip


def test_names_have_their_capitals() -> None:
    """Of those that botocore knows, most of several words: none is run together, as
    "Cloudformation".
    """
    session = get_session()
    ids = [
        session.get_service_model(name).metadata["serviceId"]
        for name in ("cloudformation", "autoscaling", "stepfunctions", "logs")
    ]
    assert [service_name(each.replace(" ", "").lower()) for each in ids] == [
        "CloudFormation",
        "Auto Scaling",
        "Step Functions",
        "CloudWatch Logs",
    ]
    assert all(name == " ".join(name.split()) and ";" not in name for name in NAMES.values())


@pytest.mark.parametrize(
    ("seconds", "exact", "text"),
    [
        (0, False, "1970-01-01 00:00:00 UTC"),
        (1_700_000_000.9996, True, "2023-11-14 22:13:21.000 UTC"),
        (1_795_864_319.899, True, "2026-11-28 11:11:59.899 UTC"),
    ],
)
def test_times_have_their_date_and_zone(seconds: float, exact: bool, text: str) -> None:
    assert when(seconds, exact) == text


@pytest.mark.parametrize(
    ("seconds", "label"),
    [
        (0, "Wait 0 s"), (10, "Wait 10 s"), (60, "Wait 1 min"), (90, "Wait 1 min 30 s"),
        (3600, "Wait 1 h"), (129_600, "Wait 1 d 12 h"), (2_592_000, "Wait 30 d"),
        (2_592_001, "Wait 30 d 1 s"), (99_999_999, "Wait 1,157 d 9 h 46 min 39 s"),
        ("$.delay", "Wait $.delay s"), ("{% $n %}", "Wait $n s"),
    ],
)  # fmt: skip
def test_waits_are_in_the_units_that_people_say(seconds, label):
    assert wait_label(seconds) == label
