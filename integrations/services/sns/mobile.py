"""The operations on platform applications, their endpoints, and phone numbers.

sns/app/PLATFORM/NAME        sns/device/PLATFORM/NAME/UUID
sns/sms/settings             sns/sms/out/NUMBER: opted out
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from stepwell.engine.errors import ApiError
from stepwell.integrations.services.common.answers import Answer
from stepwell.integrations.services.common.tables import Document, Table
from stepwell.integrations.services.sns import messages
from stepwell.integrations.services.sns.store import TopicStore, invalid
from stepwell.integrations.services.sns.subscriptions import ENDPOINTS

PLATFORMS: Final = (
    "ADM",
    "APNS",
    "APNS_SANDBOX",
    "APNS_VOIP",
    "APNS_VOIP_SANDBOX",
    "BAIDU",
    "FCM",
    "GCM",
    "MACOS",
    "MACOS_SANDBOX",
    "MPNS",
    "WNS",
)
_SECRET: Final = ("PlatformCredential", "PlatformPrincipal", "PlatformTokenSigningKey")
_ENDPOINT: Final = ("CustomUserData", "Enabled", "Token")
_SETTINGS: Final = "settings"


class Mobile:
    def __init__(self, store: TopicStore) -> None:
        self._store = store
        self.applications, self.devices, self.phones = (
            Table("sns/app/"),
            Table("sns/device/"),
            Table("sns/sms/"),
        )

    async def open(self) -> None:
        for table in (self.applications, self.devices, self.phones):
            await table.open(self._store.records)

    def check_endpoint(self, protocol: str, endpoint: str) -> None:
        """Whether a phone or a device may be published to. Raises ApiError."""
        if protocol == "application":
            if self._device(endpoint)["Attributes"].get("Enabled") == "false":
                raise ApiError("EndpointDisabledException", messages.SNS_ENDPOINT_DISABLED)
        elif not ENDPOINTS["sms"].match(endpoint):
            raise invalid(messages.SNS_PHONE.format(phone=endpoint))

    # --- applications -----------------------------------------------------------------------------

    async def create_platform_application(
        self, name: str, platform: str, attributes: Mapping[str, str]
    ) -> Answer:
        """Idempotent if an application of that name has these attributes."""
        if platform not in PLATFORMS:
            raise invalid(messages.SNS_PLATFORM.format(platform=platform))
        async with self._store.lock:
            key = f"{platform}/{name}"
            application = self.applications.get(key)
            if application is not None and application["Attributes"] != dict(attributes):
                raise invalid(messages.SNS_PLATFORM_EXISTS)
            if application is None:
                _check_room(
                    "Application", len(self.applications), self._store.limits.platform_applications
                )
                application = {"Arn": self._store.arn(f"app/{key}"), "Attributes": dict(attributes)}
                await self.applications.put(key, application)
        return {"PlatformApplicationArn": application["Arn"]}

    def _application(self, arn: str) -> tuple[str, Document]:
        key = self._store.local_name(arn, "PlatformApplicationArn").removeprefix("app/")
        application = self.applications.get(key)
        if application is None:
            raise ApiError("NotFoundException", messages.SNS_APPLICATION_UNKNOWN)
        return key, application

    async def get_platform_application_attributes(self, platform_application_arn: str) -> Answer:
        _, application = self._application(platform_application_arn)
        return {"Attributes": _without_secrets(application["Attributes"])}

    async def set_platform_application_attributes(
        self, platform_application_arn: str, attributes: Mapping[str, str]
    ) -> Answer:
        async with self._store.lock:
            key, application = self._application(platform_application_arn)
            await self.applications.put(
                key, application | {"Attributes": application["Attributes"] | attributes}
            )
        return {}

    async def list_platform_applications(self, next_token: str | None = None) -> Answer:
        applications = [
            {
                "PlatformApplicationArn": each["Arn"],
                "Attributes": _without_secrets(each["Attributes"]),
            }
            for each in self.applications.sorted()
        ]
        items, more = self._store.page(["ListPlatformApplications"], applications, next_token)
        return {"PlatformApplications": items, **more}

    async def delete_platform_application(self, platform_application_arn: str) -> Answer:
        """With its endpoints. A missing application is no error."""
        async with self._store.lock:
            key = self._store.local_name(
                platform_application_arn, "PlatformApplicationArn"
            ).removeprefix("app/")
            if key in self.applications:
                owned = [each for each in self.devices if each.startswith(f"{key}/")]
                await self.applications.delete(key, {f"sns/device/{each}": None for each in owned})
                for each in owned:
                    self.devices.set_in_memory(each, None)
        return {}

    # --- endpoints --------------------------------------------------------------------------------

    async def create_platform_endpoint(
        self,
        platform_application_arn: str,
        token: str,
        custom_user_data: str | None = None,
        attributes: Mapping[str, str] | None = None,
    ) -> Answer:
        """Idempotent if the token has an endpoint with these attributes."""
        async with self._store.lock:
            key, _ = self._application(platform_application_arn)
            checked = {"Enabled": "true", **_known(attributes or {}), "Token": token}
            if custom_user_data is not None:
                checked["CustomUserData"] = custom_user_data
            endpoint = next(
                (
                    each
                    for each in self.devices.sorted(f"{key}/")
                    if each["Attributes"]["Token"] == token
                ),
                None,
            )
            if endpoint is not None and endpoint["Attributes"] != checked:
                raise invalid(messages.SNS_ENDPOINT_EXISTS.format(arn=endpoint["Arn"]))
            if endpoint is None:
                _check_room("Endpoint", len(self.devices), self._store.limits.platform_endpoints)
                name = f"{key}/{self._store.new_id()}"
                endpoint = {"Arn": self._store.arn(f"endpoint/{name}"), "Attributes": checked}
                await self.devices.put(name, endpoint)
        return {"EndpointArn": endpoint["Arn"]}

    def _device(self, arn: str) -> Document:
        endpoint = self.devices.get(
            self._store.local_name(arn, "EndpointArn").removeprefix("endpoint/")
        )
        if endpoint is None:
            raise ApiError("NotFoundException", messages.SNS_ENDPOINT_UNKNOWN)
        return endpoint

    async def get_endpoint_attributes(self, endpoint_arn: str) -> Answer:
        return {"Attributes": self._device(endpoint_arn)["Attributes"]}

    async def set_endpoint_attributes(
        self, endpoint_arn: str, attributes: Mapping[str, str]
    ) -> Answer:
        async with self._store.lock:
            endpoint = self._device(endpoint_arn)
            name = self._store.local_name(endpoint_arn, "EndpointArn").removeprefix("endpoint/")
            await self.devices.put(
                name, endpoint | {"Attributes": endpoint["Attributes"] | _known(attributes)}
            )
        return {}

    async def list_endpoints_by_platform_application(
        self, platform_application_arn: str, next_token: str | None = None
    ) -> Answer:
        key, _ = self._application(platform_application_arn)
        endpoints = [
            {"EndpointArn": each["Arn"], "Attributes": each["Attributes"]}
            for each in self.devices.sorted(f"{key}/")
        ]
        items, more = self._store.page(
            ["ListEndpointsByPlatformApplication", key], endpoints, next_token
        )
        return {"Endpoints": items, **more}

    async def delete_endpoint(self, endpoint_arn: str) -> Answer:
        """A missing endpoint is no error."""
        async with self._store.lock:
            name = self._store.local_name(endpoint_arn, "EndpointArn").removeprefix("endpoint/")
            if name in self.devices:
                await self.devices.delete(name)
        return {}

    # --- phones -----------------------------------------------------------------------------------

    async def set_sms_attributes(self, attributes: Mapping[str, str]) -> Answer:
        async with self._store.lock:
            await self.phones.put(_SETTINGS, {**(self.phones.get(_SETTINGS) or {}), **attributes})
        return {}

    async def get_sms_attributes(self, attributes: Sequence[str] = ()) -> Answer:
        settings = self.phones.get(_SETTINGS) or {}
        return {
            "attributes": {
                name: value
                for name, value in settings.items()
                if not attributes or name in attributes
            }
        }

    async def opt_out(self, phone_number: str) -> None:
        """For tests: as if the phone had answered STOP. Not an operation of AWS."""
        async with self._store.lock:
            await self.phones.put(f"out/{phone_number}", {"number": phone_number})

    async def opt_in_phone_number(self, phone_number: str) -> Answer:
        async with self._store.lock:
            if f"out/{phone_number}" in self.phones:
                await self.phones.delete(f"out/{phone_number}")
        return {}

    async def check_if_phone_number_is_opted_out(self, phone_number: str) -> Answer:
        if not ENDPOINTS["sms"].match(phone_number):
            raise invalid(messages.SNS_PHONE.format(phone=phone_number))
        return {"isOptedOut": f"out/{phone_number}" in self.phones}

    async def list_phone_numbers_opted_out(self, next_token: str | None = None) -> Answer:
        numbers = [each["number"] for each in self.phones.sorted("out/")]
        items, more = self._store.page(
            ["ListPhoneNumbersOptedOut"], numbers, next_token, "nextToken"
        )
        return {"phoneNumbers": items, **more}

    async def get_sms_sandbox_account_status(self) -> Answer:
        return {"IsInSandbox": False}

    async def list_origination_numbers(
        self, next_token: str | None = None, max_results: int | None = None
    ) -> Answer:
        return {"PhoneNumbers": []}


def _known(attributes: Mapping[str, str]) -> dict[str, str]:
    unknown = next((name for name in attributes if name not in _ENDPOINT), None)
    if unknown is not None:
        raise invalid(
            messages.SNS_ATTRIBUTES.format(text=messages.SNS_UNKNOWN_ATTRIBUTE.format(name=unknown))
        )
    return {
        name: value.lower() if name == "Enabled" else value for name, value in attributes.items()
    }


def _without_secrets(attributes: Mapping[str, str]) -> dict[str, str]:
    return {
        "Enabled": "true",
        **{name: value for name, value in attributes.items() if name not in _SECRET},
    }


def _check_room(what: str, count: int, most: int) -> None:
    if count >= most:
        raise ApiError(
            "InvalidParameterException",
            messages.SNS_INVALID.format(
                text=messages.SNS_PLATFORM_LIMIT.format(name=what, limit=most)
            ),
        )
