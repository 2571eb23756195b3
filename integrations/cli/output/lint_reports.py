"""The findings of `stepwell lint` as text, JSON, SARIF 2.1.0 and annotations of GitHub Actions.

Sources: OASIS SARIF 2.1.0; "Workflow commands for GitHub Actions" for the annotations.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

from stepwell.asl.lint import RULES, Rule
from stepwell.integrations.cli.files import Problem
from stepwell.integrations.cli.output.text import ndjson

_SCHEMA: Final = "https://json.schemastore.org/sarif-2.1.0.json"
_PAGE: Final = "docs/reference/lint.md"
_GITHUB: Final = {"error": "error", "warning": "warning", "note": "notice"}


def text(problems: Sequence[Problem]) -> str:
    return "".join(f"{each.text()}\n" for each in problems)


def as_json(problems: Sequence[Problem]) -> str:
    return "".join(f"{ndjson(each._asdict())}\n" for each in problems)


def github(problems: Sequence[Problem]) -> str:
    """A line per finding, which GitHub shows beside the line of the file."""
    return "".join(
        f"::{_GITHUB[each.severity]} file={_property(each.file)},line={each.line},"
        f"col={each.column},title={_property(each.code)}::{_escaped(each.message)}\n"
        for each in problems
    )


def _escaped(value: str) -> str:
    return value.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(value: str) -> str:
    return _escaped(value).replace(":", "%3A").replace(",", "%2C")


def sarif(problems: Sequence[Problem]) -> str:
    used = {each.code for each in problems}
    rules = [_described(rule) for rule in RULES if rule.code in used]
    known = {rule["id"]: index for index, rule in enumerate(rules)}
    driver: dict[str, Any] = {"name": "stepwell", "rules": rules}
    with suppress(PackageNotFoundError):  # run from a checkout
        driver["version"] = version("stepwell")
    run = {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "results": [_result(each, known) for each in problems],
    }
    return json.dumps({"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2) + "\n"


def _described(rule: Rule) -> dict[str, Any]:
    return {
        "id": rule.code,
        "name": "".join(word.capitalize() for word in rule.name.split("-")),
        "shortDescription": {"text": rule.sentence},
        "help": {"text": f"See {_PAGE}#{rule.code.lower()}-{rule.name}"},
        "defaultConfiguration": {"level": rule.severity},
    }


def _result(problem: Problem, known: dict[str, int]) -> dict[str, Any]:
    place: dict[str, Any] = {
        "physicalLocation": {
            "artifactLocation": {"uri": _uri(problem.file)},
            "region": {"startLine": problem.line, "startColumn": problem.column},
        }
    }
    if problem.location:
        place["logicalLocations"] = [{"fullyQualifiedName": problem.location}]
    result: dict[str, Any] = {
        "ruleId": problem.code,
        "level": problem.severity,
        "message": {"text": problem.message},
        "locations": [place],
    }
    if problem.code in known:
        result["ruleIndex"] = known[problem.code]
    return result


def _uri(file: str) -> str:
    """Relative to the working folder if the file is in it, as code scanning expects."""
    path = Path(file)
    try:
        return path.absolute().relative_to(Path.cwd()).as_posix()
    except ValueError:
        return path.absolute().as_uri()


FORMATS: Final[dict[str, Callable[[Sequence[Problem]], str]]] = {
    "text": text,
    "json": as_json,
    "sarif": sarif,
    "github": github,
}
