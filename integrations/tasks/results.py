"""What tasks return, for the linter: results of requests by their model (aws/task_shapes.py), those
of jobs by the operation that describes the job and the part of its answer that is the result.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from botocore.model import Shape as Model

from stepwell.asl.inference.shapes import ANY, TEXT, Shape, optional, record
from stepwell.asl.resources import SYNC, SYNC_2, Resource
from stepwell.integrations.aws import task_shapes
from stepwell.integrations.aws.models import operation_of
from stepwell.integrations.tasks import athena, batch, codebuild, ecs, glue, sagemaker, states

# whose results of .sync are known from AWS's examples
_SERVICES: Final = {
    module.SERVICE.name: module.SERVICE
    for module in (athena, batch, codebuild, ecs, glue, sagemaker)
}


@lru_cache(256)
def result_shape(resource: Resource) -> Shape | None:
    """What a task with this resource may return; None if it is not known."""
    if resource.kind != "service" or resource.pattern not in (SYNC, SYNC_2):
        return task_shapes.result_shape(resource)
    origin = f"the result of {resource.service}:{resource.label}"
    if resource.service == "states":
        output = TEXT if resource.pattern == SYNC else ANY
        members = {name: optional(ANY) for name in states.RESULT}
        return record({**members, "Output": optional(output)}, origin=origin)
    service = _SERVICES.get(resource.service)
    job = service.jobs.get(resource.action) if service else None
    operation = operation_of(resource.service, job.poll) if job else None
    if job is None or operation is None:
        return None
    model: Model | None = operation.output_shape
    for step in job.result:
        model = _member(model, step)
    if model is None:
        return None
    shape = task_shapes.structure(model, origin)
    return shape if job.inside is None else record({job.inside: shape}, origin=origin)


def _member(model: Model | None, step: str | int) -> Model | None:
    if isinstance(step, int):
        return getattr(model, "member", None)
    members: dict[str, Model] = getattr(model, "members", {})
    return members.get(step)
