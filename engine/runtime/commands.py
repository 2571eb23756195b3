"""The commands of a decision are carried out here, once it is durable."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from stepwell.engine import messages
from stepwell.engine.core.events import CancelTask, RunTask, StartChild, Stop, TaskFailed
from stepwell.engine.core.model import Execution
from stepwell.engine.runtime.activity_queues import ActivityQueues
from stepwell.engine.runtime.commit_queue import Following
from stepwell.engine.runtime.effects import Effects
from stepwell.engine.runtime.lifecycle import Lifecycle
from stepwell.engine.runtime.live import Decider, Live, LiveExecutions
from stepwell.engine.tasks import Transaction

ChildStarter = Callable[[Live, StartChild], None]


class Commands:
    """start_child  is called with every child of a Map Run that is to be started
    mocked       whether a test case answers a task
    """

    def __init__(
        self,
        life: Lifecycle,
        executions: LiveExecutions,
        activities: ActivityQueues,
        effects: Effects,
        start_child: ChildStarter,
        decider: Decider,
        mocked: Callable[[Execution, RunTask], bool],
    ) -> None:
        self._life, self._executions = life, executions
        self._activities, self._effects, self._decider = activities, effects, decider
        self._start_child, self._mocked = start_child, mocked

    def carry_out(self, live: Live, command: Following) -> None:
        if not self._life.working:
            return  # its intent is durable: the next process carries it out
        if isinstance(command, RunTask):
            if command.resource.kind != "activity":
                self._effects.start(live, command)
            elif self._mocked(live.x, command):
                self._effects.start(live, command._replace(queued=True))  # it has no slot yet
            elif not self._activities.offer(live.x, command):
                self._decider.send(live.x.id, no_activity(command))
        elif isinstance(command, StartChild):
            self._start_child(live, command)
        elif isinstance(command, CancelTask):
            self._cancel(live, command)
        else:
            self.notify(command)

    def notify(self, command: Following) -> None:
        """Call a service back when its records are durable. The event loop reports an error of the
        callback.
        """
        if isinstance(command, Transaction):
            asyncio.get_running_loop().call_soon(command.then)

    def _cancel(self, live: Live, command: CancelTask) -> None:
        effect = live.effects.get((command.frame, command.seq))
        if effect is not None:
            effect.cancel()
        self._activities.withdraw(live.x.id, command)
        family = (live.x.id, command.frame, command.seq)
        for child in list(self._executions.children.get(family, {}).values()):
            self._decider.submit(child, Stop(None, None))


def no_activity(command: RunTask) -> TaskFailed:
    """The report of a task whose activity does not exist: States.Runtime."""
    text = messages.ACTIVITY_GONE.format(arn=command.resource.text)
    return TaskFailed(command.frame, command.seq, None, text, runtime=True)
