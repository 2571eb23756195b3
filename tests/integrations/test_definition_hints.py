"""What problems of definitions say to do."""

import json

import pytest

from stepwell.integrations.definitions.problems import problems

GOOD = '{\n "StartAt": "A",\n "States": {\n  "A": {"Type": "Pass", "End": true}\n }\n}\n'


def problem(text: str, name: str = "a.json") -> str:
    [found] = problems(text, name, {}, "STANDARD", lambda resource: None)[1]
    return found.text()


@pytest.mark.parametrize(
    ("before", "after", "place", "mend"),
    [
        ('"Pass"', "“Pass”", "4:", "write straight double quotes"),
        ("{\n", "```json\n{\n", "1:", "remove the fence of Markdown"),
        ('"End": true', '"Seconds": ${X, "End": true', "4:36", "the placeholder is not closed"),
        ('"States"', '// x\n"States"', "3:", "JSON has no comments: remove it"),
        ("true}", "true,}", "4:", "remove the comma before it"),
        ('"A": {', '"A":\u00a0{', "4:", "remove this invisible character"),
        ('"States"', '<<<<<<< HEAD\n"States"', "3:", "resolve the conflict of the merge"),
        ("true", "True", "4:", "write true in lower case"),
        ('"Pass"', '"Pa\nss"', "5:", "end the string in its line; \\n stands for"),
        ('"Pass"', '"Pa\\ss"', "4:", "a backslash is written as two"),
        ("\n}\n", "\n}\n{}\n", "7:", "a file has one definition: remove what follows"),
        ("{\n", "export const x = {\n", "1:", "this is JavaScript"),
        ("{\n", "<!DOCTYPE html>", "1:", "this is HTML or XML"),
    ],
)
def test_text_that_is_almost_json(before: str, after: str, place: str, mend: str) -> None:
    found = problem(GOOD.replace(before, after, 1))
    assert found.startswith(f"a.json:{place}") and mend in found


def test_text_that_is_almost_yaml() -> None:
    assert "blanks, not with tabs" in problem(
        "StartAt: A\nStates:\n\tA:\n\t\tType: Pass\n", "a.yaml"
    )
    assert "remove the fence of Markdown" in problem("```yaml\nStartAt: A\n```\n", "a.yaml")


def test_other_contents_have_one_error() -> None:
    state = {"Type": "Task", "Resource": "arn:aws:states:::sns:publish", "End": True}
    for value, words in (
        (state, "this is one state; a definition has it in States, as in {"),
        ({"A": state, "B": state}, "these are states; write {"),
        ({"Definition": json.loads(GOOD)}, "the definition is inside of Definition: save it in"),
        ({"a": [{"b": {"text": GOOD}}]}, "the definition is inside of a.0.b.text: save it in"),
        ({"StateMachines": {}, "MockedResponses": {}}, "this is a mock file: `stepwell test` runs"),
        ({"name": "x", "version": "1"}, "this is not the definition of a state machine"),
    ):
        found = problem(json.dumps(value))
        assert found.startswith("a.json:1:1: ERROR SCHEMA_VALIDATION_FAILED These fields are")
        assert words in found


def test_a_placeholder_that_is_not_closed_in_a_string() -> None:
    state = {"Type": "Task", "Resource": "${Charge", "End": True}
    found = problem(json.dumps({"StartAt": "A", "States": {"A": state}}))
    assert found.endswith(
        "(a placeholder is not closed: add } after its name) at /States/A/Resource"
    )
