"""The operations that change state machines; their versions and aliases are in versions.py."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from stepwell.asl.compiler import compile_machine
from stepwell.asl.program import Program
from stepwell.asl.validate import invalid_definition_text, validate
from stepwell.engine import arns, messages
from stepwell.engine.core.model import Payload
from stepwell.engine.errors import ApiError
from stepwell.engine.inputs import Definition, json_text_of
from stepwell.engine.machines import configuration, machine_parts
from stepwell.engine.machines.deletions import Deletions
from stepwell.engine.operations.base import Base
from stepwell.engine.operations.machines import shapes
from stepwell.engine.operations.reading.base import STANDARD
from stepwell.engine.operations.results import (
    CreateStateMachineOutput,
    EmptyOutput,
    UpdateStateMachineOutput,
    ValidateStateMachineDefinitionOutput,
)
from stepwell.engine.store.base import MachineRow

Configuration = Mapping[str, Any] | None


class StateMachines:
    """Creating, updating and deleting state machines."""

    def __init__(self, base: Base, deletions: Deletions) -> None:
        self._store, self._clock, self._limits = base.store, base.clock, base.limits
        self._home, self._tasks = base.home, base.tasks
        self._new_uuid, self._machines, self._programs = base.new_uuid, base.machines, base.programs
        self._deletions = deletions

    async def validate_state_machine_definition(
        self, definition: str, type: str = STANDARD, severity: str = "ERROR", max_results: int = 0
    ) -> ValidateStateMachineDefinitionOutput:
        """{"result": "OK" | "FAIL", "diagnostics": [{severity, code, message, location?}],
        "truncated": bool}
        """
        found = await self._programs.offload(
            definition, lambda: validate(definition, type, self._limits, self._tasks.known_text)
        )
        return shapes.validation(found, self._limits, severity, max_results)

    async def _compiled(self, definition: str, type: str) -> Program:
        return await self._programs.offload(definition, lambda: self._compile(definition, type))

    def _compile(self, definition: str, type: str) -> Program:
        validation = validate(definition, type, self._limits, self._tasks.known_text)
        if validation.definition is None or any(
            each.severity == "ERROR" for each in validation.diagnostics
        ):
            text = invalid_definition_text(validation.diagnostics, self._limits)
            raise ApiError("InvalidDefinition", text)
        return compile_machine(validation.definition, self._limits, Payload)

    async def create_state_machine(
        self,
        name: str,
        definition: Definition,
        role_arn: str | None = None,
        *,
        type: str = STANDARD,
        logging_configuration: Configuration = None,
        tags: Sequence[Mapping[str, str]] = (),
        tracing_configuration: Configuration = None,
        publish: bool = False,
        version_description: str | None = None,
        encryption_configuration: Configuration = None,
        extras: Configuration = None,
    ) -> CreateStateMachineOutput:
        """{"stateMachineArn", "creationDate", "stateMachineVersionArn"?}. The same again, except
        for role and tags, answers with the same machine.

        extras  kept with the machine for the library's user
        """
        arns.check_name(name, self._limits.name_chars)
        role = self._home.role if role_arn is None else arns.check_role(role_arn)
        _check_description(publish, version_description)
        definition = json_text_of(definition, "definition")
        program = await self._compiled(definition, type)
        settings = configuration.stored(
            configuration.checked(
                logging_configuration, tracing_configuration, encryption_configuration
            )
        )
        arn = self._home.arn("stateMachine", name)
        labels = configuration.tagged({}, tags, self._limits, arn)
        created = {"publish": True, "description": version_description or ""} if publish else {}
        async with self._machines.lock:
            row = await self._store.machine(arn)
            self._machines.check_active(arn)
            if row is None:
                await self._check_count()
                new = machine_parts.new(
                    arn, name, type, role, definition, self._clock.now(), dict(extras or {})
                )._replace(configuration=settings)
                new = machine_parts.changed(new, tags=labels, created=created)
                row = await self._put(new, program, publish, version_description)
            elif (definition, type, settings, created) != (
                row.definition,
                row.type,
                row.configuration,
                machine_parts.part(row, "created"),
            ):
                raise ApiError("StateMachineAlreadyExists", messages.MACHINE_EXISTS.format(arn=arn))
        answer: CreateStateMachineOutput = {
            "stateMachineArn": arn,
            "creationDate": row.created / 1000,
        }
        if publish and (version := machine_parts.current_version_arn(row)) is not None:
            answer["stateMachineVersionArn"] = version
        return answer

    async def _check_count(self) -> None:
        """Raises ApiError StateMachineLimitExceeded."""
        if await self._store.count_machines() >= self._limits.machines:
            raise ApiError(
                "StateMachineLimitExceeded",
                messages.MACHINE_LIMIT.format(limit=self._limits.machines),
            )

    async def _put(
        self, row: MachineRow, program: Program | None, publish: bool, description: str | None
    ) -> MachineRow:
        """Write a machine, and in the same transaction publish its revision. The caller has the
        lock.
        """
        complete: Callable[[MachineRow], MachineRow] | None = None
        if publish:
            now, limits = self._clock.now(), self._limits

            def complete(row: MachineRow) -> MachineRow:
                return machine_parts.publish(row, description, now, limits, described=True)[0]

        row = await self._machines.put(row, complete)
        if program is not None:
            self._programs.keep(row.definition_id, program)
        return row

    async def update_state_machine(
        self,
        state_machine_arn: str,
        *,
        definition: Definition | None = None,
        role_arn: str | None = None,
        logging_configuration: Configuration = None,
        tracing_configuration: Configuration = None,
        publish: bool = False,
        version_description: str | None = None,
        encryption_configuration: Configuration = None,
        extras: Configuration = None,
    ) -> UpdateStateMachineOutput:
        """{"updateDate", "revisionId"?, "stateMachineVersionArn"?}. Running executions keep the
        revision that they started with.
        """
        row = await self._machines.active(state_machine_arn)
        settings = (logging_configuration, tracing_configuration, encryption_configuration)
        if all(each is None for each in (definition, role_arn, *settings, extras)):
            raise ApiError("MissingRequiredParameter", messages.NOTHING_TO_UPDATE)
        _check_description(publish, version_description)
        if role_arn is not None:
            arns.check_role(role_arn)
        definition = None if definition is None else json_text_of(definition, "definition")
        program = None if definition is None else await self._compiled(definition, row.type)
        checked = configuration.checked(*settings)
        async with self._machines.lock:
            old = await self._machines.active(state_machine_arn)
            row = old._replace(
                definition=old.definition if definition is None else definition,
                role_arn=old.role_arn if role_arn is None else role_arn,
                configuration=configuration.stored(old.configuration | checked),
                updated=self._clock.now(),
            )
            if machine_parts.revised(old, row):
                row = row._replace(revision=str(self._new_uuid()))
            if publish and (
                row.revision != old.revision
                or machine_parts.current_version(row, version_description) is None
            ):
                machine_parts.check_room(row, self._limits)
            row = row if extras is None else machine_parts.with_extras(row, dict(extras))
            row = await self._put(row, program, publish, version_description)
        answer: UpdateStateMachineOutput = {"updateDate": row.updated / 1000}
        if row.revision != machine_parts.INITIAL:
            answer["revisionId"] = row.revision
        if publish and (version := machine_parts.current_version_arn(row)) is not None:
            answer["stateMachineVersionArn"] = version
        return answer

    async def delete_state_machine(self, state_machine_arn: str) -> EmptyOutput:
        """{}: nothing can be started on it any more. Its running Standard executions end at their
        next transition, and the last one removes it.

        Deleting a machine that does not exist is no error, as at AWS.
        """
        arn, qualifier = arns.read_machine(state_machine_arn)
        if qualifier is not None:
            raise ApiError(
                "ValidationException", messages.QUALIFIED_DELETE.format(arn=state_machine_arn)
            )
        async with self._machines.lock:
            row = await self._store.machine(arn)
            if row is None:
                return {}
            if arn not in self._machines.deleting:
                await self._deletions.begin(row)
        await self._deletions.finish(arn)
        return {}


def _check_description(publish: bool, description: str | None) -> None:
    if description is not None and not publish:
        raise ApiError("ValidationException", messages.DESCRIPTION_WITHOUT_PUBLISH)
