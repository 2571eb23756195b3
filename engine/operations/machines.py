"""The operations on state machines; their versions and aliases are in versions.py."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from stepwell.asl.program import Program, compile_machine
from stepwell.asl.validate import invalid_definition_text, validate
from stepwell.engine import arns, messages
from stepwell.engine.core.model import Payload
from stepwell.engine.errors import ApiError
from stepwell.engine.inputs import Definition, json_text_of
from stepwell.engine.operations import configuration, machine_parts, paging, shapes
from stepwell.engine.operations.base import STANDARD, Runtime
from stepwell.engine.store.base import MachineRow

Given = Mapping[str, Any] | None


class Machines(Runtime):
    """State machines, and the tags of all that can have some."""

    async def validate_state_machine_definition(
        self, definition: str, type: str = STANDARD, severity: str = "ERROR", max_results: int = 0
    ) -> dict[str, Any]:
        """{"result": "OK" | "FAIL", "diagnostics": [{severity, code, message, location?}],
        "truncated": bool}
        """
        found = await self.apart(
            definition, lambda: validate(definition, type, self.limits, self.tasks.known_text)
        )
        return shapes.validation(found, self.limits, severity, max_results)

    async def _compiled(self, definition: str, type: str) -> Program:
        return await self.apart(definition, lambda: self._compile(definition, type))

    def _compile(self, definition: str, type: str) -> Program:
        validation = validate(definition, type, self.limits, self.tasks.known_text)
        if validation.definition is None or any(
            each.severity == "ERROR" for each in validation.diagnostics
        ):
            raise ApiError("InvalidDefinition", invalid_definition_text(validation.diagnostics))
        return compile_machine(validation.definition, self.limits, Payload)

    async def create_state_machine(
        self,
        name: str,
        definition: Definition,
        role_arn: str | None = None,
        *,
        type: str = STANDARD,
        logging_configuration: Given = None,
        tags: Sequence[Mapping[str, str]] = (),
        tracing_configuration: Given = None,
        publish: bool = False,
        version_description: str | None = None,
        encryption_configuration: Given = None,
        extras: Given = None,
    ) -> dict[str, Any]:
        """{"stateMachineArn", "creationDate", "stateMachineVersionArn"?}. The same again, but for
        role and tags, gives the same machine.

        extras  kept with the machine for the library's user
        """
        arns.check_name(name, self.limits.name_chars)
        role = self.home.role if role_arn is None else arns.check_role(role_arn)
        _check_description(publish, version_description)
        definition = json_text_of(definition, "definition")
        program = await self._compiled(definition, type)
        settings = configuration.stored(
            configuration.checked(
                logging_configuration, tracing_configuration, encryption_configuration
            )
        )
        arn = self.home.arn("stateMachine", name)
        created: dict[str, Any] = (
            {"publish": True, "description": version_description or ""} if publish else {}
        )
        labels = configuration.tagged({}, tags, self.limits, arn)
        async with self.machine_lock:
            row = await self.store.machine(arn)
            self._check_active(arn)
            if row is None:
                if await self.store.count_machines() >= self.limits.machines:
                    raise ApiError(
                        "StateMachineLimitExceeded",
                        messages.MACHINE_LIMIT.format(limit=self.limits.machines),
                    )
                now = self.clock.now()
                row = MachineRow(
                    arn,
                    name,
                    type,
                    role,
                    definition,
                    0,
                    machine_parts.INITIAL,
                    now,
                    now,
                    machine_parts.ACTIVE,
                    dict(extras or {}),
                )
                row = machine_parts.changed(
                    row._replace(configuration=settings), tags=labels, created=created
                )
                row = await self._put(row, program, publish, version_description)
            elif (
                row.definition,
                row.type,
                row.configuration,
                machine_parts.part(row, "created"),
            ) != (definition, type, settings, created):
                raise ApiError("StateMachineAlreadyExists", messages.MACHINE_EXISTS.format(arn=arn))
        answer = {"stateMachineArn": arn, "creationDate": row.created / 1000}
        return answer | (_current_version(row) if publish else {})

    async def _put(
        self, row: MachineRow, program: Program | None, publish: bool, description: str | None
    ) -> MachineRow:
        """Write a machine, and in the same transaction publish its revision. The caller has the
        lock.
        """
        complete: Callable[[MachineRow], MachineRow] | None = None
        if publish:
            now, limits = self.clock.now(), self.limits

            def complete(row: MachineRow) -> MachineRow:
                return machine_parts.publish(row, description, now, limits, described=True)[0]

        row = await self.store.put_machine(row, complete)
        self.forget_machine(row.arn)
        if program is not None:
            self._keep(row.definition_id, program)
        return row

    async def update_state_machine(
        self,
        state_machine_arn: str,
        *,
        definition: Definition | None = None,
        role_arn: str | None = None,
        logging_configuration: Given = None,
        tracing_configuration: Given = None,
        publish: bool = False,
        version_description: str | None = None,
        encryption_configuration: Given = None,
        extras: Given = None,
    ) -> dict[str, Any]:
        """{"updateDate", "revisionId"?, "stateMachineVersionArn"?}. Running executions keep the
        revision that they started with.
        """
        row = await self._active(state_machine_arn)
        given = (
            definition,
            role_arn,
            logging_configuration,
            tracing_configuration,
            encryption_configuration,
            extras,
        )
        if all(each is None for each in given):
            raise ApiError("MissingRequiredParameter", messages.NOTHING_TO_UPDATE)
        _check_description(publish, version_description)
        if role_arn is not None:
            arns.check_role(role_arn)
        definition = None if definition is None else json_text_of(definition, "definition")
        program = None if definition is None else await self._compiled(definition, row.type)
        settings = configuration.checked(
            logging_configuration, tracing_configuration, encryption_configuration
        )
        async with self.machine_lock:
            old = row = await self._active(state_machine_arn)
            row = row._replace(
                definition=row.definition if definition is None else definition,
                role_arn=row.role_arn if role_arn is None else role_arn,
                configuration=configuration.stored(row.configuration | settings),
                updated=self.clock.now(),
            )
            if (row.definition, row.role_arn, row.configuration) != (
                old.definition,
                old.role_arn,
                old.configuration,
            ):
                row = row._replace(revision=str(self._new_uuid()))
            if publish and (
                row.revision != old.revision
                or machine_parts.current_version(row, version_description) is None
            ):
                machine_parts.check_room(row, self.limits)
            row = row if extras is None else machine_parts.with_extras(row, dict(extras))
            row = await self._put(row, program, publish, version_description)
        answer = {
            "updateDate": row.updated / 1000,
            "revisionId": None if row.revision == machine_parts.INITIAL else row.revision,
        }
        return {name: value for name, value in answer.items() if value is not None} | (
            _current_version(row) if publish else {}
        )

    async def describe_state_machine(
        self, state_machine_arn: str, *, included_data: str = "ALL_DATA"
    ) -> dict[str, Any]:
        """Of a version's ARN: that version; of an alias's: the version that most starts go to."""
        parts = arns.read_machine(state_machine_arn)
        row = await self._machine(state_machine_arn if parts.qualifier is None else parts.machine)
        if parts.qualifier is None:
            answer, settings = shapes.machine(row), row.configuration
        else:
            alias = machine_parts.part(row, "aliases").get(parts.qualifier)
            number = (
                parts.qualifier
                if alias is None
                else str(max(alias["routes"], key=lambda route: route[1])[0])
            )
            version = machine_parts.part(row, "versions").get(number)
            pinned = None if version is None else await self.store.definition(version["definition"])
            if pinned is None:
                raise ApiError(
                    "StateMachineDoesNotExist",
                    messages.MACHINE_UNKNOWN.format(arn=state_machine_arn),
                )
            answer, settings = shapes.machine_version(row, number, pinned), pinned.configuration
        return (
            shapes.without_texts(answer) if configuration.hides(settings, included_data) else answer
        )

    async def machine_extras(self, state_machine_arn: str) -> dict[str, Any]:
        """What the library's user keeps with a machine. Ours, as `extras=` is;
        describe_state_machine shows it too.
        """
        return machine_parts.own_extras(await self._machine(state_machine_arn))

    async def list_state_machines(
        self, *, max_results: int = 0, next_token: str | None = None
    ) -> dict[str, Any]:
        """{"stateMachines": [...], "nextToken"?} in the order of their names."""
        question, size = (
            ["ListStateMachines"],
            paging.size(max_results, self.limits.list_page, self.limits),
        )
        (after,) = self.pages.read(question, next_token) or ("",)
        rows = await self.store.machines(after, size + 1)
        answer: dict[str, Any] = {
            "stateMachines": [shapes.machine_item(row) for row in rows[:size]]
        }
        if len(rows) > size:
            answer["nextToken"] = self.pages.token(question, rows[size - 1].arn)
        return answer

    async def delete_state_machine(self, state_machine_arn: str) -> dict[str, Any]:
        """Nothing can be started on it any more, running Standard executions end at their next
        transition; with the last one it is gone.

        Deleting what does not exist is no error, as at AWS.
        """
        arn, qualifier = arns.read_machine(state_machine_arn)
        if qualifier is not None:
            raise ApiError(
                "ValidationException", messages.QUALIFIED_DELETE.format(arn=state_machine_arn)
            )
        async with self.machine_lock:
            row = await self.store.machine(arn)
            if row is None or arn in self.deletions.arns:
                return {}
            await self.deletions.begin(row)
            self.forget_machine(arn)
        await self.deletions.finish(arn)
        return {}

    # --- tags -------------------------------------------------------------------------------------

    async def tag_resource(
        self, resource_arn: str, tags: Sequence[Mapping[str, str]]
    ) -> dict[str, Any]:
        """{}: the tags are added to those of the state machine or activity; new values of old keys
        win.
        """
        return await self._retag(
            resource_arn, lambda old: configuration.tagged(old, tags, self.limits, resource_arn)
        )

    async def untag_resource(self, resource_arn: str, tag_keys: Sequence[str]) -> dict[str, Any]:
        """{}: the tags of these keys are removed."""
        return await self._retag(
            resource_arn,
            lambda old: {key: value for key, value in old.items() if key not in tag_keys},
        )

    async def list_tags_for_resource(self, resource_arn: str) -> dict[str, Any]:
        """{"tags": [{"key", "value"}, ...]}"""
        if arns.kind(resource_arn, "stateMachine", "activity") == "activity":
            tags = self.activities.tags(resource_arn)
        else:
            tags = machine_parts.part(await self._tagged_machine(resource_arn), "tags")
        return {"tags": [{"key": key, "value": value} for key, value in tags.items()]}

    async def _retag(
        self, arn: str, change: Callable[[dict[str, str]], dict[str, str]]
    ) -> dict[str, Any]:
        if arns.kind(arn, "stateMachine", "activity") == "activity":
            await self.activities.retag(arn, change)
            return {}
        async with self.machine_lock:
            row = await self._tagged_machine(arn)
            await self._put(
                machine_parts.changed(row, tags=change(machine_parts.part(row, "tags"))),
                None,
                False,
                None,
            )
        return {}

    async def _tagged_machine(self, arn: str) -> MachineRow:
        row = await self.store.machine(arn)
        if row is None:
            raise ApiError("ResourceNotFound", messages.RESOURCE_UNKNOWN.format(arn=arn))
        return row


def _check_description(publish: bool, description: str | None) -> None:
    if description is not None and not publish:
        raise ApiError("ValidationException", messages.DESCRIPTION_WITHOUT_PUBLISH)


def _current_version(row: MachineRow) -> dict[str, str]:
    number = machine_parts.current_version(row)
    return (
        {} if number is None else {"stateMachineVersionArn": machine_parts.version_arn(row, number)}
    )
