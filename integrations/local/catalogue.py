"""Which function a name means in this process: a registered callable, or one of the folder."""

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any, Final, NamedTuple

from stepwell.asl import messages
from stepwell.asl.evaluation import Json
from stepwell.asl.limits import Limits
from stepwell.engine.arns import Home
from stepwell.engine.tasks import TaskError
from stepwell.integrations.local.callables import Callables, Local, local
from stepwell.integrations.local.functions import Answer, Call, Functions, Unavailable
from stepwell.integrations.local.process import LATEST

log: Final = logging.getLogger("stepwell.functions")

_AGAIN_SECONDS: Final = (60, 120)  # Lambda's pauses before a function that was invoked as an event, and failed, is called again
# NAME, NAME:QUALIFIER, ACCOUNT:function:NAME, arn:aws:lambda:REGION:ACCOUNT:function:NAME:QUALIFIER ...
_REFERENCE: Final = re.compile(
    r"(?:(?:arn:(?P<partition>aws[a-z-]*):lambda:(?P<region>[a-z0-9-]*):)?(?:(?P<account>\d{12}):)?function:)?"
    r"(?P<name>[A-Za-z0-9_-]+)(?::(?P<qualifier>\$LATEST|[A-Za-z0-9_-]+))?\Z"
)


class Target(NamedTuple):
    """A function that exists here. arn: with the qualifier, if one was given."""

    arn: str
    version: str
    invoke: Callable[[Json, Call], Awaitable[Answer]]


class Catalogue:
    """The functions of this process: registered callables first, then those that run from source."""

    def __init__(self, callables: Mapping[str, Callable[..., Any]], sources: Functions | None, home: Home, limits: Limits) -> None:
        self.home, self._sources, self._limits = home, sources, limits
        self._callables = {name: local(name, function) for name, function in callables.items()}
        self._runner = Callables(limits)
        self._events: set[asyncio.Task[None]] = set()

    def replaces(self, text: str) -> bool:
        """Whether a callable was registered for a Resource as it is written."""
        return text in self._callables

    def find(self, reference: str, qualifier: str = "") -> Target | None:
        """The function that a name or an ARN (whole or partial, with or without a qualifier) means, or None."""
        match = _REFERENCE.match(reference)
        if match is None:
            exact = self._callables.get(reference)
            return exact and Target(reference, LATEST, partial(self._runner.invoke, exact))
        name, qualifier = match["name"], qualifier or match["qualifier"] or ""
        arn = self.arn(reference, qualifier)
        version = qualifier or LATEST
        if found := self._callable(reference, arn, name, qualifier):
            return Target(arn, version, partial(self._runner.invoke, found))
        if self._sources is not None and (function := self._sources.find(name)) is not None:
            return Target(arn, version, partial(self._sources.invoke, function))
        return None

    def _callable(self, *keys: str) -> Local | None:
        reference, arn, name, qualifier = keys
        plain = arn.removesuffix(f":{qualifier}") if qualifier else arn
        for key in (reference, arn, plain, f"{name}:{qualifier}", name):
            if key in self._callables:
                return self._callables[key]
        return None

    def arn(self, reference: str, qualifier: str = "") -> str:
        """The whole ARN of what a reference means, existing or not."""
        match = _REFERENCE.match(reference)
        if match is None:
            return reference
        home, qualifier = self.home, qualifier or match["qualifier"] or ""
        partition, region = match["partition"] or home.partition, match["region"] or home.region
        arn = f"arn:{partition}:lambda:{region}:{match['account'] or home.account}:function:{match['name']}"
        return f"{arn}:{qualifier}" if qualifier else arn

    def send(self, target: Target, event: Json, call: Call) -> None:
        """Invoke it and forget it: not durable, as AWS promises no more than that the event was queued. Raises Unavailable."""
        if len(self._events) >= self._limits.function_queue:
            raise Unavailable(True, messages.FUNCTION_THROTTLED)
        task = asyncio.create_task(self._deliver(target, event, call))
        self._events.add(task)
        task.add_done_callback(self._events.discard)

    async def _deliver(self, target: Target, event: Json, call: Call) -> None:
        for pause in (*_AGAIN_SECONDS, None):
            try:
                answer = await target.invoke(event, call)
                if not answer.failed:
                    return
                reason = answer.text
            except (TaskError, Unavailable) as error:
                reason = str(error)
            log.warning("%s, invoked as an event, failed: %s", target.arn, reason)
            if pause is not None:
                await asyncio.sleep(pause)

    async def close(self) -> None:
        for task in self._events:
            task.cancel()
        await asyncio.gather(*self._events, return_exceptions=True)
        self._runner.close()
        if self._sources is not None:
            await self._sources.close()
