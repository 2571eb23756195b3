"""Amazon EMR Serverless: applications and job runs, plain and `.sync`."""

from stepwell.integrations.tasks.optimised import Job, Members, Service


def _run(parameters: Members, answer: Members) -> Members:
    return {"applicationId": answer["applicationId"], "jobRunId": answer["jobRunId"]}


def _job_run(good: tuple[str, ...], bad: tuple[str, ...]) -> Job:
    return Job(
        "GetJobRun", _run, ("jobRun", "state"), good, bad, ("jobRun",), ("CancelJobRun", _run)
    )


def _application(good: tuple[str, ...], bad: tuple[str, ...] = ()) -> Job:
    def known(parameters: Members, answer: Members) -> Members:
        return {"applicationId": answer.get("applicationId") or parameters["applicationId"]}

    return Job("GetApplication", known, ("application", "state"), good, bad, ("application",))


_JOBS = {
    "createApplication": _application(("CREATED",), ("TERMINATED",)),
    "startApplication": _application(("STARTED",), ("TERMINATED",)),
    "stopApplication": _application(("STOPPED",), ("TERMINATED",)),
    "deleteApplication": _application(("TERMINATED",)),
    "startJobRun": _job_run(("SUCCESS",), ("FAILED", "CANCELLED")),
    "cancelJobRun": _job_run(("CANCELLED", "SUCCESS"), ("FAILED",)),
}
actions = Service(
    "emr-serverless", "EmrServerless", "AmazonEMRServerless", "AmazonEMRServerlessException", _JOBS
).actions
