"""The operations on a function's permissions, reserved concurrency and event configurations."""

from __future__ import annotations

import hashlib
from typing import Any, Final

import msgspec

from stepwell.engine.errors import ApiError
from stepwell.integrations.services.lambda_ import messages
from stepwell.integrations.services.lambda_.store import (
    FunctionStore,
    Json,
    LambdaFunction,
    page,
    with_marker,
)
from stepwell.integrations.services.runtime.function import LATEST

_UNRESERVED: Final = 100  # of the account's concurrency: AWS does not allow to reserve it


class Settings:
    def __init__(self, store: FunctionStore) -> None:
        self._store = store

    # --- permissions ---

    async def add_permission(
        self,
        /,
        function_name: str,
        statement_id: str,
        action: str,
        principal: str,
        source_arn: str | None = None,
        source_account: str | None = None,
        qualifier: str | None = None,
        revision_id: str | None = None,
        principal_org_id: str | None = None,
        event_source_token: str | None = None,
        **_: Any,
    ) -> Json:
        async with self._store.changing(function_name, qualifier) as (function, qualifier):
            self._store.find_version(function_name, qualifier)  # raises if it does not exist
            policy = function.policies.setdefault(qualifier, {})
            self._check_revision(function, qualifier, revision_id)
            if statement_id in policy:
                raise ApiError(
                    "ResourceConflictException",
                    messages.FUNCTION_STATEMENT_EXISTS.format(sid=statement_id),
                )
            if len(policy) >= self._store.limits.function_statements:
                raise ApiError(
                    "PolicyLengthExceededException",
                    messages.FUNCTION_STATEMENT_QUOTA.format(
                        limit=self._store.limits.function_statements
                    ),
                )
            statement = {
                "Sid": statement_id,
                "Effect": "Allow",
                "Principal": self._principal(principal),
                "Action": action,
                "Resource": self._store.arn(function.name, qualifier),
                **_condition(
                    {
                        "AWS:SourceAccount": source_account,
                        "aws:PrincipalOrgID": principal_org_id,
                        "lambda:EventSourceToken": event_source_token,
                    },
                    source_arn,
                ),
            }
            policy[statement_id] = statement
        return {"Statement": _text(statement)}

    def _principal(self, principal: str) -> Any:
        if principal == "*":
            return "*"
        if principal.endswith((".amazonaws.com", ".amazonaws.com.cn")):
            return {"Service": principal}
        home = self._store.host.home
        return {"AWS": home.root(principal) if principal.isdigit() else principal}

    async def remove_permission(
        self,
        function_name: str,
        statement_id: str,
        qualifier: str | None = None,
        revision_id: str | None = None,
    ) -> Json:
        async with self._store.changing(function_name, qualifier) as (function, qualifier):
            self._check_revision(function, qualifier, revision_id)
            if statement_id not in function.policies.get(qualifier, {}):
                raise ApiError(
                    "ResourceNotFoundException",
                    messages.FUNCTION_STATEMENT_UNKNOWN.format(sid=statement_id),
                )
            del function.policies[qualifier][statement_id]
        return {}

    async def get_policy(self, function_name: str, qualifier: str | None = None) -> Json:
        function, qualifier = self._store.find(function_name, qualifier)
        policy = function.policies.get(qualifier)
        if not policy:
            raise ApiError("ResourceNotFoundException", messages.FUNCTION_POLICY_UNKNOWN)
        text = _text({"Version": "2012-10-17", "Id": "default", "Statement": list(policy.values())})
        return {"Policy": text, "RevisionId": _revision(policy)}

    def _check_revision(
        self, function: LambdaFunction, qualifier: str, revision: str | None
    ) -> None:
        if revision not in (None, _revision(function.policies.get(qualifier, {}))):
            raise ApiError("PreconditionFailedException", messages.FUNCTION_REVISION)

    # --- concurrency ---

    async def put_function_concurrency(
        self, function_name: str, reserved_concurrent_executions: int
    ) -> Json:
        reserved = reserved_concurrent_executions
        async with self._store.changing(function_name) as (function, _):
            others = sum(
                each.reserved or 0
                for each in self._store.functions.values()
                if each.name != function.name
            )
            if others + reserved > self._store.limits.function_concurrency - _UNRESERVED:
                raise ApiError(
                    "InvalidParameterValueException",
                    messages.CONCURRENCY_UNRESERVED.format(least=_UNRESERVED),
                )
            function.reserved = reserved
        return {"ReservedConcurrentExecutions": reserved}

    async def get_function_concurrency(self, function_name: str) -> Json:
        reserved = self._store.find(function_name)[0].reserved
        return {} if reserved is None else {"ReservedConcurrentExecutions": reserved}

    async def delete_function_concurrency(self, function_name: str) -> Json:
        async with self._store.changing(function_name) as (function, _):
            function.reserved = None
        return {}

    async def get_account_settings(self) -> Json:
        total = self._store.limits.function_concurrency
        reserved = sum(each.reserved or 0 for each in self._store.functions.values())
        versions = [
            each
            for function in self._store.functions.values()
            for each in (function.latest, *function.versions.values())
        ]
        sizes = {each["code"]: each["CodeSize"] for each in versions}
        return {
            "AccountLimit": {
                "TotalCodeSize": 80_530_636_800,
                "CodeSizeUnzipped": self._store.limits.code_unzipped_bytes,
                "CodeSizeZipped": self._store.limits.code_zip_bytes,
                "ConcurrentExecutions": total,
                "UnreservedConcurrentExecutions": total - reserved,
            },
            "AccountUsage": {
                "TotalCodeSize": sum(sizes.values()),
                "FunctionCount": len(self._store.functions),
            },
        }

    # --- features that are not supported: the answers of AWS without settings, for Terraform ---

    async def get_function_code_signing_config(self, function_name: str) -> Json:
        return {"FunctionName": self._store.find(function_name)[0].name}

    async def get_runtime_management_config(
        self, function_name: str, qualifier: str | None = None
    ) -> Json:
        function, qualifier, _ = self._store.find_version(function_name, qualifier)
        return {"UpdateRuntimeOn": "Auto", "FunctionArn": self._store.arn(function.name, qualifier)}

    async def get_function_recursion_config(self, function_name: str) -> Json:
        self._store.find(function_name)
        return {"RecursiveLoop": "Terminate"}

    async def list_function_url_configs(self, /, function_name: str, **_: Any) -> Json:
        self._store.find(function_name)
        return {"FunctionUrlConfigs": []}

    async def list_provisioned_concurrency_configs(self, /, function_name: str, **_: Any) -> Json:
        self._store.find(function_name)
        return {"ProvisionedConcurrencyConfigs": []}

    async def list_layers(self, /, **_: Any) -> Json:
        return {"Layers": []}

    # --- event configurations ---

    async def put_function_event_invoke_config(
        self, /, function_name: str, qualifier: str | None = None, **parameters: Any
    ) -> Json:
        return await self._configure_events(function_name, qualifier, parameters, replace=True)

    async def update_function_event_invoke_config(
        self, /, function_name: str, qualifier: str | None = None, **parameters: Any
    ) -> Json:
        return await self._configure_events(function_name, qualifier, parameters, replace=False)

    async def _configure_events(
        self, reference: str, qualifier: str | None, parameters: Json, replace: bool
    ) -> Json:
        members = {
            "maximum_retry_attempts": "MaximumRetryAttempts",
            "maximum_event_age_in_seconds": "MaximumEventAgeInSeconds",
            "destination_config": "DestinationConfig",
        }
        async with self._store.changing(reference, qualifier) as (function, qualifier):
            self._store.find_version(reference, qualifier)
            qualifier = qualifier or LATEST
            before = {} if replace else self._event_config(function, qualifier)
            changes = {
                members[name]: value for name, value in parameters.items() if name in members
            }
            function.event_configs[qualifier] = {
                **before,
                **changes,
                "LastModified": self._store.seconds(),
            }
        return self._shown_config(function, qualifier)

    async def get_function_event_invoke_config(
        self, function_name: str, qualifier: str | None = None
    ) -> Json:
        function, qualifier = self._store.find(function_name, qualifier)
        self._event_config(function, qualifier or LATEST)
        return self._shown_config(function, qualifier or LATEST)

    async def delete_function_event_invoke_config(
        self, function_name: str, qualifier: str | None = None
    ) -> Json:
        async with self._store.changing(function_name, qualifier) as (function, qualifier):
            self._event_config(function, qualifier or LATEST)
            del function.event_configs[qualifier or LATEST]
        return {}

    async def list_function_event_invoke_configs(
        self, function_name: str, marker: str | None = None, max_items: int | None = None
    ) -> Json:
        function, _ = self._store.find(function_name)
        shown, following = page(
            sorted(function.event_configs), marker, max_items, self._store.limits.function_page, str
        )
        return with_marker(
            {"FunctionEventInvokeConfigs": [self._shown_config(function, each) for each in shown]},
            following,
        )

    def _event_config(self, function: LambdaFunction, qualifier: str) -> Json:
        """Raises ApiError."""
        if qualifier not in function.event_configs:
            arn = self._store.arn(function.name, qualifier)
            raise ApiError(
                "ResourceNotFoundException", messages.EVENT_CONFIG_UNKNOWN.format(arn=arn)
            )
        config: Json = function.event_configs[qualifier]
        return config

    def _shown_config(self, function: LambdaFunction, qualifier: str) -> Json:
        shown = {
            "DestinationConfig": {"OnSuccess": {}, "OnFailure": {}},
            **function.event_configs[qualifier],
        }
        return {**shown, "FunctionArn": self._store.arn(function.name, qualifier)}


def _condition(equals: dict[str, str | None], source_arn: str | None) -> Json:
    """The member "Condition" of a statement; {} if all values are None."""
    conditions = {
        "StringEquals": {name: value for name, value in equals.items() if value is not None},
        "ArnLike": {"AWS:SourceArn": source_arn} if source_arn is not None else {},
    }
    present = {name: values for name, values in conditions.items() if values}
    return {"Condition": present} if present else {}


def _text(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _revision(policy: Json) -> str:
    """The RevisionId of a policy: a hash of it."""
    digits = hashlib.blake2b(msgspec.json.encode(policy), digest_size=16).hexdigest()
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
