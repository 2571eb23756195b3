"""Rules about Retry and Catch."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from stepwell.asl import messages
from stepwell.asl.inference.flow import error_names
from stepwell.asl.inference.machine import State, entries
from stepwell.asl.inference.shapes import has_hole
from stepwell.asl.json_text import item, member
from stepwell.asl.lint.rule import Found, Rule, Subject
from stepwell.asl.resources import REQUEST_RESPONSE, SYNC, SYNC_2, Resource

_RESERVED: Final = "States."
# the error names of the language and of the service
_STATES: Final = frozenset(
    f"States.{name}"
    for name in (
        *("ALL", "TaskFailed", "Timeout", "HeartbeatTimeout", "Permissions", "Runtime"),
        *("ResultPathMatchFailure", "ParameterPathFailure", "QueryEvaluationError"),
        *("BranchFailed", "NoChoiceMatched", "IntrinsicFailure", "DataLimitExceeded"),
        *("ExceedToleratedFailureThreshold", "ItemReaderFailed", "ResultWriterFailed"),
    )
)
_HTTP: Final = "States.Http."
_NOT_TASK_FAILED: Final = frozenset(
    {
        messages.ALL,
        messages.TIMEOUT,
        messages.HEARTBEAT_TIMEOUT,
        messages.DATA_LIMIT_EXCEEDED,  # whether it is covered is not known
        messages.RUNTIME,
    }
)
# services whose errors have any name: those of functions, HTTP APIs and agents
_ANY_ERROR: Final = frozenset({"lambda", "http", "apigateway", "bedrockagentcore"})
# prefixes of error names that are not the name of the service
_PREFIXES: Final = {
    "events": frozenset({"eventbridge", "events", "cloudwatchevents"}),
    "eventbridge": frozenset({"eventbridge", "events", "cloudwatchevents"}),
    "states": frozenset({"stepfunctions", "sfn", "awsstepfunctions"}),
    "sfn": frozenset({"stepfunctions", "sfn", "awsstepfunctions"}),
    "elasticmapreduce": frozenset({"emr", "elasticmapreduce"}),
    "bedrock": frozenset({"bedrock", "bedrockruntime"}),
    "databrew": frozenset({"databrew", "gluedatabrew"}),
}
# a member or item of the input or of a variable; the context object has what it documents
_MEMBER: Final = re.compile(r"(?<![$\w])\$\w*[.\[]")
# recorded prefixes, which differ by their case only
_EXACT: Final = {"dynamodb": "DynamoDB", "aws-sdk:dynamodb": "DynamoDb"}
TRANSIENT: Final = (
    "Lambda.ServiceException",
    "Lambda.AWSLambdaException",
    "Lambda.SdkClientException",
    "Lambda.TooManyRequestsException",
)
"""The errors of Lambda that AWS recommends to retry."""


class _Raisable(NamedTuple):
    """Errors that a state can raise, besides States.*: any, those with a service's prefix, those
    with a name.
    """

    any: bool = False
    prefixes: frozenset[str] = frozenset()
    names: frozenset[str] = frozenset()

    def __or__(self, other: _Raisable) -> _Raisable:
        return _Raisable(
            self.any or other.any, self.prefixes | other.prefixes, self.names | other.names
        )

    def may_be(self, name: str) -> bool:
        prefix, dot, _ = name.partition(".")
        return (
            self.any
            or name in self.names
            or name.startswith(_RESERVED)
            or has_hole(name)
            or (bool(dot) and not self.prefixes.isdisjoint({prefix, _plain(prefix)}))
        )


def _plain(name: str) -> str:
    return re.sub("[^a-z0-9]", "", name.lower())


def _of_resource(resource: Resource | None) -> _Raisable:
    if resource is None or resource.kind != "service":
        return _Raisable(any=True)
    service = _plain(resource.service.removeprefix("aws-sdk:"))
    known = resource.pattern in (REQUEST_RESPONSE, SYNC, SYNC_2)
    if not known or (service in _ANY_ERROR and not resource.service.startswith("aws-sdk:")):
        return _Raisable(any=True)
    exact = _EXACT.get(resource.service)
    known_prefixes = frozenset({exact}) if exact else _PREFIXES.get(service, frozenset({service}))
    return _Raisable(prefixes=known_prefixes)


def _raisable(state: State) -> _Raisable:
    if state.type == "Task":
        return _of_resource(state.resource)
    if state.type == "Fail":
        error = state.fields.get("Error")
        if isinstance(error, str) and not has_hole(error) and not error.startswith("{%"):
            return _Raisable(names=frozenset({error}))
        return _Raisable(any=True)
    found = _Raisable()
    for block in state.blocks:
        for each in block.states.values():
            found |= _raisable(each)
    return found


def _handlers(subject: Subject) -> Iterator[tuple[State, str, int, dict[str, Any], str]]:
    """(state, Retry or Catch, index, entry, location of its ErrorEquals)."""
    for state in subject.machine.states:
        for field in ("Retry", "Catch"):
            for index, entry in enumerate(entries(state.fields, field)):
                where = member(item(state.at(field), index), "ErrorEquals")
                yield state, field, index, entry, where


def _list(names: list[str]) -> str:
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")


def _dead_names(subject: Subject) -> Iterator[tuple[bool, State, str, str, list[str]]]:
    """(whether the whole entry is dead, state, field, location, names that nothing raises)."""
    for state, field, _, entry, where in _handlers(subject):
        names, raisable = error_names(entry), _raisable(state)
        dead = sorted(name for name in names if not raisable.may_be(name))
        if dead:
            yield len(dead) == len(names), state, field, where, dead


def _source(state: State) -> str:
    if state.resource is not None:
        return f"{state.resource.service}:{state.resource.label} raises"
    return f"the states inside '{state.name}' raise"


def cannot_match(subject: Subject) -> Iterator[Found]:
    for whole, state, field, where, names in _dead_names(subject):
        if whole:
            yield (
                where,
                f"this {_noun(field)} never matches: {_source(state)} no {_list(names)}. Name an "
                f"error that it raises ({_example(state)}), or remove the {_noun(field)}",
            )


def dead_name(subject: Subject) -> Iterator[Found]:
    for whole, state, _, where, names in _dead_names(subject):
        if not whole:
            yield where, f"{_source(state)} no {_list(names)}. Remove what cannot happen"


def _noun(field: str) -> str:
    return "retrier" if field == "Retry" else "catcher"


def _example(state: State) -> str:
    exact = None if state.resource is None else _EXACT.get(state.resource.service)
    return (
        f"such as {exact}.ConditionalCheckFailedException" if exact else "such as States.TaskFailed"
    )


def taken_before(subject: Subject) -> Iterator[Found]:
    for state in subject.machine.states:
        for field in ("Retry", "Catch"):
            seen: dict[str, int] = {}
            for index, entry in enumerate(entries(state.fields, field)):
                names = sorted(error_names(entry))
                first = [place for name in names if (place := _taker(name, seen)) is not None]
                if names and len(first) == len(names):
                    places = " and ".join(f"{field}[{each}]" for each in sorted(set(first)))
                    yield (
                        member(item(state.at(field), index), "ErrorEquals"),
                        f"this {_noun(field)} is never used: {places} matches {_list(names)} "
                        "first. Put it before, or remove it",
                    )
                for name in names:
                    seen.setdefault(name, index)


def _taker(name: str, seen: dict[str, int]) -> int | None:
    """The index of the earlier entry that takes an error."""
    if has_hole(name):
        return None
    found = seen.get(name)
    if found is None and name not in _NOT_TASK_FAILED:
        found = seen.get(messages.TASK_FAILED)
    if found is None and name == messages.HEARTBEAT_TIMEOUT:
        found = seen.get(messages.TIMEOUT)
    return found


def runtime(subject: Subject) -> Iterator[Found]:
    for _, field, _, entry, where in _handlers(subject):
        if error_names(entry) == {messages.RUNTIME}:
            yield (
                where,
                f"this {_noun(field)} never matches: nothing retries or catches "
                f"{messages.RUNTIME}. Prevent the failure, for example with IsPresent in a Choice",
            )


def unknown_reserved(subject: Subject) -> Iterator[Found]:
    fails = [each for each in subject.machine.states if each.type == "Fail"]
    raised = {str(each.fields.get("Error")) for each in fails}
    known = sorted(_STATES)
    for _, _, _, entry, where in _handlers(subject):
        for name in sorted(error_names(entry)):
            other = name.startswith(_RESERVED) and not name.startswith(_HTTP)
            if other and name not in _STATES and name not in raised and not has_hole(name):
                close = difflib.get_close_matches(name, known, 1, 0.6)
                mend = f"Did you mean {close[0]}?" if close else "See the list of its error names"
                yield where, f"Step Functions raises no error {name}. {mend}"


def _may_miss(value: Any, path: bool) -> bool:
    """Whether a template, or the text of a path, has a path that may find nothing."""
    if isinstance(value, dict):
        return any(_may_miss(each, key.endswith(".$")) for key, each in value.items())
    if isinstance(value, list):
        return any(_may_miss(each, False) for each in value)
    return path and isinstance(value, str) and bool(_MEMBER.search(value))


def all_but_runtime(subject: Subject) -> Iterator[Found]:
    for state, field, _, entry, where in _handlers(subject):
        reads = not state.jsonata and any(
            _may_miss(state.fields.get(name), name.endswith("Path"))
            for name in ("Parameters", "ResultSelector", "InputPath", "OutputPath")
        )
        if field == "Catch" and messages.ALL in error_names(entry) and reads:
            yield (
                where,
                f"{messages.ALL} does not catch {messages.RUNTIME}: a path of this state that "
                "finds nothing still fails the execution. Test optional members with IsPresent "
                "first",
            )


def _calls_lambda(state: State) -> bool:
    resource = state.resource
    return resource is not None and resource.service == "lambda" and not resource.callback


def transient(subject: Subject) -> Iterator[Found]:
    for state in subject.machine.states:
        if not _calls_lambda(state):
            continue
        retried = frozenset(
            name for entry in entries(state.fields, "Retry") for name in error_names(entry)
        )
        wild = {messages.ALL, messages.TASK_FAILED}
        left = [name for name in TRANSIENT if name not in retried]
        if left and retried.isdisjoint(wild) and not any(map(has_hole, retried)):
            yield (
                state.location,
                f"transient errors of Lambda are not retried: {', '.join(left)}. Add a retrier "
                "for them, with a few attempts and a backoff",
            )


RULES: Final = (
    Rule(
        "W201",
        "handler-cannot-match",
        "The state raises none of the errors that an entry names.",
        cannot_match,
    ),
    Rule(
        "W202",
        "handler-shadowed",
        "Earlier entries take all errors that an entry names.",
        taken_before,
    ),
    Rule("W203", "runtime-not-caught", "Nothing retries or catches States.Runtime.", runtime),
    Rule(
        "W204",
        "unknown-states-error",
        "Step Functions raises no error of that name.",
        unknown_reserved,
    ),
    Rule(
        "N205", "all-misses-runtime", "States.ALL does not catch States.Runtime.", all_but_runtime
    ),
    Rule("N206", "lambda-not-retried", "Transient errors of Lambda are not retried.", transient),
    Rule(
        "N207",
        "dead-error-name",
        "The state never raises an error that is named among others.",
        dead_name,
    ),
)
