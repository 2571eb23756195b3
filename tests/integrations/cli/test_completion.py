"""Shell completion, in a real bash, and the manual page."""

import os
import runpy
import shlex
import shutil
import subprocess

import pytest
from tests.conftest import ROOT, SCRIPT
from tests.integrations.cli.conftest import WAIT, environment

SHELLS = ("bash", "zsh", "fish", "powershell")


@pytest.mark.parametrize("shell", SHELLS)
def test_scripts(invoke, shell):
    done = invoke("completion", shell)
    assert (done.exit_code, "_STEPWELL_COMPLETE" in done.stdout) == (0, True)


def test_an_unknown_shell(invoke):
    assert invoke("completion", "tcsh").exit_code == 2


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
def test_bash_completes_commands_options_and_names(invoke, write, place, server):
    name = "completed"
    invoke("machines", "apply", write(f"{name}.asl.json", WAIT), "--server", server.url)
    invoke("start", name, "--name", "first-one", "--server", server.url)
    stepwell = place / "stepwell"
    stepwell.write_text(f'#!/bin/sh\nexec {shlex.join(SCRIPT)} "$@"\n')
    stepwell.chmod(0o755)

    def completed(*words: str, **variables: str) -> list[str]:
        line = shlex.join(["stepwell", *words])
        program = (
            f"source <({stepwell} completion bash)\nCOMP_LINE={shlex.quote(line)}\n"
            f"COMP_POINT={len(line)}\n_stepwell_completion {stepwell}\n"
            'printf "%s\\n" "${COMPREPLY[@]}"\n'
        )
        done = subprocess.run(
            ["bash", "-c", program],
            env=environment(place) | variables,
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        assert done.stderr == ""
        return done.stdout.split()

    assert completed("mach") == ["machines"]
    assert "--follow" in completed("tail", "--f")
    assert name in completed("start", "--db", str(server.db), "comp")
    served = {"STEPWELL_SERVER": server.url}
    assert "first-one" in completed("show", "first", **served)
    assert f"{name}/first-one" in completed("show", f"{name}/", **served)
    assert completed("show", "x", STEPWELL_SERVER="http://127.0.0.1:9") == []
    invoke("stop", "--machine", name, "--yes", "--server", server.url)


@pytest.mark.skipif(shutil.which("fish") is None, reason="fish is not installed")
def test_fish_completes_commands_choices_and_files(place, write):
    write("fine.asl.json", WAIT)
    stepwell = place / "stepwell"
    stepwell.write_text(f'#!/bin/sh\nexec {shlex.join(SCRIPT)} "$@"\n')
    stepwell.chmod(0o755)
    lines = ("stepwell mach", "stepwell list --status FA", "stepwell validate fi")
    program = "stepwell completion fish | source; " + "; ".join(
        f"complete -C {shlex.quote(line)}" for line in lines
    )
    env = environment(place) | {"PATH": f"{place}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["fish", "--no-config", "-c", program],
        env=env,
        cwd=place,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    words = [line.partition("\t")[0] for line in done.stdout.split("\n")]
    assert [each for each in words if each] == ["machines", "FAILED", "fine.asl.json"], done.stderr


def test_the_manual_page_is_current():
    written = runpy.run_path(str(ROOT / "scripts" / "man"))
    assert written["PAGE"].read_text() == written["page"](), "run scripts/man"
