"""Functions that run from source files as Lambda would run them: where they are. pool.py has the
processes that they run in.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Final

from stepwell.asl.evaluation import Json
from stepwell.asl.json_text import encode
from stepwell.integrations.limits import DEFAULT_LIMITS, Limits
from stepwell.integrations.services.runtime.function import Function
from stepwell.integrations.services.runtime.output import Printer
from stepwell.integrations.services.runtime.pool import Answer, Call, Pool, Unavailable, answer_of

__all__ = ["Answer", "Call", "Functions", "Unavailable", "answer_of"]

NAME: Final = re.compile(
    r"[A-Za-z0-9_-]{1,140}\Z"
)  # Lambda's; so no name can lead out of the folder
_ENDINGS: Final = (".py", ".js", ".mjs", ".cjs")
# file below the folder, handler, whether other functions lie beside it; the first file that exists
# is the function
_LAYOUTS: Final = (
    ("{name}.py", "{name}.handler", True),
    ("{name}/handler.py", "handler.handler", False),
    ("{name}/lambda_function.py", "lambda_function.lambda_handler", False),
)


class Functions:
    """Functions by name: those of a folder (`NAME.py`, `NAME/handler.py` or
    `NAME/lambda_function.py`), and those that were added.

    environment  variables that each function has besides its own, those that are created with
                 Lambda's API too
    isolated     whether functions see nothing of the environment that we were started with

    output(name, text) receives what functions print, on the event loop; by default a thread writes
    it to standard error.
    """

    def __init__(
        self,
        folder: Path | str | None = None,
        *,
        limits: Limits = DEFAULT_LIMITS,
        output: Callable[[str, str], None] | None = None,
    ) -> None:
        self.folder = None if folder is None else Path(folder).resolve()
        self.limits = limits
        self.environment: dict[str, str] = {}
        self.isolated = False
        self._added: dict[str, Function] = {}
        self._printer = Printer(_to_stderr, limits) if output is None else None
        self.pool = Pool(limits, output or self._printer or _to_stderr)

    def add(
        self,
        name: str,
        source: Path | str,
        handler: str,
        environment: Mapping[str, str] | None = None,
        *,
        seconds: float | None = None,
        memory_mb: int = 128,
    ) -> None:
        """A function whose code lies anywhere: `source` is a folder with nothing but its files,
        `handler` is "module.function".
        """
        if not NAME.match(name):
            raise ValueError(f"not a function name: {name!r}")
        path, own = str(Path(source).resolve()), tuple((environment or {}).items())
        self._added[name] = Function(
            name, path, handler, False, own, seconds or self.limits.function_seconds, memory_mb
        )

    def find(self, name: str) -> Function | None:
        """The function as its file is now."""
        found = self._find(name)
        if found is None or not (self.environment or self.isolated):
            return found
        return replace(
            found,
            environment=(*self.environment.items(), *found.environment),
            isolated=self.isolated,
        )

    def _find(self, name: str) -> Function | None:
        if (added := self._added.get(name)) is not None:
            return stamped(added) or added
        if self.folder is None or not NAME.match(name):
            return None
        for layout, handler, shared in _LAYOUTS:
            file = os.path.join(self.folder, layout.format(name=name))
            plain = Function(
                name,
                os.path.dirname(file),
                handler.format(name=name),
                shared,
                seconds=self.limits.function_seconds,
            )
            if (found := _stamped(plain, file)) is not None:
                return found
        return None

    def names(self) -> list[str]:
        """Of all functions, in order."""
        files = os.listdir(self.folder) if self.folder is not None and self.folder.is_dir() else []
        return sorted(
            {name for file in files if self.find(name := file.removesuffix(".py"))}
            | self._added.keys()
        )

    async def invoke(self, function: Function, event: Json, call: Call) -> Answer:
        """One call. What the function does wrong is an Answer that failed; raises Unavailable.
        Cancelling it kills the process.
        """
        return await self.pool.invoke(function, encode(event), call)

    async def close(self) -> None:
        """Kill all processes and wait until they are gone."""
        await self.pool.close()
        if self._printer is not None:
            await self._printer.close()


def stamped(function: Function) -> Function | None:
    """The function as the file of its handler is now; None if there is none."""
    module = os.path.join(
        function.source, *function.handler.rpartition(".")[0].replace("/", ".").split(".")
    )
    return next(
        (
            found
            for ending in _ENDINGS
            if (found := _stamped(function, module + ending)) is not None
        ),
        None,
    )


def _stamped(function: Function, file: str) -> Function | None:
    try:
        found = os.stat(file)
    except OSError:
        return None
    return replace(function, stamp=(found.st_mtime_ns, found.st_size))


def _to_stderr(name: str, text: str) -> None:
    with suppress(
        OSError, ValueError
    ):  # closed, or nobody reads it: that is no fault of the function
        sys.stderr.write(text)
        sys.stderr.flush()
