"""Topic rules, created with boto3; messages come from Publish and from devices at a real broker."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from tests.integrations.bench import until
from tests.integrations.server.live import ACCOUNT, REGION, ROLE, eventually
from tests.integrations.services.embedded_engine import EmbeddedEngine
from tests.integrations.triggers.broker import MOSQUITTO, Device, Mosquitto, RealBroker, Wire
from tests.integrations.triggers.conftest import Open, Site

from stepwell.integrations.services.iot.broker import parse_address

FUNCTION = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function"


@pytest.fixture(scope="module")
def broker() -> Iterator[RealBroker]:
    real = RealBroker()
    yield real
    real.stop()


@pytest.fixture(scope="module")
def site(open_live: Open, broker: RealBroker) -> Site:
    site = Site(open_live("--mqtt", broker.url))
    eventually(lambda: site.live.said("connected to the broker"))
    return site


@pytest.fixture
def mosquitto(tmp_path: Path) -> Iterator[Mosquitto]:
    started = Mosquitto(tmp_path)
    yield started
    started.stop()


@pytest.fixture
def device(broker: RealBroker) -> Iterator[Device]:
    opened = Device(broker.port, "out/#")
    yield opened
    opened.close()


def rule(sql: str, *actions: dict[str, Any], **rest: Any) -> dict[str, Any]:
    return {"sql": sql, "actions": list(actions), "awsIotSqlVersion": "2016-03-23", **rest}


def start(machine: str, prefix: str = "") -> dict[str, Any]:
    name = machine.rpartition(":")[2]
    return {
        "stepFunctions": {
            "stateMachineName": name,
            "roleArn": ROLE,
            **({"executionNamePrefix": prefix} if prefix else {}),
        }
    }


def refused(call: Any, **parameters: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as error:
        call(**parameters)
    response = error.value.response["Error"]
    return response["Code"], response["Message"]


# --- definitions ----------------------------------------------------------------------------------


def test_rules(site: Site) -> None:
    iot = site.aws("iot")
    payload = rule(
        "SELECT * FROM 'some/+/where'",
        start("m"),
        description="d",
        errorAction={"lambda": {"functionArn": f"{FUNCTION}:e"}},
    )
    iot.create_topic_rule(ruleName="one", topicRulePayload=payload, tags="a=b&c=d")
    shown = iot.get_topic_rule(ruleName="one")
    assert shown["ruleArn"] == f"arn:aws:iot:{REGION}:{ACCOUNT}:rule/one"
    assert shown["rule"].items() >= {**payload, "ruleName": "one", "ruleDisabled": False}.items()
    assert shown["rule"]["createdAt"].year >= 2024
    assert {
        each["Key"]: each["Value"]
        for each in iot.list_tags_for_resource(resourceArn=shown["ruleArn"])["tags"]
    } == {"a": "b", "c": "d"}
    iot.tag_resource(resourceArn=shown["ruleArn"], tags=[{"Key": "e", "Value": "f"}])
    iot.untag_resource(resourceArn=shown["ruleArn"], tagKeys=["a", "c"])
    assert iot.list_tags_for_resource(resourceArn=shown["ruleArn"])["tags"] == [
        {"Key": "e", "Value": "f"}
    ]
    iot.create_topic_rule(
        ruleName="two",
        topicRulePayload=rule("SELECT * FROM 'other/#'", start("m"), ruleDisabled=True),
    )
    pages = [
        page["rules"]
        for page in iot.get_paginator("list_topic_rules").paginate(PaginationConfig={"PageSize": 1})
    ]
    assert [[each["ruleName"] for each in page] for page in pages] == [["one"], ["two"]]
    assert [each["ruleName"] for each in iot.list_topic_rules(topic="some/a/where")["rules"]] == [
        "one"
    ]
    assert [each["topicPattern"] for each in iot.list_topic_rules(ruleDisabled=True)["rules"]] == [
        "other/#"
    ]
    iot.enable_topic_rule(ruleName="two")
    iot.disable_topic_rule(ruleName="one")
    assert [each["ruleName"] for each in iot.list_topic_rules(ruleDisabled=True)["rules"]] == [
        "one"
    ]
    iot.replace_topic_rule(ruleName="one", topicRulePayload=rule("SELECT a FROM 'b'", start("n")))
    assert "description" not in iot.get_topic_rule(ruleName="one")["rule"]
    for name in ("one", "two"):
        iot.delete_topic_rule(ruleName=name)
    denied = ("UnauthorizedException", "Access to topic rule 'one' was denied")
    assert {
        refused(call, ruleName="one")
        for call in (iot.get_topic_rule, iot.delete_topic_rule, iot.enable_topic_rule)
    } == {denied}
    assert refused(iot.replace_topic_rule, ruleName="one", topicRulePayload=payload) == denied
    assert iot.describe_endpoint()["endpointAddress"] == site.url.removeprefix("http://")


def test_rejected_rules(site: Site) -> None:
    create = site.aws("iot").create_topic_rule
    for sql in (
        "SELECT",
        "SELECT a.b[0] FROM 'x'",
        "SELECT * FROM 'a/#/b'",
        "SELECT nofunction(1) AS a FROM 'x'",
    ):
        assert (
            refused(create, ruleName="bad", topicRulePayload=rule(sql, start("m")))[0]
            == "SqlParseException"
        ), sql
    other = {"s3": {"roleArn": ROLE, "bucketName": "b", "key": "k"}}
    assert (
        refused(create, ruleName="bad", topicRulePayload=rule("SELECT * FROM 'x'", other))[0]
        == "InvalidRequestException"
    )
    both = {**start("m"), "lambda": {"functionArn": f"{FUNCTION}:e"}}
    assert (
        refused(create, ruleName="bad", topicRulePayload=rule("SELECT * FROM 'x'", both))[0]
        == "InvalidRequestException"
    )
    code, text = refused(
        create, ruleName="a-b", topicRulePayload=rule("SELECT * FROM 'x'", start("m"))
    )
    assert code == "InvalidRequestException" and text.startswith(
        "1 validation error detected: Value 'a-b' at 'ruleName'"
    )
    create(ruleName="once", topicRulePayload=rule("SELECT * FROM 'x'", start("m")))
    again = refused(create, ruleName="once", topicRulePayload=rule("SELECT * FROM 'x'", start("m")))
    assert again == ("ResourceAlreadyExistsException", "Rule with name once already exists")
    publish = site.aws("iot-data").publish
    assert refused(publish, topic="a/+/b", payload=b"{}")[0] == "InvalidRequestException"
    assert refused(publish, topic="a", payload=b"x" * 131_073)[0] == "InvalidRequestException"
    site.aws("iot").delete_topic_rule(ruleName="once")


def test_an_invalid_address_of_a_broker_is_rejected(open_live: Open, tmp_path: Path) -> None:
    live = open_live("--mqtt", "http://secret@nowhere", "--db", tmp_path / "other.db")
    assert live.process.wait(60) == 2
    said = eventually(lambda: " ".join(each["message"] for each in live.log))
    assert "--mqtt" in said and "secret" not in said


# --- messages of devices --------------------------------------------------------------------------


def test_a_device_starts_an_execution(site: Site, device: Device) -> None:
    machine = site.machine("mqtt-start")
    sql = (
        "SELECT temperature AS t, topic(2) AS device FROM 'sensors/+/climate' WHERE temperature "
        "> 30"
    )
    site.aws("iot").create_topic_rule(
        ruleName="hot", topicRulePayload=rule(sql, start(machine, "hot_"))
    )
    for payload in ({"temperature": 29}, {"temperature": 31}, "no json"):
        device.publish("sensors/d1/climate", json.dumps(payload))
    device.publish("sensors/d1/climate", b"{\xff")
    device.publish("sensors/d2/climate", json.dumps({"temperature": 40}), qos=0)
    assert eventually(lambda: len(site.inputs(machine)) == 2)
    inputs = sorted(site.inputs(machine), key=lambda input: input["t"])  # QoS 0 may overtake QoS 1
    assert inputs == [{"t": 31, "device": "d1"}, {"t": 40, "device": "d2"}]
    listed = site.aws("stepfunctions").list_executions(stateMachineArn=machine)["executions"]
    assert all(each["name"].startswith("hot_") and len(each["name"]) == 40 for each in listed)
    site.aws("iot").delete_topic_rule(ruleName="hot")


def test_queues_and_topics_get_messages(site: Site, device: Device) -> None:
    sqs, sns = site.aws("sqs"), site.aws("sns")
    url, topic = (
        sqs.create_queue(QueueName="mqtt")["QueueUrl"],
        sns.create_topic(Name="mqtt")["TopicArn"],
    )
    queue_arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"][
        "QueueArn"
    ]
    sns.subscribe(
        TopicArn=topic,
        Protocol="sqs",
        Endpoint=queue_arn,
        Attributes={"RawMessageDelivery": "true"},
    )
    actions = (
        {"sqs": {"roleArn": ROLE, "queueUrl": url, "useBase64": True}},
        {"sqs": {"roleArn": ROLE, "queueUrl": url, "useBase64": False}},
        {"sns": {"roleArn": ROLE, "targetArn": topic, "messageFormat": "JSON"}},
    )
    site.aws("iot").create_topic_rule(
        ruleName="many",
        topicRulePayload=rule("SELECT d AS default, concat(d, '!') AS sqs FROM 'many'", *actions),
    )
    device.publish("many", '{"d": "told"}')
    got: list[str] = []

    def all_there() -> bool:
        found = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=1).get(
            "Messages", []
        )
        got.extend(each["Body"] for each in found)
        return len(got) >= 3

    eventually(all_there)
    assert sorted(got) == sorted(
        [
            '{"default":"told","sqs":"told!"}',
            base64.b64encode(b'{"default":"told","sqs":"told!"}').decode(),
            "told!",
        ]
    )
    site.aws("iot").delete_topic_rule(ruleName="many")


def test_publish_reaches_devices_and_rules(site: Site, device: Device) -> None:
    machine = site.machine("mqtt-publish")
    site.aws("iot").create_topic_rule(
        ruleName="pub", topicRulePayload=rule("SELECT * FROM 'out/#'", start(machine))
    )
    site.aws("iot-data").publish(topic="out/a/b", qos=1, payload=b'{"n": 1}')
    assert eventually(lambda: device.heard) == [("out/a/b", b'{"n": 1}')]
    assert eventually(lambda: site.inputs(machine)) == [{"n": 1}]
    site.aws("iot").disable_topic_rule(ruleName="pub")
    site.aws("iot-data").publish(topic="out/a/b", qos=1, payload=b'{"n": 2}')
    site.aws("iot").enable_topic_rule(ruleName="pub")
    site.aws("iot-data").publish(topic="out/a/b", qos=1, payload=b'{"n": 3}')
    assert eventually(lambda: site.inputs(machine)[1:]) == [{"n": 3}]
    site.aws("iot").delete_topic_rule(ruleName="pub")


def test_a_message_is_republished_as_its_template_says(site: Site, device: Device) -> None:
    action = {"republish": {"roleArn": ROLE, "topic": "out/${topic(2)}/${who}", "qos": 1}}
    site.aws("iot").create_topic_rule(
        ruleName="again", topicRulePayload=rule("SELECT VALUE n FROM 'in/+'", action)
    )
    device.publish("in/x", '{"n": [1], "who": "me"}')
    assert eventually(lambda: device.heard) == [("out/x/me", b"[1]")]
    site.aws("iot").delete_topic_rule(ruleName="again")


def test_a_retained_message_is_not_for_a_new_rule(site: Site, device: Device) -> None:
    machine = site.machine("mqtt-retained")
    device.publish("kept/a", '{"n": "old"}', retain=True)
    site.aws("iot").create_topic_rule(
        ruleName="kept", topicRulePayload=rule("SELECT * FROM 'kept/+'", start(machine))
    )
    device.publish("kept/b", '{"n": "new"}')
    assert eventually(lambda: site.inputs(machine)) == [{"n": "new"}]
    site.aws("iot").delete_topic_rule(ruleName="kept")


def test_the_broker_is_restarted(site: Site, broker: RealBroker) -> None:
    machine = site.machine("mqtt-back")
    site.aws("iot").create_topic_rule(
        ruleName="back", topicRulePayload=rule("SELECT * FROM 'back/+'", start(machine))
    )
    connected = [each for each in site.live.log if each["message"] == "connected to the broker"]
    broker.stop()
    eventually(
        lambda: any(
            "the connection to the broker is lost" in each["message"] for each in site.live.log
        )
    )
    publish = site.aws("iot-data").publish
    assert refused(publish, topic="back/a", payload=b"{}", qos=1)[0] == "ServiceUnavailable"
    broker.start()
    eventually(
        lambda: (
            len([each for each in site.live.log if each["message"] == "connected to the broker"])
            > len(connected)
        )
    )

    def heard() -> list[
        Any
    ]:  # the client subscribes again at the new broker, which a test cannot observe
        publish(topic="back/a", payload=b'{"n": 1}', qos=1)
        return site.inputs(machine)

    assert eventually(heard)[0] == {"n": 1}
    site.aws("iot").delete_topic_rule(ruleName="back")


def test_what_is_acknowledged_survives_a_kill(open_live: Open, tmp_path: Path) -> None:
    """The server is killed at an acknowledgement: acknowledged messages are stored, and the others
    are sent again.
    """
    wire, db = Wire(), tmp_path / "killed.db"
    first = Site(open_live("--mqtt", wire.url, "--db", db))
    machine = first.machine("killed")
    first.aws("iot").create_topic_rule(
        ruleName="k", topicRulePayload=rule("SELECT * FROM 'k/+'", start(machine))
    )
    wire.on_ack = lambda mid: first.live.process.kill() if len(wire.acknowledged) == 25 else None
    wire.begin({mid: ("k/a", json.dumps({"n": mid}).encode()) for mid in range(1, 101)})
    first.live.process.wait(timeout=60)
    assert len(wire.acknowledged) >= 25
    again = Site(open_live("--mqtt", wire.url, "--db", db))
    eventually(lambda: not wire.to_send)
    assert eventually(lambda: {each["n"] for each in again.inputs(machine)} == set(range(1, 101)))
    (names, flags) = zip(*wire.clients)
    assert len(set(names)) == 1 and names[0].startswith(b"stepwell-")
    assert not any(flag & 2 for flag in flags), "a session that the broker keeps"
    assert again.live.stop() == 0
    wire.close()


@pytest.mark.skipif(MOSQUITTO is None, reason="Mosquitto is not installed")
def test_messages_published_while_the_server_is_down_arrive_later(
    open_live: Open, mosquitto: Mosquitto, tmp_path: Path
) -> None:
    db = tmp_path / "away.db"
    site = Site(open_live("--mqtt", mosquitto.url, "--db", db))
    eventually(lambda: site.live.said("connected to the broker"))
    machine, device = site.machine("away"), Device(mosquitto.port)
    site.aws("iot").create_topic_rule(
        ruleName="away", topicRulePayload=rule("SELECT * FROM 'away/+'", start(machine))
    )
    for n in range(10):
        device.publish("away/a", json.dumps({"n": n}))
    site.live.process.kill()
    site.live.process.wait(timeout=60)
    for n in range(10, 20):
        device.publish("away/a", json.dumps({"n": n}))
    device.close()
    mosquitto.stop()
    mosquitto.start()
    again = Site(open_live("--mqtt", mosquitto.url, "--db", db))
    assert eventually(lambda: {each["n"] for each in again.inputs(machine)} == set(range(20)))
    assert again.live.stop() == 0


# --- without a broker -----------------------------------------------------------------------------


async def publish(house: EmbeddedEngine, topic: str, payload: Any) -> None:
    data = await house.registry.host.services.get("iot-data")
    await data.publish(
        topic, payload=payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    )


async def settled(house: EmbeddedEngine) -> None:
    iot = await house.registry.host.services.get("iot")
    while True:
        await house.calm()
        if not iot.publisher.deliveries.status()["running"]:
            return


@pytest.fixture
async def house(tmp_path: Path) -> Any:
    async with EmbeddedEngine(tmp_path / "house.db") as opened:
        yield opened


async def create(house: EmbeddedEngine, name: str, **payload: Any) -> None:
    iot = await house.registry.host.services.get("iot")
    await iot.create_topic_rule(name, payload)


async def test_a_function_and_an_error_action(house: EmbeddedEngine) -> None:
    received: list[Any] = []
    house.functions["f"] = received.append
    house.functions["e"] = received.append
    await house.close()
    await house.open()
    failing = {"lambda": {"functionArn": f"{FUNCTION}:e"}}
    await create(
        house,
        "good",
        sql="SELECT a FROM 't/#'",
        actions=[{"lambda": {"functionArn": f"{FUNCTION}:${{name}}"}}],
    )
    await create(
        house, "bad", sql="SELECT * FROM 't/#'", actions=[start("nothere")], errorAction=failing
    )
    await publish(house, "t/1", {"a": 1, "name": "f"})
    await settled(house)
    await settled(house)
    assert {"a": 1} in received
    (failure,) = [each for each in received if "failures" in each]
    assert failure["ruleName"] == "bad" and failure["topic"] == "t/1"
    assert json.loads(base64.b64decode(failure["base64OriginalPayload"])) == {"a": 1, "name": "f"}
    (what,) = failure["failures"]
    assert what["failedAction"] == "StepFunctionsAction" and what["failedResource"].endswith(
        ":nothere"
    )
    assert what["errorMessage"].startswith("State Machine Does Not Exist")


async def test_basic_ingest_reaches_one_rule(house: EmbeddedEngine) -> None:
    machine = await house.machine()
    await create(house, "one", sql="SELECT *, topic() AS t", actions=[start(machine)])
    await create(house, "two", sql="SELECT 2 AS two FROM '#'", actions=[start(machine)])
    await publish(house, "$aws/rules/one/a/b", {"n": 1})
    await settled(house)
    assert await house.inputs(machine) == [{"n": 1, "t": "a/b"}]


async def test_what_was_accepted_is_delivered_by_the_next_process(house: EmbeddedEngine) -> None:
    machine = await house.machine()
    await create(house, "r", sql="SELECT * FROM 'a'", actions=[start(machine)])
    await publish(house, "a", {"n": 1})
    await house.close()  # before a delivery
    await house.open()
    await settled(house)
    assert await house.inputs(machine) == [{"n": 1}]
    iot = await house.registry.host.services.get("iot")
    await publish(house, "a", {"n": 2})
    await settled(house)
    assert await house.inputs(machine) == [{"n": 1}, {"n": 2}]
    assert [each["ruleName"] for each in (await iot.list_topic_rules())["rules"]] == ["r"]


async def test_a_cycle_of_rules_ends(house: EmbeddedEngine) -> None:
    machine = await house.machine()
    again = {"republish": {"roleArn": ROLE, "topic": "a"}}
    await create(house, "r", sql="SELECT * FROM 'a'", actions=[start(machine), again])
    await publish(house, "a", {})
    await settled(house)
    assert len(await house.inputs(machine)) == 1 + house.limits.republish_hops


async def test_the_session_unsubscribes_from_unused_filters(house: EmbeddedEngine) -> None:
    """Including subscriptions of an earlier process with the same client id."""
    wire, iot = Wire(), await house.registry.host.services.get("iot")
    await create(house, "r", sql="SELECT * FROM 'old/+'", actions=[start("m")])
    await iot.connect(parse_address(wire.url))
    await until(lambda: wire.subscribed == [b"old/+"])
    await house.close()
    await house.open()
    iot = await house.registry.host.services.get("iot")
    await iot.delete_topic_rule("r")
    await create(house, "s", sql="SELECT * FROM 'new/+'", actions=[start("m")])
    await iot.connect(parse_address(wire.url))
    await until(lambda: wire.subscribed == [b"old/+", b"new/+"] and wire.unsubscribed == [b"old/+"])
    await iot.disable_topic_rule("s")
    assert wire.unsubscribed == [b"old/+", b"new/+"]
    assert len({name for name, _ in wire.clients}) == 1 < len(wire.clients)
    await house.close()
    wire.close()
    await house.open()


async def test_a_payload_that_is_not_text(house: EmbeddedEngine) -> None:
    machine = await house.machine()
    received: list[Any] = []
    house.functions["e"] = received.append
    await house.close()
    await house.open()
    error = {"lambda": {"functionArn": f"{FUNCTION}:e"}}
    await create(house, "raw", sql="SELECT * FROM 'a'", actions=[start(machine)], errorAction=error)
    await create(
        house,
        "encoded",
        sql="SELECT encode(*, 'base64') AS data FROM 'a'",
        actions=[start(machine)],
    )
    await publish(house, "a", b"\xff\x00")
    await settled(house)
    await settled(house)
    assert await house.inputs(machine) == [{"data": base64.b64encode(b"\xff\x00").decode()}]
    assert "UTF-8" in received[0]["failures"][0]["errorMessage"]
