"""Versions and aliases: what they pin, what they refuse, how starts are shared among them, and what
executions tell of them.
"""

import json
import uuid
from collections import Counter
from typing import Any

import pytest
from tests.engine.engine_fixture import EngineFixture, Small, refused, wait

from stepwell.engine import Engine, messages
from stepwell.engine.clock import ManualClock
from stepwell.engine.errors import ApiError
from stepwell.engine.operations.reading.reader import Reader
from stepwell.engine.store.opening import open_store

NONE = "Request references a resource that does not exist."


def definition(number: int) -> str:
    return json.dumps(
        {"StartAt": "P", "States": {"P": {"Type": "Pass", "Result": number, "End": True}}}
    )


def routes(arn: str, **weights: int) -> list[dict[str, Any]]:
    """v1=70, v2=30 -> a routing configuration."""
    return [
        {"stateMachineVersionArn": f"{arn}:{name[1:]}", "weight": weight}
        for name, weight in weights.items()
    ]


async def machine(life: EngineFixture, versions: int = 1, name: str = "m") -> str:
    """A state machine whose versions 1, 2, ... give their numbers."""
    made = await life.engine.create_state_machine(name, definition(1), publish=True)
    arn: str = made["stateMachineArn"]
    assert made["stateMachineVersionArn"] == f"{arn}:1"
    for number in range(2, versions + 1):
        updated = await life.engine.update_state_machine(
            arn, definition=definition(number), publish=True
        )
        assert updated["stateMachineVersionArn"] == f"{arn}:{number}"
    return arn


async def listed(life: EngineFixture, arn: str, **options: Any) -> list[str]:
    """The numbers of all versions, page by page."""
    found: list[str] = []
    token = None
    while True:
        page = await life.engine.list_state_machine_versions(arn, next_token=token, **options)
        found += [
            each["stateMachineVersionArn"].rpartition(":")[2]
            for each in page["stateMachineVersions"]
        ]
        token = page.get("nextToken")
        if token is None:
            return found


# --- versions -------------------------------------------------------------------------------------


async def test_an_update_that_only_describes_its_version_anew_makes_one(
    life: EngineFixture,
) -> None:
    arn = await machine(life)

    async def update(description: str | None) -> str:
        updated = await life.engine.update_state_machine(
            arn, definition=definition(1), publish=True, version_description=description
        )
        return str(updated["stateMachineVersionArn"]).removeprefix(arn)

    assert [await update(each) for each in (None, "a", "a", None, "b")] == [
        ":1",
        ":2",
        ":2",
        ":2",
        ":3",
    ]
    assert (await life.engine.describe_state_machine(f"{arn}:2"))["description"] == "a"
    published = await life.engine.publish_state_machine_version(arn, description="ignored")
    assert published["stateMachineVersionArn"] == f"{arn}:3"


async def test_publishing_is_idempotent_and_numbers_are_not_used_again(
    life: EngineFixture, restart: bool
) -> None:
    arn = (await life.engine.create_state_machine("m", definition(1)))["stateMachineArn"]
    first = await life.engine.publish_state_machine_version(
        arn, revision_id="INITIAL", description="one"
    )
    life.clock.advance(1000)
    if restart:
        await life.restart()
    assert await life.engine.publish_state_machine_version(arn, description="ignored") == first
    stale = (
        "Failed to publish the State Machine version for revision x. The current State Machine "
        "revision is INITIAL."
    )
    await refused(
        life.engine.publish_state_machine_version(arn, revision_id="x"), "ConflictException", stale
    )
    described = await life.engine.describe_state_machine(f"{arn}:1")
    assert (described["stateMachineArn"], described["description"], described["creationDate"]) == (
        f"{arn}:1",
        "one",
        first["creationDate"],
    )
    revision = (await life.engine.update_state_machine(arn, definition=definition(2)))["revisionId"]
    current = (
        "Failed to publish the State Machine version for revision INITIAL. The current State "
        f"Machine revision is {revision}."
    )
    await refused(
        life.engine.publish_state_machine_version(arn, revision_id="INITIAL"),
        "ConflictException",
        current,
    )
    second = await life.engine.publish_state_machine_version(arn, revision_id=revision)
    assert second["stateMachineVersionArn"] == f"{arn}:2"
    assert await listed(life, arn) == ["2", "1"] == await listed(life, arn, max_results=1)
    for number in ("1", "2", "2", "7"):
        assert await life.engine.delete_state_machine_version(f"{arn}:{number}") == {}
    if restart:
        await life.restart()
    assert await listed(life, arn) == [] == await listed(life, f"{arn}x")
    assert (await life.engine.publish_state_machine_version(arn))[
        "stateMachineVersionArn"
    ] == f"{arn}:3"
    await refused(
        life.engine.publish_state_machine_version(f"{arn}:3"),
        "StateMachineDoesNotExist",
        f"State Machine Does Not Exist: '{arn}:3'",
    )
    await refused(
        life.engine.delete_state_machine_version(arn),
        "InvalidArn",
        f"Invalid Arn: 'Invalid ARN prefix: {arn}'",
    )


async def test_a_version_stays_what_it_was(life: EngineFixture, restart: bool) -> None:
    arn = await machine(life, 2)
    await life.engine.update_state_machine(arn, role_arn="arn:aws:iam::123456789012:role/new")
    if restart:
        await life.restart()
    results = {}
    for qualifier in (":1", ":2", ""):
        execution = (await life.engine.start_execution(arn + qualifier))["executionArn"]
        results[qualifier] = (await life.engine.wait(execution))["output"]
        described = await life.engine.describe_state_machine(arn + qualifier)
        assert described["definition"] == definition(1 if qualifier == ":1" else 2)
        assert described["roleArn"].endswith("new") is (qualifier == "")
        history = (await life.engine.get_execution_history(execution))["events"][0][
            "executionStartedEventDetails"
        ]
        assert history["roleArn"] == described["roleArn"] and history.get(
            "stateMachineVersionArn"
        ) == (arn + qualifier if qualifier else None)
    assert results == {":1": "1", ":2": "2", "": "2"}


async def test_a_running_execution_outlives_its_version(life: EngineFixture, restart: bool) -> None:
    arn = await life.machine({"W": wait(60)})
    await life.engine.publish_state_machine_version(arn)
    execution = (await life.engine.start_execution(f"{arn}:1"))["executionArn"]
    await life.engine.update_state_machine(arn, definition=definition(2))
    await life.engine.delete_state_machine_version(f"{arn}:1")
    await refused(
        life.engine.start_execution(f"{arn}:1"),
        "StateMachineDoesNotExist",
        f"State Machine Does Not Exist: '{arn}:1'",
    )
    await life.after(61, restart)
    described = await life.engine.describe_execution(execution)
    assert (described["status"], described["stateMachineVersionArn"]) == ("SUCCEEDED", f"{arn}:1")


async def test_the_most_versions_and_aliases(small: Small) -> None:
    life = await small(versions=2, aliases=1)
    arn = await machine(life, 2)
    full = messages.VERSION_LIMIT.format(limit=2, arn=arn)
    await refused(
        life.engine.update_state_machine(arn, definition=definition(3), publish=True),
        "ServiceQuotaExceededException",
        full,
    )
    assert (await life.engine.describe_state_machine(arn))["definition"] == definition(2), (
        "nothing was updated"
    )
    await life.engine.update_state_machine(arn, definition=definition(3))
    await refused(
        life.engine.publish_state_machine_version(arn), "ServiceQuotaExceededException", full
    )
    await life.engine.create_state_machine_alias("a", routes(arn, v1=100))
    again = life.engine.create_state_machine_alias("b", routes(arn, v1=100))
    await refused(
        again, "ServiceQuotaExceededException", messages.ALIAS_LIMIT.format(limit=1, arn=arn)
    )
    assert (await life.engine.describe_state_machine(arn))["status"] == "ACTIVE", "the store works"


# --- aliases --------------------------------------------------------------------------------------


async def test_an_alias_and_its_life(life: EngineFixture, restart: bool) -> None:
    arn = await machine(life, 2)
    create = life.engine.create_state_machine_alias
    made = await create("live", routes(arn, v1=100), description="d")
    life.clock.advance(1000)
    if restart:
        await life.restart()
    create = life.engine.create_state_machine_alias
    assert made == {"stateMachineAliasArn": f"{arn}:live", "creationDate": made["creationDate"]}
    assert await create("live", routes(arn, v1=100), description="d") == made
    await refused(
        create("live", routes(arn, v2=100), description="d"),
        "ConflictException",
        messages.ALIAS_ROUTED_OTHERWISE,
    )
    await refused(
        create("live", routes(arn, v1=100)), "ConflictException", messages.ALIAS_DESCRIBED_OTHERWISE
    )
    used = (
        "Version to be deleted must not be referenced by an alias. Current list of aliases "
        "referencing this version: [live]"
    )
    await refused(life.engine.delete_state_machine_version(f"{arn}:1"), "ConflictException", used)
    nothing = messages.NOTHING_TO_UPDATE_ALIAS
    await refused(
        life.engine.update_state_machine_alias(f"{arn}:live"), "ValidationException", nothing
    )
    updated = await life.engine.update_state_machine_alias(
        f"{arn}:live", routing_configuration=routes(arn, v1=30, v2=70)
    )
    if restart:
        await life.restart()
    described = await life.engine.describe_state_machine_alias(f"{arn}:live")
    assert described == {
        "stateMachineAliasArn": f"{arn}:live",
        "name": "live",
        "description": "d",
        "routingConfiguration": routes(arn, v1=30, v2=70),
        "creationDate": made["creationDate"],
        "updateDate": updated["updateDate"],
    }
    assert updated["updateDate"] == made["creationDate"] + 1
    assert (await life.engine.describe_state_machine(f"{arn}:live"))[
        "stateMachineArn"
    ] == f"{arn}:2"
    await life.engine.update_state_machine_alias(f"{arn}:live", description="new")
    assert (await life.engine.describe_state_machine_alias(f"{arn}:live"))["description"] == "new"
    for _ in range(2):
        assert await life.engine.delete_state_machine_alias(f"{arn}:live") == {}
    for call in (
        life.engine.describe_state_machine_alias(f"{arn}:live"),
        life.engine.update_state_machine_alias(f"{arn}:live", description="x"),
        life.engine.list_state_machine_aliases(f"{arn}:7"),
    ):
        await refused(call, "ResourceNotFound", NONE)
    await life.engine.delete_state_machine_version(f"{arn}:1")


async def test_routing_configurations_that_are_refused(life: EngineFixture) -> None:
    arn, other = await machine(life, 2), await machine(life, name="other")
    shown = f"[{arn}:1, {arn}:1]"
    for configuration, text in (
        (
            routes(arn, v1=50) * 2,
            (
                "Routing configuration must contain distinct state machine version ARNs. "
                f"Received: {shown}"
            ),
        ),
        (
            routes(arn, v1=70, v2=29),
            "Sum of routing configuration weights must equal 100. Received: [70, 29]",
        ),
        (
            routes(arn, vx=100),
            f"Routing configuration must contain state machine version ARNs. Received: [{arn}:x]",
        ),
        (
            [{"stateMachineVersionArn": arn, "weight": 100}],
            f"Routing configuration must contain state machine version ARNs. Received: [{arn}]",
        ),
        (
            routes(arn, v1=50) + routes(other, v1=50),
            messages.ROUTES_OF_SEVERAL.format(arns=f"{arn}:1, {other}:1"),
        ),
    ):
        with pytest.raises(ApiError) as error:
            await life.engine.create_state_machine_alias("a", configuration)
        assert (error.value.code, error.value.message, error.value.reason) == (
            "ValidationException",
            text,
            "INVALID_ROUTING_CONFIGURATION",
        )
    await refused(
        life.engine.create_state_machine_alias("a", routes(arn, v9=100)), "ResourceNotFound", NONE
    )
    await refused(
        life.engine.create_state_machine_alias("a", routes(f"{arn}x", v1=100)),
        "ResourceNotFound",
        NONE,
    )
    await refused(
        life.engine.create_state_machine_alias("17", routes(arn, v1=100)),
        "InvalidName",
        "Invalid Name: '17'",
    )
    await life.engine.create_state_machine_alias("a", routes(arn, v1=100))
    with pytest.raises(ApiError) as error:
        await life.engine.update_state_machine_alias(
            f"{arn}:a", routing_configuration=routes(other, v1=100)
        )
    assert error.value.reason == "INVALID_ROUTING_CONFIGURATION"


async def test_aliases_are_listed_by_name(life: EngineFixture) -> None:
    arn = await machine(life, 2)
    for number, name in enumerate(("c", "a", "b-2", "b.1")):
        await life.engine.create_state_machine_alias(
            name, routes(arn, **{f"v{1 + number % 2}": 100})
        )

    async def names(of: str, **options: Any) -> tuple[list[str], str | None]:
        page = await life.engine.list_state_machine_aliases(of, **options)
        return [
            each["stateMachineAliasArn"].rpartition(":")[2] for each in page["stateMachineAliases"]
        ], page.get("nextToken")

    assert await names(arn) == (["a", "b-2", "b.1", "c"], None)
    assert (await names(f"{arn}:1"))[0] == ["b-2", "c"] and (await names(f"{arn}:2"))[0] == [
        "a",
        "b.1",
    ]
    first, token = await names(arn, max_results=3)
    assert first == ["a", "b-2", "b.1"] and await names(arn, max_results=3, next_token=token) == (
        ["c"],
        None,
    )
    invalid = "Invalid Token: 'Invalid token'"
    for call in (
        life.engine.list_state_machine_aliases(f"{arn}:1", next_token=token),
        life.engine.list_state_machine_versions(arn, next_token=token),
        life.engine.list_state_machine_aliases(arn, next_token="AAAA"),
    ):
        await refused(call, "InvalidToken", invalid)


# --- starting -------------------------------------------------------------------------------------


@pytest.mark.parametrize("weights", [(100, 0), (0, 100), (30, 70)])
async def test_starts_are_shared_by_weight(weights: tuple[int, int]) -> None:
    """Over draws that go through 0..99 each version gets its share exactly: the draw is the
    injected randomness, nothing else.
    """
    drawn = iter(range(10**6))

    async with Engine(
        clock=ManualClock(), new_uuid=lambda: str(uuid.UUID(int=next(drawn) // 3))
    ) as engine:
        arn = (await engine.create_state_machine("m", definition(1), type="EXPRESS", publish=True))[
            "stateMachineArn"
        ]
        await engine.update_state_machine(arn, definition=definition(2), publish=True)
        await engine.create_state_machine_alias("a", routes(arn, v1=weights[0], v2=weights[1]))
        outputs = Counter(
            [
                (await engine.start_sync_execution(f"{arn}:a", name="n"))["output"]
                for _ in range(100)
            ]
        )
    assert outputs == +Counter({"1": weights[0], "2": weights[1]})


async def test_executions_tell_their_version_and_alias(life: EngineFixture, restart: bool) -> None:
    arn = await life.machine({"W": wait(60)})
    await life.engine.publish_state_machine_version(arn)
    await life.engine.create_state_machine_alias("live", routes(arn, v1=100))
    started = {}
    for qualifier in ("", ":1", ":live"):
        answer = await life.engine.start_execution(
            arn + qualifier, trace_header="Root=1" if qualifier else None
        )
        started[qualifier] = answer["executionArn"]
        life.clock.advance(1)
    await life.calm()
    if restart:
        await life.restart()
    want = {"": {}, ":1": {"stateMachineVersionArn": f"{arn}:1"}}
    want[":live"] = {**want[":1"], "stateMachineAliasArn": f"{arn}:live"}
    for qualifier, execution in started.items():
        described = await life.engine.describe_execution(execution)
        assert {
            name: value
            for name, value in described.items()
            if name.endswith(("VersionArn", "AliasArn"))
        } == want[qualifier]
        assert described["stateMachineArn"] == arn and described.get("traceHeader") == (
            "Root=1" if qualifier else None
        )
        details = (await life.events(execution))[0]["executionStartedEventDetails"]
        assert {
            name: value
            for name, value in details.items()
            if name.endswith(("VersionArn", "AliasArn"))
        } == want[qualifier]

    async def listed(of: str, **options: Any) -> list[str]:
        return [
            each["executionArn"]
            for each in (await life.engine.list_executions(of, **options))["executions"]
        ]

    assert await listed(arn) == [started[":live"], started[":1"], started[""]]
    assert await listed(f"{arn}:1") == [started[":live"], started[":1"]] and await listed(
        f"{arn}:live"
    ) == [started[":live"]]
    assert await listed(f"{arn}:1", status_filter="SUCCEEDED") == []
    await refused(
        life.engine.list_executions(f"{arn}:2"),
        "StateMachineDoesNotExist",
        f"State Machine Does Not Exist: '{arn}:2'",
    )


async def test_the_same_name_by_another_arn_is_another_start(
    life: EngineFixture, restart: bool
) -> None:
    arn = await life.machine({"W": wait(60)})
    await life.engine.publish_state_machine_version(arn)
    await life.engine.update_state_machine(arn, definition=definition(2), publish=True)
    await life.engine.create_state_machine_alias("live", routes(arn, v1=50, v2=50))
    await life.engine.update_state_machine_alias(
        f"{arn}:live", routing_configuration=routes(arn, v1=100)
    )
    first = await life.engine.start_execution(f"{arn}:live", name="n")
    await life.engine.update_state_machine_alias(
        f"{arn}:live", routing_configuration=routes(arn, v2=100)
    )
    if restart:
        await life.restart()
    assert await life.engine.start_execution(f"{arn}:live", name="n") == first, (
        "whatever version it leads to"
    )
    for other in (arn, f"{arn}:1", f"{arn}:2"):
        exists = f"Execution Already Exists: '{first['executionArn']}'"
        await refused(
            life.engine.start_execution(other, name="n"), "ExecutionAlreadyExists", exists
        )


async def test_a_reader_sees_what_another_process_has_changed(life: EngineFixture) -> None:
    arn = await machine(life)
    store = open_store(life.path, read_only=True)
    await store.open()
    reader = Reader(store, life.engine.home, life.limits)
    assert (await reader.describe_state_machine(arn))["definition"] == definition(1)
    await life.engine.update_state_machine(arn, definition=definition(2))
    assert (await reader.describe_state_machine(arn))["definition"] == definition(2)
    await life.engine.delete_state_machine(arn)
    with pytest.raises(ApiError, match="StateMachineDoesNotExist"):
        await reader.describe_state_machine(arn)
    await store.close()
