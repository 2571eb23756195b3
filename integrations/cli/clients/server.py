"""A client of a server that speaks the API over HTTP: of stepwell, of another emulator, or AWS."""

from __future__ import annotations

import asyncio
import heapq
import json
import re
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from itertools import count
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from stepwell.engine.clock import SystemClock
from stepwell.engine.errors import ApiError
from stepwell.integrations.cli.clients import polling
from stepwell.integrations.cli.clients.base import UNKNOWN, UnreachableError, machine_of
from stepwell.integrations.cli.clients.transport import Reply, Transport
from stepwell.integrations.errors import UsageError

if TYPE_CHECKING:
    from stepwell.asl.program import Program
    from stepwell.integrations.limits import Limits

TARGET: Final = "AWSStepFunctions"
LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})
UNSIGNED: Final = frozenset({"MissingAuthenticationToken", "MissingAuthenticationTokenException"})
BUSY: Final = frozenset({"ThrottlingException", "ServiceUnavailable", "TooManyRequestsException"})
BUSY_TRIES: Final = 6
AWAY: Final = frozenset({502, 503, 504})
"""With these a load balancer or proxy answers while no server behind it is ready."""
AGAIN_SECONDS: Final = (0.5, 1.0, 2.0, 5.0)  # between two tries to reach a server; the last repeats
LISTED: Final = 100  # executions of a machine in one request
REFUSED: Final = frozenset(
    {
        "AccessDenied", "AccessDeniedException", "ExpiredTokenException", "IncompleteSignature",
        "InvalidClientTokenId", "InvalidSignatureException", "RequestExpired",
        "UnrecognizedClientException", *UNSIGNED,
    }
)  # fmt: skip


ADVICE: Final = (
    (
        re.compile("^MissingAuthenticationToken"),
        "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE",
    ),
    (
        re.compile("scoped to a valid region"),
        "set AWS_REGION to the region of the server: that of its ARNs, us-east-1 if `serve "
        "--region` does not name another",
    ),
    (
        re.compile("^RequestExpired|Signature (expired|not yet current)"),
        "is the clock of this machine right?",
    ),
    (re.compile("^ExpiredToken"), "get new credentials"),
    (
        re.compile("^(InvalidClientTokenId|InvalidSignature|UnrecognizedClient)"),
        "are these the right AWS credentials?",
    ),
)
"""The first that matches "CODE MESSAGE" of a refusal counts."""


class ServerClient:
    """See base.Client. Requests to other machines are signed; those to this machine if the server
    wants that.
    """

    def __init__(self, url: str, words: Sequence[str], limits: Limits) -> None:
        self.where, self.words, self.limits = f"the server at {url}", words, limits
        self.patient, self._outages, self._away = False, 0, False
        self._http = Transport(url)
        self._signer: Any = None
        self._signs = urlsplit(url).hostname not in LOOPBACK
        self._clock = SystemClock(limits)

    def close(self) -> None:
        self._http.close()

    async def call(self, operation: str, **arguments: Any) -> Any:
        for tries in count():
            outages = self._outages
            try:
                answer = await self._call(operation, arguments)
            except UnreachableError as fault:
                if not self.patient:
                    raise
                if not self._away:
                    print(f"stepwell: {fault}; trying again", file=sys.stderr)
                    self._away, self._outages = True, self._outages + 1
                await asyncio.sleep(AGAIN_SECONDS[min(tries, len(AGAIN_SECONDS) - 1)])
            else:
                if outages == self._outages:  # else it was on its way before
                    self._away = False
                return answer

    async def _call(self, operation: str, arguments: Mapping[str, Any]) -> Any:
        name = "".join(part.capitalize() for part in operation.split("_"))
        sent = {_member(key): value for key, value in arguments.items() if value is not None}
        body = json.dumps(sent).encode()
        for tries in range(BUSY_TRIES):
            reply = await self._send(name, body)
            answer = self._answer(reply)
            code = str(answer.get("__type", "")).rpartition("#")[2]
            if reply.status < 400 and not code:
                return answer
            message = str(answer.get("message") or answer.get("Message") or code)
            if code in UNSIGNED and not self._signs:
                self._signs = True
            elif code in REFUSED or reply.status == 403:
                advice = _advice(code, message)
                raise UsageError(f"{self.where} refuses the request: {message.strip()}{advice}")
            elif code not in BUSY:
                raise ApiError(code, message)
            else:
                await asyncio.sleep(min(0.2 * 2**tries, 5))
        raise UnreachableError(f"{self.where} is busy or stopping: {message}")

    async def _send(self, operation: str, body: bytes) -> Reply:
        headers = {
            "Content-Type": "application/x-amz-json-1.0",
            "X-Amz-Target": f"{TARGET}.{operation}",
        }
        if self._signs:
            if self._signer is None:
                from stepwell.integrations.cli.clients.signing import Signer  # imports botocore

                self._signer = await asyncio.to_thread(Signer)
            url = self._http.url + ("/" if self._http.path == "/" else "")
            headers = await asyncio.to_thread(self._signer.sign, url, headers, body)
        return await self._http.post(headers, body)

    def _answer(self, reply: Reply) -> dict[str, Any]:
        """Raises UsageError for an answer that is not one of the API."""
        try:
            answer = json.loads(reply.body)
        except ValueError:
            answer = None
        if not isinstance(answer, dict) or (reply.status >= 400 and "__type" not in answer):
            if reply.status in AWAY:
                raise UnreachableError(
                    f"no server behind {self._http.url} is ready: it answers with status "
                    f"{reply.status}"
                )
            raise UsageError(
                f"{self.where} does not speak the API of Step Functions: it answers with status "
                f"{reply.status}"
            )
        return answer

    async def describe(self, execution_arn: str) -> Mapping[str, Any]:
        described: dict[str, Any] = await self.call(
            "describe_execution", execution_arn=execution_arn
        )
        return described

    async def definition(self, execution: Mapping[str, Any]) -> tuple[str, str]:
        machine = await self.call(
            "describe_state_machine_for_execution", execution_arn=execution["executionArn"]
        )
        return machine_of(machine["definition"]), "STANDARD"  # it stores no other executions

    async def program(self, execution: Mapping[str, Any]) -> Program:
        from stepwell.engine.machines.programs import compiled

        text, type = await self.definition(execution)
        return compiled(text, type, self.limits, self.where)

    async def seed(self, execution_arn: str) -> tuple[int, str]:
        return 0, ""

    def history(
        self, execution_arn: str, reverse: bool = False
    ) -> AsyncIterator[Mapping[str, Any]]:
        return polling.events(self, execution_arn, reverse)

    def watch(self, execution_arn: str, after: int = 0) -> AsyncIterator[Mapping[str, Any]]:
        return polling.watch(self, execution_arn, after)

    async def executions(
        self, machine_arn: str | None, status: str | None
    ) -> AsyncIterator[Mapping[str, Any]]:
        """The API has a list for each machine: those of all are merged here."""
        arns = [machine_arn] if machine_arn is not None else await self._standard_machines()
        lists = [self._executions(arn, status) for arn in arns]
        first = await asyncio.gather(*(anext(each, None) for each in lists))
        newest = [
            (-item["startDate"], place, item)
            for place, item in enumerate(first)
            if item is not None
        ]
        heapq.heapify(newest)
        while newest:
            _, place, item = newest[0]
            yield item
            following = await anext(lists[place], None)
            if following is None:
                heapq.heappop(newest)
            else:
                heapq.heapreplace(newest, (-following["startDate"], place, following))

    async def _executions(
        self, machine_arn: str, status: str | None
    ) -> AsyncGenerator[Mapping[str, Any], None]:
        asked = {"state_machine_arn": machine_arn, "status_filter": status}
        async for page in polling.pages(self.call, "list_executions", most=LISTED, **asked):
            for each in page["executions"]:
                yield each

    async def _standard_machines(self) -> list[str]:
        return [
            each["stateMachineArn"]
            async for page in polling.pages(self.call, "list_state_machines")
            for each in page["stateMachines"]
            if each["type"] == "STANDARD"
        ]

    async def parked(self) -> Mapping[str, str]:
        try:
            answer = await self.call("list_parked_executions")
        except UnreachableError:
            raise
        except (ApiError, UsageError) as fault:
            if isinstance(fault, ApiError) and fault.code not in UNKNOWN:
                raise
            return {}  # it has no parked executions, or may not say so, like AWS
        return {each["executionArn"]: each["reason"] for each in answer["executions"]}

    async def runs(self) -> bool:
        return True

    def now(self) -> float:
        return self._clock.now() / 1000


def _advice(code: str, message: str) -> str:
    """What mends a refusal; nothing where its message says that."""
    found = (advice for pattern, advice in ADVICE if pattern.search(f"{code} {message}"))
    return next((f"; {advice}" for advice in found), "")


def _member(name: str) -> str:
    """state_machine_arn -> stateMachineArn."""
    first, *others = name.split("_")
    return first + "".join(map(str.capitalize, others))
