"""Amazon SageMaker: jobs, plain and `.sync`; endpoints and models."""

from typing import Final

from stepwell.integrations.tasks.optimised import Job, Members, Service

_KINDS = {
    "createTrainingJob": "TrainingJob",
    "createTransformJob": "TransformJob",
    "createHyperParameterTuningJob": "HyperParameterTuningJob",
    "createLabelingJob": "LabelingJob",
    "createProcessingJob": "ProcessingJob",
}


def _job(kind: str) -> Job:
    def named(parameters: Members, answer: Members) -> Members:
        return {f"{kind}Name": parameters[f"{kind}Name"]}

    status = ("LabelingJobStatus",) if kind == "LabelingJob" else (f"{kind}Status",)
    return Job(
        f"Describe{kind}",
        named,
        status,
        ("Completed",),
        ("Failed", "Stopped"),
        (),
        (f"Stop{kind}", named),
    )


_JOBS = {action: _job(kind) for action, kind in _KINDS.items()}
SERVICE: Final = Service(
    "sagemaker", "SageMaker", "AmazonSageMaker", "AmazonSageMakerException", _JOBS
)
actions = SERVICE.actions
