"""The structure of the project: folders, names, versions, forbidden texts, and documents that
point at what exists.
"""

import ast
import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PACKAGES = ["asl", "conformance", "engine", "integrations", "visualize"]
TOP_LEVEL = {
    *PACKAGES, "benchmarks", "docs", "examples", "scripts", "tests",
    ".ci", ".dev", ".editorconfig", ".git-blame-ignore-revs", ".github", ".gitignore",
    ".pre-commit-config.yaml",
    ".pre-commit-hooks.yaml",
    "pyproject.toml", "README.md", "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE",
}  # fmt: skip
IMPORT_NAMES = {
    "opentelemetry-sdk": "opentelemetry",
    "jsonata-python": "jsonata",
    "jsonpath-ng": "jsonpath_ng",
    "paho-mqtt": "paho",
    "pyyaml": "yaml",
}  # where they differ from the distribution's name
BROUGHT_ALONG = {"pydantic_core"}  # pydantic asks for exactly one version of it


def project_files() -> list[Path]:
    """All files that are, or would be, under version control; everything but build products outside
    a checkout.
    """
    if (ROOT / ".git").exists() and shutil.which("git"):
        listing = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        )
        names = filter(None, listing.stdout.split("\0"))
    else:
        names = (
            os.path.relpath(os.path.join(folder, name), ROOT)
            for folder, _, files in os.walk(ROOT)
            for name in files
        )
        names = (
            name
            for name in names
            if not re.search(
                r"(^|/)(\.git|\.venv|build|dist|__pycache__|\.\w+_cache|\.hypothesis)/", name
            )
        )
    return [
        path for path in (ROOT / name for name in names) if path.is_file() and not path.is_symlink()
    ]


FILES = project_files()
PYTHON = [path for path in FILES if path.suffix == ".py"]


def texts() -> list[tuple[str, str]]:
    return [
        (str(path.relative_to(ROOT)), path.read_text(errors="replace"))
        for path in FILES
        if b"\0" not in path.read_bytes()[:8192]
    ]


def imported_names(path: Path) -> set[str]:
    """The first part of every absolute import of a file."""
    names = set()
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            names.update(alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.split(".")[0])
    return names


def test_top_level():
    assert {path.relative_to(ROOT).parts[0] for path in FILES} <= TOP_LEVEL


@pytest.mark.parametrize("package", PACKAGES)
def test_each_package_is_typed_and_linked(package):
    assert (ROOT / package / "py.typed").is_file()
    link = ROOT / ".dev" / "stepwell" / package
    assert link.is_symlink()
    assert os.readlink(link) == f"../../{package}"


def test_packages_of_stepwell():
    found = {path.name for path in (ROOT / ".dev" / "stepwell").iterdir()} - {"__pycache__"}
    assert found == {"__init__.py", *PACKAGES}
    build = PROJECT["tool"]["hatch"]["build"]
    assert sorted(build["only-include"]) == PACKAGES
    assert {*PACKAGES, "tests", "examples", ".dev/stepwell/__init__.py"} <= set(
        build["targets"]["sdist"]["only-include"]
    )
    wheel = build["targets"]["wheel"]
    assert (
        wheel["only-include"] == [".dev/stepwell/__init__.py", *build["only-include"]]
        and "force-include" not in wheel
    )
    assert wheel["sources"] == {".dev/stepwell": "stepwell"} | {
        package: f"stepwell/{package}" for package in PACKAGES
    }


def test_the_library_is_imported_by_the_name_of_the_project():
    import stepwell
    from stepwell import ApiError, Engine, __version__
    from stepwell.engine.engine import Engine as TheEngine
    from stepwell.engine.errors import ApiError as TheError

    assert (Engine, ApiError) == (TheEngine, TheError)
    assert __version__ == PROJECT["project"]["version"]
    assert set(stepwell.__all__) <= set(dir(stepwell))
    with pytest.raises(AttributeError, match="'stepwell' has no attribute 'engin'"):
        stepwell.engin  # noqa: B018


def test_a_part_is_imported_without_the_engine():
    code = (
        "import sys, stepwell.asl.paths; print([name for name in sys.modules if "
        "name.startswith('stepwell.engine')])"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT / ".dev")}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr) == ("[]\n", "")


def test_no_package_is_imported_by_its_plain_name():
    """`import asl` would load every class a second time, and isinstance would fail between the
    two.
    """
    assert {
        str(path.relative_to(ROOT)): names
        for path in PYTHON
        if (names := imported_names(path) & set(PACKAGES))
    } == {}


EXTRAS = {
    "conformance/": "conformance",
    "engine/store/postgres/": "postgres",
    "integrations/datasets/parquet.py": "parquet",
    "integrations/editor/": "editor",
    "integrations/tracing/sdk.py": "opentelemetry",
}
"""What may import the packages of an extra."""
OF_TESTS = {
    "integrations/testing/plugin.py": {"pytest"},  # which imports it
    "integrations/testing/server_process.py": {"boto3"},  # of the user, for the fixture of a client
}


def test_every_package_that_is_imported_is_declared():
    def names_of(requirements):
        return {
            IMPORT_NAMES.get(name, name)
            for name in (re.split(r"[<>=!~\[ ;]", text)[0] for text in requirements)
        }

    allowed = (
        names_of(PROJECT["project"]["dependencies"])
        | set(sys.stdlib_module_names)
        | BROUGHT_ALONG
        | {"stepwell"}
    )
    extras = {  # what the conformance suite offers to pytest is imported by pytest
        folder: names_of(PROJECT["project"]["optional-dependencies"][extra]) | {"pytest"}
        for folder, extra in EXTRAS.items()
    }
    unknown = {}
    for path in PYTHON:
        name = path.relative_to(ROOT).as_posix()
        if name.split("/")[0] in PACKAGES:
            own = next((extras[each] for each in extras if name.startswith(each)), set())
            unknown[name] = imported_names(path) - allowed - own - OF_TESTS.get(name, set())
    assert {name: names for name, names in unknown.items() if names} == {}


def test_the_version_is_the_same_everywhere():
    version = PROJECT["project"]["version"]
    newest = re.search(r"^## \[?([\d.]+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert newest is not None
    assert newest[1] == version
    try:
        installed = importlib.metadata.version("stepwell")
    except importlib.metadata.PackageNotFoundError:
        return  # run from the folder, without installing
    assert installed == version


@pytest.mark.parametrize(
    "forbidden",
    [
        # a folder of the machine that it was written on
        r"(?<![\w.}~*\]-])/(?:work|root|home|Users)/\w",
        # a registry
        (
            r"pypi\.(?:org|python)|pythonhosted\.org|registry\.(?:npmjs|yarnpkg)|deb\.debian|"
            r"--(?:extra-)?index-url"
        ),
    ],
)
def test_no_file_contains_a_path_of_a_machine_or_a_registry(forbidden):
    assert {name: found[0] for name, text in texts() if (found := re.search(forbidden, text))} == {}


@pytest.mark.parametrize(
    "page",
    sorted(path for path in FILES if path.suffix == ".md"),
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_links_and_paths_of_documents_exist(page):
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    links = {
        link.split("#")[0]
        for link in re.findall(r"\]\(([^)\s]+)\)", text)
        if not re.match(r"[a-z]+:", link)
    }
    assert [link for link in sorted(links - {""}) if not (page.parent / link).exists()] == []
    folders = [*PACKAGES, "benchmarks", "docs", "examples", "scripts", "tests"]
    paths = set(
        re.findall(
            rf"`((?:{'|'.join(folders)})/[\w./-]*)`",
            text,
        )
    )
    assert [path for path in sorted(paths) if not (ROOT / path).exists()] == []


def test_every_document_is_in_the_index():
    index = (ROOT / "docs" / "README.md").read_text()
    pages = [
        path.relative_to(ROOT / "docs").as_posix()
        for path in FILES
        if path.is_relative_to(ROOT / "docs") and path.suffix == ".md"
    ]
    assert [
        page
        for page in pages
        if page != "README.md" and not page.startswith("changes/") and f"({page})" not in index
    ] == []


def test_the_readme_has_the_commands_to_run_and_check():
    readme = (ROOT / "README.md").read_text()
    assert (
        "\npip install . && stepwell run examples/order.asl.json --input examples/order.json\n"
        in readme
    )
    assert "\nscripts/check\n" in readme
    assert os.access(ROOT / "scripts" / "check", os.X_OK)


def options(command: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """(command, option) for every long option of a click command and of those below it."""
    for parameter in command.params:
        yield from (
            (path, name)
            for name in parameter.opts
            if name.startswith("--") and name not in ("--help", "--version")
        )
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            yield path, name
            yield from options(command.get_command(context, name), f"{path} {name}".strip())


def test_every_command_and_option_is_documented():
    from stepwell.integrations.cli.main import app

    page = (ROOT / "docs" / "reference" / "cli.md").read_text()
    found = list(options(app))
    assert len(found) > 20
    assert [each for each in found if not re.search(rf"(?<![\w-]){each[1]}(?![\w-])", page)] == []
