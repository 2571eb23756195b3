"""Amazon EMR on EKS: virtual clusters and job runs, plain and `.sync`."""

from stepwell.integrations.tasks.optimised import Job, Members, Service


def _run(parameters: Members, answer: Members) -> Members:
    return {"virtualClusterId": answer["virtualClusterId"], "id": answer["id"]}


_RUN = Job(
    "DescribeJobRun", _run, ("jobRun", "state"), ("COMPLETED",), ("FAILED", "CANCELLED"),
    ("jobRun",), ("CancelJobRun", _run)
)  # fmt: skip


def _cluster(good: tuple[str, ...], bad: tuple[str, ...]) -> Job:
    return Job(
        "DescribeVirtualCluster",
        lambda parameters, answer: {"id": answer["id"]},
        ("virtualCluster", "state"),
        good,
        bad,
        ("virtualCluster",),
    )


_JOBS = {
    "createVirtualCluster": _cluster(("RUNNING",), ("TERMINATED", "ARRESTED")),
    "deleteVirtualCluster": _cluster(("TERMINATED",), ("ARRESTED",)),
    "startJobRun": _RUN,
}
actions = Service(
    "emr-containers", "EmrContainers", "AmazonEMRContainers", "AmazonEMRContainersException", _JOBS
).actions
