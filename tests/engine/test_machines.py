"""State machines: what makes two creations the same, revisions, configurations, tags, lists, and
deletion while executions run.
"""

import asyncio
import json
from itertools import pairwise
from typing import Any

import pytest
from tests.engine.engine_fixture import HAND, EngineFixture, Small, each, refused, task, wait

from stepwell.engine import messages
from stepwell.engine.errors import ApiError
from stepwell.engine.runtime.execution_logs import LogEvent

PASS = json.dumps({"StartAt": "P", "States": {"P": {"Type": "Pass", "End": True}}})
OTHER = json.dumps({"StartAt": "Q", "States": {"Q": {"Type": "Pass", "End": True}}})
ROLE = "arn:aws:iam::123456789012:role/"
GROUP = "arn:aws:logs:us-east-1:123456789012:log-group:/aws/vendedlogs/states/m:*"
HOME = "arn:aws:states:us-east-1:123456789012:"
KEY = {"type": "CUSTOMER_MANAGED_KMS_KEY", "kmsKeyId": "alias/mine"}
TWO_WAITS = {
    "A": {"Type": "Wait", "Seconds": 60, "Next": "B"},
    "B": {"Type": "Wait", "Seconds": 60, "Next": "C"},
    "C": {"Type": "Succeed"},
}


def logging(level: str = "ALL", groups: int = 1, **more: Any) -> dict[str, Any]:
    destination = {"cloudWatchLogsLogGroup": {"logGroupArn": GROUP}}
    return {"level": level, **({"destinations": [destination] * groups} if groups else {}), **more}


@pytest.mark.parametrize(
    "changes",
    [
        {"definition": OTHER},
        {"definition": PASS + " "},
        {"type": "EXPRESS"},
        {"logging_configuration": logging()},
        {"tracing_configuration": {"enabled": True}},
        {"encryption_configuration": KEY},
        {"publish": True},
        {"publish": True, "version_description": "one"},
    ],
)
async def test_another_machine_of_the_same_name_is_refused(
    life: EngineFixture, restart: bool, changes: dict[str, Any]
) -> None:
    create = life.engine.create_state_machine
    first = await create("m", PASS, ROLE + "a", tags=[{"key": "k", "value": "v"}])
    life.clock.advance(1000)
    if restart:
        await life.restart()
    create = life.engine.create_state_machine
    given = {
        "logging_configuration": {},
        "tracing_configuration": {"enabled": False},
        "encryption_configuration": {"type": "AWS_OWNED_KEY"},
    }
    assert (
        await create("m", PASS, ROLE + "other", tags=[{"key": "x", "value": "y"}], **given) == first
    )
    described = await life.engine.describe_state_machine(first["stateMachineArn"])
    assert described["roleArn"] == ROLE + "a" and described["creationDate"] == first["creationDate"]
    tags = await life.engine.list_tags_for_resource(first["stateMachineArn"])
    assert tags == {"tags": [{"key": "k", "value": "v"}]}
    message = f"State Machine Already Exists: '{first['stateMachineArn']}'"
    await refused(
        create(**({"name": "m", "definition": PASS} | changes)),
        "StateMachineAlreadyExists",
        message,
    )
    other: dict[str, Any] = {"name": "n", "definition": PASS} | changes
    assert await create(**other) == await create(**other)
    await refused(
        create("n", OTHER if other["definition"] == PASS else PASS),
        "StateMachineAlreadyExists",
        message[:-2] + "n'",
    )


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        ({"name": "a b"}, "InvalidName", "Invalid Name: 'a b'"),
        ({"name": "a b", "role_arn": "x", "definition": "{"}, "InvalidName", "Invalid Name: 'a b'"),
        ({"name": "a\uffff"}, "InvalidName", "Invalid Name: 'a\uffff'"),
        ({"role_arn": "x", "definition": "{"}, "InvalidArn", "Invalid Role Arn: 'x'"),
        (
            {"logging_configuration": logging(groups=0)},
            "InvalidLoggingConfiguration",
            messages.ONE_LOG_DESTINATION,
        ),
        (
            {"logging_configuration": logging(groups=2)},
            "InvalidLoggingConfiguration",
            messages.ONE_LOG_DESTINATION,
        ),
        (
            {"logging_configuration": logging("OFF", 2)},
            "InvalidLoggingConfiguration",
            messages.ONE_LOG_DESTINATION,
        ),
        (
            {
                "logging_configuration": {
                    "level": "ALL",
                    "destinations": [{"cloudWatchLogsLogGroup": {"logGroupArn": GROUP[:-2]}}],
                }
            },
            "InvalidLoggingConfiguration",
            "Invalid Logging Configuration: Log Destination not found.",
        ),
        (
            {"encryption_configuration": {"type": KEY["type"]}},
            "InvalidEncryptionConfiguration",
            messages.KEY_MISSING,
        ),
        (
            {"encryption_configuration": KEY | {"type": "AWS_OWNED_KEY"}},
            "InvalidEncryptionConfiguration",
            messages.KEY_NOT_ALLOWED,
        ),
        (
            {"version_description": "d"},
            "ValidationException",
            "Version description can only be set when publish is true",
        ),
        (
            {"tags": [{"key": "a!", "value": ""}]},
            "ValidationException",
            messages.BAD_TAG.format(text="a!"),
        ),
    ],
)
async def test_what_cannot_be_created(
    life: EngineFixture, options: dict[str, Any], code: str, message: str
) -> None:
    given: dict[str, Any] = {"name": "m", "definition": PASS} | options
    await refused(life.engine.create_state_machine(**given), code, message)
    assert (await life.engine.list_state_machines())["stateMachines"] == []
    if "name" not in options:
        arn = (await life.engine.create_state_machine("m", PASS))["stateMachineArn"]
        changes = {name: value for name, value in given.items() if name not in ("name", "tags")}
        if "tags" not in options:
            await refused(life.engine.update_state_machine(arn, **changes), code, message)


async def test_a_revision_is_new_only_if_something_changed(
    life: EngineFixture, restart: bool
) -> None:
    arn = (await life.engine.create_state_machine("m", PASS, ROLE + "a"))["stateMachineArn"]
    seen = [None]
    for changes in (
        {"definition": PASS},
        {"definition": OTHER},
        {"role_arn": ROLE + "b"},
        {"role_arn": ROLE + "b", "definition": OTHER},
        {"logging_configuration": logging()},
        {"logging_configuration": logging(includeExecutionData=False)},
        {"tracing_configuration": {"enabled": True}},
        {"encryption_configuration": KEY},
        {"encryption_configuration": KEY | {"kmsDataKeyReusePeriodSeconds": 300}},
        {"logging_configuration": {"level": "OFF"}},
    ):
        life.clock.advance(1000)
        updated = await life.engine.update_state_machine(arn, **changes)
        if restart:
            await life.restart()
        described = await life.engine.describe_state_machine(arn)
        assert (
            updated.get("revisionId") == described.get("revisionId")
            and updated["updateDate"] == life.clock.now() / 1000
        )
        seen.append(described.get("revisionId"))
    changed = [one != other for one, other in pairwise(seen)]
    assert changed == [False, True, True, False, True, False, True, True, False, True]
    assert described["loggingConfiguration"] == {"level": "OFF", "includeExecutionData": False}
    assert described["tracingConfiguration"] == {"enabled": True}
    assert described["encryptionConfiguration"] == KEY | {"kmsDataKeyReusePeriodSeconds": 300}
    assert (described["definition"], described["roleArn"]) == (OTHER, ROLE + "b")


async def test_updates_that_are_refused(life: EngineFixture) -> None:
    arn = (await life.engine.create_state_machine("m", PASS, publish=True))["stateMachineArn"]
    update = life.engine.update_state_machine
    await refused(update(arn), "MissingRequiredParameter", messages.NOTHING_TO_UPDATE)
    await refused(update(arn, publish=True), "MissingRequiredParameter", messages.NOTHING_TO_UPDATE)
    for each_arn in (f"{arn}:1", f"{arn}:live", f"{arn}x"):
        await refused(
            update(each_arn, definition=OTHER),
            "StateMachineDoesNotExist",
            f"State Machine Does Not Exist: '{each_arn}'",
        )
    for call in (
        update(f"{arn}/label", definition=OTHER),
        life.engine.describe_state_machine(f"{arn}/label"),
    ):
        with pytest.raises(ApiError) as error:
            await call
        assert (error.value.code, error.value.reason) == (
            "ValidationException",
            "API_DOES_NOT_SUPPORT_LABELED_ARNS",
        )
    await refused(
        update("x", definition=OTHER), "InvalidArn", "Invalid Arn: 'Invalid ARN prefix: x'"
    )
    activity = f"{HOME}activity:a"
    await refused(
        update(activity, definition=OTHER),
        "InvalidArn",
        "Invalid Arn: 'Resource type not valid in this context: activity'",
    )


async def test_an_execution_keeps_the_revision_that_it_started_with(
    life: EngineFixture, restart: bool
) -> None:
    arn = (await life.engine.create_state_machine("m", PASS, ROLE + "a"))["stateMachineArn"]
    old = (await life.engine.start_execution(arn))["executionArn"]
    await life.engine.wait(old)
    revision = (await life.engine.update_state_machine(arn, definition=OTHER, role_arn=ROLE + "b"))[
        "revisionId"
    ]
    new = (await life.engine.start_execution(arn))["executionArn"]
    await life.engine.wait(new)
    await life.engine.delete_state_machine(arn)
    if restart:
        await life.restart()
    first, second = [
        await life.engine.describe_state_machine_for_execution(each) for each in (old, new)
    ]
    assert (first["definition"], first["roleArn"], "revisionId" in first) == (
        PASS,
        ROLE + "a",
        False,
    )
    assert (second["definition"], second["roleArn"], second["revisionId"]) == (
        OTHER,
        ROLE + "b",
        revision,
    )
    assert (
        first["stateMachineArn"] == arn
        and first["name"] == "m"
        and first["updateDate"] == life.clock.now() / 1000
    )
    express = old.replace(":execution:", ":express:") + ":x"
    kind = "Invalid Arn: 'Resource type not valid in this context: express'"
    await refused(life.engine.describe_state_machine_for_execution(express), "InvalidArn", kind)


async def test_metadata_only_hides_what_the_customers_key_encrypts(life: EngineFixture) -> None:
    for name, encryption in (("own", None), ("mine", KEY)):
        arn = (
            await life.engine.create_state_machine(name, PASS, encryption_configuration=encryption)
        )["stateMachineArn"]
        execution = (await life.engine.start_execution(arn, input='{"secret": 1}'))["executionArn"]
        await life.engine.wait(execution)
        hidden = encryption is not None
        for call, of in (
            (life.engine.describe_state_machine, arn),
            (life.engine.describe_state_machine_for_execution, execution),
        ):
            described = await call(of, included_data="METADATA_ONLY")
            assert (described["definition"] == "{}") is hidden
        described = await life.engine.describe_execution(execution, included_data="METADATA_ONLY")
        assert ("input" not in described and "output" not in described) is hidden
        assert described["inputDetails"] == {"included": not hidden} == described["outputDetails"]
        assert (await life.engine.describe_execution(execution))["input"] == '{"secret": 1}'


async def test_an_execution_is_logged_as_its_revision_says(life: EngineFixture) -> None:
    taken: list[LogEvent] = []

    class Sink:
        def write(self, events: Any) -> None:
            taken.extend(events)

        async def close(self) -> None: ...

    life.engine.events.log_sink = Sink()
    arn = (
        await life.engine.create_state_machine(
            "m", PASS, logging_configuration=logging(), publish=True
        )
    )["stateMachineArn"]
    await life.engine.update_state_machine(arn, logging_configuration={"level": "OFF"})
    for each_arn in (arn, f"{arn}:1"):
        before = len(taken)
        execution = (await life.engine.start_execution(each_arn))["executionArn"]
        await life.engine.wait(execution)
        await life.calm()
        assert len(taken) - before == (4 if each_arn.endswith(":1") else 0)
    assert taken[0].group == "/aws/vendedlogs/states/m"


async def test_the_most_machines_and_executions(small: Small) -> None:
    life = await small(machines=2, open_executions=2)
    first = (await life.engine.create_state_machine("a", PASS))["stateMachineArn"]
    await life.engine.create_state_machine("b", PASS)
    full = messages.MACHINE_LIMIT.format(limit=2)
    await refused(life.engine.create_state_machine("c", PASS), "StateMachineLimitExceeded", full)
    await life.engine.create_state_machine("b", PASS)
    await life.engine.delete_state_machine(first)
    waiting = await life.machine({"W": wait(60)}, name="c")
    for name in ("n1", "n2"):
        await life.engine.start_execution(waiting, name=name)
    await refused(
        life.engine.start_execution(waiting),
        "ExecutionLimitExceeded",
        messages.EXECUTION_LIMIT.format(limit=2),
    )
    await life.engine.start_execution(waiting, name="n1")
    await life.after(61)
    await life.engine.start_execution(waiting)


# --- tags -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["stateMachine", "activity"])
async def test_tags(small: Small, restart: bool, kind: str) -> None:
    life = await small(tags=3)
    await life.engine.create_state_machine("r", PASS, publish=True)
    await life.engine.create_activity("r")
    arn = f"{HOME}{kind}:r"

    async def tags() -> dict[str, str]:
        return {
            each["key"]: each["value"]
            for each in (await life.engine.list_tags_for_resource(arn))["tags"]
        }

    assert await tags() == {}
    await life.engine.tag_resource(
        arn, [{"key": "a", "value": "1"}, {"key": "b", "value": ""}, {"key": "a", "value": "2"}]
    )
    if restart:
        await life.restart()
    assert await tags() == {"a": "2", "b": ""}
    await life.engine.tag_resource(
        arn, [{"key": "b", "value": "3"}, {"key": "c \u00fc", "value": "=+-@/_.:"}]
    )
    too_many = messages.TOO_MANY_TAGS.format(arn=arn, limit=3)
    await refused(
        life.engine.tag_resource(arn, [{"key": "d", "value": ""}, {"key": "a", "value": "9"}]),
        "TooManyTags",
        too_many,
    )
    await life.engine.untag_resource(arn, ["a", "never"])
    if restart:
        await life.restart()
    assert await tags() == {"b": "3", "c \u00fc": "=+-@/_.:"}
    for missing in (f"{arn}x", *([f"{arn}:1"] if kind == "stateMachine" else [])):
        unknown = f"Resource not found: '{missing}'"
        await refused(life.engine.tag_resource(missing, []), "ResourceNotFound", unknown)
        await refused(life.engine.untag_resource(missing, []), "ResourceNotFound", unknown)
        await refused(life.engine.list_tags_for_resource(missing), "ResourceNotFound", unknown)
    execution = f"{HOME}execution:r:e"
    wrong = "Invalid Arn: 'Resource type not valid in this context: execution'"
    await refused(life.engine.list_tags_for_resource(execution), "InvalidArn", wrong)


# --- lists ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("operation", "member"),
    [("list_state_machines", "stateMachines"), ("list_activities", "activities")],
)
async def test_lists_go_by_name_page_by_page(
    life: EngineFixture, operation: str, member: str
) -> None:
    names = ["x_0", "x_1", "x_10", "x_11", "x_2", "y"]
    for name in reversed(names):
        await life.engine.create_state_machine(
            name, PASS, type="EXPRESS" if name == "y" else "STANDARD"
        )
        await life.engine.create_activity(name)
    call = getattr(life.engine, operation)
    assert [item["name"] for item in (await call())[member]] == names
    assert (
        "nextToken" not in await call(max_results=6)
        and len((await call(max_results=0))[member]) == 6
    )
    found: list[str] = []
    token = None
    while token is not None or not found:
        page = await call(max_results=4, next_token=token)
        found += [item["name"] for item in page[member]]
        token = page.get("nextToken")
    assert found == names
    token = (await call(max_results=1))["nextToken"]
    other = (
        life.engine.list_activities
        if operation == "list_state_machines"
        else life.engine.list_state_machines
    )
    wrong = "Invalid Token: 'Invalid token'"
    await refused(other(next_token=token), "InvalidToken", wrong)
    life.clock.advance(24 * 3600 * 1000 + 1)
    await refused(call(next_token=token), "InvalidToken", wrong)


# --- deletion -------------------------------------------------------------------------------------


async def test_a_machine_without_executions_is_deleted_at_once(
    life: EngineFixture, restart: bool
) -> None:
    arn = (await life.engine.create_state_machine("m", PASS, publish=True))["stateMachineArn"]
    await refused(
        life.engine.delete_state_machine(f"{arn}:1"),
        "ValidationException",
        messages.QUALIFIED_DELETE.format(arn=f"{arn}:1"),
    )
    assert (
        await life.engine.delete_state_machine(arn)
        == {}
        == await life.engine.delete_state_machine(arn)
    )
    if restart:
        await life.restart()
    unknown = f"State Machine Does Not Exist: '{arn}'"
    await refused(life.engine.describe_state_machine(arn), "StateMachineDoesNotExist", unknown)
    await refused(life.engine.start_execution(arn), "StateMachineDoesNotExist", unknown)
    made = await life.engine.create_state_machine("m", OTHER, publish=True)
    assert made["stateMachineVersionArn"] == f"{arn}:1"


async def test_a_machine_goes_with_its_last_execution(life: EngineFixture, restart: bool) -> None:
    arn = await life.machine(TWO_WAITS)
    first = (await life.engine.start_execution(arn, name="first"))["executionArn"]
    version = (await life.engine.publish_state_machine_version(arn))["stateMachineVersionArn"]
    await life.engine.create_state_machine_alias(
        "live", [{"stateMachineVersionArn": version, "weight": 100}]
    )
    life.clock.advance(30_000)
    second = (await life.engine.start_execution(f"{arn}:live", name="second"))["executionArn"]
    await life.calm()
    assert (
        await life.engine.delete_state_machine(arn)
        == {}
        == await life.engine.delete_state_machine(arn)
    )
    if restart:
        await life.restart()
    assert (await life.engine.describe_state_machine(arn))["status"] == "DELETING"
    assert [
        each["name"] for each in (await life.engine.list_state_machines())["stateMachines"]
    ] == ["m"]
    assert (await life.engine.list_state_machine_versions(arn))["stateMachineVersions"] == []
    deleting = messages.MACHINE_DELETING.format(arn=arn)
    for call in (
        life.engine.start_execution(arn),
        life.engine.start_execution(version),
        life.engine.start_sync_execution(arn),
        life.engine.create_state_machine("m", PASS),
        life.engine.update_state_machine(arn, definition=PASS),
        life.engine.publish_state_machine_version(arn),
        life.engine.list_state_machine_aliases(arn),
        life.engine.create_state_machine_alias(
            "a", [{"stateMachineVersionArn": version, "weight": 100}]
        ),
    ):
        await refused(call, "StateMachineDeleting", deleting)
    assert [await life.status(each) for each in (first, second)] == ["RUNNING", "RUNNING"], (
        "they wait: no transition yet"
    )
    await life.after(31)
    assert [await life.status(each) for each in (first, second)] == ["ABORTED", "RUNNING"]
    assert (await life.types(first))[-2:] == ["WaitStateEntered", "ExecutionAborted"]
    assert (await life.engine.describe_state_machine(arn))["status"] == "DELETING"
    await life.after(30, restart)
    assert await life.status(second) == "ABORTED"
    await refused(
        life.engine.describe_state_machine(arn),
        "StateMachineDoesNotExist",
        f"State Machine Does Not Exist: '{arn}'",
    )
    await life.engine.create_state_machine("m", PASS)
    assert (await life.engine.start_execution(arn))["executionArn"]


async def test_an_accepted_express_execution_holds_its_machine_until_its_end(
    life: EngineFixture, restart: bool
) -> None:
    arn = await life.machine(
        {"W": {"Type": "Wait", "Seconds": 60, "Next": "T"}, "T": task("ok")}, type="EXPRESS"
    )
    await life.engine.start_execution(arn)
    await life.calm()
    await life.engine.delete_state_machine(arn)
    if restart:
        await life.restart()
    assert (await life.engine.describe_state_machine(arn))["status"] == "DELETING"
    await life.after(61)
    assert life.calls == ["ok"], "it runs to its end"
    await refused(
        life.engine.describe_state_machine(arn),
        "StateMachineDoesNotExist",
        f"State Machine Does Not Exist: '{arn}'",
    )


async def test_the_children_of_a_map_run_hold_their_machine(life: EngineFixture) -> None:
    await life.engine.create_activity("hands")
    children = each(HAND, ProcessorConfig={"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"})
    arn = await life.start({"M": children}, input="[1, 2]")
    machine = f"{HOME}stateMachine:m"
    await life.engine.delete_state_machine(machine)
    task = await life.engine.get_activity_task(f"{HOME}activity:hands", timeout=60)
    assert await life.status(arn) == "RUNNING"
    await life.engine.send_task_success(task["taskToken"], "1")
    await life.calm()
    assert await life.status(arn) == "ABORTED"
    with pytest.raises(ApiError):
        await life.engine.describe_state_machine(machine)
    assert {row["status"] for row in (await life.engine.list_all_executions())["executions"]} <= {
        "ABORTED",
        "SUCCEEDED",
    }


async def test_starts_and_a_deletion_at_once(life: EngineFixture) -> None:
    """Whatever the order: a start that was answered is an execution that the deletion waits for."""
    arn = await life.machine({"W": wait(60)})
    calls = [
        asyncio.ensure_future(life.engine.start_execution(arn, name=f"n{number}"))
        for number in range(3)
    ]
    calls.append(asyncio.ensure_future(life.engine.delete_state_machine(arn)))
    calls += [
        asyncio.ensure_future(life.engine.start_execution(arn, name=f"m{number}"))
        for number in range(3)
    ]
    answers = await asyncio.gather(*calls, return_exceptions=True)
    started = [answer["executionArn"] for answer in answers if isinstance(answer, dict) and answer]
    await life.calm()
    if started:
        assert (await life.engine.describe_state_machine(arn))["status"] == "DELETING"
    for each_arn in started:
        assert (await life.finish(each_arn))["status"] in ("SUCCEEDED", "ABORTED")
    await life.calm()
    await refused(
        life.engine.describe_state_machine(arn),
        "StateMachineDoesNotExist",
        f"State Machine Does Not Exist: '{arn}'",
    )
