"""Every limit of every table is enforced by some code, every text of every table is said, and each
stands in one table only.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.conftest import ROOT

CODE = ("asl", "engine", "integrations", "visualize", "conformance")
FILES = {
    path: path.read_text() for folder in CODE for path in sorted((ROOT / folder).rglob("*.py"))
}


def tables(name: str) -> Iterator[tuple[Path, str]]:
    """(file, name of an entry) of all tables of that file name."""
    for path, text in FILES.items():
        if path.name == name:
            for node in ast.walk(ast.parse(text)):
                if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                    entry = node.target.id
                    if entry.islower() == (name == "limits.py"):
                        yield path, entry


@pytest.mark.parametrize("name", ["limits.py", "messages.py"])
def test_every_entry_is_used(name: str) -> None:
    entries = list(tables(name))
    assert len(entries) > 200
    elsewhere = "\n".join(text for path, text in FILES.items() if path.name != name)
    within = {path: text for path, text in FILES.items() if path.name == name}
    unused = [
        f"{path.relative_to(ROOT)}: {entry}"
        for path, entry in entries
        if not re.search(rf"\.{entry}\b", elsewhere)
        and sum(len(re.findall(rf"\b{entry}\b", text)) for text in within.values()) < 2
    ]
    assert unused == []


@pytest.mark.parametrize("name", ["limits.py", "messages.py"])
def test_an_entry_stands_in_one_table(name: str) -> None:
    entries = [entry for _, entry in tables(name)]
    assert sorted(entries) == sorted(set(entries))
