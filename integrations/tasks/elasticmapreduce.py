"""Amazon EMR: clusters and their steps. Its actions have names and parameters of Step Functions'
own.
"""

from typing import Any

from stepwell.asl.evaluation import Json
from stepwell.integrations.tasks.optimised import Job, Service

_READY = ("WAITING", "RUNNING")
_DEAD = ("TERMINATED", "TERMINATED_WITH_ERRORS")


def _without(payload: Json, *names: str) -> dict[str, Any]:
    return (
        {name: value for name, value in payload.items() if name not in names}
        if isinstance(payload, dict)
        else {}
    )


def _member(payload: Json, name: str) -> Json:
    return payload.get(name) if isinstance(payload, dict) else None


def _add_step(payload: Json) -> Json:
    return {
        **_without(payload, "ClusterId", "Step"),
        "JobFlowId": _member(payload, "ClusterId"),
        "Steps": [_member(payload, "Step")],
    }


def _cancel_step(payload: Json) -> Json:
    return {**_without(payload, "StepId"), "StepIds": [_member(payload, "StepId")]}


def _of_cluster(payload: Json) -> Json:
    return {**_without(payload, "ClusterId"), "JobFlowIds": [_member(payload, "ClusterId")]}


def _cluster(id: str, good: tuple[str, ...], bad: tuple[str, ...], cancel: bool) -> Job:
    def known(parameters: Any, answer: Any) -> dict[str, Any]:
        return {"ClusterId": answer[id] if id in answer else parameters["JobFlowIds"][0]}

    def cancelled(parameters: Any, answer: Any) -> dict[str, Any]:
        return {"JobFlowIds": [answer[id]]}

    stop = ("TerminateJobFlows", cancelled) if cancel else None
    return Job("DescribeCluster", known, ("Cluster", "Status", "State"), good, bad, (), stop)


_STEP = Job(
    "DescribeStep",
    lambda parameters, answer: {
        "ClusterId": parameters["JobFlowId"],
        "StepId": answer["StepIds"][0],
    },
    ("Step", "Status", "State"),
    ("COMPLETED",),
    ("FAILED", "CANCELLED", "INTERRUPTED"),
    (),
    (
        "CancelSteps",
        lambda parameters, answer: {
            "ClusterId": parameters["JobFlowId"],
            "StepIds": answer["StepIds"],
        },
    ),
)
actions = Service(
    "elasticmapreduce",
    "ElasticMapReduce",
    "AmazonElasticMapReduce",
    "AmazonElasticMapReduceException",
    {
        "createCluster": _cluster("JobFlowId", _READY, _DEAD, True),
        "terminateCluster": _cluster("JobFlowId", _DEAD, (), False),
        "addStep": _STEP,
    },
    {
        "createCluster": "RunJobFlow",
        "terminateCluster": "TerminateJobFlows",
        "addStep": "AddJobFlowSteps",
        "cancelStep": "CancelSteps",
        "setClusterTerminationProtection": "SetTerminationProtection",
        "modifyInstanceFleetByName": "ModifyInstanceFleet",
        "modifyInstanceGroupByName": "ModifyInstanceGroups",
    },
    reshape={
        "addStep": _add_step,
        "cancelStep": _cancel_step,
        "terminateCluster": _of_cluster,
        "setClusterTerminationProtection": _of_cluster,
    },
).actions
