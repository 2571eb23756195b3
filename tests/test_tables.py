"""The tables of limits and messages: every entry is used, is in one table only, and every limit is
documented.
"""

import ast
import re
from collections.abc import Iterator
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import ModuleType

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
def test_an_entry_is_in_one_table(name: str) -> None:
    entries = [entry for _, entry in tables(name)]
    assert sorted(entries) == sorted(set(entries))


@pytest.fixture(scope="module")
def page() -> ModuleType:
    """scripts/limits, which writes the page of limits."""
    path = ROOT / "scripts" / "limits"
    spec = spec_from_loader("limits_page", SourceFileLoader("limits_page", str(path)))
    assert spec is not None and spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_limit_is_described(page: ModuleType) -> None:
    described = [(path, limit.name) for path in page.files() for limit in page.limits(path)]
    assert sorted(described) == sorted(tables("limits.py"))
    bare = [limit for path in page.files() for limit in page.limits(path) if len(limit.text) < 5]
    assert bare == []


def test_the_page_of_limits_is_current(page: ModuleType) -> None:
    assert page.PAGE.read_text() == page.page(), "run scripts/limits"
