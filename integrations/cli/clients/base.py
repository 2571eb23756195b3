"""What commands need of the place where executions are: a database, or a running server.

Operations are those of the API, by the names and keyword parameters of the Engine's methods, and
answers have boto3's members with times in epoch seconds. So a command does not know which one it
has; docs/explanation/decisions/ has the reasons.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Protocol

from stepwell.integrations.errors import UsageError

if TYPE_CHECKING:  # completion imports this, and the language takes a quarter of a second
    from stepwell.asl.program import Program
    from stepwell.integrations.limits import Limits

SEVERAL: Final = 16
"""Requests of one command that are under way at the same time."""
UNKNOWN: Final = frozenset({"UnknownOperationException", "InvalidAction", "NotImplemented"})
"""The codes with which servers refuse an operation that they do not have."""


def machine_of(definition: str) -> str:
    """The JSON text of a definition; of the child of a Map Run, without what only its Map needs."""
    from stepwell.asl import json_text

    value = json_text.loads(definition)
    if "ProcessorConfig" not in value:
        return definition
    return json_text.dumps(
        {name: each for name, each in value.items() if name != "ProcessorConfig"}
    )


class UnreachableError(UsageError):
    """No answer came: the server may be back later."""


class Client(Protocol):
    """A place where executions are.

    where      how texts name it: "the server at http://localhost:8083"
    words      the options that lead to it again, for the commands that the output proposes
    limits     those in force
    patient    requests wait for a server that cannot be reached, and say so once. Only for those
               that read: the server may have carried out the request that it did not answer
    """

    where: str
    words: Sequence[str]
    limits: Limits
    patient: bool

    async def call(self, operation: str, **arguments: Any) -> Any:
        """The answer of an operation. Raises ApiError, UsageError."""

    async def describe(self, execution_arn: str) -> Mapping[str, Any]:
        """DescribeExecution's answer, also for an Express execution that this process watches."""

    async def definition(self, execution: Mapping[str, Any]) -> tuple[str, str]:
        """JSON text and type of the definition that an execution runs, also if its machine was
        updated or deleted.
        """

    async def program(self, execution: Mapping[str, Any]) -> Program:
        """The same, compiled."""

    async def seed(self, execution_arn: str) -> tuple[int, str]:
        """The id and UUID of an execution in its store, which its random numbers follow from;
        (0, "") if they are not known.
        """

    def history(
        self, execution_arn: str, reverse: bool = False
    ) -> AsyncIterator[Mapping[str, Any]]:
        """The events that are committed so far."""

    def watch(self, execution_arn: str, after: int = 0) -> AsyncIterator[Mapping[str, Any]]:
        """The events after that id, and each one as it is committed, until the execution closes."""

    def executions(
        self, machine_arn: str | None, status: str | None
    ) -> AsyncIterator[Mapping[str, Any]]:
        """ListExecutions' items, newest first: of a machine, or of all without the children of
        Map Runs.
        """

    async def parked(self) -> Mapping[str, str]:
        """ARN -> reason, of the executions that cannot continue; as far as it is known."""

    async def runs(self) -> bool:
        """Whether a process runs what is started there."""

    def now(self) -> float:
        """Epoch seconds."""
