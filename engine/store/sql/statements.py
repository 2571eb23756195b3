"""Statements by name: those of queries.sql, and those that a database spells in its own way."""

from __future__ import annotations

import re
from importlib.resources import files


def statements_of(package: str) -> dict[str, str]:
    """All statements in the words of the database that has its own queries.sql in that package.
    {NAME} in a statement stands for another one, which may be the database's own.
    """
    texts = {**_texts(__package__), **_texts(package)}

    def whole(text: str) -> str:
        return re.sub(r"\{(\w+)\}", lambda match: whole(texts[match[1]]), text)

    return {name: whole(text) for name, text in texts.items()}


def _texts(package: str) -> dict[str, str]:
    """The statements of a .sql file, each as one line without comments."""
    text = files(package).joinpath("queries.sql").read_text(encoding="utf-8")
    found = {}
    for part in text.split("\n-- name: ")[1:]:
        name, *lines = part.splitlines()
        found[name] = " ".join(line.strip() for line in lines if line and not line.startswith("--"))
    return found
