"""Outcomes as a JUnit report, which CI systems read."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import groupby
from typing import Final
from xml.etree import ElementTree as xml

from stepwell.integrations.testing.scenarios.runs import FAILED, SKIPPED, Outcome

# characters that XML does not allow
_FORBIDDEN: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def report(outcomes: Sequence[Outcome], problems: Sequence[str] = ()) -> str:
    """A testsuite for each file.

    problems  of files that cannot be run, "order.test.yaml:3:7: message"
    """
    root = xml.Element("testsuites", _totals(outcomes, len(problems)))
    for file, lines in groupby(problems, lambda each: each.partition(":")[0]):
        _errors(root, file, list(lines))
    for file, group in groupby(outcomes, lambda each: str(each.job.file)):
        members = list(group)
        suite = xml.SubElement(root, "testsuite", {"name": file, **_totals(members, 0)})
        for each in members:
            _case(suite, file, each)
    xml.indent(root)
    return xml.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _errors(root: xml.Element, file: str, lines: Sequence[str]) -> None:
    """A testsuite with a test case for each problem of a file."""
    suite = xml.SubElement(root, "testsuite", {"name": file, **_totals((), len(lines))})
    for line in lines:
        place, _, text = line.removeprefix(f"{file}:").partition(": ")
        number = place.partition(":")[0]
        attributes = {"name": _clean(text), "classname": _class(file), "file": file}
        attributes |= {"line": number} if number.isdecimal() else {}
        case = xml.SubElement(suite, "testcase", {**attributes, "time": "0.000"})
        error = xml.SubElement(case, "error", {"message": _clean(line), "type": "Error"})
        error.text = _clean(line)


def _class(file: str) -> str:
    return file.rsplit("/", 1)[-1].split(".", maxsplit=1)[0]


def _totals(outcomes: Sequence[Outcome], errors: int) -> dict[str, str]:
    return {
        "tests": str(len(outcomes) + errors),
        "failures": str(sum(each.status == FAILED for each in outcomes)),
        "errors": str(errors),
        "skipped": str(sum(each.status == SKIPPED for each in outcomes)),
        "time": f"{sum(each.seconds for each in outcomes):.3f}",
    }


def _case(suite: xml.Element, file: str, outcome: Outcome) -> None:
    line = outcome.job.place.removeprefix(f"{file}:").split(":")[0]
    attributes = {
        "name": _clean(outcome.job.name),
        "classname": outcome.job.called,
        "file": file,
        "line": line,
        "time": f"{outcome.seconds:.3f}",
    }
    case = xml.SubElement(suite, "testcase", attributes)
    if outcome.status == SKIPPED:
        xml.SubElement(case, "skipped", {"message": _clean(" ".join(outcome.context))})
    elif outcome.status == FAILED:
        message = _clean(outcome.failures[0][0])
        failure = xml.SubElement(case, "failure", {"message": message, "type": "AssertionError"})
        lines = [line for each in outcome.failures for line in each]
        failure.text = _clean("\n".join([*lines, *outcome.context]))
    if outcome.warnings:
        xml.SubElement(case, "system-err").text = _clean("\n".join(outcome.warnings))


def _clean(text: str) -> str:
    return _FORBIDDEN.sub("\N{REPLACEMENT CHARACTER}", text)
