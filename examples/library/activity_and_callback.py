"""An activity and a callback: work outside the engine that is completed with a task token.

    python examples/library/activity_and_callback.py

The state machine asks an activity worker for a price, then sends a request for approval and waits
for the answer.
"""

from stepwell import SyncEngine
from stepwell.integrations.tasks.registry import Registry

requests = []  # instead of a mail or message with the token


def ask(event):
    requests.append(event)


with SyncEngine(tasks=Registry(functions={"ask": ask})) as engine:
    activity = engine.create_activity("price")["activityArn"]
    machine = engine.create_state_machine(
        "purchase",
        {
            "StartAt": "Price",
            "States": {
                "Price": {
                    "Type": "Task",
                    "Resource": activity,
                    "ResultPath": "$.price",
                    "TimeoutSeconds": 60,
                    "Next": "Approve",
                },
                "Approve": {
                    "Type": "Task",
                    "Resource": "arn:aws:states:::lambda:invoke.waitForTaskToken",
                    "Parameters": {
                        "FunctionName": "ask",
                        "Payload": {"price.$": "$.price", "token.$": "$$.Task.Token"},
                    },
                    "TimeoutSeconds": 60,
                    "End": True,
                },
            },
        },
    )
    started = engine.start_execution(machine["stateMachineArn"], input={"item": "book"})

    task = engine.get_activity_task(activity, "worker-1", timeout=60)  # the activity worker
    engine.send_task_success(task["taskToken"], 12)

    events = engine.watch(started["executionArn"])
    next(
        event for event in events if event["type"] == "TaskSubmitted"
    )  # the callback's request is sent
    engine.send_task_success(requests[0]["token"], {"approved": requests[0]["price"] < 20})

    print(engine.wait(started["executionArn"], timeout=60)["output"])
