"""The rules of CONTRIBUTING.md for the structure and the words of the project: sizes of files,
functions and folders, chains of classes, import circles, words to avoid.

A table here lists each exception to a limit. Nothing may be added to it, and an entry that is
within its limit again must be removed.
"""

import ast
import re
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import grimp
import pytest
from tests.conftest import ROOT

CODE = ("asl", "engine", "integrations", "visualize", "conformance")
FILE_LINES, FUNCTION_LINES, FOLDER_FILES, CHAIN = 500, 60, 16, 2
COLUMNS = 100  # of Python, ruff checks it
TEXTS = ("messages.py", "iam_names.py")  # tables
ALIKE = {
    "asl": "the language, flat",
    "integrations/tasks": "a file for each service",
}  # folders of any number of files
LONG_FILES: set[str] = set()
LONG_FUNCTIONS: set[str] = set()
LARGE_FOLDERS: set[str] = set()
LONG_CHAINS: set[str] = set()
PRIVATE_IMPORTS: set[str] = set()  # "engine/core/decide.py: stepwell.asl.definition._State"
CIRCLES: set[frozenset[str]] = set()
# Unclear words and images. Plain technical English has better ones: the noun of the domain
# ("queue", "answer"), or the verb of the field ("resume", "expired").
AVOIDED = re.compile(
    r"(?<![a-z])(?:whoever|(?:any|every|no|some)body|he|him|his|himself|told|gone|doomed|stirs?|rungs?"
    r"|askers?|strays?|stumbles|made up for|made-up|for ever|goes on|went on|left lying)(?![a-z])",
    re.IGNORECASE,
)
NAMES = re.compile('sqs/gone|[A-Z]*_GONE|"told"')  # keys of records, constants
WORDED = (*CODE, "benchmarks", "docs", "examples", "scripts")
WORDED_FILES = ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "pyproject.toml")
FILES_WITH_AVOIDED_WORDS: set[str] = set()


def sources() -> Iterator[Path]:
    for folder in CODE:
        yield from sorted((ROOT / folder).rglob("*.py"))


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def test_length_of_files() -> None:
    assert {
        name(path)
        for path in sources()
        if path.name not in TEXTS and len(path.read_text().splitlines()) > FILE_LINES
    } == LONG_FILES


@pytest.mark.parametrize("pattern", ["visualize/console/*.*", "scripts/*", "pyproject.toml"])
def test_length_of_lines(pattern: str) -> None:
    paths = [path for path in ROOT.glob(pattern) if path.is_file() and path.suffix != ".svg"]
    assert paths
    assert [
        f"{name(path)}:{number}"
        for path in paths
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if len(line) > COLUMNS
    ] == []


def test_length_of_files_of_the_console() -> None:
    files = (ROOT / "visualize" / "console").iterdir()
    assert [name(path) for path in files if len(path.read_text().splitlines()) > FILE_LINES] == []


def test_length_of_functions() -> None:
    found = set()
    for path in sources():
        for node in ast.walk(ast.parse(path.read_text())):
            if (
                isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
                and (node.end_lineno or 0) - node.lineno >= FUNCTION_LINES
            ):
                found.add(f"{name(path)}:{node.name}")
    assert found == LONG_FUNCTIONS


def test_size_of_folders() -> None:
    sizes = Counter(name(path.parent) for path in sources())
    assert {
        folder for folder, count in sizes.items() if count > FOLDER_FILES and folder not in ALIKE
    } == LARGE_FOLDERS


def test_no_module_of_the_product_is_named_like_a_test() -> None:
    assert [name(path) for path in sources() if re.match(r"test_|conftest", path.name)] == []


def test_chains_of_classes() -> None:
    """A class is composed of its parts: at most two of ours above each other."""
    parents: dict[str, list[str]] = {}
    for path in sources():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef):
                bases = [
                    base.id if isinstance(base, ast.Name) else base.attr
                    for base in node.bases
                    if isinstance(base, ast.Name | ast.Attribute)
                ]
                parents.setdefault(node.name, []).extend(
                    base for base in bases if base != node.name
                )

    def depth(each: str, above: tuple[str, ...] = ()) -> int:
        return max(
            (
                1 + depth(base, (*above, each))
                for base in parents[each]
                if base in parents and base not in above
            ),
            default=0,
        )

    assert {each for each in parents if depth(each) > CHAIN} == LONG_CHAINS


def private_imports(path: Path) -> Iterator[str]:
    """The names with an underscore that a file takes from another top-level folder, by import or as
    an attribute of what it imports.
    """
    tree, imported = ast.parse(path.read_text()), {}
    own = f"stepwell.{path.relative_to(ROOT).parts[0]}."
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("stepwell."):
            for each in node.names:
                full = f"{node.module}.{each.name}"
                if not full.startswith(own):
                    imported[each.asname or each.name] = full
    yield from (full for full in imported.values() if "._" in full)
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Attribute)
            and isinstance(node.value, ast.Name)
            and node.value.id in imported
            and node.attr.startswith("_")
        ):
            yield f"{imported[node.value.id]}.{node.attr}"


def test_private_names_stay_in_their_folder() -> None:
    assert {
        f"{name(path)}: {private}" for path in sources() for private in private_imports(path)
    } == PRIVATE_IMPORTS


@cache
def graph() -> grimp.ImportGraph:
    return grimp.build_graph("stepwell", cache_dir=None)


def circles() -> Iterator[frozenset[str]]:
    """Modules that import each other, types included, by strongly connected parts (Tarjan)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []

    def visit(module: str) -> Iterator[frozenset[str]]:
        index[module] = low[module] = len(index)
        stack.append(module)
        for imported in graph().find_modules_directly_imported_by(module):
            if imported not in index:
                yield from visit(imported)
                low[module] = min(low[module], low[imported])
            elif imported in stack:
                low[module] = min(low[module], index[imported])
        if low[module] == index[module]:
            at = stack.index(module)
            part = frozenset(each.removeprefix("stepwell.") for each in stack[at:])
            del stack[at:]
            if len(part) > 1:
                yield part

    for module in sorted(graph().modules):
        if module not in index:
            yield from visit(module)


def test_circles() -> None:
    assert set(circles()) == CIRCLES


@pytest.mark.parametrize("path", list(sources()), ids=name)
def test_a_file_says_what_it_is(path: Path) -> None:
    text = path.read_text()
    assert not text or ast.get_docstring(ast.parse(text)), "a docstring at its top"


def worded() -> Iterator[Path]:
    """Text files of the project, without tests."""
    for folder in WORDED:
        for path in sorted((ROOT / folder).rglob("*")):
            if path.is_file() and path.suffix not in (".json", ".pyc", ".png", ".svg"):
                yield path
    for each in WORDED_FILES:
        yield ROOT / each


def test_words() -> None:
    found = {
        name(path): sorted(words)
        for path in worded()
        if (words := set(AVOIDED.findall(NAMES.sub("", path.read_text()))))
    }
    assert set(found) == FILES_WITH_AVOIDED_WORDS, found
