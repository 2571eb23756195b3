"""Commands of other packages: entry points of the group "stepwell.commands", each a command or a
group of click.

They are read from the files of the installed packages, since importlib.metadata takes longer to
import than all the rest of --help.
"""

from __future__ import annotations

import re
import sys
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import click

GROUP: Final = "stepwell.commands"
_LINES: Final = re.compile(rf"^\[{re.escape(GROUP)}\]$(.*?)(?:^\[|\Z)", re.MULTILINE | re.DOTALL)


@cache
def _plugins() -> dict[str, str]:
    """Name -> MODULE:ATTRIBUTE."""
    found: dict[str, str] = {}
    for folder in map(Path, sys.path):
        for file in folder.glob("*-info/entry_points.txt"):
            for lines in _LINES.findall(file.read_text(errors="replace")):
                for line in lines.split("\n"):
                    name, _, target = line.partition("=")
                    if target:
                        found.setdefault(name.strip(), target.strip())
    return found


def names() -> list[str]:
    return sorted(_plugins())


def command(name: str) -> click.Command | None:
    target = _plugins().get(name)
    if target is None:
        return None
    module, _, attribute = target.partition(":")
    made: click.Command = getattr(import_module(module), attribute)
    return made
