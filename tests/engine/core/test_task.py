"""Task: the events of each kind of resource, what fails before and after the work, time limits and
heartbeats.
"""

from typing import Any

import pytest
from tests.engine.core.driver import (
    ACTIVITY,
    CALLBACK,
    JOB,
    LAMBDA,
    PASS,
    PLAIN,
    SYNC,
    TASK,
    WAIT_FOR_TOKEN,
    WORK,
    Fails,
    Later,
    Silent,
    Submits,
    Taken,
    begin,
    catch,
    in_state,
    jsonata,
    lines,
    machine,
    only,
    retry,
    run,
)

from stepwell.engine.core.events import RunTask


# --- the kinds ------------------------------------------------------------------------------------
def test_lambda_function() -> None:
    assert run(only(PLAIN), {"x": 1}, S={"y": 2}).lines == lines("""
        1<0 ExecutionStarted {"x":1}
        2<0 TaskStateEntered S {"x":1}
        3<2 LambdaFunctionScheduled {"x":1}
        4<3 LambdaFunctionStarted
        5<4 LambdaFunctionSucceeded {"y":2}
        6<5 TaskStateExited S {"y":2}
        7<6 ExecutionSucceeded {"y":2}
    """)


def test_lambda_function_that_fails() -> None:
    assert run(only(PLAIN), S=Fails("E", '{"errorType":"E"}')).lines[2:] == lines("""
        3<2 LambdaFunctionScheduled {}
        4<3 LambdaFunctionStarted
        5<4 LambdaFunctionFailed error=E cause={"errorType":"E"}
        6<5 ExecutionFailed error=E cause={"errorType":"E"}
    """)


def test_service() -> None:
    assert run(only(TASK), 1, S="ok").lines[1:] == lines("""
        2<0 TaskStateEntered S 1
        3<2 TaskScheduled {"FunctionName":"f","Payload":1}
        4<3 TaskStarted
        5<4 TaskSucceeded "ok"
        6<5 TaskStateExited S "ok"
        7<6 ExecutionSucceeded "ok"
    """)


@pytest.mark.parametrize(
    ("failure", "shown"),
    [
        (Fails("E", "why"), " error=E cause=why"),
        (Fails("E"), " error=E"),
        (Fails(None, "why"), " cause=why"),
        (Fails(), ""),
        (Fails("", ""), " error= cause="),
    ],
)
def test_service_that_fails(failure: Fails, shown: str) -> None:
    assert run(only(TASK), S=failure).lines[4:] == [
        f"5<4 TaskFailed{shown}",
        f"6<5 ExecutionFailed{shown}",
    ]


def test_callback() -> None:
    assert run(only(WAIT_FOR_TOKEN), 1, S=Submits({"MessageId": "m"}, Later(5, "done"))).lines[
        2:
    ] == lines("""
        3<2 TaskScheduled {"QueueUrl":"q","MessageBody":1}
        4<3 TaskStarted
        5<4 TaskSubmitted {"MessageId":"m"}
        6<5 TaskSucceeded "done"
        7<6 TaskStateExited S "done"
        8<7 ExecutionSucceeded "done"
    """)


def test_callback_that_fails_before_and_after_it_was_submitted() -> None:
    assert run(only(WAIT_FOR_TOKEN), S=Fails("SQS.E", "no queue")).lines[3:] == lines("""
        4<3 TaskStarted
        5<4 TaskFailed error=SQS.E cause=no queue
        6<5 ExecutionFailed error=SQS.E cause=no queue
    """)
    assert run(only(WAIT_FOR_TOKEN), S=Submits({}, Fails())).lines[4:] == lines("""
        5<4 TaskSubmitted {}
        6<5 TaskFailed
        7<6 ExecutionFailed
    """)


def test_job() -> None:
    assert run(only(JOB), S=Submits({"ExecutionArn": "a"}, Later(60, {"Output": 1}))).lines[
        2:
    ] == lines("""
        3<2 TaskScheduled {"StateMachineArn":"m"}
        4<3 TaskStarted
        5<4 TaskSubmitted {"ExecutionArn":"a"}
        6<5 TaskSucceeded {"Output":1}
        7<6 TaskStateExited S {"Output":1}
        8<7 ExecutionSucceeded {"Output":1}
    """)


@pytest.mark.parametrize(("worker", "shown"), [("w", " workerName=w"), (None, "")])
def test_activity(worker: str | None, shown: str) -> None:
    trace = run(
        only({**WORK, "TimeoutSeconds": 60, "HeartbeatSeconds": 10}),
        1,
        S=Later(5, Taken(worker, "ok")),
    )
    assert trace.lines[2:] == lines(f"""
        3<2 ActivityScheduled 1 timeoutInSeconds=60 heartbeatInSeconds=10
        4<3 ActivityStarted{shown}
        5<4 ActivitySucceeded "ok"
        6<5 TaskStateExited S "ok"
        7<6 ExecutionSucceeded "ok"
    """)


def test_activity_that_fails() -> None:
    assert run(only(WORK), S=Taken("w", Fails("E", "why"))).lines[4:] == lines("""
        5<4 ActivityFailed error=E cause=why
        6<5 ExecutionFailed error=E cause=why
    """)


def test_deleted_activity() -> None:
    cause = in_state(f"The activity {ACTIVITY} does not exist.")
    assert run(only({**WORK, "Retry": retry(), "Catch": catch()}, C=PASS), activities=()).lines[
        2:
    ] == [f"3<2 ExecutionFailed error=States.Runtime cause={cause}"]


def test_details_of_the_events() -> None:
    """Every member of the details, once for each kind."""
    role = "arn:aws:iam::123456789012:role/Other"
    fields = {"TimeoutSeconds": 9, "HeartbeatSeconds": 3, "Credentials": {"RoleArn": role}}
    sent = run(only({**WAIT_FOR_TOKEN, **fields}), 1, S=Submits(2, Fails("E", "c")))
    service = {"resourceType": "sqs", "resource": "sendMessage.waitForTaskToken"}
    truncated = {"truncated": False}
    assert [
        next((value for name, value in event.items() if name.endswith("Details")), None)
        for event in sent.events[2:6]
    ] == [
        {
            **service,
            "region": "us-east-1",
            "parameters": '{"QueueUrl":"q","MessageBody":1}',
            "timeoutInSeconds": 9,
            "heartbeatInSeconds": 3,
            "taskCredentials": {"roleArn": role},
        },
        service,
        {**service, "output": "2", "outputDetails": truncated},
        {**service, "error": "E", "cause": "c"},
    ]
    called = run(only({**PLAIN, **fields}), 1, S=2)
    assert called.events[2]["lambdaFunctionScheduledEventDetails"] == {
        "resource": LAMBDA,
        "input": "1",
        "inputDetails": truncated,
        "timeoutInSeconds": 9,
        "taskCredentials": {"roleArn": role},
    }
    assert set(called.events[3]) == {"id", "previousEventId", "timestamp", "type"}
    assert called.events[4]["lambdaFunctionSucceededEventDetails"] == {
        "output": "2",
        "outputDetails": truncated,
    }
    worked = run(only(WORK), 1, S=Taken(None, 2))
    assert worked.events[2]["activityScheduledEventDetails"] == {
        "resource": ACTIVITY,
        "input": "1",
        "inputDetails": truncated,
    }
    assert worked.events[3]["activityStartedEventDetails"] == {}


@pytest.mark.parametrize(
    ("resource", "shown"),
    [
        ("arn:aws:states:::states:startExecution", ("states", "startExecution")),
        ("arn:aws:states:::states:startExecution.sync", ("states", "startExecution.sync")),
        (SYNC, ("states", "startExecution.sync:2")),
        ("arn:aws:states:::aws-sdk:s3:getObject", ("aws-sdk:s3", "getObject")),
    ],
)
def test_names_of_services(resource: str, shown: tuple[str, str]) -> None:
    details = run(only({"Type": "Task", "Resource": resource, "Parameters": {}})).events[2][
        "taskScheduledEventDetails"
    ]
    assert (details["resourceType"], details["resource"]) == shown


@pytest.mark.parametrize(
    ("state", "language"),
    [
        ({**PLAIN, "Credentials": {"RoleArn.$": "$.role"}}, None),
        ({**PLAIN, "Credentials": {"RoleArn.$": "States.Format('{}', $.role)"}}, None),
        ({**PLAIN, "Credentials": {"RoleArn": "{% $states.input.role %}"}}, "JSONata"),
    ],
)
def test_credentials(state: dict[str, Any], language: str | None) -> None:
    trace = run(only(state, language), {"role": "R"})
    assert trace.events[2]["lambdaFunctionScheduledEventDetails"]["taskCredentials"] == {
        "roleArn": "R"
    }
    assert [command.role for command in trace.commands if isinstance(command, RunTask)] == ["R"]


def test_refused_parameters_leave_no_failed_event() -> None:
    text = (
        "The Parameters '{}' could not be used to start the Task: [The value of the field "
        "'Headers' has an invalid format]"
    )
    trace = run(
        only({**TASK, "Catch": catch()}, C=PASS), S=Fails("States.Runtime", text, runtime=True)
    )
    assert trace.lines[4:] == [f"5<4 ExecutionFailed error=States.Runtime cause={in_state(text)}"]


def test_error_and_cause_are_no_longer_than_the_service_shows() -> None:
    trace = run(only({**TASK, "Catch": catch()}, C=PASS), S=Fails("e" * 300, "c" * 40_000))
    assert trace.output == {"Error": "e" * 256, "Cause": "c" * 32_768}
    assert trace.events[4]["taskFailedEventDetails"]["error"] == "e" * 256


# --- what fails before and after the work ---------------------------------------------------------
def test_parameters_that_fail() -> None:
    cause = in_state(
        "The JSONPath '$.no' specified for the field 'x.$' could not be found in the input '{}'"
    )
    assert run(
        only({**TASK, "Parameters": {"x.$": "$.no"}, "Retry": retry(), "Catch": catch()}, C=PASS)
    ).lines[2:] == [f"3<2 ExecutionFailed error=States.Runtime cause={cause}"]


@pytest.mark.parametrize(
    "fields",
    [{"OutputPath": "$.no"}, {"ResultSelector": {"x.$": "$.no"}}, {"Assign": {"x.$": "$.no"}}],
)
def test_what_fails_after_success_is_not_caught_and_leaves_no_exit(fields: dict[str, Any]) -> None:
    trace = run(only({**TASK, **fields, "Retry": retry(), "Catch": catch()}, C=PASS), S={})
    assert [line.split()[:2] for line in trace.lines[4:]] == [
        ["5<4", "TaskSucceeded"],
        ["6<5", "ExecutionFailed"],
    ]
    assert trace.failure[0] == "States.Runtime"


def test_arguments_that_fail() -> None:
    state = {"Type": "Task", "Resource": LAMBDA, "Arguments": {"a": "{% $no %}"}}
    cause = in_state(
        "The JSONata expression '$no' specified for the field 'Arguments/a' returned nothing "
        "(undefined)."
    )
    assert run(jsonata(state)).lines[2:] == [
        (
            f"3<0 EvaluationFailed error=States.QueryEvaluationError cause={cause} "
            "location=Arguments/a S"
        ),
        f"4<3 ExecutionFailed error=States.QueryEvaluationError cause={cause}",
    ]
    after = run(machine("P", "JSONata", P={**PASS, "Next": "S"}, S=state))
    assert after.lines[4].startswith("5<3 EvaluationFailed") and after.lines[3].startswith(
        "4<3 TaskStateEntered"
    )


def test_arguments_that_fail_at_each_attempt() -> None:
    state = {
        "Type": "Task",
        "Resource": LAMBDA,
        "Arguments": {"a": "{% $no %}"},
        "Retry": retry(MaxAttempts=2),
        "Catch": catch(),
    }
    trace = run(jsonata(state, C={**PASS, "Output": 0}))
    assert [line.split()[:2] for line in trace.lines[2:]] == [
        ["3<0", "EvaluationFailed"],
        ["4<3", "EvaluationFailed"],
        ["5<4", "EvaluationFailed"],
        ["6<5", "TaskStateExited"],
        ["7<6", "PassStateEntered"],
        ["8<7", "PassStateExited"],
        ["9<8", "ExecutionSucceeded"],
    ]
    assert (trace.elapsed, trace.tasks) == (3, [])


def test_output_that_fails_after_success() -> None:
    state = {"Type": "Task", "Resource": LAMBDA, "Output": "{% $no %}"}
    trace = run(jsonata({**state, "Catch": catch()}, C={**PASS, "Output": 0}), S=1)
    assert [line.split()[:2] for line in trace.lines[4:7]] == [
        ["5<4", "LambdaFunctionSucceeded"],
        ["6<5", "EvaluationFailed"],
        ["7<6", "TaskStateExited"],
    ]
    again = run(jsonata({**state, "Retry": retry(MaxAttempts=1)}), S=1)
    assert [line.split()[1] for line in again.lines[5:8]] == [
        "EvaluationFailed",
        "LambdaFunctionScheduled",
        "LambdaFunctionStarted",
    ]
    assert again.lines[6].startswith("7<6 ")


def test_catcher_that_fails() -> None:
    state = {
        "Type": "Task",
        "Resource": LAMBDA,
        "Catch": [*catch("A", Output=1), *catch("B", Output={"v": "{% $no %}"})],
    }
    trace = run(jsonata(state, C=PASS), S=Fails("B"))
    cause = in_state(
        "The JSONata expression '$no' specified for the field 'Catch[1]/Output/v' returned "
        "nothing (undefined)."
    )
    assert trace.lines[4:] == [
        "5<4 LambdaFunctionFailed error=B",
        (
            f"6<5 EvaluationFailed error=States.QueryEvaluationError cause={cause} "
            "location=Catch[1]/Output/v S"
        ),
        f"7<6 ExecutionFailed error=States.QueryEvaluationError cause={cause}",
    ]


def test_result_path_of_a_catcher_that_does_not_fit() -> None:
    trace = run(only({**TASK, "Catch": catch(ResultPath="$.a.b")}, C=PASS), {"a": 1}, S=Fails("E"))
    assert trace.lines[4] == "5<4 TaskFailed error=E"
    assert trace.lines[5].startswith(
        "6<5 ExecutionFailed error=States.ResultPathMatchFailure cause=An error occurred "
        "while executing the state 'S'"
    )


# --- time limits ----------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("state", "event"),
    [
        (PLAIN, "LambdaFunctionTimedOut"),
        (TASK, "TaskTimedOut"),
        (WAIT_FOR_TOKEN, "TaskTimedOut"),
        (WORK, "ActivityTimedOut"),
    ],
)
def test_timeout(state: dict[str, Any], event: str) -> None:
    trace = run(only({**state, "TimeoutSeconds": 7}), S=Silent)
    assert [line.partition(" ")[2] for line in trace.lines[-2:]] == [
        f"{event} error=States.Timeout",
        "ExecutionFailed error=States.Timeout",
    ]
    assert (trace.status, trace.elapsed, trace.cancelled) == ("FAILED", 7, ["S"])


def test_timeout_is_that_of_each_attempt() -> None:
    trace = run(
        only(
            {
                **TASK,
                "TimeoutSeconds": 7,
                "Retry": retry("States.Timeout", IntervalSeconds=2, MaxAttempts=1),
            }
        ),
        S=Silent,
    )
    assert (trace.times("TaskTimedOut"), trace.times("TaskScheduled")) == ([7, 16], [0, 9])
    assert trace.cancelled == ["S", "S"]


@pytest.mark.parametrize(
    ("fields", "input", "language"),
    [
        ({"TimeoutSecondsPath": "$.n"}, {"n": 7}, None),
        ({"TimeoutSecondsPath": "$.n"}, {"n": "7"}, None),
        ({"TimeoutSecondsPath": "$$.Execution.Input.n"}, {"n": 7}, None),
        ({"TimeoutSeconds": "{% $states.input.n %}"}, {"n": 7}, "JSONata"),
    ],
)
def test_forms_of_a_timeout(fields: dict[str, Any], input: Any, language: str | None) -> None:
    trace = run(only({**PLAIN, **fields}, language), input, S=Silent)
    assert trace.elapsed == 7
    assert trace.events[2]["lambdaFunctionScheduledEventDetails"]["timeoutInSeconds"] == 7


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("x", 'The TimeoutSecondsPath field refers to value "x" which is not a valid integer: $.n'),
        (
            1.5,
            'The TimeoutSecondsPath field refers to value "1.5" which is not a valid integer: $.n',
        ),
        ({}, 'The TimeoutSecondsPath field refers to value "{}" which is not a valid integer: $.n'),
        (0, "The TimeoutSeconds field must be between 1 and 99999999."),
        (-1, "The TimeoutSeconds field must be between 1 and 99999999."),
        (100_000_000, "The TimeoutSeconds field must be between 1 and 99999999."),
    ],
)
def test_timeout_path_that_is_no_time(value: Any, text: str) -> None:
    assert run(only({**PLAIN, "TimeoutSecondsPath": "$.n"}), {"n": value}).failure == (
        "States.Runtime",
        in_state(text),
    )


def test_paths_of_time_limits_read_what_input_path_selects() -> None:
    state = {**PLAIN, "InputPath": "$.i", "TimeoutSecondsPath": "$.n", "Parameters": {"k": 1}}
    assert run(only(state), {"i": {"n": 3}, "n": 9}, S=Silent).elapsed == 3


def test_timeout_path_without_result() -> None:
    text = "Invalid path '$.no' : No results for path: $['no']"
    assert run(only({**PLAIN, "TimeoutSecondsPath": "$.no"}), {}).failure == (
        "States.Runtime",
        in_state(text),
    )
    assert run(only({**PLAIN, "HeartbeatSecondsPath": "$.no"}), {}).failure == (
        "States.Runtime",
        in_state(text),
    )


def test_a_task_that_answers_in_time_is_not_timed_out() -> None:
    trace = run(
        machine(
            "S", S={**TASK, "TimeoutSeconds": 7, "Next": "W"}, W={"Type": "Wait", "Seconds": 60}
        ),
        S=Later(7, 1),
    )
    assert (trace.status, trace.elapsed) == ("SUCCEEDED", 67)


# --- heartbeats -----------------------------------------------------------------------------------
@pytest.mark.parametrize("answer", [Silent, Submits({}, Silent)])
def test_missed_heartbeat_is_a_timeout(answer: Any) -> None:
    trace = run(only({**WAIT_FOR_TOKEN, "TimeoutSeconds": 60, "HeartbeatSeconds": 5}), S=answer)
    assert [line.partition(" ")[2] for line in trace.lines[-2:]] == [
        "TaskTimedOut error=States.Timeout",
        "ExecutionFailed error=States.Timeout",
    ]
    assert trace.elapsed == 5


def test_each_heartbeat_gives_another_period() -> None:
    trace = begin(
        only({**WAIT_FOR_TOKEN, "TimeoutSeconds": 60, "HeartbeatSeconds": 5}), S=Submits({}, Silent)
    )
    for second in (4, 8, 12):
        trace.run(until=second)
        assert trace.beat("S").history == []
    trace.run()
    assert trace.elapsed == 17


def test_heartbeats_do_not_extend_the_timeout() -> None:
    trace = begin(
        only({**WAIT_FOR_TOKEN, "TimeoutSeconds": 10, "HeartbeatSeconds": 5}), S=Submits({}, Silent)
    )
    for second in (4, 8):
        trace.run(until=second).beat("S")
    assert trace.run().elapsed == 10


def test_heartbeat_clock_of_an_activity_starts_with_its_worker() -> None:
    trace = run(only({**WORK, "HeartbeatSeconds": 5}), S=Later(100, Taken("w", Silent)))
    assert trace.elapsed == 105
    assert trace.lines[3:] == lines("""
        4<3 ActivityStarted workerName=w
        5<4 ActivityTimedOut error=States.Timeout
        6<5 ExecutionFailed error=States.Timeout
    """)


def test_timeout_of_an_activity_counts_from_its_start_again() -> None:
    state = {**WORK, "TimeoutSeconds": 10}
    assert run(only(state), S=Silent).elapsed == 10
    assert run(only(state), S=Later(8, Taken("w", Silent))).elapsed == 18


@pytest.mark.parametrize("state", [PLAIN, TASK, JOB])
def test_heartbeat_seconds_mean_nothing_to_a_task_without_token(state: dict[str, Any]) -> None:
    trace = run(
        only({**state, "HeartbeatSeconds": 5}),
        S=Submits({}, Later(60, 1)) if state is JOB else Later(60, 1),
    )
    assert (trace.status, trace.elapsed) == ("SUCCEEDED", 60)


@pytest.mark.parametrize(
    ("errors", "caught"),
    [
        (["States.Timeout"], True),
        (["States.HeartbeatTimeout"], True),
        (["States.ALL"], True),
        (["States.TaskFailed"], False),
        (["TaskTimedOut"], False),
    ],
)
def test_names_that_catch_a_missed_heartbeat(errors: list[str], caught: bool) -> None:
    trace = run(
        only({**WAIT_FOR_TOKEN, "HeartbeatSeconds": 5, "Catch": catch(*errors)}, C=PASS), S=Silent
    )
    assert (trace.status == "SUCCEEDED") is caught
    assert not caught or trace.output == {"Error": "States.Timeout", "Cause": ""}


def test_forms_of_a_heartbeat() -> None:
    fields: tuple[tuple[dict[str, Any], str | None], ...] = (
        ({"HeartbeatSecondsPath": "$.n", "Parameters": {}}, None),
        ({"HeartbeatSeconds": "{% $states.input.n %}", "Arguments": {}}, "JSONata"),
    )
    for more, language in fields:
        trace = run(
            only({"Type": "Task", "Resource": CALLBACK, **more}, language), {"n": 6}, S=Silent
        )
        assert trace.elapsed == 6
