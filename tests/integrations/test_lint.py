"""`stepwell lint`: what it prints in each format, suppressions, and exit codes."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from stepwell.integrations.cli.main import app

pydantic_sarif = pytest.importorskip("pydantic_sarif.model", reason="the extra `dev` installs it")

PUT: dict[str, Any] = {
    "Type": "Task",
    "Resource": "arn:aws:states:::dynamodb:putItem",
    "Parameters": {"TableName": "t", "Item": {}, "Key": {}},
    "Catch": [{"ErrorEquals": ["Lambda.ServiceException"], "Next": "Failed"}],
    "End": True,
}
FAILED = {"Type": "Fail"}


def lint(*words: Any) -> Result:
    return CliRunner().invoke(app, ["lint", *map(str, words)])


def write(folder: Path, states: dict[str, Any], name: str = "m.asl.json", **more: Any) -> Path:
    path = folder / name
    value = {"StartAt": next(iter(states)), **more, "States": states}
    path.write_text(json.dumps(value, indent=2))
    return path


@pytest.fixture
def put(tmp_path: Path) -> Path:
    return write(tmp_path, {"Put": PUT, "Failed": FAILED})


def lines(result: Result) -> list[str]:
    return result.stdout.splitlines()


def codes(result: Result) -> list[str]:
    return [line.split()[2] for line in lines(result)]


def test_a_finding_is_a_line_with_its_place_and_the_mend(put: Path) -> None:
    result = lint(put)
    assert result.exit_code == 1
    assert lines(result) == [
        f"{put}:14:11: warning W201 this catcher never matches: dynamodb:putItem raises no "
        "Lambda.ServiceException. Name an error that it raises (such as "
        "DynamoDB.ConditionalCheckFailedException), or remove the catcher at "
        "/States/Put/Catch[0]/ErrorEquals"
    ]
    assert result.stderr == "1 file: 1 warning\n"


def test_sound_definitions_are_silent(root: Path) -> None:
    files = sorted((root / "examples").glob("*.asl.*"))
    result = lint(*files)
    assert (result.exit_code, result.stdout) == (0, "")
    assert re.search(r"^\d+ files: no findings \(\d+ notes: --notes shows them\)$", result.stderr)


def test_notes_are_advice(root: Path) -> None:
    polling = root / "examples" / "polling.asl.json"
    notes = lint("--notes", polling)
    assert notes.exit_code == 0 and "N206" in codes(notes)
    assert lint("--strict", polling).exit_code == 1
    assert set(codes(lint("--select", "N704", polling))) == {"N704"}


def test_errors_of_validation_come_first(tmp_path: Path) -> None:
    states = {"Put": {**PUT, "End": "yes"}, "Failed": FAILED}
    result = lint(write(tmp_path, states))
    assert result.exit_code == 1
    assert codes(result) == ["SCHEMA_VALIDATION_FAILED"]


@pytest.mark.parametrize("text", ["{", "", "[]", "\ufeff{}", "a: b: c"])
def test_what_is_no_definition(tmp_path: Path, text: str) -> None:
    for name in ("m.asl.json", "m.asl.yaml"):
        path = tmp_path / name
        path.write_text(text)
        result = lint(path)
        assert result.exit_code in (1, 2) and result.stdout.startswith(f"{path}:"), result.output
    assert lint(tmp_path / "none.asl.json").exit_code == 2


def test_select_and_ignore_choose_rules_by_the_begin_of_their_codes(put: Path) -> None:
    assert codes(lint("--select", "W2", put)) == ["W201"]
    assert codes(lint("--ignore", "W2", put)) == []
    assert codes(lint("--ignore", "W3", put)) == ["W201"]
    assert lint("--select", "W999", put).exit_code == 2
    assert lint().exit_code == 2


@pytest.mark.parametrize("where", ["machine", "state", "catcher"])
def test_a_comment_suppresses_a_finding(tmp_path: Path, where: str) -> None:
    note = {"Comment": "see the wiki. stepwell:ignore W201 a proxy raises it"}
    states: dict[str, Any] = {"Put": dict(PUT), "Failed": FAILED}
    if where == "state":
        states["Put"] |= note
    elif where == "catcher":
        states["Put"]["Catch"] = [PUT["Catch"][0] | note]
    result = lint(write(tmp_path, states, **(note if where == "machine" else {})))
    assert (result.exit_code, result.stdout) == (0, "")


def test_a_suppression_elsewhere_does_not_count(tmp_path: Path) -> None:
    states = {"Put": PUT, "Failed": {**FAILED, "Comment": "stepwell:ignore W201, W999"}}
    result = lint(write(tmp_path, states))
    assert codes(result) == ["W201", "W901", "W901"]
    assert "W201 finds nothing here" in result.stdout
    assert "there is no rule W999" in result.stdout
    assert codes(lint("--select", "W301", tmp_path / "m.asl.json")) == ["W901"]


def test_examples_of_the_input(tmp_path: Path) -> None:
    read = {"Type": "Pass", "Parameters": {"v.$": "$.order.id"}, "End": True}
    path = write(tmp_path, {"Read": read})
    assert codes(lint(path)) == []
    assert codes(lint("--input", '{"order": {"id": 1}}', path)) == []
    assert codes(lint("--input", '{"order": {}}', path)) == ["E101"]
    two = ("--input", '{"order": {}}', "--input", '{"order": {"id": 1}}')
    assert codes(lint(*two, path)) == []
    commented = write(tmp_path, {"Read": read}, Comment='An order. stepwell:input {"order": {}}')
    assert codes(lint(commented)) == ["E101"]


def test_results_of_services_are_known(tmp_path: Path) -> None:
    get = {**PUT, "Resource": "arn:aws:states:::dynamodb:getItem", "Next": "Read"}
    get = {name: value for name, value in get.items() if name not in ("End", "Catch")}
    for path, expected in (("$.Item.name.S", []), ("$.item.name.S", ["E101"])):
        read = {"Type": "Pass", "Parameters": {"v.$": path}, "End": True}
        result = lint(write(tmp_path, {"Get": get, "Read": read}))
        assert codes(result) == expected
    assert "the result of dynamodb:getItem has the members Item, Consumed" in result.stdout
    sdk = {**get, "Resource": "arn:aws:states:::aws-sdk:s3:listBuckets", "Parameters": {}}
    read = {"Type": "Pass", "Parameters": {"v.$": "$.Bucket"}, "End": True}
    assert codes(lint(write(tmp_path, {"Get": sdk, "Read": read}))) == ["E101"]


def test_waits_of_express_workflows(tmp_path: Path) -> None:
    path = write(tmp_path, {"Rest": {"Type": "Wait", "Seconds": 301, "End": True}})
    assert codes(lint(path)) == []
    result = lint("--type", "express", path)
    assert codes(result) == ["W302"]
    assert "an Express execution ends after 300" in result.stdout


def test_unfilled_placeholders_are_accepted(tmp_path: Path) -> None:
    states = {
        "Work": {
            "Type": "Task",
            "Resource": "${Function}",
            "TimeoutSeconds": "${Timeout}",
            "Catch": [{"ErrorEquals": ["${Error}"], "Next": "Failed"}],
            "End": True,
        },
        "Failed": FAILED,
    }
    path = write(tmp_path, states)
    assert codes(lint(path)) == []
    resource = "arn:aws:states:::dynamodb:putItem"
    filled = lint("-p", f"Function={resource}", "-p", "Error=Lambda.Unknown", path)
    assert codes(filled) == ["W201"]


def test_placeholders_in_an_arn_leave_the_service_known(tmp_path: Path) -> None:
    put = {**PUT, "Resource": "arn:${AWS::Partition}:states:${Region}:${Account}:dynamodb:putItem"}
    assert codes(lint(write(tmp_path, {"Put": put, "Failed": FAILED}))) == ["W201"]
    put["Resource"] = "arn:aws:states:::${Service}:putItem"
    assert codes(lint(write(tmp_path, {"Put": put, "Failed": FAILED}))) == []


def test_samples_of_placeholders_are_no_facts(tmp_path: Path) -> None:
    """A value that makes the definition valid is not what flows in."""
    path = tmp_path / "m.asl.json"
    path.write_text(
        """{"StartAt": "Set", "States": {
        "Set": {"Type": "Pass", "Result": {"n": ${Count}, "t": "${Time}"}, "Next": "Wait"},
        "Wait": {"Type": "Wait", "SecondsPath": "$.n", "Next": "Until"},
        "Until": {"Type": "Wait", "TimestampPath": "$.t", "Next": "Loop"},
        "Loop": {"Type": "Wait", "Seconds": ${Pause}, "Next": "Check"},
        "Check": {"Type": "Choice", "QueryLanguage": "JSONata", "Default": "${Next}", "Choices": [
            {"Condition": "{% $states.input.n > ${Most} %}", "Next": "Done"}]},
        "Other": {"Type": "Pass", "Next": "Done"}, "Done": {"Type": "Succeed"}}}"""
    )
    result = lint(path)
    assert (result.exit_code, result.stdout) == (0, "")


def test_json_has_the_place_of_a_finding(put: Path) -> None:
    (found,) = [json.loads(line) for line in lines(lint("--format", "json", put))]
    assert (found["file"], found["line"], found["column"]) == (str(put), 14, 11)
    assert (found["severity"], found["code"]) == ("warning", "W201")
    assert found["location"] == "/States/Put/Catch[0]/ErrorEquals"


def test_sarif_follows_its_schema(put: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.asl.json"
    broken.write_text("{")
    text = lint("--format", "sarif", "--notes", put, broken).stdout
    pydantic_sarif.StaticAnalysisResultsFormatSarifVersion210JsonSchema.model_validate_json(text)
    (run,) = json.loads(text)["runs"]
    results = run["results"]
    assert {each["ruleId"] for each in results} >= {"W201", "INVALID_JSON_DESCRIPTION"}
    for each in results:
        if "ruleIndex" in each:
            assert run["tool"]["driver"]["rules"][each["ruleIndex"]]["id"] == each["ruleId"]
    (rule,) = [each for each in run["tool"]["driver"]["rules"] if each["id"] == "W201"]
    assert rule["help"]["text"].endswith("lint.md#w201-handler-cannot-match")
    assert rule["defaultConfiguration"] == {"level": "warning"}


def test_sarif_has_paths_from_the_working_folder(
    tmp_path: Path, put: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (run,) = json.loads(lint("--format", "sarif", put).stdout)["runs"]
    (place,) = run["results"][0]["locations"]
    assert place["physicalLocation"]["artifactLocation"] == {"uri": "m.asl.json"}
    assert place["physicalLocation"]["region"] == {"startLine": 14, "startColumn": 11}


def test_github_annotations(tmp_path: Path) -> None:
    path = write(tmp_path, {"Put": PUT, "Failed": FAILED}, "a,b:100%.asl.json")
    (line,) = lines(lint("--format", "github", path))
    shown = str(path).replace("%", "%25").replace(":", "%3A").replace(",", "%2C")
    assert line.startswith(f"::warning file={shown},line=14,col=11,title=W201::this catcher")


def test_the_table_of_rules() -> None:
    result = lint("--rules")
    assert result.exit_code == 0
    assert "W201  warning  handler-cannot-match" in result.stdout


def test_notes_on_the_file_are_those_of_validate(tmp_path: Path) -> None:
    write(tmp_path, {"A": {**FAILED, "Cause": "${Cause} ${Other}"}}, "a.asl.json")
    template = tmp_path / "template.yaml"
    template.write_text(
        "Resources:\n  A:\n    Type: AWS::Serverless::StateMachine\n    Properties:\n"
        "      DefinitionUri: a.asl.json\n      DefinitionSubstitutions:\n"
        "        Cause: !Ref Why\n        More: 1\nParameters: {Why: {Type: String}}\n"
    )
    result = lint(template)
    assert (result.exit_code, codes(result)) == (0, ["UNMATCHED", "UNMATCHED"])
    assert f"{template}:8:9: note UNMATCHED the DefinitionSubstitutions of A have More" in (
        result.stdout
    )
    assert result.stderr == "1 file: 2 notes (1 note: --notes shows them)\n"
    assert sorted(codes(lint("--notes", template))) == ["UNFILLED", "UNMATCHED", "UNMATCHED"]
    assert lint("--strict", template).exit_code == 1
    assert codes(lint("--ignore", "UNMATCHED", template)) == []
    assert lint("--strict", "--ignore", "UNMATCHED", template).exit_code == 0
    assert codes(lint("--select", "W2", template)) == []
