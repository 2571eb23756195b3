"""Runs cases on an endpoint, from several threads."""

import json
import queue
import threading
from collections.abc import Iterator
from typing import Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from stepwell.conformance.run.case import EXPRESS, STANDARD, Case, changed
from stepwell.conformance.run.endpoint import Endpoint, Run, UnfinishedError, fresh_name, pauses
from stepwell.conformance.run.wire import Wire

SECONDS: Final = 30.0  # that an execution may take
_ENDS: Final = frozenset(
    {"ExecutionSucceeded", "ExecutionFailed", "ExecutionAborted", "ExecutionTimedOut"}
)


class Runner:
    """A context manager. `resources`: the Resource of a generated machine -> this endpoint's.

    State machines are reused by UpdateStateMachine, which saves two calls of three. On AWS, where
    updates are eventually consistent, each case gets a new machine.
    """

    def __init__(self, endpoint: Endpoint, resources: dict[str, str]) -> None:
        self.endpoint, self.resources = endpoint, resources
        key, secret = endpoint.credentials
        self.call = (
            Wire(endpoint.url, endpoint.region, key, secret).call
            if endpoint.url and key and secret
            else endpoint.call
        )
        self._free: dict[str, queue.SimpleQueue[str]] = {
            EXPRESS: queue.SimpleQueue(),
            STANDARD: queue.SimpleQueue(),
        }
        self._machines: list[str] = []
        self._lock = threading.Lock()

    def __enter__(self) -> "Runner":
        return self

    def __exit__(self, *error: object) -> None:
        for arn in self._machines:
            try:
                self.call("DeleteStateMachine", stateMachineArn=arn)
            except (BotoCoreError, ClientError):
                return  # the endpoint no longer answers

    def run(self, case: Case) -> Run:
        """Run a case to its end. The Run of a STANDARD one has the history. ClientError if the
        definition is refused.
        """
        definition = changed(case.definition, lambda text: self.resources.get(text, text))
        arn = self._machine(case.kind, json.dumps(definition, ensure_ascii=False))
        try:
            started = json.dumps(case.input, ensure_ascii=False, separators=(",", ":"))
            return (
                self._sync(arn, started)
                if case.kind == EXPRESS
                else self.ended(self.start(arn, started))
            )
        finally:
            self._free[case.kind].put(arn)

    def _machine(self, kind: str, text: str) -> str:
        try:
            arn = self._free[kind].get_nowait() if self.endpoint.url else None
        except queue.Empty:
            arn = None
        if arn is not None:
            try:
                self.call("UpdateStateMachine", stateMachineArn=arn, definition=text)
            except ClientError:
                self._free[kind].put(arn)
                raise
            return arn
        made = self.call(
            "CreateStateMachine",
            name=fresh_name(),
            definition=text,
            roleArn=self.endpoint.role,
            type=kind,
        )
        with self._lock:
            self._machines.append(made["stateMachineArn"])
        return str(made["stateMachineArn"])

    def _sync(self, arn: str, text: str) -> Run:
        found = self.call("StartSyncExecution", stateMachineArn=arn, input=text)
        return Run(
            found["executionArn"],
            found["status"],
            found.get("output"),
            found.get("error"),
            found.get("cause"),
        )

    def start(self, machine: str, text: str) -> str:
        return str(
            self.call("StartExecution", stateMachineArn=machine, name=fresh_name(), input=text)[
                "executionArn"
            ]
        )

    def ended(self, execution: str, rounds: int = 1, seconds: float = SECONDS) -> Run:
        """The execution after its end number `rounds`, with its history. Raises UnfinishedError."""
        events: tuple[dict[str, Any], ...] = ()
        for _ in pauses(seconds):
            events = tuple(self._events(execution))
            if sum(event["type"] in _ENDS for event in events) == rounds:
                found = self.call("DescribeExecution", executionArn=execution)
                return Run(
                    execution,
                    found["status"],
                    found.get("output"),
                    found.get("error"),
                    found.get("cause"),
                    events,
                )
        raise UnfinishedError(
            f"not over after {seconds:g} s: {[event['type'] for event in events[-3:]]}"
        )

    def redrive(self, execution: str) -> Run:
        """Redrive an execution that has ended once, and wait for its second end."""
        self.call("RedriveExecution", executionArn=execution)
        return self.ended(execution, rounds=2)

    def _events(self, execution: str) -> Iterator[dict[str, Any]]:
        more: dict[str, str] = {}
        while True:
            page = self.call("GetExecutionHistory", executionArn=execution, maxResults=1000, **more)
            yield from page["events"]
            if not page.get("nextToken"):
                return
            more = {"nextToken": page["nextToken"]}
