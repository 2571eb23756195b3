"""AWS Elemental MediaConvert: createJob, plain and `.sync`."""

from stepwell.integrations.tasks.optimised import Job, Members, Service


def _job(parameters: Members, answer: Members) -> Members:
    return {"Id": answer["Job"]["Id"]}


_JOB = Job(
    "GetJob", _job, ("Job", "Status"), ("COMPLETE",), ("ERROR", "CANCELED"), (), ("CancelJob", _job)
)
actions = Service(
    "mediaconvert",
    "MediaConvert",
    "AWSMediaConvert",
    "AWSMediaConvertException",
    {"createJob": _JOB},
).actions
