"""Searches: by attributes of the input and output, error, time, status and machine; on SQLite, in
memory and in a file, and on PostgreSQL.
"""

import json
from collections.abc import Iterator
from functools import partial
from itertools import count
from typing import Any

import pytest
from tests.engine.store.conftest import own_schema

from stepwell import ApiError, SyncEngine
from stepwell.asl import search_attributes
from stepwell.engine.arns import execution_arn, read_machine
from stepwell.engine.limits import Limits
from stepwell.engine.search import values
from stepwell.engine.tasks import TaskError
from stepwell.integrations.tasks.registry import Registry

WORK = "arn:aws:lambda:us-east-1:123456789012:function:work"
COMMENT = "Sells. stepwell:searchAttributes customer orderId=order.id skus total=output.total vip"


def definition(comment: Any = COMMENT) -> dict[str, Any]:
    work = {"Type": "Task", "Resource": WORK, "End": True}
    return {"Comment": comment, "StartAt": "Work", "States": {"Work": work}}


failed: list[str] = []


def work(order: Any) -> Any:
    if error := order.get("error"):
        raise TaskError(error, "as asked")
    if "once" in order and order["once"] not in failed:
        failed.append(order["once"])
        raise TaskError(order["once"], "once")
    return {"total": order.get("total"), "customer": order.get("customer")}


@pytest.fixture(params=["memory", "file", "postgresql"])
def engine(request: pytest.FixtureRequest, tmp_path: Any) -> Iterator[SyncEngine]:
    db = {"memory": lambda: ":memory:", "file": lambda: tmp_path / "s.db"}.get(
        request.param, lambda: own_schema(request, tmp_path)
    )()
    limits = Limits(search_rows=3000)
    with SyncEngine(db, tasks=Registry(functions={"work": work}), limits=limits) as opened:
        yield opened


def machine(engine: SyncEngine, name: str = "sell", comment: Any = COMMENT, **more: Any) -> str:
    made = engine.create_state_machine(name, definition(comment), **more)
    return str(made["stateMachineArn"])


def run(engine: SyncEngine, arn: str, name: str, **input: Any) -> str:
    """Under a name on the shard of the engine, which begins with this one."""
    numbered = map(f"{name}-{{}}".format, count())
    plain = read_machine(arn).machine
    own, _ = engine.engine.shard.draw(partial(execution_arn, plain), lambda: next(numbered))
    started = engine.start_execution(arn, name=own, input=input)["executionArn"]
    engine.wait(started, timeout=60)
    return started


def found(engine: SyncEngine, query: str, page: int = 0) -> list[str]:
    names: list[str] = []
    token: dict[str, str] = {}
    while True:
        answer = engine.search_executions(query, max_results=page, **token)
        names += [each["name"].partition("-")[0] for each in answer["executions"]]
        if "nextToken" not in answer:
            return names
        token = {"next_token": answer["nextToken"]}


def test_what_is_named_is_found(engine: SyncEngine) -> None:
    sell, other = machine(engine), machine(engine, "other", "stepwell:searchAttributes customer")
    run(engine, sell, "a", customer="ada", order={"id": 42}, total=10, skus=["lamp-1", "desk"])
    run(engine, sell, "b", customer="bob", order={"id": "42"}, total=250.5, vip=True)
    run(engine, sell, "c", customer="ada", order={"id": 7}, total=-3, vip=False, skus="lamp-2")
    run(engine, sell, "d", customer="ada", error="OutOfStock", order={"id": 9}, vip=None)
    run(engine, other, "e", customer="ada", total=99)
    answers = {
        "": "edcba",
        "customer=ada": "edca",
        "customer=ada machine=sell": "dca",
        f"customer=ada machine={other}": "e",
        "customer=a*": "edca",
        "customer=ada,bob machine=sell": "dcba",
        'customer="ada" total>=10': "a",
        "orderId=42": "ba",
        'orderId="42"': "b",
        "orderId>8": "da",
        "total>-3.5": "cba",
        "total<=10": "ca",
        "total>10 total<300": "b",
        "total=250.5": "b",
        "skus=desk": "a",
        "skus=lamp*": "ca",
        "vip=true": "b",
        "vip=false,null": "dc",
        "customer>=b": "b",
        "error=OutOfStock": "d",
        "error=Out* customer=ada": "d",
        "status=FAILED": "d",
        "status=succeeded machine=sell": "cba",
        "started>=1h": "edcba",
        "started<1h": "",
        "stopped>2999-01-01": "",
        "started<=2999-01-01T00:00:00Z customer=bob": "b",
        "unknown=1": "",
    }
    assert {query: "".join(found(engine, query)) for query in answers} == answers
    assert found(engine, "customer=ada", page=1) == ["e", "d", "c", "a"]


def test_a_tag_names_attributes_of_executions_that_start_later(engine: SyncEngine) -> None:
    arn = machine(engine, comment=None)
    run(engine, arn, "before", customer="ada")
    engine.tag_resource(
        arn, tags=[{"key": "stepwell:searchAttributes", "value": "customer total=output.total"}]
    )
    run(engine, arn, "after", customer="ada", total=5)
    assert found(engine, "customer=ada") == ["after"]
    assert found(engine, "total=5") == ["after"]


def test_a_redrive_takes_back_the_end(engine: SyncEngine) -> None:
    failed.clear()
    arn = machine(engine)
    started = run(engine, arn, "again", customer="ada", total=1, once="Busy")
    assert found(engine, "error=Busy") == ["again"]
    engine.redrive_execution(started)
    engine.wait(started, timeout=60)
    assert found(engine, "error=Busy") == []
    assert found(engine, "total=1 customer=ada") == ["again"]


def test_versions_and_aliases_are_machines(engine: SyncEngine) -> None:
    arn = machine(engine, publish=True)
    route = {"stateMachineVersionArn": f"{arn}:1", "weight": 100}
    engine.create_state_machine_alias("live", routing_configuration=[route])
    run(engine, arn, "plain", customer="ada")
    run(engine, f"{arn}:live", "aliased", customer="ada")
    run(engine, f"{arn}:1", "versioned", customer="bob")
    assert found(engine, f"machine={arn}:1") == ["versioned", "aliased"]
    assert found(engine, "machine=sell:live") == ["aliased"]
    assert found(engine, "machine=sell:1 customer=ada") == ["aliased"]


def test_nothing_is_left_of_what_is_deleted(engine: SyncEngine) -> None:
    arn = machine(engine)
    run(engine, arn, "old", customer="ada", error="Busy")
    later = engine.engine.clock.now() + 1

    async def delete() -> int:
        return await engine.engine.store.delete_closed(later)

    assert engine._call(delete) == 1
    assert found(engine, "customer=ada") == found(engine, "error=Busy") == []


def test_pages_are_bounded_in_work(engine: SyncEngine) -> None:
    """A page ends after so many executions that it has looked at, with a token."""
    arn = machine(engine)
    for number in range(12):
        run(engine, arn, f"n{number}", customer="ada", order={"id": number})
    assert found(engine, "customer=ada orderId=3", page=5) == ["n3"]
    assert found(engine, "customer=ada", page=5) == [f"n{number}" for number in range(11, -1, -1)]


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("customer", "'customer' at column 1: not NAME=VALUE"),
        ("a=1 b~2", "'b~2' at column 5: not NAME=VALUE"),
        ("a=1 status=DONE", "'status=DONE' at column 5: DONE is not one of RUNNING, SUCCEEDED"),
        ("status=FAILED status=RUNNING", "'status=RUNNING' at column 15: a search has one status"),
        ("status>RUNNING", "status can be compared with = only"),
        ("started=2h", "started can be compared with <, <=, > and >= only"),
        ("started>soon", "soon is not a time such as"),
        ("machine=a machine=b", "a search names one machine, or none for all"),
        ("a>1,2", "'a>1,2' at column 1: > takes one value"),
        (" ".join(f"a{n}=1" for n in range(9)), "'a8=1' at column 41: more than 8 attributes"),
        ("a=" + ",".join("12345678901234567"), "more than 16 values"),
        ("machine=arn:aws:sqs:us-east-1:1:queue", "Invalid Arn"),
    ],
)
def test_a_query_that_cannot_be_read_says_where(query: str, says: str) -> None:
    with SyncEngine() as engine, pytest.raises(ApiError) as caught:
        engine.search_executions(query)
    assert says in caught.value.message


def test_large_integers_are_told_apart() -> None:
    numbers = [-(2.0**70), -(2**63) - 1, -(2**63), -(2**53) - 1, -(2**53), -1.5, 0, 2**53 - 1]
    numbers += [2**53, 2**53 + 1, 1e17, 10**17 + 1, 2**63 - 1, 2**64, 2.0**70]
    encoded = [values.encode(each) for each in numbers]
    assert sorted(set(encoded)) == encoded
    assert values.encode(1e17) == values.encode(10**17)
    assert values.encode(-0.0) == values.encode(0)


def test_faults_of_attributes_are_listed() -> None:
    assert search_attributes.faults("a b=x.y status 9x a c=output.t.0") == [
        "'status': searches use 'status' for what each execution has",
        "'9x': not NAME, NAME=path.in.the.input or NAME=output.path",
        "'a': 'a' is named before",
    ]
    assert [each.path for each in search_attributes.read("a,b=$.x[0].y c=output.t")] == [
        ("a",),
        ("x", "0", "y"),
        ("t",),
    ]
    assert search_attributes.of_comment({"a": 1}) == ()
    assert json.loads(json.dumps(search_attributes.of_comment(f"x\n{COMMENT}; y")[0])) == [
        "customer",
        False,
        ["customer"],
    ]
