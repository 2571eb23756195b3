"""The documents: paths and links exist, the site builds, and the commands and programs in them run
as written.

Each page is one script: its `sh` and `python` blocks in their order, in a new folder that looks
like a clone, with a home folder and a port of its own. A block that cannot run here has `<!-- not
run: REASON -->` above it; one with `<!-- needs PostgreSQL -->` has the URL of an empty database in
$DATABASE, and is left out where no server is installed. STEPWELL_DOCS_PYTHON names the Python of
another environment, such as one with the wheel, whose `stepwell` the pages use.
"""

import contextlib
import importlib.util
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.conftest import SCRIPT
from tests.ports import free_port
from tests.postgres import PROGRAMS

ROOT = Path(__file__).resolve().parent.parent
OTHER_PYTHON = os.environ.get("STEPWELL_DOCS_PYTHON")
PYTHON = Path(OTHER_PYTHON or sys.executable).absolute()
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")])
TOP_LEVEL = "asl|engine|integrations|visualize|conformance|benchmarks|docs|examples|scripts|tests"
BLOCK = re.compile(
    r"(<!-- (?:not run: [^\n]+|needs PostgreSQL) -->\n)?^```(sh|python|json)\n(.*?)^```$",
    re.DOTALL | re.MULTILINE,
)
RUN = [
    str(page.relative_to(ROOT))
    for page in PAGES
    if page.name not in ("CONTRIBUTING.md", "conformance.md")
    and re.search(r"^```(sh|python)$", page.read_text(), re.MULTILINE)
]
# a file that the reader writes: its name, then its text
FILE = re.compile(
    r"^[^\n]* this to `([\w./-]+)`:\n\n```(?:json|python)\n(.*?)^```$", re.DOTALL | re.MULTILINE
)

COMMAND = """#!/bin/sh
# `stepwell` with the port of this test
case "$1" in
serve) shift; set -- serve --port {port} "$@" ;;
env) shift; set -- env --endpoint http://127.0.0.1:{port} "$@" ;;
esac
exec {stepwell} "$@"
"""
# what a reader sees before going on: the server's first line, a running execution
SERVING = (
    "for _ in $(seq 600); do curl -s -o /dev/null http://127.0.0.1:{port}/ready && break; sleep "
    "0.1; done"
)
RUNNING = (
    "for _ in $(seq 600); do stepwell executions list | grep -q RUNNING && break; sleep 0.1; done"
)


def script(text: str, port: int, postgres: bool = False) -> str:
    """The blocks of a page as one program for bash."""
    lines = ["set -euo pipefail"]
    files = {match.start(2): match[1] for match in FILE.finditer(text)}
    for match in BLOCK.finditer(text):
        name, kind, body = files.get(match.start(3)), match[2], match[3]
        if name:
            lines.append(
                f"mkdir -p $(dirname {name})\ncat > {name} <<'END_OF_FILE'\n{body}END_OF_FILE\n"
            )
        elif (match[1] and not (postgres and "PostgreSQL -->" in match[1])) or kind == "json":
            continue
        elif kind == "python":
            lines.append(f"python - <<'END_OF_PROGRAM'\n{body}END_OF_PROGRAM\n")
        else:
            body = re.sub(r"^pip install \S+ && ", "", body)  # what is tested is installed
            body = re.sub(r"^sleep \d+$", RUNNING, body, flags=re.MULTILINE)
            lines.append(
                re.sub(r"^(stepwell serve\b.*&)$", rf"\1\n{SERVING}", body, flags=re.MULTILINE)
            )
    return (
        "\n".join(lines).replace("{port}", str(port)).replace("127.0.0.1:8083", f"127.0.0.1:{port}")
    )


@pytest.mark.parametrize("name", RUN)
def test_a_page_runs_as_written(
    name: str, home: dict[str, str], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    text = (ROOT / name).read_text()
    if postgres := PROGRAMS is not None and "<!-- needs PostgreSQL -->" in text:
        server = request.getfixturevalue("postgres_server")
        home |= {"DATABASE": server.database(), "PATH": f"{home['PATH']}:{PROGRAMS}"}
    port = free_port()
    clone, commands = tmp_path / "clone", tmp_path / "bin"
    shutil.copytree(ROOT / "examples", clone / "examples")
    commands.mkdir()
    stepwell = str(PYTHON.with_name("stepwell")) if OTHER_PYTHON else shlex.join(SCRIPT)
    for command, body in (
        ("stepwell", COMMAND.format(port=port, stepwell=stepwell)),
        ("python", f'#!/bin/sh\nexec {PYTHON} "$@"\n'),
    ):
        (commands / command).write_text(body)
        (commands / command).chmod(0o755)
    path = os.pathsep.join([str(commands), str(Path(sys.executable).parent), home["PATH"]])
    environment = {key: value for key, value in home.items() if not key.startswith("AWS_")} | {
        "PATH": path,
        "AWS_PAGER": "",
    }
    if OTHER_PYTHON:
        del environment["PYTHONPATH"]  # the package of this folder
    with (tmp_path / "output").open("w+") as output:
        process = subprocess.Popen(
            ["bash", "-c", script(text, port, postgres)], cwd=clone, env=environment,
            stdin=subprocess.DEVNULL, stdout=output, stderr=output,
            start_new_session=True,
        )  # fmt: skip
        try:
            code = process.wait(timeout=300)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # what the page left in the background
            process.wait()
        output.seek(0)
        assert code == 0, output.read()[-6000:]


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_paths_in_pages_exist(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    paths = set(re.findall(rf"`((?:{TOP_LEVEL})/[\w./*-]*)`", text)) | set(
        re.findall(r"`(\w+\.(?:toml|md|editorconfig))`", text)
    )
    paths -= {"samconfig.toml"}  # of a reader's project
    assert [path for path in sorted(paths) if not list(ROOT.glob(path.rstrip("/")))] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_tests_in_pages_exist(page: Path) -> None:
    named = re.findall(r"`(tests/[\w./]+\.py)::(\w+)`", page.read_text())
    assert [
        f"{path}::{test}"
        for path, test in named
        if not re.search(rf"^(async )?def {test}\(", (ROOT / path).read_text(), re.MULTILINE)
    ] == []


@pytest.mark.skipif(
    importlib.util.find_spec("material") is None,
    reason="needs mkdocs-material, which the extra `dev` installs",
)
def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    words = ["bash", ROOT / "scripts" / "docs", "--site-dir", tmp_path / "site"]
    done = subprocess.run(
        words,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for page in (tmp_path / "site").rglob("*.html"):
        loaded = re.findall(
            r"<(?:script|img|link)\b[^>]*?(?:src|href)=\"?(https?://[^\"\s>]+)", page.read_text()
        )
        assert [url for url in loaded if "fonts" in url or url.endswith((".js", ".css"))] == [], (
            page
        )


def test_every_page_is_in_both_indexes() -> None:
    """CONTRIBUTING.md: docs/README.md and scripts/mkdocs.yml name each page."""
    pages = {
        path.relative_to(ROOT / "docs").as_posix()
        for path in (ROOT / "docs").rglob("*.md")
        if path.parent.name != "changes" and path.name != "README.md"
    }
    assert pages <= set(re.findall(r"\]\(([\w/.-]+\.md)\)", (ROOT / "docs/README.md").read_text()))
    assert pages <= set(re.findall(r"[\w/.-]+\.md", (ROOT / "scripts/mkdocs.yml").read_text()))


def test_names_of_changes() -> None:
    """docs/changes/README.md"""
    news = {path.name for path in (ROOT / "docs" / "changes").iterdir()} - {"README.md"}
    assert {
        name
        for name in news
        if not re.fullmatch(r"[a-z0-9-]+\.(added|changed|fixed|removed)\.md", name)
    } == set()
