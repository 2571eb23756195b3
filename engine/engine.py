"""class Engine: the operations of the Step Functions API as async Python methods. What a library
user imports.

    async with Engine("stepwell.db", tasks=Registry(functions={"charge": charge})) as engine:
        machine = await engine.create_state_machine("order", definition_text)
        started = await engine.start_execution(machine["stateMachineArn"], input={"id": 1})
        ended = await engine.wait(started["executionArn"])

Answers are dicts with the names of the API (boto3's), times are epoch seconds, JSON payloads are
text; inputs may also be Python values.
Refusals are ApiError with AWS's code and text. A method returns only after what it reports is
durable.
"""

from __future__ import annotations

import hashlib
from typing import Any, Final

from stepwell.asl import json_text
from stepwell.engine.core import model
from stepwell.engine.errors import ExecutionFailedError
from stepwell.engine.inputs import Definition, JsonInput, json_text_of
from stepwell.engine.operations.activities import TaskWorkers
from stepwell.engine.operations.executions import Executions
from stepwell.engine.operations.map_runs import MapRuns
from stepwell.engine.operations.test_state import TestStates
from stepwell.engine.operations.versions import Versions

_HASH_CHARS: Final = 16


class Engine(Versions, TestStates, Executions, TaskWorkers, MapRuns):
    """Runs state machines durably.

    db         a file's path, or ":memory:"
    tasks      resolves Task resources: Registry(functions={"name": callable}) of
               stepwell.integrations.tasks.registry; without it no Task can run
    store      in place of `db`: another Store
    new_uuid   gives a random UUID as text: where names and the seeds of executions come from
    log_sink   where the logs of machines with a loggingConfiguration go
               (stepwell.integrations.log_sink); without it nowhere
    """

    async def run(
        self, machine: Definition, input: JsonInput = "{}", *, timeout: float | None = None
    ) -> Any:
        """Run a Standard state machine to its end. Gives its output as a Python value; raises
        ExecutionFailedError if it has none.

        machine  a definition (a dict or JSON text; it is kept as the state machine run-HASH), or
                 the ARN of a state machine
        timeout  seconds, then TimeoutError; the execution goes on
        """
        arn = json_text_of(machine, "machine")
        if not arn.startswith("arn:"):
            name = f"run-{hashlib.sha256(arn.encode()).hexdigest()[:_HASH_CHARS]}"
            arn = (await self.create_state_machine(name, arn))["stateMachineArn"]
        started = await self.start_execution(arn, input=input)
        ended = await self.wait(started["executionArn"], timeout)
        if ended["status"] != model.SUCCEEDED:
            raise ExecutionFailedError(ended)
        return json_text.loads(ended["output"])
