"""Sequences of API calls, compared with a model: versions, aliases, executions, stop, redrive,
activities, tokens, tags.

A sequence is a list of [operation, number, number]. The numbers choose among what exists at that
time, so that any part of a sequence is a valid sequence and a failing one can shrink.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final

from botocore.exceptions import ClientError

from stepwell.conformance.run.case import STANDARD, Case
from stepwell.conformance.run.case_runner import Runner
from stepwell.conformance.run.endpoint import fresh_name, pauses

_WAIT: Final = {"StartAt": "W", "States": {"W": {"Type": "Wait", "Seconds": 3600, "End": True}}}
_NAMES: Final = ("live", "next", "old")
Json = Any


def call_case(r: Random) -> Case:
    """The case's input is the sequence, its definition the first one of the machine. Some sequences
    begin by creating versions.
    """
    names = [name for _ in range(r.randrange(3)) for name in ("update", "publish")]
    names += r.choices(tuple(_CALLS), k=r.randrange(4, 16))
    calls = [[name, r.randrange(4), r.randrange(4)] for name in names]
    return Case(_WAIT, calls, STANDARD, "calls")


def call_problems(runner: Runner, case: Case) -> list[str]:
    """Make the calls on a new machine; the first one with a wrong answer ends the sequence."""
    model = _Model(runner)
    try:
        for place, entry in enumerate(case.input if isinstance(case.input, list) else ()):
            if not (
                isinstance(entry, list)
                and len(entry) == 3
                and entry[0] in _CALLS
                and all(isinstance(each, int) for each in entry[1:])
            ):
                continue  # an incomplete entry of a shrunk case
            problem = _CALLS[entry[0]](model, *entry[1:])
            if problem:
                return [f"call {place} ({' '.join(map(str, entry))}): {problem}"]
        return []
    finally:
        model.close()


@dataclass(slots=True)
class _Execution:
    arn: str
    name: str
    status: str = "RUNNING"
    redrives: int = 0
    version: str | None = None
    alias: str | None = None
    definition: Json = None


@dataclass(slots=True)
class _Model:
    """The expected state of the endpoint. `published`: the revision of the latest version."""

    runner: Runner
    machine: str = ""
    revision: int = 0
    definition: Json = field(default_factory=lambda: _WAIT)
    published: int | None = None
    latest: int = 0
    versions: list[int] = field(default_factory=list)
    definitions: dict[str, Json] = field(default_factory=dict)  # of the versions
    aliases: dict[str, list[tuple[int, int]]] = field(
        default_factory=dict
    )  # name -> (version, weight)
    executions: list[_Execution] = field(default_factory=list)
    tags: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        made = self.call(
            "CreateStateMachine",
            name=fresh_name(),
            definition=json.dumps(_WAIT),
            roleArn=self.runner.endpoint.role,
        )
        self.machine = made["stateMachineArn"]

    def call(self, operation: str, **parameters: Json) -> Json:
        return self.runner.call(operation, **parameters)

    def refusal(self, operation: str, **parameters: Json) -> str | None:
        """The error code of a call; None if it succeeds."""
        try:
            self.call(operation, **parameters)
        except ClientError as error:
            return str(error.response["Error"]["Code"])
        return None

    def every(self, operation: str, members: str, name: str) -> list[Json]:
        """The member `name` of all items that an operation lists, on all pages."""
        found: list[Json] = []
        more: dict[str, str] = {}
        while True:
            page = self.call(operation, maxResults=1000, **more)
            found += [each[name] for each in page[members]]
            if not page.get("nextToken"):
                return found
            more = {"nextToken": page["nextToken"]}

    def version(self, number: int) -> str:
        return f"{self.machine}:{number}"

    def close(self) -> None:
        for execution in self.executions:
            if execution.status == "RUNNING":
                self.refusal("StopExecution", executionArn=execution.arn)
        for name in self.aliases:
            self.refusal("DeleteStateMachineAlias", stateMachineAliasArn=f"{self.machine}:{name}")
        self.refusal("DeleteStateMachine", stateMachineArn=self.machine)


def _difference(wanted: Json, got: Json) -> str | None:
    return None if wanted == got else f"expected {wanted}, got {got}"


def _update(model: _Model, one: int, two: int) -> str | None:
    """Each update makes a new revision."""
    model.revision += 1
    definition = model.definition = {**_WAIT, "Comment": f"revision {model.revision}"}
    model.call(
        "UpdateStateMachine", stateMachineArn=model.machine, definition=json.dumps(definition)
    )
    found = model.call("DescribeStateMachine", stateMachineArn=model.machine)
    return _difference(definition, json.loads(found["definition"]))


def _publish(model: _Model, one: int, two: int) -> str | None:
    """The next version number; the latest version again if nothing has changed since."""
    found = model.call("PublishStateMachineVersion", stateMachineArn=model.machine)[
        "stateMachineVersionArn"
    ]
    if model.published != model.revision or model.latest not in model.versions:
        model.latest, model.published = model.latest + 1, model.revision
        model.versions.append(model.latest)
        model.definitions[model.version(model.latest)] = model.definition
    return _difference(model.version(model.latest), found)


def _list_versions(model: _Model, one: int, two: int) -> str | None:
    found = model.call("ListStateMachineVersions", stateMachineArn=model.machine)[
        "stateMachineVersions"
    ]
    return _difference(
        [model.version(number) for number in sorted(model.versions, reverse=True)],
        [each["stateMachineVersionArn"] for each in found],
    )


def _delete_version(model: _Model, one: int, two: int) -> str | None:
    """Refused while an alias refers to the version."""
    if not model.versions or (number := model.versions[one % len(model.versions)]) == model.latest:
        # the next publication after a deletion of the latest version is not documented
        return None
    used = any(number == version for routes in model.aliases.values() for version, _ in routes)
    refused = model.refusal(
        "DeleteStateMachineVersion", stateMachineVersionArn=model.version(number)
    )
    if not used:
        model.versions.remove(number)
    return _difference("ConflictException" if used else None, refused)


def _routes(model: _Model, one: int, two: int) -> list[tuple[int, int]]:
    first, second = (model.versions[each % len(model.versions)] for each in (one, two))
    return (
        [(first, 100)]
        if first == second
        else [(first, 25 * (one + 1) % 100), (second, 100 - 25 * (one + 1) % 100)]
    )


def _configuration(model: _Model, routes: list[tuple[int, int]]) -> Json:
    return [
        {"stateMachineVersionArn": model.version(version), "weight": weight}
        for version, weight in routes
    ]


def _create_alias(model: _Model, one: int, two: int) -> str | None:
    """Idempotent with the same routes; a conflict with others."""
    if not model.versions:
        return None
    name, routes = _NAMES[one % len(_NAMES)], _routes(model, one, two)
    refused = model.refusal(
        "CreateStateMachineAlias", name=name, routingConfiguration=_configuration(model, routes)
    )
    existing = model.aliases.setdefault(name, routes)
    return _difference("ConflictException" if existing != routes else None, refused)


def _update_alias(model: _Model, one: int, two: int) -> str | None:
    if not model.versions:
        return None
    name, routes = _NAMES[two % len(_NAMES)], _routes(model, one, two)
    arn = f"{model.machine}:{name}"
    refused = model.refusal(
        "UpdateStateMachineAlias",
        stateMachineAliasArn=arn,
        routingConfiguration=_configuration(model, routes),
    )
    if name not in model.aliases:
        return _difference("ResourceNotFound", refused)
    model.aliases[name] = routes
    found = model.call("DescribeStateMachineAlias", stateMachineAliasArn=arn)[
        "routingConfiguration"
    ]
    return _difference(None, refused) or _difference(_configuration(model, routes), found)


def _delete_alias(model: _Model, one: int, two: int) -> str | None:
    name = _NAMES[one % len(_NAMES)]
    if model.aliases.pop(name, None) is None:
        return None
    return _difference(
        None,
        model.refusal("DeleteStateMachineAlias", stateMachineAliasArn=f"{model.machine}:{name}"),
    )


def _list_aliases(model: _Model, one: int, two: int) -> str | None:
    found = model.call("ListStateMachineAliases", stateMachineArn=model.machine)[
        "stateMachineAliases"
    ]
    return _difference(
        sorted(f"{model.machine}:{name}" for name in model.aliases),
        sorted(each["stateMachineAliasArn"] for each in found),
    )


def _start(model: _Model, one: int, two: int) -> str | None:
    """Start the machine, a version or an alias; DescribeExecution says which."""
    targets: list[tuple[str, str | None]] = [
        (model.machine, None),
        *((model.version(number), None) for number in model.versions),
    ]
    targets += [(f"{model.machine}:{name}", name) for name in sorted(model.aliases)]
    target, alias = targets[one % len(targets)]
    name = fresh_name()
    arn = model.call("StartExecution", stateMachineArn=target, name=name, input='{"n":1}')[
        "executionArn"
    ]
    version = target if alias is None and target != model.machine else None
    execution = _Execution(
        arn, name, version=version, alias=f"{model.machine}:{alias}" if alias else None
    )
    model.executions.append(execution)
    found = model.call("DescribeExecution", executionArn=arn)
    execution.definition = model.definitions.get(
        found.get("stateMachineVersionArn"), model.definition
    )
    if alias:
        if found.get("stateMachineVersionArn") not in [
            model.version(version) for version, weight in model.aliases[alias] if weight
        ]:
            return f"the alias led to {found.get('stateMachineVersionArn')}"
    elif target != model.machine and found.get("stateMachineVersionArn") != target:
        return _difference(target, found.get("stateMachineVersionArn"))
    return _difference(
        (model.machine, execution.alias, "RUNNING"),
        (found["stateMachineArn"], found.get("stateMachineAliasArn"), found["status"]),
    )


def _start_again(model: _Model, one: int, two: int) -> str | None:
    """Idempotent with the same name and input while the execution runs; refused after its end, and
    with another input.
    """
    if not model.executions:
        return None
    execution = model.executions[one % len(model.executions)]
    if execution.alias or execution.version or execution.redrives:
        return None
    other = two % 2 == 1
    try:
        found = model.call(
            "StartExecution",
            stateMachineArn=model.machine,
            name=execution.name,
            input='{"n":2}' if other else '{"n":1}',
        )
    except ClientError as error:
        code = error.response["Error"]["Code"]
        return _difference(
            "ExecutionAlreadyExists" if other or execution.status != "RUNNING" else None, code
        )
    return _difference(
        None if other or execution.status != "RUNNING" else execution.arn, found["executionArn"]
    )


def _stop(model: _Model, one: int, two: int) -> str | None:
    """The execution ends at once; a second StopExecution changes nothing."""
    if not model.executions:
        return None
    execution = model.executions[one % len(model.executions)]
    before = model.call("DescribeExecution", executionArn=execution.arn)
    model.call("StopExecution", executionArn=execution.arn, error="Stopped", cause="by the suite")
    execution.status = "ABORTED"
    for _ in pauses(10):
        found = model.call("DescribeExecution", executionArn=execution.arn)
        if found["status"] != "RUNNING":
            break
    if before["status"] == "ABORTED":
        return _difference(before["stopDate"], found["stopDate"])
    return _difference(
        ("ABORTED", "Stopped", "by the suite"),
        (found["status"], found.get("error"), found.get("cause")),
    )


def _redrive(model: _Model, one: int, two: int) -> str | None:
    if not model.executions:
        return None
    execution = model.executions[one % len(model.executions)]
    refused = model.refusal("RedriveExecution", executionArn=execution.arn)
    if execution.status == "RUNNING":
        return _difference("ExecutionNotRedrivable", refused)
    execution.status, execution.redrives = "RUNNING", execution.redrives + 1
    found = model.call("DescribeExecution", executionArn=execution.arn)
    return _difference(None, refused) or _difference(
        ("RUNNING", execution.redrives), (found["status"], found["redriveCount"])
    )


def _list_executions(model: _Model, one: int, two: int) -> str | None:
    status = ("RUNNING", "ABORTED")[one % 2]
    found = model.call("ListExecutions", stateMachineArn=model.machine, statusFilter=status)[
        "executions"
    ]
    wanted = sorted(execution.arn for execution in model.executions if execution.status == status)
    return _difference(wanted, sorted(each["executionArn"] for each in found))


def _machine_of(model: _Model, one: int, two: int) -> str | None:
    """An execution keeps the definition with which it was started."""
    if not model.executions:
        return None
    execution = model.executions[one % len(model.executions)]
    found = model.call("DescribeStateMachineForExecution", executionArn=execution.arn)
    return _difference(
        (model.machine, execution.definition),
        (found["stateMachineArn"], json.loads(found["definition"])),
    )


def _list_machines(model: _Model, one: int, two: int) -> str | None:
    return _difference(
        1, model.every("ListStateMachines", "stateMachines", "stateMachineArn").count(model.machine)
    )


def _tag(model: _Model, one: int, two: int) -> str | None:
    key = _NAMES[one % len(_NAMES)]
    if two % 2:
        model.call("UntagResource", resourceArn=model.machine, tagKeys=[key])
        model.tags.pop(key, None)
    else:
        model.call("TagResource", resourceArn=model.machine, tags=[{"key": key, "value": str(two)}])
        model.tags[key] = str(two)
    found = model.call("ListTagsForResource", resourceArn=model.machine)["tags"]
    return _difference(model.tags, {each["key"]: each["value"] for each in found})


def _activity(model: _Model, one: int, two: int) -> str | None:
    """CreateActivity is idempotent; a task token is valid once."""
    name = fresh_name()
    arn = model.call("CreateActivity", name=name)["activityArn"]
    machine = {"StartAt": "T", "States": {"T": {"Type": "Task", "Resource": arn, "End": True}}}
    made = model.call(
        "CreateStateMachine",
        name=name,
        definition=json.dumps(machine),
        roleArn=model.runner.endpoint.role,
    )["stateMachineArn"]
    try:
        if model.call("CreateActivity", name=name)["activityArn"] != arn:
            return "the activity got a second ARN"
        if model.call("DescribeActivity", activityArn=arn)[
            "name"
        ] != name or arn not in model.every("ListActivities", "activities", "activityArn"):
            return "the activity is not described or not listed"
        execution = model.runner.start(made, '{"n":1}')
        task = model.call("GetActivityTask", activityArn=arn, workerName="conformance")
        model.call("SendTaskHeartbeat", taskToken=task["taskToken"])
        model.call("SendTaskSuccess", taskToken=task["taskToken"], output='{"m":2}')
        again = model.refusal("SendTaskSuccess", taskToken=task["taskToken"], output='{"m":3}')
        run = model.runner.ended(execution)
        good = again in ("TaskTimedOut", "TaskDoesNotExist", "InvalidToken", None)
        return _difference(("SUCCEEDED", '{"m":2}', True), (run.status, run.output, good))
    finally:
        model.refusal("DeleteStateMachine", stateMachineArn=made)
        model.refusal("DeleteActivity", activityArn=arn)


_CALLS: Final[dict[str, Callable[[_Model, int, int], str | None]]] = {
    "update": _update,
    "publish": _publish,
    "publish_again": _publish,
    "list_versions": _list_versions,
    "delete_version": _delete_version,
    "create_alias": _create_alias,
    "update_alias": _update_alias,
    "delete_alias": _delete_alias,
    "list_aliases": _list_aliases,
    "start": _start,
    "start_another": _start,
    "start_again": _start_again,
    "stop": _stop,
    "redrive": _redrive,
    "list_executions": _list_executions,
    "machine_of": _machine_of,
    "list_machines": _list_machines,
    "tag": _tag,
    "activity": _activity,
}
