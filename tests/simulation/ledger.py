"""Invariants that are checked at each commit and at each start of an effect."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tests.simulation.functions import PUBLISHED, STATUS

from stepwell.engine.core import model
from stepwell.engine.core.environment import read_token
from stepwell.engine.core.history import CODES
from stepwell.engine.store.base import Unit
from stepwell.engine.tasks import TaskRequest

if TYPE_CHECKING:
    from tests.simulation.process import Process
    from tests.simulation.world import World

Attempt = tuple[int, int, int]
REDRIVEN = CODES["ExecutionRedriven"]


class Ledger:
    """What is durable, what has been sent, and what was answered.

    intents   attempts of tasks whose intent is durable           reported  attempts whose outcome
              has come, from wherever
    closed    ARNs of executions whose end was published         handed    execution ARN -> keys of
              records that its tasks gave
    """

    def __init__(self, world: "World") -> None:
        self._world = world
        self.intents: set[Attempt] = set()
        self.closed: set[str] = set()
        self.reported: set[Attempt] = set()
        self.handed: dict[str, set[str]] = {}
        self._sent: dict[str, Process] = {}  # token -> the process that sent it last
        self._owner = 0

    def owned(self, process: "Process") -> None:
        """This process has opened the store: from here on no other may commit."""
        self._owner = process.number

    def durable(self, process: "Process", units: Sequence[Unit]) -> None:
        """A commit has reached the disk; no caller is answered yet."""
        world = self._world
        if process.number < self._owner:
            world.violated(
                f"process {process.number} commits, after process {self._owner} has opened "
                "the store"
            )
        for unit in units:
            x = unit.execution
            if unit.history and unit.history[0][0] == REDRIVEN:
                self.closed.discard(x.arn)
            world.note("commit", x.id, unit.first, len(unit.history), unit.at, x.status)
            self.intents.update(
                (x.id, frame.id, frame.seq)
                for frame in x.frames.values()
                if frame.phase == model.Phase.TASK
            )

    def published(self, process: "Process", units: Sequence[Unit]) -> None:
        """A commit has come back."""
        for unit in units:
            x = unit.execution
            process.owed.update(key for key in unit.writes if key.startswith((PUBLISHED, STATUS)))
            if x.status != model.RUNNING:
                self.closed.add(x.arn)
            current = {
                (x.id, frame.id, frame.seq)
                for frame in x.frames.values()
                if frame.phase == model.Phase.TASK
            }
            given_up = [
                attempt
                for attempt in process.running
                if attempt[0] == x.id and attempt not in current | self.reported
            ]
            if given_up and not x.express:
                self._world.loop.call_later(0.01, self._all_cancelled, process, given_up)

    def _all_cancelled(self, process: "Process", attempts: list[Attempt]) -> None:
        """These have no waiter any more: timed out, a sibling failed, the execution was stopped."""
        for attempt in attempts:
            if attempt in process.running:
                self._world.violated(
                    f"the effect of {process.running[attempt]} continues after it was given "
                    f"up: {attempt}"
                )

    def began(self, process: "Process", request: TaskRequest, name: str) -> Attempt:
        """An effect starts."""
        attempt = read_token(request.token)
        assert attempt is not None
        world = self._world
        world.note("effect", *attempt, name, request.again)
        express = ":express:" in request.execution_arn
        if not express and attempt not in self.intents:
            world.violated(f"effect without its intent: {request.state_name} {attempt}")
        if (
            request.execution_arn in self.closed and not process.zombie
        ):  # who has lost its place cannot know; the token tells its receiver
            world.violated(
                f"the effect of {request.state_name} begins after its execution has closed"
            )
        if process.closing:
            world.violated(f"the effect of {request.state_name} begins after close()")
        before = self._sent.get(request.token)
        if not process.zombie and (
            before is process or (before is not None and not request.again and not express)
        ):
            world.violated(f"{request.state_name} {attempt} was sent twice, again={request.again}")
        self._sent[request.token] = process
        return attempt
