"""Differential: random paths over random documents find what Jayway's json-path finds. Skipped
without Java or its jars.

STEPWELL_JAYWAY=CLASSPATH names the jars (see NEEDED); else they are looked for in the local Maven
repository.
STEPWELL_PATHS=100000 compares so many pairs.

Two rules are AWS's and not Jayway's: below a missing member, a path that can match many values
matches none, and filters compare with unquoted words. Known accidents of json-path 2.10 that are
not followed: members behind `..*` and `..[*]` are lost in arrays, `last()` fails for one item, and
a function whose indefinite path has no match is applied to the document.
"""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from tests.asl.jayway.pairs import pair

from stepwell.asl.evaluation import Env, StateError
from stepwell.asl.expression_errors import ExpressionSyntaxError
from stepwell.asl.paths import compile_path

DRIVER = Path(__file__).parent / "jayway" / "Jayway.java"
NEEDED = (
    "json-path",
    "json-smart",
    "accessors-smart",
    "asm",
    "slf4j-api",
    "jackson-core",
    "jackson-databind",
    "jackson-annotations",
)
PAIRS = int(os.environ.get("STEPWELL_PATHS") or 3_000)
ENV = Env({}, {}, dict, lambda: bytes(16), 0.0)
WRONG_KIND = re.compile(
    r"Filter: .* can (only|not) be applied"
)  # an error of AWS too: the value is there, but is no array


def classpath() -> str | None:
    """The jars, or None if one is not here."""
    if given := os.environ.get("STEPWELL_JAYWAY"):
        return given
    repository = Path.home() / ".m2" / "repository"
    found = [
        max(
            repository.glob(f"**/{name}/*/{name}-*.jar"),
            default=None,
            key=lambda jar: jar.stat().st_mtime,
        )
        for name in NEEDED
    ]
    return None if None in found else ":".join(map(str, found))


def theirs(pairs: list[tuple[str, Any]], jars: str) -> list[tuple[str, Any]]:
    lines = "".join(json.dumps(each) + "\n" for each in pairs)
    ran = subprocess.run(
        ["java", "-cp", jars, str(DRIVER)],
        input=lines,
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    return [_outcome(json.loads(line)) for line in ran.stdout.splitlines()]


def _outcome(answer: dict[str, Any]) -> tuple[str, Any]:
    if "error" not in answer:
        return "value", answer["value"]
    if (
        answer.get("definite") is False
        and answer["error"] == "PathNotFoundException"
        and not WRONG_KIND.match(answer["message"])
    ):
        return "value", []
    return ("error" if "definite" in answer else "refused"), answer["message"]


def ours(path: str, document: Any) -> tuple[str, Any]:
    try:
        return "value", compile_path(path).evaluate(document, ENV)
    except ExpressionSyntaxError as fault:
        return "refused", fault.message
    except StateError as error:
        return "error", error.cause


def canonical(outcome: tuple[str, Any]) -> str:
    return json.dumps(outcome, sort_keys=True) if outcome[0] == "value" else outcome[0]


def test_paths_find_what_jayway_finds() -> None:
    jars = classpath() if shutil.which("java") else None
    if jars is None:
        pytest.skip("Java, or a jar of json-path and what it needs, is not here")
    pairs = [pair(seed) for seed in range(PAIRS)]
    differing = [
        (path, json.dumps(document), got, want)
        for (path, document), want in zip(pairs, theirs(pairs, jars), strict=True)
        if canonical(got := ours(path, document)) != canonical(want)
    ]
    share = 1 - len(differing) / len(pairs)
    print(f"{share:.4%} of {len(pairs)} pairs agree")
    assert share >= 0.99, "\n".join(map(str, sorted(differing, key=lambda each: len(each[1]))[:20]))
