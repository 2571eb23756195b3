"""Calls of AWS APIs outside, through botocore, in threads: only to configured endpoints, and to AWS
if that is allowed.

A call is made once: retries are up to a workflow's Retry, or to the deliveries of a service.
"""

from __future__ import annotations

import asyncio
import threading
from collections import OrderedDict
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Final

import botocore.session
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.response import StreamingBody

from stepwell.engine.tasks import acquire
from stepwell.integrations.aws import messages
from stepwell.integrations.aws.calls import ServiceError
from stepwell.integrations.aws.models import operation_method
from stepwell.integrations.aws.urls import public_text
from stepwell.integrations.limits import DEFAULT_LIMITS, Limits

# the credentials for endpoints other than AWS
_KEYS: Final = {"aws_access_key_id": "stepwell", "aws_secret_access_key": "stepwell"}
_EVERY: Final = ""


class Aws:
    """endpoints: botocore's name of a service -> URL, "": of all others; allow_aws: services
    without an endpoint are called at AWS.
    """

    def __init__(
        self, endpoints: Mapping[str, str], allow_aws: bool = False, limits: Limits = DEFAULT_LIMITS
    ) -> None:
        self._endpoints, self._allow_aws, self._limits = endpoints, allow_aws, limits
        self._clients: OrderedDict[tuple[str, str], Any] = OrderedDict()
        self._making = threading.Lock()  # botocore's sessions are not thread-safe
        self._session: Any = None
        self._threads = ThreadPoolExecutor(limits.aws_threads, "stepwell-aws")
        self._free = asyncio.Semaphore(limits.aws_threads)
        self._waiting = 0  # calls that wait for a thread

    async def call(
        self,
        service: str,
        operation: str,
        parameters: Mapping[str, Any],
        region: str,
        most_bytes: int | None = None,
    ) -> tuple[dict[str, Any], Mapping[str, Any]]:
        """(answer, {"RequestId", "HTTPStatusCode", "HTTPHeaders"}). most_bytes: see calls.exchange.
        Raises ServiceError.
        """
        if service not in self._endpoints and _EVERY not in self._endpoints and not self._allow_aws:
            raise ServiceError("", messages.AWS_NOT_ALLOWED.format(service=service), 0)
        if self._waiting >= self._limits.aws_queue:
            raise ServiceError("", messages.AWS_TOO_MANY, 0)
        self._waiting += 1
        try:
            await acquire(self._free)
        finally:
            self._waiting -= 1
        work = self._threads.submit(
            self._call,
            service,
            operation,
            parameters,
            region,
            most_bytes or self._limits.payload_bytes,
        )
        # when the thread is free, even if the caller was cancelled
        work.add_done_callback(partial(self._release, asyncio.get_running_loop()))
        return await asyncio.wrap_future(work)

    def _release(self, loop: asyncio.AbstractEventLoop, _: object) -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(self._free.release)

    def _call(
        self,
        service: str,
        operation: str,
        parameters: Mapping[str, Any],
        region: str,
        most_bytes: int,
    ) -> tuple[dict[str, Any], Mapping[str, Any]]:
        try:
            answer = getattr(self._client(service, region), operation_method(operation))(
                **parameters
            )
        except ClientError as error:
            details, metadata = (
                error.response.get("Error", {}),
                error.response.get("ResponseMetadata", {}),
            )
            extended = metadata.get("HostId", "") if service == "s3" else ""
            status, request = metadata.get("HTTPStatusCode", 400), metadata.get("RequestId", "")
            raise ServiceError(
                details.get("Code", ""), details.get("Message", ""), status, request, extended
            ) from None
        except (BotoCoreError, OSError, ValueError, TypeError) as error:
            raise ServiceError(
                "", messages.AWS_UNREACHABLE.format(text=public_text(str(error))), 0
            ) from None
        metadata = answer.pop("ResponseMetadata", {})
        try:
            return {name: _read(value, most_bytes) for name, value in answer.items()}, metadata
        except (BotoCoreError, OSError) as error:
            raise ServiceError(
                "", messages.AWS_UNREACHABLE.format(text=public_text(str(error))), 0
            ) from None

    def _client(self, service: str, region: str) -> Any:
        key = service, region
        with self._making:
            if key in self._clients:
                self._clients.move_to_end(key)
                return self._clients[key]
            self._session = self._session or botocore.session.Session()
            seconds = self._limits.aws_seconds
            config = Config(
                connect_timeout=min(seconds, 10),
                read_timeout=seconds,
                retries={"total_max_attempts": 1},
                parameter_validation=False,  # done by aws/validation.py, with AWS's texts
                inject_host_prefix=False,
                max_pool_connections=self._limits.aws_threads,
                s3={"addressing_style": "path"},
            )
            keys = {} if self._allow_aws else _KEYS
            endpoint = self._endpoints.get(service, self._endpoints.get(_EVERY))
            made = self._session.create_client(
                service, region_name=region, endpoint_url=endpoint, config=config, **keys
            )
            self._clients[key] = made
            while len(self._clients) > self._limits.aws_clients:
                self._clients.popitem(last=False)  # a running call keeps its client
            return made

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)


def _read(value: Any, most_bytes: int) -> Any:
    if not isinstance(value, StreamingBody):
        return value
    with value:
        return value.read(most_bytes + 1)
