"""What a command meets outside: closed and full streams, Ctrl-C, a folder that is read-only."""

import os
import shutil
import subprocess
import sys

import pytest
from tests.conftest import SCRIPT
from tests.integrations.cli.conftest import PASS, environment


@pytest.fixture
def shell(place):
    """shell("list >&-") runs `stepwell list` with that redirection."""

    def run(line):
        words = ["bash", "-c", f'"$@" {line}', "bash", *SCRIPT]
        env = environment(place)
        return subprocess.run(
            words, env=env, cwd=place, capture_output=True, text=True, timeout=60, check=False
        )

    return run


def test_a_full_disk_behind_the_output(shell):
    for line in ("--help", "completion fish"):
        done = shell(f"{line} >/dev/full")
        assert (done.returncode, done.stderr) == (
            70,
            "stepwell: the output cannot be written: no space left on device\n",
        )
    assert shell("list 2>/dev/full").returncode == 70


def test_a_reader_that_leaves(shell):
    for line in ("--help", "completion bash"):
        done = shell(f"{line} | true; exit ${{PIPESTATUS[0]}}")
        assert (done.returncode, done.stderr) == (141, "")


def test_closed_streams(shell, write):
    write("pass.asl.json", PASS)
    run = "run pass.asl.json --db p.db"
    assert (done := shell(f"{run} 2>&-")).returncode == 0, done
    assert done.stdout == "{}\n"
    assert (done := shell("list --db p.db >&-")).returncode == 0, done
    done = shell(f"{run} --input - <&-")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "standard input:1:1: not JSON" in done.stderr


@pytest.mark.parametrize(
    ("imported", "code"),
    [
        ("stepwell.integrations.cli.options", -2),  # a shell makes 130 of it
        ("stepwell.integrations.cli.lookup", 130),
    ],
)
def test_ctrl_c_while_a_command_starts(place, imported, code):
    program = (
        "import os, sys; from stepwell.integrations.cli import entry\n"
        f"hit = lambda event, args: event == 'import' and args[0] == {imported!r}\n"
        "sys.addaudithook(lambda *each: hit(*each) and os.kill(os.getpid(), 2))\n"
        "sys.argv[:] = ['stepwell', 'list', '--db', 'x']\n"
        "entry.main()"
    )
    words = [sys.executable, "-c", program]
    done = subprocess.run(
        words, env=environment(place), capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr, done.stdout) == (code, "", "")


@pytest.mark.skipif(
    os.geteuid() == 0 and shutil.which("setpriv") is None, reason="permissions do not bind root"
)
def test_a_database_in_a_folder_that_is_read_only(place, invoke, write):
    folder = place / "backups"
    folder.mkdir()
    file, db = write("pass.asl.json", PASS), folder / "r.db"
    invoke("run", file, "-q", "--name", "one", "--db", db)
    bound = ("setpriv", "--bounding-set=-dac_override,-dac_read_search")
    prefix = bound if os.geteuid() == 0 else ()

    def limited(*words):
        words = [*prefix, *SCRIPT, *words, "--db", str(db)]
        env = environment(place)
        return subprocess.run(
            words, env=env, cwd=place, capture_output=True, text=True, timeout=60, check=False
        )

    db.chmod(0o444)
    folder.chmod(0o555)
    try:
        assert " SUCCEEDED " in limited("list").stdout
        assert "SUCCEEDED" in limited("show", "one").stdout
        refused = limited("run", str(file))
        assert refused.returncode == 2
        assert refused.stderr == f"stepwell: {db} cannot be opened: Permission denied\n"
    finally:
        folder.chmod(0o755)
