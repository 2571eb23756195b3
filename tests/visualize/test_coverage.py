"""The texts, the picture and the report of coverage."""

import json
import xml.etree.ElementTree as ET

import pytest

from stepwell.asl.files.definition_files import read_definition
from stepwell.asl.histories.coverage import Coverage
from stepwell.asl.validate import validate
from stepwell.engine.sync import SyncEngine
from stepwell.visualize.coverage import texts
from stepwell.visualize.coverage.report import page, picture

TEXT = json.dumps(
    {
        "StartAt": "Big?",
        "States": {
            "Big?": {
                "Type": "Choice",
                "Choices": [
                    {"Variable": "$.n", "NumericGreaterThan": 5, "Next": "Both"},
                    {"Variable": "$.n", "NumericGreaterThan": 2, "Next": "<Small>"},
                ],
                "Default": "<Small>",
            },
            "Both": {
                "Type": "Parallel",
                "Branches": [
                    {"StartAt": "A", "States": {"A": {"Type": "Pass", "End": True}}},
                    {"StartAt": "B", "States": {"B": {"Type": "Fail", "Error": "No"}}},
                ],
                "Catch": [{"ErrorEquals": ["No"], "Next": "<Small>"}],
                "End": True,
            },
            "<Small>": {"Type": "Succeed"},
        },
    },
    indent=1,
)


def covered(*inputs: object) -> texts.Covered:
    source = read_definition(TEXT.encode(), "big.asl.json", {})
    definition = validate(source.text).definition
    assert definition is not None
    coverage = Coverage(definition)
    with SyncEngine() as engine:
        machine = engine.create_state_machine("big", source.text)["stateMachineArn"]
        for each in inputs:
            started = engine.start_execution(machine, input=each)["executionArn"]
            engine.wait(started, timeout=60)
            coverage.add(engine.get_execution_history(started)["events"])
    return texts.Covered("big.asl.json", coverage, lambda at: source.locate(at)[0], "big.asl.json")


@pytest.fixture(scope="module")
def small() -> texts.Covered:
    return covered({"n": 1}, {"n": 1})


def test_the_summary_lists_what_was_missed_with_its_place(small: texts.Covered) -> None:
    assert texts.summary([small]) == [
        "Coverage of   States  Rules  Branches  Catchers  Retriers  Covered",
        "big.asl.json     2/5    1/3       0/2       0/1         -     27 %",
        'big.asl.json:7: not covered: rule 1 of "Big?"',
        'big.asl.json:12: not covered: rule 2 of "Big?"',
        'big.asl.json:20: not covered: state "Both"',
        'big.asl.json:26: not covered: state "A"',
        'big.asl.json:35: not covered: state "B"',
    ]
    assert texts.summary([small, small])[3].split() == ["Total", "27", "%"]
    assert texts.summary([small, small], width=68) == texts.summary([small, small])
    assert texts.summary([small, small], width=40)[:6] == [
        "big.asl.json: 27 %", "  States 2/5", "  Rules 1/3", "  Branches 0/2", "  Catchers 0/1",
        "big.asl.json: 27 %",
    ]  # fmt: skip
    assert texts.summary([small, small], width=40)[10] == "Total: 27 %"


def test_json_has_every_point(small: texts.Covered) -> None:
    told = texts.as_json([small])
    assert (told["covered"], told["total"]) == (3, 11)
    (machine,) = told["machines"]
    assert (machine["file"], machine["executions"]) == ("big.asl.json", 2)
    assert machine["kinds"]["rule"] == {"covered": 1, "total": 3}
    assert len(machine["points"]) == 11
    assert machine["points"][0] == {
        "kind": "state",
        "state": "Big?",
        "location": "/States/Big?",
        "line": 4,
        "hits": 2,
    }


def test_the_picture_marks_what_is_covered(small: texts.Covered) -> None:
    drawn = ET.fromstring(picture(small.coverage))
    states = {
        each.get("data-state"): (each.get("class", "").split(), each.get("aria-label", ""))
        for each in drawn.iter()
        if "state" in each.get("class", "").split()
    }
    assert {name: next(iter({"succeeded", "caught", "failed"} & {*words})) for name, (words, _) in
            states.items()} == {
        "Big?": "caught",
        "<Small>": "succeeded",
        "Both": "failed",
        "A": "failed",
        "B": "failed",
    }  # fmt: skip
    assert "2 visits · missed: rule 1, rule 2" in states["Big?"][1]
    assert "not covered" in states["Both"][1]


def test_the_report_is_one_page_without_other_files(small: texts.Covered) -> None:
    whole = covered({"n": 1}, {"n": 3}, {"n": 9})
    assert texts.percent(whole.coverage.total) == "100 %"
    html = page([small, whole])
    assert "Coverage 63 %" in html
    assert "&lt;Small&gt;" in html and "<Small>" not in html
    assert "Everything is covered." in html
    for outside in ("http://", "https://", "src=", "@import", "url("):
        assert outside not in html.replace("http://www.w3.org", "")
