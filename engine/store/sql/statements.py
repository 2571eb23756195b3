"""Statements by name: those of queries.sql, and those that a database spells in its own way."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

_HERE: Final = Path(__file__).parent


def statements_of(folder: Path) -> dict[str, str]:
    """All statements in the words of the database that has its own queries.sql in that folder.
    {NAME} in a statement stands for another one, which may be the database's own.
    """
    texts = {**_texts(_HERE), **_texts(folder)}

    def whole(text: str) -> str:
        return re.sub(r"\{(\w+)\}", lambda match: whole(texts[match[1]]), text)

    return {name: whole(text) for name, text in texts.items()}


def _texts(folder: Path) -> dict[str, str]:
    """The statements of a .sql file, each as one line without comments."""
    text = (folder / "queries.sql").read_text(encoding="utf-8")
    found = {}
    for part in text.split("\n-- name: ")[1:]:
        name, *lines = part.splitlines()
        found[name] = " ".join(line.strip() for line in lines if line and not line.startswith("--"))
    return found
