"""Resolves the name or ARN of a function: a registered callable, a function that was created with
Lambda's API, or a function of the folder.
"""

import re
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any, Final

from stepwell.asl.evaluation import Json
from stepwell.engine.arns import Home
from stepwell.integrations.limits import Limits
from stepwell.integrations.services.runtime.callables import (
    Callables,
    PythonCallable,
    inspect_callable,
)
from stepwell.integrations.services.runtime.folder import Functions
from stepwell.integrations.services.runtime.function import LATEST
from stepwell.integrations.services.runtime.pool import Answer, Call, Target

# NAME, NAME:QUALIFIER, ACCOUNT:function:NAME, arn:aws:lambda:REGION:ACCOUNT:function:NAME:QUALIFIER
# ...
REFERENCE: Final = re.compile(
    r"(?:(?:arn:(?P<partition>aws[a-z-]*):lambda:(?P<region>[a-z0-9-]*):)?(?:(?P<account>\d{12}):)?function:)?"
    r"(?P<name>[A-Za-z0-9_-]+)(?::(?P<qualifier>\$LATEST|[A-Za-z0-9_-]+))?\Z"
)


class FunctionResolver:
    """In order: registered callables, created functions, functions of the folder.

    created    finds a created function by reference and qualifier, as `find` does
    on_answer  called after each call
    """

    def __init__(
        self,
        callables: Mapping[str, Callable[..., Any]],
        sources: Functions,
        home: Home,
        limits: Limits,
        created: Callable[[str, str], Target | None] = lambda reference, qualifier: None,
    ) -> None:
        self.home, self.sources, self._created = home, sources, created
        self.on_answer: Callable[[Call, Answer], None] = lambda call, answer: None
        self._callables = {
            name: inspect_callable(name, function) for name, function in callables.items()
        }
        self._runner = Callables(limits)

    def replaces(self, text: str) -> bool:
        """Whether a callable is registered for a task's Resource, by its exact text."""
        return text in self._callables

    def find(self, reference: str, qualifier: str = "") -> Target | None:
        """reference: a name, or a complete or partial ARN, with or without a qualifier. None if
        there is no such function.
        """
        target = self._find(reference, qualifier)
        if target is None:
            return None
        return target._replace(invoke=partial(self._invoke, target.invoke))

    async def _invoke(
        self, invoke: Callable[[Json, Call], Awaitable[Answer]], event: Json, call: Call
    ) -> Answer:
        answer = await invoke(event, call)
        self.on_answer(call, answer)
        return answer

    def _find(self, reference: str, qualifier: str) -> Target | None:
        match = REFERENCE.match(reference)
        if match is None:
            exact = self._callables.get(reference)
            return exact and Target(reference, LATEST, partial(self._runner.invoke, exact))
        name, qualifier = match["name"], qualifier or match["qualifier"] or ""
        arn = self.arn(reference, qualifier)
        version = qualifier or LATEST
        if registered := self._callable(reference, arn, name, qualifier):
            return Target(arn, version, partial(self._runner.invoke, registered))
        if created := self._created(reference, qualifier):
            return created
        if (function := self.sources.find(name)) is not None:
            return Target(arn, version, partial(self.sources.invoke, function))
        return None

    def report_missing(self, reference: str) -> None:
        """Print where a function that `find` did not find was looked for."""
        match = REFERENCE.match(reference)
        if match is not None and self._find(match["name"], "") is None:  # not only its version
            self.sources.report_missing(match["name"])

    def names(self) -> list[str]:
        """Of the registered callables and the functions of the folder."""
        callables = [
            name
            for name in self._callables
            if (match := REFERENCE.match(name)) and match["name"] == name
        ]
        return sorted({*callables, *self.sources.names()})

    def _callable(self, *keys: str) -> PythonCallable | None:
        reference, arn, name, qualifier = keys
        plain = arn.removesuffix(f":{qualifier}") if qualifier else arn
        for key in (reference, arn, plain, f"{name}:{qualifier}", name):
            if key in self._callables:
                return self._callables[key]
        return None

    def arn(self, reference: str, qualifier: str = "") -> str:
        """The complete ARN of a reference. The function need not exist."""
        match = REFERENCE.match(reference)
        if match is None:
            return reference
        qualifier = qualifier or match["qualifier"] or ""
        parts = {name: match[name] for name in ("partition", "region", "account") if match[name]}
        arn = self.home._replace(**parts).service_arn("lambda", f"function:{match['name']}")
        return f"{arn}:{qualifier}" if qualifier else arn

    def parse(self, reference: str, qualifier: str = "") -> tuple[str | None, str]:
        """(name, qualifier) of a reference to a function that need not exist; (None, "") for
        another text.
        """
        match = REFERENCE.match(reference)
        return (
            (None, "") if match is None else (match["name"], qualifier or match["qualifier"] or "")
        )

    def invoked_arn(self, reference: str, qualifier: str = "") -> str:
        """The ARN with $LATEST if there is no qualifier, as in Lambda's error for an unknown
        function.
        """
        arn = self.arn(reference, qualifier)
        return arn if arn.count(":") > 6 else f"{arn}:{LATEST}"

    async def close(self) -> None:
        self._runner.close()
        await self.sources.close()
