"""Functions of a folder, and functions that were added: where their source files are."""

from __future__ import annotations

import difflib
import os
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Final, NamedTuple

from stepwell.asl.evaluation import Json
from stepwell.asl.json_text import encode
from stepwell.engine.supervisor import Supervisor
from stepwell.integrations.limits import DEFAULT_LIMITS, Limits
from stepwell.integrations.services.runtime import messages
from stepwell.integrations.services.runtime.function import NODE, PYTHON, Function
from stepwell.integrations.services.runtime.inline_code import InlineCode
from stepwell.integrations.services.runtime.output import Printer
from stepwell.integrations.services.runtime.pool import (
    Answer,
    Call,
    Pool,
    UnavailableError,
    answer_of,
)

__all__ = ["Answer", "Call", "Functions", "UnavailableError", "answer_of"]

NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,140}\Z")  # Lambda's; it cannot lead out of the folder
RUNTIMES: Final = {".py": PYTHON, ".js": NODE, ".mjs": NODE, ".cjs": NODE}  # by the file's ending
# (file in the folder without its ending, handler in Python, handler in Node): as in the Serverless
# Framework, the console of Lambda, `sam init` and CDK. The first existing file is used.
_LAYOUTS: Final = (
    ("{name}", "handler", "handler"),
    ("{name}/handler", "handler", "handler"),
    ("{name}/lambda_function", "lambda_handler", "handler"),
    ("{name}/app", "lambda_handler", "lambdaHandler"),
    ("{name}/index", "handler", "handler"),
)


class Source(NamedTuple):
    """A function that a template has. folder: of its code; handler: "module.function"; template:
    the file; seconds, memory_mb: None: Lambda's; code: its text, if the template has that, and
    ending: of its file.
    """

    name: str
    folder: str
    handler: str
    template: str
    environment: Mapping[str, str]
    seconds: float | None = None
    memory_mb: int | None = None
    code: str = ""
    ending: str = ".py"

    def files(self) -> list[str]:
        """Where the handler may be."""
        return [f"{_module(self.folder, self.handler)}{ending}" for ending in RUNTIMES]


class Functions:
    """Functions by name: those that were added, those of a folder (see _LAYOUTS), and those of a
    template.

    output       (name, text): receives printed output, on the event loop; by default a thread
                 writes it to standard error
    environment  additional variables of all functions, also of those that are created with Lambda's
                 API
    isolated     see Function.isolated
    pool         of their processes, which others share and close; None: one of its own
    sources      of a template
    """

    def __init__(
        self,
        folder: Path | str | None = None,
        *,
        limits: Limits = DEFAULT_LIMITS,
        output: Callable[[str, str], None] | None = None,
        pool: Pool | None = None,
        sources: Iterable[Source] = (),
    ) -> None:
        self.folder = None if folder is None else Path(folder).resolve()
        self.limits = limits
        self.environment: dict[str, str] = {}
        self.isolated = False
        self._added: dict[str, Function] = {}
        self._sources = {each.name: each for each in sources}
        self._inline = InlineCode()
        self._reported: set[str] = set()  # missing ones
        self._printer = Printer(_to_stderr, limits) if output is None and pool is None else None
        self._owns_pool = pool is None
        self.pool = pool or Pool(limits, output or self._printer or _to_stderr)

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
        """Add a function. source: a folder that has only its files; handler: "module.function".
        Raises ValueError.
        """
        if not NAME.match(name):
            raise ValueError(f"not a function name: {name!r}")
        path, own = str(Path(source).resolve()), tuple((environment or {}).items())
        self._added[name] = Function(
            name, path, handler, False, own, seconds or self.limits.function_seconds, memory_mb
        )

    def find(self, name: str) -> Function | None:
        """The function in the current version of its file."""
        function = self._find(name)
        if function is None or not (self.environment or self.isolated):
            return function
        return replace(
            function,
            environment=(*self.environment.items(), *function.environment),
            isolated=self.isolated,
        )

    def _find(self, name: str) -> Function | None:
        if (added := self._added.get(name)) is not None:
            return stamped(added) or added
        return self._in_folder(name) or self._of_template(name)

    def _of_template(self, name: str) -> Function | None:
        source = self._sources.get(name)
        if source is None:
            return None
        if source.code:
            file = _module("", source.handler) + source.ending
            source = source._replace(folder=self._inline.folder(name, file, source.code))
        for runtime, file in zip(RUNTIMES.values(), source.files()):
            function = Function(
                name,
                source.folder,
                source.handler,
                environment=tuple(source.environment.items()),
                seconds=source.seconds or self.limits.function_seconds,
                memory_mb=source.memory_mb or 128,
                runtime=runtime,
            )
            if (current := _stamped(function, file)) is not None:
                return current
        return None

    def _in_folder(self, name: str) -> Function | None:
        if self.folder is None or not NAME.match(name):
            return None
        for ending, runtime in RUNTIMES.items():
            for layout, *handlers in _LAYOUTS:
                file = os.path.join(self.folder, layout.format(name=name) + ending)
                folder, module = os.path.split(file.removesuffix(ending))
                plain = Function(
                    name,
                    folder,
                    f"{module}.{handlers[runtime == NODE]}",
                    "/" not in layout,
                    seconds=self.limits.function_seconds,
                    runtime=runtime,
                )
                if (function := _stamped(plain, file)) is not None:
                    return function
        return None

    def names(self) -> list[str]:
        """Of all functions, sorted."""
        files = os.listdir(self.folder) if self.folder is not None and self.folder.is_dir() else []
        names = {Path(file).stem if Path(file).suffix in RUNTIMES else file for file in files}
        names |= self._sources.keys()
        return sorted({name for name in names if self.find(name)} | self._added.keys())

    def report_missing(self, name: str) -> None:
        """Print where a function was looked for that does not exist, and how to make it; once."""
        if name in self._reported:
            return
        self._reported.add(name)
        if (source := self._sources.get(name)) is not None:
            text = messages.FUNCTION_CODE_MISSING.format(
                template=source.template, handler=source.handler, file=source.files()[0], name=name
            )
        elif self.folder is None:
            text = messages.FUNCTION_NO_FOLDER.format(name=name)
        else:
            files = [f"{layout.format(name=name)}.py" for layout, _, _ in _LAYOUTS]
            near = difflib.get_close_matches(name, self.names(), 1)
            text = messages.FUNCTION_MISSING.format(
                files=f"{', '.join(files[:-1])} and {files[-1]}",
                folder=self.folder,
                near=messages.FUNCTION_NEAR.format(name=near[0]) if near else "",
                path=self.folder / f"{name}.py",
            )
        self.pool.print(name, f"{text}\n")

    def supervise(self, supervisor: Supervisor) -> None:
        """A shared pool outlives the engines whose supervisors these are."""
        if self._owns_pool:
            self.pool.supervisor = supervisor

    async def invoke(self, function: Function, event: Json, call: Call) -> Answer:
        """See Pool.invoke."""
        return await self.pool.invoke(function, encode(event), call)

    async def close(self) -> None:
        """Kill all processes of its own pool, and wait for their end."""
        if self._owns_pool:
            await self.pool.close()
        self._inline.close()
        if self._printer is not None:
            await self._printer.close()


def stamped(function: Function) -> Function | None:
    """The function in the current version of its handler's file; None without a file."""
    module = _module(function.source, function.handler)
    return next(
        (
            current
            for ending in RUNTIMES
            if (current := _stamped(function, module + ending)) is not None
        ),
        None,
    )


def _module(folder: str, handler: str) -> str:
    """The path of a handler's file, without its ending."""
    return os.path.join(folder, *handler.rpartition(".")[0].replace("/", ".").split("."))


def _stamped(function: Function, file: str) -> Function | None:
    try:
        status = os.stat(file)
    except OSError:
        return None
    return replace(function, stamp=(status.st_mtime_ns, status.st_size))


def _to_stderr(name: str, text: str) -> None:
    with suppress(OSError, ValueError):  # closed: not an error of the function
        sys.stderr.write(text)
        sys.stderr.flush()
