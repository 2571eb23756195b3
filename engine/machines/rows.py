"""The rows of state machines. An engine keeps those that are used in memory, as only home's engine
writes them, and says so to the others.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable

from stepwell.engine import arns, messages
from stepwell.engine.arns import MachineArn
from stepwell.engine.errors import ApiError
from stepwell.engine.machines.machine_parts import DELETING, Target, target
from stepwell.engine.single_flight import SingleFlight
from stepwell.engine.store.base import MachineRow, Store


class MachineRows:
    """kept    how many rows stay in memory; 0 for a reader, which does not learn of writes
    lock    held while a state machine is read and written
    targets   the targets of starts by the ARN of a machine, of machines that were used last
    deleting  ARNs of the machines that are being deleted: nothing may be started on them
    before    awaited with the row before each write
    changed   awaited after each write, before it is answered: see Engine.on_definitions_changed
    """

    def __init__(
        self,
        store: Store,
        kept: int,
        new_uuid: Callable[[], str],
        changed: Callable[[str], Awaitable[None]],
    ) -> None:
        self.lock, self.changed = asyncio.Lock(), changed
        self.before: Callable[[MachineRow], Awaitable[None]]
        self.targets: dict[str, Target] = {}
        self.deleting: set[str] = set()
        self._store, self._most, self._new_uuid = store, kept, new_uuid
        self._kept: OrderedDict[str, MachineRow] = OrderedDict()
        self._writes = 0
        self._stored = SingleFlight(self._read)

    async def get(self, arn: str) -> MachineRow:
        """A state machine by its own ARN, not by that of a version or alias. Raises ApiError
        StateMachineDoesNotExist.
        """
        row = self._kept.get(arn)
        if row is not None:
            return row
        arns.read_machine(arn)
        return await self._stored((arn, self._writes))

    async def _read(self, key: tuple[str, int]) -> MachineRow:
        arn, writes = key
        row = await self._store.machine(arn)
        if row is None:
            raise _unknown(arn)
        if writes == self._writes:  # else it may have been replaced since it was read
            self._kept[arn] = row
        while len(self._kept) > self._most:
            self.targets.pop(self._kept.popitem(last=False)[0], None)
        return row

    async def put(
        self, row: MachineRow, complete: Callable[[MachineRow], MachineRow] | None = None
    ) -> MachineRow:
        """Write a machine. The caller has the lock.

        complete  the row with its definition_id -> the row to store in the same transaction
        """
        await self.before(row)
        row = await self._store.put_machine(row, complete)
        self.forget(row.arn)
        await self.changed(row.arn)
        return row

    def forget(self, arn: str) -> None:
        """It was written: read it again."""
        self._kept.pop(arn, None)
        self.targets.pop(arn, None)
        self._writes += 1

    def forget_all(self) -> None:
        """Another process has written: read all again."""
        self._kept.clear()
        self.targets.clear()
        self._writes += 1

    async def active(self, arn: str) -> MachineRow:
        """get(), unless the machine is being deleted."""
        row = await self.get(arn)
        self.check_active(row.arn)
        return row

    def check_active(self, arn: str) -> None:
        """Raises ApiError StateMachineDeleting."""
        if arn in self.deleting:
            raise _deleting(arn)

    async def target(self, arn: str) -> Target:
        """The target of a start by the ARN of a machine, a version or an alias. Raises ApiError
        StateMachineDoesNotExist, StateMachineDeleting.
        """
        row = self._kept.get(arn)
        parts = MachineArn(arn) if row is not None else arns.read_machine(arn)
        if row is None:
            try:
                row = await self.get(parts.machine)
            except ApiError:
                raise _unknown(arn) from None
        self.check_active(row.arn)
        if row.status == DELETING:  # home has yet to report that here
            raise _deleting(row.arn)
        draw = 0 if parts.alias is None else int(self._new_uuid()[-12:], 16)
        found = target(row, parts.qualifier, draw)
        if found is None:
            raise _unknown(arn)
        if self._kept.get(arn) is row:
            self.targets[arn] = found
        return found


def _deleting(arn: str) -> ApiError:
    return ApiError("StateMachineDeleting", messages.MACHINE_DELETING.format(arn=arn))


def _unknown(arn: str) -> ApiError:
    return ApiError("StateMachineDoesNotExist", messages.MACHINE_UNKNOWN.format(arn=arn))
