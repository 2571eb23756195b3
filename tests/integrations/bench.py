"""Shared by the tests of functions and their processes: a folder of functions, and PIDs."""

import asyncio
import dataclasses
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from stepwell.integrations.limits import DEFAULT_LIMITS
from stepwell.integrations.services.runtime.folder import Answer, Call, Functions

ID = "11111111-2222-4333-8444-555555555555"
CALL = Call(ID, "arn:aws:lambda:us-east-1:123456789012:function:f")

MEET = """
import os, time

def handler(event, context):
    folder, number = event
    open(os.path.join(folder, str(os.getpid())), "w").close()
    while len(os.listdir(folder)) < number:
        time.sleep(0.01)
    return os.getpid()
"""


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


async def until(condition: Callable[[], Any], seconds: float = 60) -> None:
    """Wait until the condition is true; fails after so many seconds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "the condition did not become true"
        await asyncio.sleep(0.01)


class Bench:
    """A folder of functions, with methods to write and call them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.printed: list[str] = []
        self.functions = Functions(folder, output=self.output)

    def output(self, name: str, text: str) -> None:
        self.printed.append(text)

    def limit(self, **limits: Any) -> None:
        self.functions = Functions(
            self.folder, limits=dataclasses.replace(DEFAULT_LIMITS, **limits), output=self.output
        )

    def write(self, name: str, source: str) -> None:
        file = self.folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(textwrap.dedent(source))

    def meeting(self, name: str, number: int) -> list[object]:
        """Write a function. Returns the event of its calls, which end once that many processes have
        one: with their PIDs.
        """
        self.write(name, MEET)
        folder = self.folder / "met"
        folder.mkdir()
        return [str(folder), number]

    async def __call__(self, name: str, event: Any = None, call: Call = CALL) -> Answer:
        function = self.functions.find(name)
        assert function is not None
        return await self.functions.invoke(function, event, call)

    async def value(self, name: str, event: Any = None) -> Any:
        answer = await self(name, event)
        assert not answer.failed, answer.text
        return answer.value

    async def error(self, name: str, event: Any = None) -> dict[str, Any]:
        answer = await self(name, event)
        assert answer.failed, answer.text
        return answer.value
