"""Reading recorded behaviour of the real service, and comparing ours with it.

The recordings lie beside the project, if they are there at all (STEPWELL_CASES names another
folder). In an expectation, a JSON object or array may stand for the JSON text that the API gives;
text in <angle brackets>, and a few words, stand for what varies from run to run.
"""

import json
import os
import re
from pathlib import Path
from typing import Any

FOLDER = Path(
    os.environ.get("STEPWELL_CASES") or Path(__file__).resolve().parents[3] / "shared" / "cases"
)
VARYING = {
    "timestamp",
    "datetime",
    "date",
    "start-date",
    "stop-date",
    "start-time",
    "entered-time",
    "time",
    "snf_role_arn",
    "sfn_role_arn",
}
VARYING |= {"RandomNumberGenerated"}
IGNORED = {"SdkHttpMetadata", "SdkResponseMetadata", "stackTrace", "ResponseMetadata"}
_HOLE = re.compile(r"<+[\w\-:. ]+>(?::\d+>)?")


def cases() -> list[dict[str, Any]]:
    return [
        case
        for file in sorted(FOLDER.glob("*.json"))
        for case in json.loads(file.read_text())["cases"]
    ]


def _parsed(value: Any) -> Any:
    try:
        return json.loads(value) if isinstance(value, str) else value
    except ValueError:
        return value


def differences(want: Any, got: Any, at: str = "") -> list[str]:
    """Where `got` is not what was recorded; empty if it is."""
    if isinstance(want, str) and (want in VARYING or _HOLE.search(want)):
        text = got if isinstance(got, str) else json.dumps(got)
        fits = (
            got is not None
            if want in VARYING
            else re.fullmatch(".*".join(map(re.escape, _HOLE.split(want))), text, re.DOTALL)
        )
        return [] if fits else [f"{at}: {got!r} does not fit {want!r}"]
    if isinstance(want, dict):
        got = _parsed(got)
        if not isinstance(got, dict):
            return [f"{at}: {got!r} is no object, want {want!r}"]
        names = (set(want) | set(got)) - IGNORED
        odd = [
            f"{at}.{name}: {'missing' if name in want else 'unexpected'}"
            for name in sorted(names)
            if (name in want) != (name in got)
        ]
        return odd + [
            line
            for name in sorted(names & set(want) & set(got))
            for line in differences(want[name], got[name], f"{at}.{name}")
        ]
    if isinstance(want, list):
        got = _parsed(got)
        if not isinstance(got, list) or len(got) != len(want):
            return [f"{at}: {got!r} is no list of {len(want)}"]
        return [
            line
            for index, pair in enumerate(zip(want, got, strict=True))
            for line in differences(*pair, f"{at}[{index}]")
        ]
    if isinstance(want, (int, float)) and isinstance(got, str) and got == json.dumps(want):
        return []
    same = want == got and isinstance(want, bool) == isinstance(got, bool)
    return [] if same else [f"{at}: {got!r}, want {want!r}"]


def unordered_differences(want: list[dict[str, Any]], got: list[dict[str, Any]]) -> list[str]:
    """The same for histories of concurrent branches, whose recordings have the ids of those events
    masked.
    """
    # these recordings lack the ends of the Parallel state itself: their ids have a gap there
    left = [
        event
        for event in got
        if event["type"] not in ("ParallelStateSucceeded", "ParallelStateFailed")
    ]
    want = [
        event
        for event in want
        if event["type"] not in ("ParallelStateSucceeded", "ParallelStateFailed")
    ]
    missing = []
    for event in want:
        masked = () if isinstance(event["id"], int) else ("id", "previousEventId")
        for candidate in left:
            if not differences(_without(event, masked), _without(candidate, masked)):
                left.remove(candidate)
                break
        else:
            missing.append(f"no event like {event}")
    return missing + [f"unexpected {event}" for event in left]


def _without(event: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {name: value for name, value in event.items() if name not in names}
