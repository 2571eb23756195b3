r"""Nodes that die in every way while clients work: nothing that was acknowledged is lost, nothing
happens twice.

    STEPWELL_DEATHS=kill=200,freeze=40,terminate=30,cut=30 pytest -s tests/integrations/nodes \
        -k lost_or_repeated
"""

import asyncio
import json
import os
import random
import signal
import socket
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from statistics import median
from typing import Any

import asyncpg
from botocore.exceptions import BotoCoreError, ClientError
from tests.integrations.nodes.cluster import Cluster
from tests.integrations.server.conftest import home
from tests.integrations.server.live import ROLE, Live, eventually
from tests.postgres import PostgresServer

__all__ = ["home"]  # a fixture

DEATHS = os.environ.get("STEPWELL_DEATHS", "kill=1,terminate=1,cut=1")
CLIENTS = 4
FROZEN_SECONDS = 12.0  # longer than IDLE_SECONDS
# limits.owner_idle_seconds: those that do not freeze are replaced long before that
IDLE_SECONDS = 10.0 if "freeze" in DEATHS else 120.0


def definition(queue: str) -> str:
    return json.dumps(
        {
            "StartAt": "First",
            "States": {
                "First": {"Type": "Pass", "Next": "Pause"},
                "Pause": {"Type": "Wait", "Seconds": 1, "Next": "Send"},
                "Send": {
                    "Type": "Task",
                    "Resource": "arn:aws:states:::sqs:sendMessage",
                    "Parameters": {"QueueUrl": queue, "MessageBody.$": "$$.Execution.Name"},
                    "Next": "Last",
                },
                "Last": {"Type": "Pass", "End": True},
            },
        }
    )


EVENTS = [
    "ExecutionStarted",
    *("PassStateEntered", "PassStateExited"),
    *("WaitStateEntered", "WaitStateExited"),
    *("TaskStateEntered", "TaskScheduled", "TaskStarted", "TaskSucceeded", "TaskStateExited"),
    *("PassStateEntered", "PassStateExited"),
    "ExecutionSucceeded",
]


class Cable:
    """A TCP proxy between a node and the database, whose connections can be cut."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self._sockets: set[socket.socket] = set()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._listening.accept()
                far = socket.create_connection(("127.0.0.1", self._target))
                self._sockets |= {near, far}
                for ends in ((near, far), (far, near)):
                    threading.Thread(target=self._pump, args=ends, daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
        for each in (source, sink):
            self._sockets.discard(each)
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def cut(self) -> None:
        for each in list(self._sockets):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._listening.close()
        self.cut()


def started(nodes: Cluster, arn: str, name: str, input: str = "{}") -> bool:
    """Start an execution. False: the outcome is unknown. It may have ended since an earlier try."""
    states = nodes.client(connect_timeout=2, read_timeout=60)
    try:
        states.start_execution(stateMachineArn=arn, name=name, input=input)
    except states.exceptions.ExecutionAlreadyExists:
        return True
    except (BotoCoreError, ClientError):
        return False
    return True


class Torture:
    def __init__(self, nodes: Cluster, server: PostgresServer, schema: str) -> None:
        self.nodes, self.server, self.schema = nodes, server, schema
        self.acknowledged: list[str] = []
        self.took = defaultdict[str, list[float]](list)  # how -> seconds until others served
        self._cables: dict[Live, Cable] = {}
        self._random = random.Random(1)

    # --- nodes

    def start(self) -> None:
        cable = Cable(self.server.port)
        self.nodes.db = (
            f"postgresql://stepwell@127.0.0.1:{cable.port}/postgres?search_path={self.schema}"
        )
        self._cables[self.nodes.start()] = cable

    def victim(self) -> Live:
        return self._random.choice(self.nodes.nodes)

    def kill(self) -> None:
        victim = self.victim()
        victim.process.send_signal(signal.SIGKILL)
        self._served_by_others(victim, "kill")
        self.nodes.end(victim, signal.SIGKILL)
        self._cables.pop(victim).close()
        self.start()

    def freeze(self) -> None:
        victim = self.victim()
        victim.process.send_signal(signal.SIGSTOP)
        began = time.monotonic()
        self._served_by_others(victim, "freeze")
        time.sleep(max(0.0, FROZEN_SECONDS - (time.monotonic() - began)))
        victim.process.send_signal(signal.SIGCONT)

    def terminate(self) -> None:
        """End every session of one node, as an administrator may."""
        port = self._cables[self.victim()]

        async def end() -> None:
            connection = await asyncpg.connect(self.server.url)
            await connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE application_name LIKE 'stepwell%' AND client_port = ANY($1)",
                [each.getsockname()[1] for each in list(port._sockets)],
            )
            await connection.close()

        asyncio.run(end())

    def cut(self) -> None:
        self._cables[self.victim()].cut()

    def _served_by_others(self, victim: Live, how: str) -> None:
        """Wait until every shard has an owner that lives."""
        began = time.monotonic()
        (other,) = [each for each in self.nodes.nodes if each is not victim][:1]

        def owned() -> bool:
            with suppress(OSError):
                return other.get("/ready") == "ready\n" and _owned(other) == 8
            return False

        eventually(owned)
        self.took[how].append(time.monotonic() - began)

    # --- clients

    def load(self, worker: int, arn: str, stop: threading.Event) -> None:
        """Start executions by name until `stop` is set; an unknown outcome is tried again."""
        number = 0
        while not stop.is_set():
            number += 1
            name = f"c{worker}-{number}"
            while not started(self.nodes, arn, name):
                time.sleep(0.05)
            self.acknowledged.append(name)


def _owned(node: Live) -> int:
    from tests.integrations.nodes.cluster import owned_shards

    return owned_shards(node)


@contextmanager
def tortured(home: dict[str, str], server: PostgresServer, schema: str) -> Iterator[Torture]:
    nodes = Cluster(home, "", owner_idle_seconds=IDLE_SECONDS)
    torture = Torture(nodes, server, schema)
    try:
        torture.start()
        torture.start()
        nodes.settled()
        yield torture
    finally:
        nodes.close()
        for each in torture._cables.values():
            each.close()


def test_nothing_is_lost_or_repeated(
    home: dict[str, str], postgres_server: PostgresServer, tmp_path: Any
) -> None:
    plan = [
        name
        for word in DEATHS.split(",")
        for name, _, count in [word.partition("=")]
        for _ in range(int(count))
    ]
    random.Random(2).shuffle(plan)
    with tortured(home, postgres_server, tmp_path.name.lower()) as torture:
        nodes = torture.nodes
        states, sqs = nodes.client(), nodes.client("sqs")
        queue = sqs.create_queue(QueueName="once")["QueueUrl"]
        arn = states.create_state_machine(name="m", definition=definition(queue), roleArn=ROLE)[
            "stateMachineArn"
        ]
        stop = threading.Event()
        threads = [
            threading.Thread(target=torture.load, args=(each, arn, stop)) for each in range(CLIENTS)
        ]
        for each in threads:
            each.start()
        try:
            for how in plan:
                act: Callable[[], None] = getattr(torture, how)
                act()
                nodes.settled(60)
                time.sleep(0.3)
        finally:
            stop.set()
            for each in threads:
                each.join()
        names = torture.acknowledged
        print(f"{len(names)} executions, {Counter(plan)}")
        for how, took in torture.took.items():
            print(f"{how}: served after {median(took):.2f} s, at most {max(took):.2f} s")
        assert len(names) > 10 * len(plan)
        _check(nodes, arn, queue, names)
        assert max(torture.took["kill"], default=0) < IDLE_SECONDS / 2
        assert max(torture.took["freeze"], default=0) < 15


MESSAGES = int(os.environ.get("STEPWELL_MESSAGES", "600"))
KILLS = int(os.environ.get("STEPWELL_MESSAGE_KILLS", "1"))
EACH = 50  # messages of one execution


def sender(queue: str) -> str:
    message = {"QueueUrl": queue, "MessageBody.$": "States.Format('{}/{}', $$.Execution.Name, $)"}
    send = {
        "Type": "Task",
        "Resource": "arn:aws:states:::sqs:sendMessage",
        "Parameters": message,
        "ResultPath": None,
        "End": True,
    }
    states = {
        "All": {
            "Type": "Map",
            "ItemProcessor": {"StartAt": "Send", "States": {"Send": send}},
            "MaxConcurrency": 10,
            "End": True,
        }
    }
    return json.dumps({"StartAt": "All", "States": states})


def test_messages_of_every_shard_arrive_once(
    home: dict[str, str], postgres_server: PostgresServer, tmp_path: Any
) -> None:
    """STEPWELL_MESSAGES=100000 STEPWELL_MESSAGE_KILLS=50: executions of all shards send to a queue
    of home, while the nodes are killed in turn.
    """
    with tortured(home, postgres_server, tmp_path.name.lower()) as torture:
        nodes = torture.nodes
        states, sqs = nodes.client(), nodes.client("sqs")
        queue = sqs.create_queue(QueueName="once")["QueueUrl"]
        arn = states.create_state_machine(name="m", definition=sender(queue), roleArn=ROLE)[
            "stateMachineArn"
        ]
        names = [f"s{number}" for number in range(MESSAGES // EACH)]
        began = threading.Event()

        def start_all() -> None:
            for name in names:
                while not started(nodes, arn, name, json.dumps(list(range(EACH)))):
                    time.sleep(0.05)
                began.set()

        starting = threading.Thread(target=start_all)
        starting.start()
        began.wait(30)
        for _ in range(KILLS):
            torture.kill()
            nodes.settled(60)
        starting.join()
        got = received(nodes, queue, len(names) * EACH)
        wanted = {f"{name}/{number}" for name in names for number in range(EACH)}
        assert set(got) == wanted
        assert set(got.values()) == {1}


def received(nodes: Cluster, queue: str, wanted: int) -> Counter[str]:
    """What a queue has, until it has been empty for some time."""
    sqs = nodes.client("sqs", retries={"total_max_attempts": 5})
    got: Counter[str] = Counter()
    empty, end = 0, time.monotonic() + 60 + wanted / 50
    while (sum(got.values()) < wanted or empty < 2) and time.monotonic() < end:
        answer = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10, WaitTimeSeconds=1)
        messages = answer.get("Messages", [])
        empty = 0 if messages else empty + 1
        got.update(each["Body"] for each in messages)
        if messages:
            sqs.delete_message_batch(
                QueueUrl=queue,
                Entries=[
                    {"Id": str(number), "ReceiptHandle": each["ReceiptHandle"]}
                    for number, each in enumerate(messages)
                ],
            )
    return got


def _check(nodes: Cluster, arn: str, queue: str, names: list[str]) -> None:
    states = nodes.client(retries={"total_max_attempts": 5})
    prefix = arn.replace(":stateMachine:", ":execution:")
    for name in names:
        execution = f"{prefix}:{name}"

        def closed(execution: str = execution) -> Any:
            found = states.describe_execution(executionArn=execution)
            return found if found["status"] != "RUNNING" else None

        found = eventually(closed, 60)
        assert found["status"] == "SUCCEEDED", found
        events = states.get_execution_history(executionArn=execution)["events"]
        assert [each["type"] for each in events] == EVENTS, (name, events)
        assert [each["id"] for each in events] == list(range(1, len(EVENTS) + 1))
    got = received(nodes, queue, len(names))
    assert not (missing := set(names) - set(got)), sorted(missing)[:5]
    twice = [name for name, count in got.items() if count > 1]
    assert not twice, twice[:5]
