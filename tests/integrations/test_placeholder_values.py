"""Values of placeholders on the command line: their files, and what is said of missing ones."""

import json
from pathlib import Path

import pytest

from stepwell.engine.arns import Home
from stepwell.integrations.cli.commands.run import run
from stepwell.integrations.cli.commands.validate import validate
from stepwell.integrations.definitions.parameters import from_file, pseudo_parameters
from stepwell.integrations.errors import UsageError
from stepwell.integrations.limits import DEFAULT_LIMITS

MACHINE = """{
  "Comment": "for ${Team}",
  "StartAt": "Wait",
  "States": {
    "Wait": {"Type": "Wait", "Seconds": "${Delay}", "Next": "Send"},
    "Send": {"Type": "Pass", "Result": {"to": "${Queue}", "region": "${AWS::Region}",
      "again": ${Queue}, "shell": "echo ${@:1}"}, "End": true}
  }
}
"""


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("p.json", '{"Queue": "a", "Delay": 0}'),
        ("p.json", '{"Parameters": {"Queue": "a", "Delay": 0}}'),
        (
            "p.json",
            '[{"ParameterKey": "Queue", "ParameterValue": "a"}, '
            '{"ParameterKey": "Delay", "ParameterValue": 0}]',
        ),
        ("p.yaml", "Queue: a\nDelay: 0\n"),
        ("p.yml", "Parameters:\n  Queue: a\n  Delay: 0\n"),
    ],
)
def test_forms_of_files(name: str, text: str) -> None:
    assert from_file(name, text.encode(), DEFAULT_LIMITS) == {"Queue": "a", "Delay": 0}


def test_lines_are_texts() -> None:
    text = (
        "# values\nexport Queue=\"a b\" # why\nDelay = 5\n\nEmpty=\nFn.Arn='x'\nurl=http://h/#a\n"
    )
    assert from_file(".env.test", text.encode(), DEFAULT_LIMITS) == {
        "Queue": "a b",
        "Delay": "5",
        "Empty": "",
        "Fn.Arn": "x",
        "url": "http://h/#a",
    }
    pairs = from_file("p.json", b'["Queue=a", "Url=b=c"]', DEFAULT_LIMITS)
    assert pairs == {"Queue": "a", "Url": "b=c"}


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("p.json", '{"a": }', "p.json:1:8: not JSON: Unexpected character"),
        ("p.json", "[1]", 'p.json: must have names and their values: {"Name": value}, '),
        ("p.yaml", "a: [", "p.yaml:2:1: invalid YAML: "),
        (".env", "\nhello", ".env:2:1: not KEY=VALUE"),
        (".env", 'a="x', ".env:1:1: the quotes are not closed"),
        (".env", b"\xff", ".env: not UTF-8 text"),
    ],
)
def test_bad_files(name: str, text: str | bytes, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        from_file(name, text.encode() if isinstance(text, str) else text, DEFAULT_LIMITS)
    assert str(caught.value).startswith(message)


def test_names_of_cloudformation_have_values() -> None:
    assert pseudo_parameters(Home("eu-west-1", "1" * 12)) == {
        "AWS::AccountId": "1" * 12,
        "AWS::Partition": "aws",
        "AWS::Region": "eu-west-1",
        "AWS::URLSuffix": "amazonaws.com",
    }


def test_validate_names_the_open_placeholders_in_one_note(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("m.asl.json").write_text(MACHINE)
    assert validate([Path("m.asl.json")], [], None, "STANDARD", False) == 0
    out, err = capsys.readouterr()
    assert err == "1 file: valid\n"
    assert out == (
        "m.asl.json:2:19: NOTE UNFILLED no value yet for ${Team}, ${Delay}, ${Queue}, "
        "${@:1}: a run needs --param NAME=VALUE or --params FILE\n"
    )
    assert validate([Path("m.asl.json")], ["Delay=5"], None, "STANDARD", False) == 2
    assert "[Integer]: the value of a --param in quotes is text" in capsys.readouterr().out


def test_a_run_needs_values(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("m.asl.json").write_text(MACHINE)
    Path("p.json").write_text('{"Delay": 0, "Queue": "no"}')

    def start(*param: str, params: Path | None) -> int:
        return run(
            **{"file": Path("m.asl.json"), "input": "{}", "name": None, "type": "STANDARD"},
            **{"param": param, "params": params, "server": None, "db": "m.db", "json": False},
            **{"quiet": True, "timeout": 9, "mocks": (None, None, "STRICT"), "skip_time": False},
            search_attributes=None,
        )

    assert start("Delay=1", params=None) == 2
    assert capsys.readouterr().err.splitlines() == [
        "m.asl.json:5:30: ERROR SCHEMA_VALIDATION_FAILED Expected value of type [Integer]: the "
        "value of a --param in quotes is text; write ${Delay} without quotes, or give a value of "
        "this type with --params FILE at /States/Wait/Seconds",
        "m.asl.json:6:48: ERROR UNFILLED no value for ${Queue}: pass it with --param Queue=VALUE, "
        "or --params FILE (also at 7:16)",
        "stepwell: m.asl.json is not a valid state machine: 2 errors",
    ]
    assert start('Queue="a"', params=Path("p.json")) == 0  # in quotes, and bare
    capsys.readouterr()
    Path("m.asl.json").write_text(MACHINE.replace('"again": ${Queue}', '"again": ${N}'))
    assert start("N=1.50", params=Path("p.json")) == 0
    output = capsys.readouterr().out
    assert json.loads(output) == {
        "to": "no", "region": "us-east-1", "again": 1.5, "shell": "echo ${@:1}",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": {\n  ...\n}}', "2:4: ERROR INVALID_JSON_DESCRIPTION Unexpected character ('.'"),
        ('resource "aws_sfn_state_machine" "m" {}', "1:9: ERROR INVALID_JSON_DESCRIPTION Unrec"),
        ('"A": {"Type": "Pass"}', "1:5: ERROR INVALID_JSON_DESCRIPTION Unexpected character (':'"),
        ('{\n  // why\n  "a": 1}', "2:4: ERROR INVALID_JSON_DESCRIPTION Unexpected character ('/'"),
        ('{"a": "${X}",\n  "b": [1, 2,],}', "2:15: ERROR INVALID_JSON_DESCRIPTION Unexpected"),
        ('{"a": ${Long_name}, }', "1:22: ERROR INVALID_JSON_DESCRIPTION Unexpected character"),
    ],
)
def test_almost_json_says_where_and_what_to_do(
    text: str,
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("m.json").write_text(text)
    assert validate([Path("m.json")], [], None, "STANDARD", False) == 2
    line = capsys.readouterr().out
    assert f"m.json:{message}" in line
    assert line.rstrip().endswith(
        (
            "JSON has no comments: remove it, or use the field Comment",
            "remove the comma before it",
            "this is Terraform: its files end in .tf",
            "write what is left out here",
            "this is a part of a definition: complete it with StartAt and States",
        )
    )
