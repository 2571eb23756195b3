"""Statements by name: those of queries.sql, and those that a database spells in its own way."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from typing import Final


def parse(text: str, known: Mapping[str, str]) -> dict[str, str]:
    """The known statements and those of a .sql file, each as one line without comments."""
    statements = dict(known)
    for part in text.split("\n-- name: ")[1:]:
        name, *lines = part.splitlines()
        statement = " ".join(line.strip() for line in lines if line and not line.startswith("--"))
        statements[name] = statement.format_map(statements)
    return statements


def statements_of(package: str) -> dict[str, str]:
    """All statements in the words of the database that has its own queries.sql in that package."""
    own = files(package).joinpath("queries.sql").read_text(encoding="utf-8")
    return parse(own, _SHARED)


_SHARED: Final = parse(
    files(__package__).joinpath("queries.sql").read_text(encoding="utf-8"), known={}
)
