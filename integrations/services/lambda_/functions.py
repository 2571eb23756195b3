"""Functions themselves: create, update, get, list, delete."""

from __future__ import annotations

import asyncio
import os
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from stepwell.engine import messages as engine_messages
from stepwell.engine.errors import ApiError
from stepwell.integrations.aws import messages as aws_messages
from stepwell.integrations.services.common.tables import Writes
from stepwell.integrations.services.lambda_ import code as codes
from stepwell.integrations.services.lambda_ import messages
from stepwell.integrations.services.lambda_.store import (
    FunctionStore,
    Json,
    Stored,
    page,
    with_marker,
)
from stepwell.integrations.services.lambda_.versions import Versions, versions_of
from stepwell.integrations.services.runtime.function import LATEST, NODE, PROVIDED, PYTHON

HOT_RELOAD: Final = "hot-reload"  # the bucket whose keys are folders of this machine
_FAMILIES: Final = (PYTHON, NODE, PROVIDED)
_RESERVED: Final = frozenset(
    (
        "_HANDLER", "_X_AMZN_TRACE_ID", "AWS_DEFAULT_REGION", "AWS_REGION", "AWS_EXECUTION_ENV",
        "AWS_LAMBDA_FUNCTION_NAME",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "AWS_LAMBDA_FUNCTION_VERSION",
        "AWS_LAMBDA_INITIALIZATION_TYPE", "AWS_LAMBDA_LOG_GROUP_NAME",
        "AWS_LAMBDA_LOG_STREAM_NAME", "AWS_ACCESS_KEY", "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN",
        "AWS_LAMBDA_RUNTIME_API", "LAMBDA_TASK_ROOT", "LAMBDA_RUNTIME_DIR",
    )
)  # fmt: skip
# keyword -> member: what a configuration takes over as it is given
_PLAIN: Final = {
    "runtime": "Runtime",
    "handler": "Handler",
    "role": "Role",
    "description": "Description",
    "timeout": "Timeout",
    "memory_size": "MemorySize",
    "environment": "Environment",
    "dead_letter_config": "DeadLetterConfig",
    "ephemeral_storage": "EphemeralStorage",
    "tracing_config": "TracingConfig",
    "logging_config": "LoggingConfig",
    "kms_key_arn": "KMSKeyArn",
    "vpc_config": "VpcConfig",
    "file_system_configs": "FileSystemConfigs",
}
_PENDING: Final = {
    "State": "Pending",
    "StateReason": messages.FUNCTION_CREATING,
    "StateReasonCode": "Creating",
}


def family(runtime: str) -> str:
    """The runtime that a Runtime of AWS means here; "" if it means none."""
    return next((each for each in _FAMILIES if runtime.startswith(each)), "")


class Functions:
    def __init__(self, store: FunctionStore, versions: Versions) -> None:
        self._store, self._versions = store, versions

    async def create_function(
        self,
        /,
        function_name: str,
        role: str,
        code: Json,
        package_type: str = "Zip",
        publish: bool = False,
        tags: dict[str, str] | None = None,
        architectures: list[str] | None = None,
        **given: Any,
    ) -> Json:
        """FunctionConfiguration. It can be invoked as soon as this returns; the answer says
        Pending, as AWS's does.
        """
        name, _ = self._store.split(function_name)
        if len(name) > self._store.limits.function_name_chars:
            raise ApiError(
                "InvalidParameterValueException", messages.FUNCTION_NAME.format(name=name)
            )
        if package_type != "Zip":
            raise ApiError("InvalidParameterValueException", messages.FUNCTION_IMAGE)
        found, writes, size = await self._code(code)
        async with self._store.lock:
            if name in self._store.functions:
                raise ApiError(
                    "ResourceConflictException", messages.FUNCTION_EXISTS.format(name=name)
                )
            if len(self._store.functions) >= self._store.limits.functions:
                raise ApiError(
                    "ServiceQuotaExceededException",
                    messages.FUNCTION_QUOTA.format(limit=self._store.limits.functions),
                )
            defaults: Json = {
                "FunctionName": name,
                "Description": "",
                "Timeout": 3,
                "MemorySize": 128,
                "Version": LATEST,
                "PackageType": "Zip",
                "Architectures": architectures or ["x86_64"],
                "EphemeralStorage": {"Size": 512},
                "TracingConfig": {"Mode": "PassThrough"},
                "SnapStart": {"ApplyOn": "None", "OptimizationStatus": "Off"},
                "LoggingConfig": {"LogFormat": "Text", "LogGroup": f"/aws/lambda/{name}"},
            }
            configuration = self._configured(
                {**defaults, **_coded(found, size)}, {"role": role, **given}
            )
            stored = Stored(name, self._store.touched(configuration), tags=dict(tags or {}))
            self._store.check_tags(stored.tags)
            await self._store.put(stored, also=writes)
        if publish:
            return await self._versions.publish(name)
        return {**self._store.described(stored, stored.latest), **_PENDING}

    async def _code(self, code: Json) -> tuple[str, Writes, int]:
        """What names the code, what to store, and its size."""
        if "ZipFile" in code:
            return *await self._store.codes.accept(code["ZipFile"]), len(code["ZipFile"])
        if code.get("S3Bucket") == HOT_RELOAD and os.path.isabs(code.get("S3Key", "")):
            folder = Path(code["S3Key"]).resolve()
            if not folder.is_dir():
                raise ApiError(
                    "InvalidParameterValueException", messages.CODE_NO_FOLDER.format(folder=folder)
                )
            return codes.FOLDER + str(folder), {}, 0
        raise ApiError(
            "InvalidParameterValueException", messages.CODE_NO_BUCKET.format(hot_reload=HOT_RELOAD)
        )

    def _configured(self, configuration: Json, given: Json) -> Json:
        """With what is given, checked. Raises ApiError."""
        if given.get("layers"):
            raise ApiError("InvalidParameterValueException", messages.FUNCTION_LAYERS)
        changed = {
            **configuration,
            **{_PLAIN[name]: value for name, value in given.items() if name in _PLAIN},
        }
        for member in ("Runtime", "Handler"):
            if not changed.get(member):
                raise ApiError(
                    "InvalidParameterValueException",
                    messages.FUNCTION_MANDATORY.format(member=member),
                )
        if not family(changed["Runtime"]):
            raise ApiError(
                "InvalidParameterValueException",
                messages.FUNCTION_RUNTIME.format(runtime=changed["Runtime"]),
            )
        if changed["Timeout"] > self._store.limits.function_seconds:
            text = aws_messages.RULE_LARGEST.format(limit=self._store.limits.function_seconds)
            error = aws_messages.CONSTRAINT.format(
                value=changed["Timeout"], at="timeout", rule=text
            )
            raise ApiError("ValidationException", engine_messages.VALIDATION.format(errors=error))
        self._check_environment(changed.get("Environment", {}).get("Variables", {}))
        return {member: value for member, value in changed.items() if not _empty(member, value)}

    def _check_environment(self, variables: dict[str, str]) -> None:
        reserved = sorted(_RESERVED & variables.keys())
        if reserved:
            raise ApiError(
                "InvalidParameterValueException",
                messages.FUNCTION_RESERVED_KEYS.format(keys=", ".join(reserved)),
            )
        size = sum(len(name.encode()) + len(value.encode()) for name, value in variables.items())
        if size > self._store.limits.function_environment_bytes:
            raise ApiError(
                "InvalidParameterValueException",
                messages.FUNCTION_ENVIRONMENT.format(
                    limit=self._store.limits.function_environment_bytes
                ),
            )

    async def update_function_code(
        self,
        /,
        function_name: str,
        publish: bool = False,
        dry_run: bool = False,
        revision_id: str | None = None,
        architectures: list[str] | None = None,
        zip_file: bytes | None = None,
        s3_bucket: str = "",
        s3_key: str = "",
        **_: Any,
    ) -> Json:
        code = (
            {"ZipFile": zip_file}
            if zip_file is not None
            else {"S3Bucket": s3_bucket, "S3Key": s3_key}
        )
        found, writes, size = await self._code(code)
        async with self._store.lock:
            before, _qualifier = self._store.find(function_name)
            if revision_id not in (None, before.latest["RevisionId"]):
                raise ApiError("PreconditionFailedException", messages.FUNCTION_REVISION)
            latest = self._store.touched({**before.latest, **_coded(found, size)})
            if architectures:
                latest["Architectures"] = architectures
            if dry_run:
                return self._store.described(before, latest)
            stored = replace(before, latest=latest)
            await self._store.put(stored, also=writes)
        if publish:
            return await self._versions.publish(stored.name)
        return {**self._store.described(stored, stored.latest), "LastUpdateStatus": "InProgress"}

    async def update_function_configuration(
        self, /, function_name: str, revision_id: str | None = None, **given: Any
    ) -> Json:
        async with self._store.changing(function_name, revision=revision_id) as (stored, _):
            stored.latest = self._store.touched(self._configured(stored.latest, given))
        return {**self._store.described(stored, stored.latest), "LastUpdateStatus": "InProgress"}

    async def get_function_configuration(
        self, function_name: str, qualifier: str | None = None
    ) -> Json:
        stored, given, found = self._store.find_version(function_name, qualifier)
        return self._store.described(stored, found, given)

    async def get_function(self, function_name: str, qualifier: str | None = None) -> Json:
        stored, given, found = self._store.find_version(function_name, qualifier)
        answer: Json = {
            "Configuration": self._store.described(stored, found, given),
            "Code": {"RepositoryType": "S3"},
        }
        if found["code"].startswith(codes.FOLDER):
            answer["Code"]["Location"] = Path(found["code"].removeprefix(codes.FOLDER)).as_uri()
        if stored.tags:
            answer["Tags"] = stored.tags
        if stored.reserved is not None:
            answer["Concurrency"] = {"ReservedConcurrentExecutions": stored.reserved}
        return answer

    async def list_functions(
        self,
        function_version: str | None = None,
        marker: str | None = None,
        max_items: int | None = None,
        master_region: str | None = None,
    ) -> Json:
        rows = [
            (f"{stored.name}:{version.zfill(12)}", stored, found)
            for stored, version, found in self._rows(function_version == "ALL")
        ]
        rows.sort(key=lambda row: row[0])
        shown, following = page(
            rows, marker, max_items, self._store.limits.function_page, lambda row: row[0]
        )
        listed = [
            self._store.described(stored, found, found["Version"] if function_version else "")
            for _, stored, found in shown
        ]
        return with_marker({"Functions": listed}, following)

    async def functions_of_the_host(self) -> Json:
        """Those that can be called without having been created: callables and the functions of a
        folder. No operation of Lambda's.
        """
        names = await asyncio.to_thread(self._store.host.functions.names)
        return {
            "Functions": [
                {
                    "FunctionName": name,
                    "FunctionArn": self._store.host.functions.arn(name),
                    "Runtime": "local",
                }
                for name in names
            ]
        }

    def _rows(self, versions: bool) -> list[tuple[Stored, str, Json]]:
        latest = [(stored, "", stored.latest) for stored in self._store.functions.values()]
        published = (
            [
                (stored, number, found)
                for stored, _, _ in latest
                for number, found in stored.versions.items()
            ]
            if versions
            else []
        )
        return [*latest, *published]

    async def delete_function(self, function_name: str, qualifier: str | None = None) -> Json:
        """The function, or one version of it."""
        async with self._store.lock:
            stored, given = self._store.find(function_name, qualifier)
            if not given:
                await self._store.put(None, removed=stored.name)
                return {"StatusCode": 204}
            if given == LATEST:
                raise ApiError("InvalidParameterValueException", messages.FUNCTION_DELETE_LATEST)
            using = sorted(
                name for name, alias in stored.aliases.items() if given in versions_of(alias)
            )
            if using:
                raise ApiError(
                    "ResourceConflictException",
                    messages.FUNCTION_VERSION_IN_USE.format(aliases=", ".join(using)),
                )
            versions = {
                number: found for number, found in stored.versions.items() if number != given
            }
            if len(versions) == len(stored.versions):
                raise self._store.unknown(stored.name, given)
            await self._store.put(replace(stored, versions=versions))
        return {"StatusCode": 204}


def _coded(code: str, size: int) -> Json:
    """The members that tell of the code. A folder has no digest."""
    return {
        "code": code,
        "CodeSize": size,
        "CodeSha256": codes.sha256(code) if code.startswith(codes.ARCHIVE) else "",
    }


def _empty(member: str, value: Any) -> bool:
    """What is set to nothing is not shown."""
    return (
        value == {}
        or (member == "DeadLetterConfig" and not value.get("TargetArn"))
        or (member == "KMSKeyArn" and not value)
    )
