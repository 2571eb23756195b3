"""The workers of the suite's activities, which answer scripted tasks (generate/scripts.py)."""

import json
import threading
from collections.abc import Iterable
from typing import Any, Final

from botocore.exceptions import BotoCoreError, ClientError

from stepwell.conformance.generate.scripts import ACTIVITIES, ACTIVITY, scripted
from stepwell.conformance.oracle.values import MISSING
from stepwell.conformance.run.endpoint import Endpoint

_THREADS: Final = 2  # for each activity


class Workers:
    """A context manager that answers the tasks of generated machines. `real`: the Resource of a
    generated machine -> this endpoint's.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self.real: dict[str, str] = {}
        self._stopped = threading.Event()

    def __enter__(self) -> "Workers":
        for number in range(ACTIVITIES):
            name = ACTIVITY.format(number)
            self.real[name] = self.endpoint.call("CreateActivity", name=name.rsplit(":", 1)[1])[
                "activityArn"
            ]
        for arn in self.real.values():
            for _ in range(_THREADS):
                threading.Thread(target=self._work, args=(arn,), daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        """Each thread ends with its current poll, or with the process."""
        self._stopped.set()
        _delete(self.endpoint, self.real.values())

    def _work(self, arn: str) -> None:
        while not self._stopped.is_set():
            try:
                task = self.endpoint.call(
                    "GetActivityTask", activityArn=arn, workerName="conformance"
                )
                if task.get("taskToken"):
                    self._answer(task["taskToken"], json.loads(task["input"]))
            except ClientError as error:
                if error.response["Error"]["Code"] == "ActivityDoesNotExist":
                    return
            except BotoCoreError:
                self._stopped.wait(0.2)  # the endpoint may be restarting

    def _answer(self, token: str, task_input: Any) -> None:
        result = scripted("", task_input)
        if result.timed_out:
            return
        if result.output is not MISSING:
            self.endpoint.call(
                "SendTaskSuccess",
                taskToken=token,
                output=json.dumps(result.output, ensure_ascii=False),
            )
            return
        failure = {"error": result.error, "cause": result.cause}
        self.endpoint.call(
            "SendTaskFailure",
            taskToken=token,
            **{name: text for name, text in failure.items() if text is not None},
        )


def _delete(endpoint: Endpoint, arns: Iterable[str]) -> None:
    for arn in arns:
        try:
            endpoint.call("DeleteActivity", activityArn=arn)
        except (BotoCoreError, ClientError):
            return
