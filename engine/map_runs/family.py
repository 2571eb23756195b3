"""The children of one round of a Map Run: what they have in common, and how each one is named."""

from __future__ import annotations

from stepwell.engine import arns
from stepwell.engine.core import mocked_attempts
from stepwell.engine.core.events import StartChild
from stepwell.engine.core.model import Execution, ExecutionExtras, Payload
from stepwell.engine.ids import derived
from stepwell.engine.limits import Limits


class Family:
    """Of the Map Run in `parent` that a command belongs to."""

    def __init__(self, parent: Execution, command: StartChild, limits: Limits) -> None:
        self.parent, self.block = parent, command.block.index
        self.map_run, self.round = (parent.id, command.frame, command.seq), command.round
        self.machine_arn = f"{parent.machine_arn}/{command.label}"
        self.machine_name = f"{parent.machine_name}/{command.label}"
        # one prefix: the children of a Map Run lie side by side on disk
        self._prefix = derived(parent.uuid, "child", command.frame, command.seq)
        self._arns = arns.execution_arn(self.machine_arn, self._prefix)
        seconds = limits.express_seconds if command.express else limits.standard_seconds
        self._most_ms = 1000 * seconds
        frame = parent.frames.get(command.frame)  # None: the Map Run has ended
        spec = None if frame is None else frame.state.map
        extras: ExecutionExtras = {}
        if command.round:
            extras["round"] = command.round
        if spec is not None and spec.transformation == "NONE":
            extras["whole"] = True
        self._iteration: list[list[int]] = []  # around the children, for a test case
        self._run = 0
        if "case" in parent.extras and frame is not None:
            extras["case"] = parent.extras["case"]
            if "mocked" in parent.extras:
                extras["mocked"] = parent.extras["mocked"]
            self._iteration = [list(each) for each in mocked_attempts.path(parent, frame)]
            self._run = mocked_attempts.map_runs(parent, frame)
        if "logging" in parent.extras:
            extras["logging"] = parent.extras["logging"]
        self._extras = extras

    def arn(self, slot: int) -> str:
        return f"{self._arns}-{slot}"

    def old_arn(self, slot: int) -> str:
        """As 0.1 named it, by the uuid that task tokens are made from. Map Runs that began with
        such names still find their children by them.
        """
        _, frame, seq = self.map_run
        return arns.execution_arn(self.machine_arn, f"{self.parent.uuid}-{frame}-{seq}-{slot}")

    def deadline(self, now: int) -> int:
        """ms"""
        return now + self._most_ms

    def child(
        self, id: int, uuid: str, command: StartChild, payload: Payload, now: int
    ) -> Execution:
        """A child that begins now."""
        extras, parent = self._extras, self.parent
        if command.items != 1:
            extras = {**extras, "items": command.items}
        if "case" in extras:
            iteration = [*self._iteration, [command.slot, self._run]]
            extras = {**extras, "iteration": iteration}
        return Execution(
            id=id,
            uuid=uuid.replace("-", ""),
            arn=self.arn(command.slot),
            name=f"{self._prefix}-{command.slot}",
            machine_arn=self.machine_arn,
            machine_name=self.machine_name,
            role_arn=parent.role_arn,
            express=False,
            input=payload,
            started=now,
            deadline=now + self._most_ms,
            parent=(*self.map_run, command.slot),
            definition=parent.definition,
            block=self.block,
            extras=extras,
        )
