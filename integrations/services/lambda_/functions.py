"""The operations on functions and their configurations."""

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
    LambdaFunction,
    page,
    with_marker,
)
from stepwell.integrations.services.lambda_.versions import Versions, versions_of
from stepwell.integrations.services.runtime.function import LATEST, NODE, PROVIDED, PYTHON

HOT_RELOAD: Final = "hot-reload"  # the bucket whose keys are local folders
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
# parameter -> member of FunctionConfiguration
_MEMBERS: Final = {
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
    """The supported runtime of an AWS Runtime, such as "python" of "python3.12"; or ""."""
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
        **parameters: Any,
    ) -> Json:
        """FunctionConfiguration. Its State is Pending, as AWS returns it, but the function can be
        invoked at once.
        """
        name, _ = self._store.split(function_name)
        if len(name) > self._store.limits.function_name_chars:
            raise ApiError(
                "InvalidParameterValueException", messages.FUNCTION_NAME.format(name=name)
            )
        if package_type != "Zip":
            raise ApiError("InvalidParameterValueException", messages.FUNCTION_IMAGE)
        code_name, writes, size = await self._code(code)
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
            configuration = self._configured(
                {**_defaults(name, architectures), **_code_members(code_name, size)},
                {"role": role, **parameters},
            )
            function = LambdaFunction(
                name, self._store.touched(configuration), tags=dict(tags or {})
            )
            self._store.check_tags(function.tags)
            await self._store.put(function, also=writes)
        if publish:
            return await self._versions.publish(name)
        return {**self._store.described(function, function.latest), **_PENDING}

    async def _code(self, code: Json) -> tuple[str, Writes, int]:
        """(name of the code, writes that store it, bytes). Raises ApiError."""
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

    def _configured(self, configuration: Json, parameters: Json) -> Json:
        """The configuration with changes, which are checked. Raises ApiError."""
        if parameters.get("layers"):
            raise ApiError("InvalidParameterValueException", messages.FUNCTION_LAYERS)
        changed = {
            **configuration,
            **{_MEMBERS[name]: value for name, value in parameters.items() if name in _MEMBERS},
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
        code_name, writes, size = await self._code(code)
        async with self._store.lock:
            before, _qualifier = self._store.find(function_name)
            if revision_id not in (None, before.latest["RevisionId"]):
                raise ApiError("PreconditionFailedException", messages.FUNCTION_REVISION)
            latest = self._store.touched({**before.latest, **_code_members(code_name, size)})
            if architectures:
                latest["Architectures"] = architectures
            if dry_run:
                return self._store.described(before, latest)
            function = replace(before, latest=latest)
            await self._store.put(function, also=writes)
        if publish:
            return await self._versions.publish(function.name)
        return {
            **self._store.described(function, function.latest),
            "LastUpdateStatus": "InProgress",
        }

    async def update_function_configuration(
        self, /, function_name: str, revision_id: str | None = None, **parameters: Any
    ) -> Json:
        async with self._store.changing(function_name, revision=revision_id) as (function, _):
            function.latest = self._store.touched(self._configured(function.latest, parameters))
        return {
            **self._store.described(function, function.latest),
            "LastUpdateStatus": "InProgress",
        }

    async def get_function_configuration(
        self, function_name: str, qualifier: str | None = None
    ) -> Json:
        function, qualifier, version = self._store.find_version(function_name, qualifier)
        return self._store.described(function, version, qualifier)

    async def get_function(self, function_name: str, qualifier: str | None = None) -> Json:
        function, qualifier, version = self._store.find_version(function_name, qualifier)
        answer: Json = {
            "Configuration": self._store.described(function, version, qualifier),
            "Code": {"RepositoryType": "S3"},
        }
        if version["code"].startswith(codes.FOLDER):
            answer["Code"]["Location"] = Path(version["code"].removeprefix(codes.FOLDER)).as_uri()
        if function.tags:
            answer["Tags"] = function.tags
        if function.reserved is not None:
            answer["Concurrency"] = {"ReservedConcurrentExecutions": function.reserved}
        return answer

    async def list_functions(
        self,
        function_version: str | None = None,
        marker: str | None = None,
        max_items: int | None = None,
        master_region: str | None = None,
    ) -> Json:
        rows = [
            (f"{function.name}:{number.zfill(12)}", function, version)
            for function, number, version in self._rows(function_version == "ALL")
        ]
        rows.sort(key=lambda row: row[0])
        shown, following = page(
            rows, marker, max_items, self._store.limits.function_page, lambda row: row[0]
        )
        listed = [
            self._store.described(function, version, version["Version"] if function_version else "")
            for _, function, version in shown
        ]
        return with_marker({"Functions": listed}, following)

    async def functions_of_the_host(self) -> Json:
        """Functions that were not created by this API: Python callables and those of a folder. For
        the console; not an operation of Lambda.
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

    def _rows(self, versions: bool) -> list[tuple[LambdaFunction, str, Json]]:
        """(function, number, "" for $LATEST, configuration)"""
        latest = [(function, "", function.latest) for function in self._store.functions.values()]
        published = (
            [
                (function, number, version)
                for function, _, _ in latest
                for number, version in function.versions.items()
            ]
            if versions
            else []
        )
        return [*latest, *published]

    async def delete_function(self, function_name: str, qualifier: str | None = None) -> Json:
        """The function, or one version of it."""
        async with self._store.lock:
            function, number = self._store.find(function_name, qualifier)
            if not number:
                await self._store.delete(function.name)
                return {"StatusCode": 204}
            if number == LATEST:
                raise ApiError("InvalidParameterValueException", messages.FUNCTION_DELETE_LATEST)
            aliases = sorted(
                name for name, alias in function.aliases.items() if number in versions_of(alias)
            )
            if aliases:
                raise ApiError(
                    "ResourceConflictException",
                    messages.FUNCTION_VERSION_IN_USE.format(aliases=", ".join(aliases)),
                )
            if number not in function.versions:
                raise self._store.unknown(function.name, number)
            versions = {
                each: function.versions[each] for each in function.versions if each != number
            }
            await self._store.put(replace(function, versions=versions))
        return {"StatusCode": 204}


def _defaults(name: str, architectures: list[str] | None) -> Json:
    return {
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


def _code_members(code: str, size: int) -> Json:
    """The members of a configuration about its code. A folder has no digest."""
    return {
        "code": code,
        "CodeSize": size,
        "CodeSha256": codes.sha256(code) if code.startswith(codes.ARCHIVE) else "",
    }


def _empty(member: str, value: Any) -> bool:
    """Whether a member has no value, so that configurations omit it."""
    return (
        value == {}
        or (member == "DeadLetterConfig" and not value.get("TargetArn"))
        or (member == "KMSKeyArn" and not value)
    )
