"""S3 for Map Runs whose dataset and results are in memory: getObject and listObjectsV2 of an
ItemReader, putObject of a ResultWriter.

S3 is not embedded: the calls go to the endpoint for `s3`, or to AWS if that is allowed. The items
of a dataset together may have `Limits.dataset_bytes`. Both are idempotent: reading has no effect,
and a repeated write uses the same keys.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from functools import partial
from typing import Any, Final

from stepwell.asl import messages as asl_messages
from stepwell.asl.evaluation import Json
from stepwell.asl.json_text import encode
from stepwell.engine.core.model import Payload
from stepwell.engine.errors import ApiError
from stepwell.engine.map_runs.datasets import StreamRequest
from stepwell.engine.tasks import Handler, TaskError, TaskRequest, TaskResult
from stepwell.integrations.datasets.dataset import S3Dataset
from stepwell.integrations.datasets.results import S3Results
from stepwell.integrations.host import Host
from stepwell.integrations.tasks import messages

_ENDED: Final = ("FAILED", "TIMED_OUT", "ABORTED")


def actions(host: Host) -> dict[str, Handler]:
    read = partial(_read, host)
    return {"getObject": read, "listObjectsV2": read, "putObject": partial(_write, host)}


def _stream(request: TaskRequest, payload: Json) -> StreamRequest:
    names = (request.execution_arn, request.machine_arn, request.state_name, request.role_arn)
    return StreamRequest(request.resource, payload, *names)


async def _read(host: Host, request: TaskRequest) -> TaskResult:
    """{"Items", "Source"}; see map_run.items_read."""
    most = host.limits.dataset_bytes
    bounded = replace(host, limits=replace(host.limits, dataset_file_bytes=most))
    dataset = S3Dataset(bounded, None, _stream(request, request.payload))
    try:
        items, keys, cursor = await dataset.chunk(None, host.limits.dataset_items, most)
    finally:
        await dataset.close()
    if cursor is not None:
        where = dataset.source.removeprefix("S3://")
        cause = messages.DATASET_TOO_LARGE.format(where=where, limit=most)
        raise TaskError(asl_messages.ITEM_READER_FAILED, cause)
    found: Any = items if keys is None else dict(zip(keys, items, strict=True))
    return await asyncio.to_thread(_payload, {"Items": found, "Source": dataset.source})


def _payload(value: Json) -> Any:
    return Payload(value)


async def _write(host: Host, request: TaskRequest) -> TaskResult:
    """See map_run.results_written."""
    parameters: Any = request.payload
    succeeded = parameters["Results"]
    if parameters["Transformation"] == "FLATTEN":
        succeeded = [
            item
            for output in succeeded
            for item in (output if isinstance(output, list) else [output])
        ]
    results = S3Results(host, _stream(request, {**parameters, "Results": None}))
    state = await results.begin()
    try:
        failed = await _failed_executions(host, parameters["MapRunArn"])
    except ApiError as error:
        raise TaskError(asl_messages.RESULT_WRITER_FAILED, error.message) from None
    for status, records in (("FAILED", failed), ("SUCCEEDED", succeeded)):
        state = await results.part(state, status, await asyncio.to_thread(_lines, records))
    return await results.finish(state)


async def _failed_executions(host: Host, map_run_arn: str) -> list[Json]:
    """The failed executions that the Map Run tolerated, in the shape of Transformation NONE."""
    engine = host.engine
    assert engine is not None
    failed: list[Json] = []
    for status in _ENDED:
        token: str | None = None
        while True:
            page = await engine.list_executions(
                map_run_arn=map_run_arn, status_filter=status, next_token=token
            )
            failed += [
                await engine.exported_execution(each["executionArn"]) for each in page["executions"]
            ]
            token = page.get("nextToken")
            if token is None:
                break
    return failed


def _lines(records: list[Json]) -> bytes:
    return b"\n".join(map(encode, records))
