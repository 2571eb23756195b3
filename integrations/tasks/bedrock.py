"""Amazon Bedrock: invokeModel, and createModelCustomizationJob, also `.sync`."""

from stepwell.integrations.tasks.optimised import Job, Members, Service


def _job(parameters: Members, answer: Members) -> Members:
    return {"jobIdentifier": answer["jobArn"]}


_JOB = Job(
    "GetModelCustomizationJob", _job, ("status",), ("Completed",), ("Failed", "Stopped"), (),
    ("StopModelCustomizationJob", _job)
)  # fmt: skip
actions = Service(
    "bedrock",
    "Bedrock",
    "AmazonBedrock",
    "AmazonBedrockException",
    {"createModelCustomizationJob": _JOB},
    runtime={"invokeModel": "bedrock-runtime"},
).actions
