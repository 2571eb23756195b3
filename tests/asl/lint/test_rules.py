"""Each rule raises on the first example of its section in docs/reference/lint.md, and not on the
second one, which is free of errors and warnings.
"""

import json
import re
from typing import Any

import pytest
from tests.conftest import ROOT

from stepwell.asl.checks import successors
from stepwell.asl.evaluation import Env, StateError
from stepwell.asl.inference.field_shapes import signature
from stepwell.asl.intrinsics import FUNCTIONS, compile_intrinsic
from stepwell.asl.lint import NOTE, RULES, Finding, lint
from stepwell.asl.lint.rules import UNUSED
from stepwell.integrations.aws.task_shapes import parameter_faults
from stepwell.integrations.tasks.results import result_shape

PAGE = (ROOT / "docs" / "reference" / "lint.md").read_text()
SECTION = re.compile(r"^### ([A-Z]\d{3}) ([a-z-]+)\n\n(.*?)(?=^#|\Z)", re.DOTALL | re.MULTILINE)
BLOCK = re.compile(r"^```json\n(.*?)^```$", re.DOTALL | re.MULTILINE)
SECTIONS = {match[1]: match for match in SECTION.finditer(PAGE)}


def machine(example: str) -> str:
    """A machine of an example: its first state starts, states that it lacks are Succeed states.
    "(270,000 characters)" stands for a text of such a length.
    """
    example = example.replace("(270,000 characters)", "x" * 270_000)
    value: dict[str, Any] = json.loads(example)
    if "StartAt" in value:
        return example
    missing = {target for state in value.values() for target in successors(state)} - set(value)
    states = {**value, **{name: {"Type": "Succeed"} for name in sorted(missing)}}
    return json.dumps({"StartAt": next(iter(value)), "States": states})


def check(text: str) -> list[Finding]:
    """With what is known of services, as the command does it."""
    return lint(text, results=result_shape, parameters=parameter_faults)


def examples(code: str) -> list[str]:
    found = BLOCK.findall(SECTIONS[code][3])
    assert len(found) == 2, code
    return [machine(each) for each in found]


def test_every_rule_has_a_section() -> None:
    titles = {code: match[2] for code, match in SECTIONS.items()}
    assert titles == {**{rule.code: rule.name for rule in RULES}, UNUSED: "unused-suppression"}
    for rule in RULES:
        assert SECTIONS[rule.code][3].replace("\n", " ").startswith(rule.sentence), rule.code


def test_the_page_describes_the_rules_in_the_order_of_their_codes() -> None:
    assert list(SECTIONS) == sorted(SECTIONS, key=lambda code: code[1:])


@pytest.mark.parametrize("code", SECTIONS)
def test_a_rule_raises_on_its_example_and_not_on_the_mended_one(code: str) -> None:
    wrong, mended = examples(code)
    assert code in {each.code for each in check(wrong)}
    found = check(mended)
    assert code not in {each.code for each in found}
    assert [each for each in found if each.severity != NOTE] == []


@pytest.mark.parametrize("code", SECTIONS)
def test_a_finding_has_a_place_and_says_how_to_mend_it(code: str) -> None:
    wrong, _ = examples(code)
    for each in check(wrong):
        if each.code == code:
            assert each.location.startswith("/")
            assert re.search(
                r"[.?] [A-Z]\w+|: (?:use|prefer|they|.* waits|.*\bwrite|name the)", each.message
            ), each


def test_the_signatures_are_those_of_the_functions() -> None:
    assert {name: signature(name) for name in FUNCTIONS}.keys() == FUNCTIONS.keys()
    samples: dict[str, Any] = {
        "null": None, "boolean": True, "number": 1, "string": "x", "array": [1], "object": {}
    }  # fmt: skip
    for name, function in FUNCTIONS.items():
        wanted, _ = signature(name)
        for position in range(function.least):
            kind = wanted[min(position, len(wanted) - 1)]
            for other, value in samples.items():
                if kind not in ("any", other):
                    check_it_fails(name, function.least, position, value)


def check_it_fails(name: str, count: int, position: int, value: Any) -> None:
    fitting = {"string": "x", "number": 1, "array": [1], "object": {}, "any": 1, "boolean": False}
    wanted, _ = signature(name)
    kinds = [wanted[min(index, len(wanted) - 1)] for index in range(count)]
    values = [fitting[kind] for kind in kinds]
    values[position] = value
    arguments = ", ".join(f"$.a{index}" for index in range(count))
    state = {"Type": "Pass", "Parameters": {"v.$": f"{name}({arguments})"}, "End": True}
    given = {f"a{index}": each for index, each in enumerate(values)}
    text = json.dumps(
        {
            "StartAt": "Set",
            "States": {"Set": {"Type": "Pass", "Result": given, "Next": "Do"}, "Do": state},
        }
    )
    assert [each.code for each in lint(text) if each.code == "E104"] == ["E104"], text
    with pytest.raises(StateError):
        compile_intrinsic(f"{name}({arguments})")(given, Env(given, {}, dict, lambda: b"0" * 16, 0))
