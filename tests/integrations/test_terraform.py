"""Terraform's AWS provider: each resource type of the services that the server implements is
applied, changed and destroyed, without drift.

The provider waits for minutes, so its steps begin with the first test of this folder (conftest.py);
here they are looked at. Skipped where there is no terraform, or no provider for it: `terraform
init` has to find hashicorp/aws, in a mirror or in the registry.
"""

import shutil
from concurrent.futures import Future

import pytest
from tests.integrations.terraform.steps import SOURCE, Terraform

pytestmark = pytest.mark.skipif(
    shutil.which("terraform") is None, reason="terraform is not installed"
)


@pytest.mark.parametrize(
    "step", ["apply", "plan after apply", "change", "plan after change", "destroy"]
)
def test_step(terraform: Future[Terraform], step: str) -> None:
    done = terraform.result().done[step]
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr


def test_every_resource_was_there_and_none_is_left(terraform: Future[Terraform]) -> None:
    found = terraform.result()
    written = [
        line.split('"')[1::2]
        for line in SOURCE.read_text().splitlines()
        if line.startswith("resource ")
    ]
    for step in ("apply", "change"):
        assert sorted(found.done[f"state after {step}"].stdout.split()) == sorted(
            f"{kind}.{name}" for kind, name in written
        )
    assert found.done["state after destroy"].stdout.split() == []


@pytest.mark.parametrize(
    ("service", "operation", "member", "names"),
    [
        ("stepfunctions", "list_state_machines", "stateMachines", []),
        ("stepfunctions", "list_activities", "activities", []),
        ("lambda", "list_functions", "Functions", []),
        ("lambda", "list_event_source_mappings", "EventSourceMappings", []),
        ("sqs", "list_queues", "QueueUrls", []),
        ("sns", "list_topics", "Topics", []),
        ("sns", "list_subscriptions", "Subscriptions", []),
        ("events", "list_event_buses", "EventBuses", ["default"]),
        ("events", "list_rules", "Rules", []),
        ("events", "list_archives", "Archives", []),
        ("events", "list_connections", "Connections", []),
        ("scheduler", "list_schedules", "Schedules", []),
        ("scheduler", "list_schedule_groups", "ScheduleGroups", ["default"]),
        ("apigatewayv2", "get_apis", "Items", []),
        ("iot", "list_topic_rules", "rules", []),
    ],
)
def test_nothing_is_left_on_the_server(
    terraform: Future[Terraform], service: str, operation: str, member: str, names: list[str]
) -> None:
    answer = getattr(terraform.result().live.client(service), operation)()
    assert [
        each["Name"] if isinstance(each, dict) and "Name" in each else each
        for each in answer.get(member, [])
    ] == names
