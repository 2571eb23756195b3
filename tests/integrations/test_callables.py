"""Functions that are Python callables of this process: signatures, results, errors."""

import asyncio
import functools
import json
import threading
from typing import Any

import pytest

from stepwell.engine.tasks import TaskError
from stepwell.integrations.services.runtime.callables import Callables, inspect_callable
from stepwell.integrations.services.runtime.folder import Answer, Call

ID = "11111111-2222-4333-8444-555555555555"
CALL = Call(ID, "arn:aws:lambda:us-east-1:123456789012:function:f", seconds=5, token="t0k")


async def invoke(function: Any, event: Any = None) -> Answer:
    callables = Callables()
    try:
        return await callables.invoke(inspect_callable("f", function), event, CALL)
    finally:
        callables.close()


class Plain:
    def __call__(self, payload: Any) -> Any:
        return ["object", payload]

    def method(self, payload: Any, context: Any) -> Any:
        return ["method", payload, context.aws_request_id]


class Awaits:
    async def __call__(self, payload: Any) -> Any:
        return ["async object", payload]


async def both(payload: Any, context: Any) -> Any:
    await asyncio.sleep(0)
    return [payload, context.task_token]


def scaled(payload: Any, scale: int = 2) -> Any:
    return payload * scale


def optional(payload: Any, context: Any = None) -> Any:
    return context.function_name


@pytest.mark.parametrize(
    ("function", "value"),
    [
        (lambda payload: ["plain", payload], ["plain", 7]),
        (lambda payload, context: [payload, context.invoked_function_arn], [7, CALL.arn]),
        (both, [7, "t0k"]),
        (scaled, 14),
        (optional, "f"),
        (lambda *payload: payload, [7]),
        (lambda payload, **rest: payload, 7),
        (functools.partial(scaled, scale=3), 21),
        (Plain(), ["object", 7]),
        (Plain().method, ["method", 7, ID]),
        (Awaits(), ["async object", 7]),
        (lambda payload: Awaits()([payload]), ["async object", [7]]),
        (str, "7"),
        (float, 7.0),
    ],
)
async def test_signatures(function: Any, value: Any) -> None:
    answer = await invoke(function, 7)
    assert (answer.value, answer.failed) == (value, False)


@pytest.mark.parametrize("function", [lambda: 1, lambda a, b, c: 1, lambda *, payload: 1])
def test_what_cannot_be_called_is_rejected_at_once(function: Any) -> None:
    with pytest.raises(TypeError, match="function 'f' takes neither"):
        inspect_callable("f", function)
    with pytest.raises(TypeError, match="function 'f' is not callable: 3"):
        inspect_callable("f", 3)  # type: ignore[arg-type]


async def test_events_and_results_are_copied() -> None:
    kept: list[Any] = []

    def function(payload: Any) -> Any:
        payload["list"].append("theirs")
        kept.append(payload)
        return payload

    event = {"list": [1]}
    answer = await invoke(function, event)
    kept[0]["list"].append("later")
    assert (event, answer.value) == ({"list": [1]}, {"list": [1, "theirs"]})


async def test_plain_callables_run_in_threads_and_coroutines_on_the_loop() -> None:
    async def on_loop(payload: Any) -> Any:
        return threading.current_thread() is threading.main_thread()

    assert (
        await invoke(lambda payload: threading.current_thread() is threading.main_thread())
    ).value is False
    assert (await invoke(on_loop)).value is True
    callables = Callables()
    together = threading.Barrier(8)  # breaks unless all are in it at the same time
    answers = await asyncio.gather(
        *(
            callables.invoke(
                inspect_callable("f", lambda payload: together.wait(60) >= 0), None, CALL
            )
            for _ in range(8)
        )
    )
    assert [answer.value for answer in answers] == [True] * 8
    callables.close()


async def test_exceptions_have_the_shape_of_a_function_error() -> None:
    def inner() -> None:
        raise ValueError("ö")

    def function(payload: Any) -> Any:
        inner()

    answer = await invoke(function)
    assert answer.failed
    assert answer.text.startswith(
        '{"errorMessage": "ö", "errorType": "ValueError", "requestId": "'
        + ID
        + '", "stackTrace": ["  File '
    )
    trace = json.loads(answer.text)["stackTrace"]
    assert ["in function\n" in trace[0], "in inner\n" in trace[1], len(trace)] == [True, True, 2]
    assert trace[1].endswith('    raise ValueError("ö")\n')


@pytest.mark.parametrize("asynchronous", [False, True])
@pytest.mark.parametrize(
    "error",
    [
        StopIteration("s"),
        SystemExit(3),
        asyncio.CancelledError("c"),
        StopAsyncIteration(),
        ValueError("\ud800"),
    ],
)
async def test_exceptions_with_a_meaning_for_the_event_loop(
    error: BaseException, asynchronous: bool
) -> None:
    def plain(payload: Any) -> Any:
        raise error

    async def coroutine(payload: Any) -> Any:
        raise error

    answer = await invoke(coroutine if asynchronous else plain)
    name = (
        "RuntimeError"
        if asynchronous and isinstance(error, StopIteration)
        else type(error).__name__
    )
    assert (answer.failed, answer.value["errorType"]) == (True, name)


async def test_a_task_error_passes() -> None:
    def function(payload: Any) -> Any:
        raise TaskError("Out of stock", "no lamps")

    with pytest.raises(TaskError) as raised:
        await invoke(function)
    assert (raised.value.error, raised.value.cause) == ("Out of stock", "no lamps")


async def test_cancelling_the_attempt_cancels_the_coroutine() -> None:
    seen: list[str] = []
    begun = asyncio.Event()

    async def function(payload: Any) -> Any:
        begun.set()
        try:
            await asyncio.sleep(600)
        except asyncio.CancelledError:
            seen.append("cancelled")
            raise

    task = asyncio.create_task(invoke(function))
    await asyncio.wait_for(begun.wait(), 60)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert seen == ["cancelled"]


@pytest.mark.parametrize(
    ("result", "message"),
    [
        ({1, 2}, "Object of type set is not JSON serializable"),
        (float("inf"), "Out of range float values are not JSON compliant"),
        ("\ud800", "'utf-8' codec can't encode character"),
    ],
)
async def test_results_without_a_json_form(result: Any, message: str) -> None:
    answer = await invoke(lambda payload: result)
    assert (answer.failed, answer.value["errorType"]) == (True, "Runtime.MarshalError")
    assert answer.value["errorMessage"].startswith(f"Unable to marshal response: {message}")


async def test_exact_numbers_and_letters() -> None:
    value = {"n": [2**64, -(10**40), 0.1], "ö": "\U0001f600"}
    assert (await invoke(lambda payload: payload, value)).value == value
