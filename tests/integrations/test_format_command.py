"""`stepwell format`, and the hooks of pre-commit."""

import re
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner
from tests.conftest import ROOT

from stepwell.integrations.cli.commands.editing import format
from stepwell.integrations.cli.main import app

UGLY = '{"States": {"A": {"End": true, "Type": "Pass"}}, "StartAt": "A"}'
PRETTY = """{
  "StartAt": "A",
  "States": {
    "A": {
      "Type": "Pass",
      "End": true
    }
  }
}
"""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_files_are_written(capsys: pytest.CaptureFixture[str]) -> None:
    file = Path("a.asl.json")
    file.write_text(UGLY)
    file.chmod(0o640)
    Path("b.asl.json").write_text(PRETTY)
    Path("link.asl.json").symlink_to(file)
    assert format([Path("link.asl.json"), Path("b.asl.json")], False, False) == 0
    assert (file.read_text(), file.stat().st_mode & 0o777) == (PRETTY, 0o640)
    assert Path("link.asl.json").is_symlink()
    assert capsys.readouterr().err == "1 file formatted, 1 file unchanged\n"
    assert sorted(each.name for each in Path().iterdir()) == [
        "a.asl.json",
        "b.asl.json",
        "link.asl.json",
    ]


def test_check_and_diff_write_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    file = Path("a.asl.json")
    file.write_text(UGLY)
    assert format([file], True, False) == 1
    assert capsys.readouterr() == ("a.asl.json\n", "1 file not formatted\n")
    assert format([file], False, True) == 1
    assert '+  "StartAt": "A",\n' in capsys.readouterr().out
    assert file.read_text() == UGLY
    file.write_text(PRETTY)
    assert format([file], True, True) == 0


def test_other_files_stay_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    Path("a.asl.yaml").write_text("StartAt: A # why\n")
    Path("package.json").write_text('{"name": "x"}')
    Path("bad.json").write_text('{"StartAt": "A", // why\n "States": {}}')
    assert format([Path("a.asl.yaml"), Path("package.json")], False, False) == 0
    assert format([Path("bad.json")], False, False) == 2
    assert format([Path("nowhere.json")], False, False) == 2
    assert capsys.readouterr().err.splitlines() == [
        "a.asl.yaml: left as it is: the comments and the layout of YAML would be lost",
        "package.json: left as it is: it is not a definition, which has the fields StartAt and "
        "States",
        "2 files left",
        "bad.json:1:19: not JSON: JSON has no comments: remove it, or use the field Comment",
        "1 file with an error",
        "nowhere.json: No such file or directory",
        "1 file with an error",
    ]


@pytest.mark.parametrize(
    ("hook", "code"), [("stepwell-validate", 0), ("stepwell-format", 0), ("stepwell-lint", 0)]
)
def test_hooks_of_pre_commit_run_with_the_files_as_arguments(hook: str, code: int) -> None:
    hooks = {each["id"]: each for each in yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").open())}
    assert len(hooks) == 3
    for name in ("a.asl.json", "b.asl"):
        assert re.search(hooks[hook]["files"], f"flows/{name}")
        Path(name).write_text(UGLY)
    assert not re.search(hooks[hook]["files"], "package.json")
    program, *words = hooks[hook]["entry"].split()
    done = CliRunner().invoke(app, [*words, "a.asl.json", "b.asl"])
    assert (program, done.exit_code) == ("stepwell", code), done.output


def test_templates_are_left(capsys: pytest.CaptureFixture[str]) -> None:
    for name, text in (
        ("main.tf", 'resource "aws_sfn_state_machine" "m" { definition = file("m.json") }\n'),
        ("a.tftpl", '{"StartAt": "A", %{ if x }"States": {}%{ endif }}'),
    ):
        Path(name).write_text(text)
        assert format([Path(name)], True, False) == 0
        assert f"{name}: left as it is: it" in capsys.readouterr().err
    Path("b.json").write_text('{"States": {}, "StartAt": <Start>, "Comment": "{{ c }}"}')
    assert format([Path("b.json")], False, False) == 0
    assert '"StartAt": <Start>' in Path("b.json").read_text()
