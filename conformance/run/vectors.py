"""Loads the vectors of cases/ and runs one against an endpoint. cases/README.md describes their
format.
"""

import json
import re
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from stepwell.conformance.report.features import TABLE, features_of
from stepwell.conformance.report.results import Result, Verdict
from stepwell.conformance.run.endpoint import Endpoint, Run, UnfinishedError, fresh_name, pauses
from stepwell.conformance.run.matching import JSON_TEXTS, differences, parsed, show

CASES: Final = Path(__file__).parents[1] / "cases"
SECONDS: Final = 30.0
_UNTIL_SECONDS: Final = 15.0
_SLOT: Final = re.compile(r"\$\{([A-Za-z_]\w*)\}")
# features that nearly every vector has, which its list leaves out
PLAIN: Final = re.compile(
    r"event:|Machine\.(StartAt|States)|\.(Type|Next|End)$|(Branches|ItemProcessor)\."
)
_CREATED: Final = {  # operation -> the member with the ARN, the operation that deletes it
    "CreateStateMachine": ("stateMachineArn", "DeleteStateMachine"),
    "CreateActivity": ("activityArn", "DeleteActivity"),
}

Json = Any


@dataclass(frozen=True, slots=True)
class Vector:
    """One vector. `area`: the folder of its file."""

    area: str
    name: str
    data: Mapping[str, Json]

    @property
    def needs(self) -> frozenset[str]:
        return frozenset(self.data.get("needs", ()))

    @property
    def features(self) -> frozenset[str]:
        """The features that its file lists: `features_used` without PLAIN ones (a test checks)."""
        return frozenset(self.data["features"])

    def features_used(self) -> frozenset[str]:
        """The features that its definitions, calls and expectations use."""
        data = self.data
        history = [
            {"type": event[0], "details": event[2] if len(event) > 2 else {}}
            for event in data.get("history", ())
        ]
        history += [{"type": kind} for kind in data.get("events", ())]
        found = features_of(data.get("definition", ""), history) | {
            f"error:{data.get('expect', {}).get('error')}"
        }
        for step in data.get("steps", ()):
            parameters, answer = step.get("with", {}), step.get("answer", {})
            events = answer.get("events", []) if isinstance(answer, dict) else []
            events = next(iter(events.values())) if isinstance(events, dict) else events
            found |= features_of(
                parameters.get("definition", ""),
                [event for event in events if isinstance(event, dict)],
            )
            found |= {f"api:{step['call']}", f"error:{answer.get('error')}"}
        return frozenset(found & TABLE)


def load(folder: Path = CASES) -> tuple[Vector, ...]:
    """All vectors of a folder, AREA/NAME.json, sorted."""
    return tuple(
        Vector(path.parent.name, path.stem, json.loads(path.read_text("utf-8")))
        for path in sorted(folder.glob("*/*.json"))
    )


def run(endpoint: Endpoint, vector: Vector, seconds: float = SECONDS) -> Result:
    """Run a vector. Network errors are problems, too."""
    begun = time.monotonic()
    names = {
        "account": endpoint.account,
        "region": endpoint.region,
        "role": endpoint.role,
        "name": fresh_name(),
    }
    kind = next(each for member, each in _KINDS.items() if member in vector.data)
    try:
        with ExitStack() as cleanup:
            problems = tuple(kind(endpoint, vector.data, names, cleanup, seconds))
    except ClientError as error:
        problems = (f"{error.operation_name}: {_code(error)}: {_message(error)}",)
    except (BotoCoreError, UnfinishedError) as error:
        problems = (f"{type(error).__name__}: {error}",)
    verdict = Verdict.FAILED if problems else Verdict.PASSED
    evidence = json.dumps(vector.data, ensure_ascii=False) if problems else ""
    return Result(
        vector.area,
        vector.name,
        verdict,
        problems,
        evidence=evidence,
        seconds=time.monotonic() - begun,
    )


# --- the three kinds of vectors -------------------------------------------------------------------
def _execution(
    endpoint: Endpoint,
    data: Mapping[str, Json],
    names: dict[str, str],
    cleanup: ExitStack,
    seconds: float,
) -> Iterator[str]:
    """expect: an execution, its result and its events."""
    if "tasks" in data:
        names["activity"] = cleanup.enter_context(endpoint.activity())
    for name, each in data.get("machines", {}).items():
        names[name] = cleanup.enter_context(endpoint.machine(filled(each, names)))
    definition = filled(data["definition"], names)
    text = (
        data["inputText"]
        if "inputText" in data
        else json.dumps(filled(data.get("input", {}), names), ensure_ascii=False)
    )
    if data.get("type") == "EXPRESS":
        ended = endpoint.run_express(definition, text)
    else:
        with endpoint.machine(definition) as machine:
            execution = endpoint.start(machine, text)
            if "tasks" in data:
                answers = filled(data["tasks"], names)
                threading.Thread(
                    target=_quietly,
                    args=(partial(endpoint.work, names["activity"], answers),),
                    daemon=True,
                ).start()
            ended = endpoint.wait(
                execution, seconds=seconds, history="history" in data or "events" in data
            )
    names["execution"] = ended.arn
    yield from _ending(filled(data["expect"], names), ended)
    if "history" in data:
        yield from compare_histories(filled(data["history"], names), ended.history)
    missing = set(data.get("events", ())) - {event["type"] for event in ended.history}
    yield from (f"history: missing {kind}" for kind in sorted(missing))


def _ending(expect: Mapping[str, Json], ended: Run) -> Iterator[str]:
    if expect["status"] != ended.status:
        yield (
            f"status: expected {expect['status']}, got {ended.status} ({ended.error}: "
            f"{ended.cause or ended.output})"
        )
        return
    if "output" in expect:
        yield from differences(expect["output"], parsed(ended.output), "output", exact=True)
    for name in ("error", "cause"):
        if name in expect:
            yield from differences(expect[name], getattr(ended, name), name)


def compare_histories(
    wanted: list[list[Json]], events: tuple[Mapping[str, Json], ...]
) -> Iterator[str]:
    """Compare events in order with [type, previousEventId, some of the details]; stops at the first
    event of another type or predecessor.
    """
    for number, (want, got) in enumerate(zip(wanted, events), 1):
        where = f"event {number} {want[0]}"
        previous = got["previousEventId"] if want[1] is None else want[1]
        if [want[0], previous, number] != [got["type"], got["previousEventId"], got["id"]]:
            yield (
                f"{where}: expected {number}<{want[1]}, got {got['id']}<{got['previousEventId']} "
                f"{got['type']}"
            )
            break
        if len(want) > 2:
            yield from differences(want[2], details_of(got), where)
    if len(wanted) != len(events):
        yield (
            f"history: expected {len(wanted)} events, got {len(events)}: "
            f"{' '.join(event['type'] for event in events)[:400]}"
        )


def details_of(event: Mapping[str, Json]) -> Json:
    """The details member of an event; None if it has none."""
    return next((value for key, value in event.items() if key.endswith("EventDetails")), None)


def _invalid(
    endpoint: Endpoint,
    data: Mapping[str, Json],
    names: dict[str, str],
    cleanup: ExitStack,
    seconds: float,
) -> Iterator[str]:
    """invalid: a definition that CreateStateMachine and ValidateStateMachineDefinition refuse, with
    the expected diagnostics.
    """
    definition, kind = filled(data["definition"], names), data.get("type", "STANDARD")
    text = definition if isinstance(definition, str) else json.dumps(definition, ensure_ascii=False)
    message = ""
    try:
        with endpoint.machine(text, kind):
            yield "CreateStateMachine: expected InvalidDefinition, but it succeeded"
    except ClientError as error:
        message = _message(error)
        if _code(error) != "InvalidDefinition":
            yield f"CreateStateMachine: expected InvalidDefinition, got {_code(error)}: {message}"
    found = endpoint.call("ValidateStateMachineDefinition", definition=text, type=kind)
    if found["result"] != "FAIL":
        yield f"ValidateStateMachineDefinition: expected FAIL, got {found['result']}"
    for wanted in data["invalid"]:
        if message and wanted.get("message", "") not in message:
            yield f"CreateStateMachine: expected {show(wanted['message'])} in {show(message)}"
        if not any(not list(differences(wanted, each)) for each in found["diagnostics"]):
            yield f"diagnostics: expected {show(wanted)} in {show(found['diagnostics'])}"


def _steps(
    endpoint: Endpoint,
    data: Mapping[str, Json],
    names: dict[str, str],
    cleanup: ExitStack,
    seconds: float,
) -> Iterator[str]:
    """steps: calls of the API in order, up to the first one with a difference."""
    for number, step in enumerate(data["steps"], 1):
        for _ in pauses(min(seconds, _UNTIL_SECONDS) if step.get("until") else 0):
            problems = list(_step(endpoint, step, names, cleanup))
            if not problems:
                break
        if problems:
            yield from (f"step {number} {step['call']}: {problem}" for problem in problems)
            return


def _step(
    endpoint: Endpoint, step: Mapping[str, Json], names: dict[str, str], cleanup: ExitStack
) -> Iterator[str]:
    operation = step["call"]
    try:
        answer = endpoint.call(operation, **_texts(filled(step.get("with", {}), names)))
    except ClientError as error:
        if "error" not in step:
            yield f"refused: {_code(error)}: {_message(error)}"
        else:
            yield from differences(
                filled(step["error"], names), {"code": _code(error), "message": _message(error)}
            )
        return
    if operation in _CREATED:
        member, undo = _CREATED[operation]
        cleanup.callback(_quietly, partial(endpoint.call, undo, **{member: answer[member]}))
    if "error" in step:
        yield f"expected {show(step['error'])}, got an answer: {show(answer)}"
    yield from differences(filled(step.get("answer", {}), names), answer)
    for name, path in step.get("save", {}).items():
        found: Json = answer
        for part in path.split("."):
            found = found[int(part)] if isinstance(found, list) else found.get(part, "")
        names[name] = found


_KINDS: Final = {"steps": _steps, "invalid": _invalid, "expect": _execution}


# --- values ---------------------------------------------------------------------------------------
def filled(value: Json, names: Mapping[str, str]) -> Json:
    """`value` with ${name} replaced in all its strings; unknown names stay."""
    if isinstance(value, str):
        return (
            _SLOT.sub(lambda match: names.get(match[1], match[0]), value)
            if "${" in value
            else value
        )
    if isinstance(value, list):
        return [filled(each, names) for each in value]
    if isinstance(value, dict):
        return {filled(key, names): filled(each, names) for key, each in value.items()}
    return value


def _texts(parameters: dict[str, Json]) -> dict[str, Json]:
    """Parameters of a call, with JSON text where a vector has the JSON value."""
    return {
        key: json.dumps(value, ensure_ascii=False)
        if key in JSON_TEXTS and not isinstance(value, str)
        else _texts(value)
        if isinstance(value, dict)
        else value
        for key, value in parameters.items()
    }


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


def _message(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Message", ""))


def _quietly(work: partial[Any]) -> None:
    """Call `work` without its errors: for clean-up and for activity workers."""
    try:
        work()
    except (ClientError, BotoCoreError):
        return
