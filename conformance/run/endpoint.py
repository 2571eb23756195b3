"""A client of any endpoint with the Step Functions API: the calls that checks are made of. Safe for
several threads.
"""

import json
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Final

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

ROLE: Final = "arn:aws:iam::{account}:role/conformance"
PREFIX: Final = "conformance-"  # of the names of everything that the suite creates
_CLOSED: Final = frozenset({"SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED"})
_FIRST_PAUSE: Final = 0.005
_LONGEST_PAUSE: Final = 0.25
# GetActivityTask waits up to 60 s for a task
_READ_TIMEOUT: Final = 70

Json = Any


class UnfinishedError(Exception):
    """An execution did not end in time."""


class UnreachableError(Exception):
    """The endpoint does not answer."""


@dataclass(frozen=True, slots=True)
class Run:
    """An execution that has ended. `output` is JSON text; `history` has AWS's events, with their
    JSON members as text.
    """

    arn: str
    status: str
    output: str | None
    error: str | None
    cause: str | None
    history: tuple[Mapping[str, Json], ...] = ()


class Endpoint:
    """One endpoint. What it creates has random names, and the `with` block that creates it deletes
    it.
    """

    def __init__(
        self,
        url: str | None,
        region: str = "us-east-1",
        threads: int = 16,
        credentials: tuple[str, str] | None = None,
    ) -> None:
        """`url` None: AWS itself, with the credentials of the environment. `credentials`: access
        key and secret for another endpoint; the default is a fixed pair.
        """
        key, secret = credentials or (("conformance", "conformance") if url else (None, None))
        self.url, self.region, self.credentials = url, region, (key, secret)
        self.client = boto3.client(
            "stepfunctions",
            endpoint_url=url,
            region_name=region,
            aws_access_key_id=key,
            aws_secret_access_key=secret,
            # the endpoint must validate, not boto3; AWS throttles, so calls are retried there
            config=Config(
                inject_host_prefix=url is None,
                parameter_validation=False,
                max_pool_connections=threads + 2,
                connect_timeout=5,
                read_timeout=_READ_TIMEOUT,
                retries={"total_max_attempts": 1}
                if url
                else {"mode": "adaptive", "total_max_attempts": 10},
            ),
        )
        self._account: str | None = None

    def call(self, operation: str, **parameters: Json) -> dict[str, Json]:
        """Call an operation by its name in the API. Raises ClientError."""
        answer: dict[str, Json] = self.client._make_api_call(operation, parameters)
        answer.pop("ResponseMetadata", None)
        return answer

    @property
    def account(self) -> str:
        """The account id in this endpoint's ARNs. Raises UnreachableError."""
        if self._account is None:
            try:
                with self.activity() as arn:
                    self._account = arn.split(":")[4]
            except (BotoCoreError, ClientError) as error:
                raise UnreachableError(f"{self.url or 'AWS'}: {error}") from error
        return self._account

    @property
    def role(self) -> str:
        return ROLE.format(account=self.account)

    @contextmanager
    def machine(self, definition: Json, kind: str = "STANDARD") -> Iterator[str]:
        """The ARN of a state machine that is deleted at the end of the block. `definition`: a value
        or its text.
        """
        text = (
            definition
            if isinstance(definition, str)
            else json.dumps(definition, ensure_ascii=False)
        )
        arn = self.call(
            "CreateStateMachine", name=fresh_name(), definition=text, roleArn=self.role, type=kind
        )["stateMachineArn"]
        try:
            yield arn
        finally:
            with suppress(ClientError):
                self.call("DeleteStateMachine", stateMachineArn=arn)

    @contextmanager
    def activity(self) -> Iterator[str]:
        """The ARN of an activity that is deleted at the end of the block."""
        arn = self.call("CreateActivity", name=fresh_name())["activityArn"]
        try:
            yield arn
        finally:
            with suppress(ClientError):
                self.call("DeleteActivity", activityArn=arn)

    def run(
        self, definition: Json, input: Json = None, *, seconds: float = 30, history: bool = True
    ) -> Run:
        """Create a machine, run it to its end, read its history, delete it. `input`: a value, its
        text or None ({}).
        """
        with self.machine(definition) as arn:
            return self.wait(self.start(arn, input), seconds=seconds, history=history)

    def start(self, machine: str, input: Json = None) -> str:
        text = (
            input
            if isinstance(input, str)
            else json.dumps({} if input is None else input, ensure_ascii=False)
        )
        arn: str = self.call("StartExecution", stateMachineArn=machine, input=text)["executionArn"]
        return arn

    def wait(self, execution: str, *, seconds: float = 30, history: bool = True) -> Run:
        """The execution after its end. UnfinishedError after `seconds`; it is stopped then."""
        for _ in pauses(seconds):
            found = self.call("DescribeExecution", executionArn=execution)
            if found["status"] in _CLOSED:
                events = tuple(self.events(execution)) if history else ()
                return Run(
                    execution,
                    found["status"],
                    found.get("output"),
                    found.get("error"),
                    found.get("cause"),
                    events,
                )
        with suppress(ClientError):
            self.call("StopExecution", executionArn=execution)
        raise UnfinishedError(f"still {found['status']} after {seconds:g} s")

    def run_express(self, definition: Json, input: Json = None) -> Run:
        """As `run`, as a synchronous Express workflow, which has no history."""
        text = (
            input
            if isinstance(input, str)
            else json.dumps({} if input is None else input, ensure_ascii=False)
        )
        with self.machine(definition, "EXPRESS") as arn:
            found = self.call("StartSyncExecution", stateMachineArn=arn, input=text)
        return Run(
            found["executionArn"],
            found["status"],
            found.get("output"),
            found.get("error"),
            found.get("cause"),
        )

    def events(self, execution: str) -> Iterator[Mapping[str, Json]]:
        """The history events of an execution, in order."""
        parameters = {"executionArn": execution, "maxResults": 1000}
        while True:
            page = self.call("GetExecutionHistory", **parameters)
            yield from page["events"]
            if not page.get("nextToken"):
                return
            parameters["nextToken"] = page["nextToken"]

    def work(self, activity: str, answers: Iterable[Mapping[str, Json]]) -> None:
        """Poll an activity, and answer each task with the next of the answers.

        {"output": JSON} succeeds, {"error": .., "cause": ..} fails, {"silent": true} sends nothing;
        {"heartbeats": N} sends N heartbeats before.
        """
        for answer in answers:
            task = self.call("GetActivityTask", activityArn=activity, workerName="conformance")
            token = task.get("taskToken")
            if not token:
                return
            for _ in range(answer.get("heartbeats", 0)):
                time.sleep(0.4)
                self.call("SendTaskHeartbeat", taskToken=token)
            if "output" in answer:
                self.call(
                    "SendTaskSuccess",
                    taskToken=token,
                    output=json.dumps(answer["output"], ensure_ascii=False),
                )
            elif not answer.get("silent"):
                self.call(
                    "SendTaskFailure",
                    taskToken=token,
                    **{key: answer[key] for key in ("error", "cause") if key in answer},
                )


def fresh_name() -> str:
    return PREFIX + uuid.uuid4().hex


def pauses(seconds: float) -> Iterator[float]:
    """Yields at once, then after pauses that grow, until the time is up."""
    until, pause = time.monotonic() + seconds, _FIRST_PAUSE
    while True:
        yield pause
        if time.monotonic() >= until:
            return
        time.sleep(pause)
        pause = min(pause * 1.5, _LONGEST_PAUSE)
