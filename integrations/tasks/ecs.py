"""Amazon ECS: runTask, plain, `.sync` and `.waitForTaskToken`. A task of ECS succeeds if it ran and
all its containers ended with 0.
"""

from collections.abc import Mapping
from typing import Any, Final

from stepwell.integrations.tasks.optimised import Job, Members, Service


def _task(parameters: Members, answer: Members) -> dict[str, Any]:
    tasks = answer.get("tasks") or [{}]
    cluster = parameters.get("cluster") or tasks[0].get("clusterArn")
    return {
        "tasks": [each["taskArn"] for each in tasks if "taskArn" in each],
        **({"cluster": cluster} if cluster else {}),
    }


def _stop(parameters: Members, answer: Members) -> dict[str, Any]:
    task = _task(parameters, answer)
    return {"task": task.pop("tasks")[0], **task}


def _succeeded(task: Mapping[str, Any]) -> bool:
    containers = task.get("containers") or []
    return task.get("stopCode") in (None, "EssentialContainerExited") and all(
        each.get("exitCode", 0) == 0 for each in containers
    )


_JOB = Job(
    "DescribeTasks",
    _task,
    ("tasks", 0, "lastStatus"),
    ("STOPPED",),
    (),
    ("tasks", 0),
    ("StopTask", _stop),
    None,
    _succeeded,
)
SERVICE: Final = Service("ecs", "ECS", "AmazonECS", "AmazonECSException", {"runTask": _JOB})
actions = SERVICE.actions
