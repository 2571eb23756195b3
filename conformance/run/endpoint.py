"""A Step Functions API over HTTP, whoever serves it: the few calls that checks are made of. Safe
for several threads.
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
TRACES: Final = "conformance-"  # what our things are called on the endpoint
_CLOSED: Final = frozenset({"SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED"})
_FIRST_PAUSE: Final = 0.005
_LONGEST_PAUSE: Final = 0.25
# A poll of an activity lasts 60 s where nothing comes
_READ_TIMEOUT: Final = 70

Json = Any


class Unfinished(Exception):
    """An execution that did not end in time."""


class Unreachable(Exception):
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
    """One endpoint. Names of what it makes are random, and everything is deleted again by the
    `with` blocks that make it.
    """

    def __init__(
        self,
        url: str | None,
        region: str = "us-east-1",
        threads: int = 16,
        credentials: tuple[str, str] | None = None,
    ) -> None:
        """`url` None: AWS itself, with the credentials of the environment; else made-up ones will
        do unless `credentials` are given.
        """
        key, secret = credentials or (("conformance", "conformance") if url else (None, None))
        self.url, self.region, self.credentials = url, region, (key, secret)
        self.client = boto3.client(
            "stepfunctions",
            endpoint_url=url,
            region_name=region,
            aws_access_key_id=key,
            aws_secret_access_key=secret,
            # what boto3 would refuse by itself is the endpoint's to refuse; AWS throttles, so there
            # it tries again
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
        """The answer of an operation, by its name in the API; ClientError if it is refused."""
        answer: dict[str, Json] = self.client._make_api_call(operation, parameters)
        answer.pop("ResponseMetadata", None)
        return answer

    @property
    def account(self) -> str:
        """The account id in this endpoint's ARNs; asking for it is how an endpoint that is not
        there is found out.
        """
        if self._account is None:
            try:
                with self.activity() as arn:
                    self._account = arn.split(":")[4]
            except (BotoCoreError, ClientError) as error:
                raise Unreachable(f"{self.url or 'AWS'}: {error}") from error
        return self._account

    @property
    def role(self) -> str:
        return ROLE.format(account=self.account)

    @contextmanager
    def machine(self, definition: Json, kind: str = "STANDARD") -> Iterator[str]:
        """The ARN of a state machine that lives as long as the block; `definition` is a value or
        its text.
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
        """The ARN of an activity that lives as long as the block."""
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
        """The execution when it has ended; Unfinished if that takes longer (it is stopped then)."""
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
        raise Unfinished(f"still {found['status']} after {seconds:g} s")

    def run_express(self, definition: Json, input: Json = None) -> Run:
        """As `run`, as a synchronous Express workflow: there is no history."""
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
        """The history events of an execution, in their order."""
        parameters = {"executionArn": execution, "maxResults": 1000}
        while True:
            page = self.call("GetExecutionHistory", **parameters)
            yield from page["events"]
            if not page.get("nextToken"):
                return
            parameters["nextToken"] = page["nextToken"]

    def work(self, activity: str, answers: Iterable[Mapping[str, Json]]) -> None:
        """Take tasks of an activity, and give each the next answer.

        {"output": JSON} succeeds, {"error": .., "cause": ..} fails, {"silent": true} says nothing;
        {"heartbeats": N} beats N times before.
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
    return TRACES + uuid.uuid4().hex


def pauses(seconds: float) -> Iterator[float]:
    """Yields now, and again after ever longer pauses, until the time is up."""
    until, pause = time.monotonic() + seconds, _FIRST_PAUSE
    while True:
        yield pause
        if time.monotonic() >= until:
            return
        time.sleep(pause)
        pause = min(pause * 1.5, _LONGEST_PAUSE)
