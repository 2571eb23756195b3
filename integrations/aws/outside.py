"""The services outside: which may be called, and where. By default none."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING

from stepwell.integrations.limits import DEFAULT_LIMITS, Limits

if TYPE_CHECKING:
    from stepwell.integrations.aws.client import Aws
    from stepwell.integrations.aws.http_client import Http


class Outside:
    """Settings of outgoing calls, and the clients that follow them.

    endpoints      botocore's name of a service -> URL; "": of all others
    allow_aws      services without an endpoint are called at AWS, with botocore's credentials
    allow_private  HTTP requests may go to this machine and to private networks
    smtp           (host, port) of the mail server; None: mail goes to the outbox
    """

    def __init__(
        self,
        endpoints: Mapping[str, str] | None = None,
        *,
        allow_aws: bool = False,
        allow_private: bool = False,
        smtp: tuple[str, int] | None = None,
        limits: Limits = DEFAULT_LIMITS,
    ) -> None:
        self.smtp = smtp
        self.endpoints, self.allow_aws, self.allow_private, self.limits = (
            dict(endpoints or {}),
            allow_aws,
            allow_private,
            limits,
        )

    @cached_property
    def http(self) -> Http:
        """The client of tasks."""
        from stepwell.integrations.aws.http_client import Http

        return Http(self.allow_private, self.limits)

    @cached_property
    def deliveries(self) -> Http:
        """The client of deliveries: their slow endpoints do not use up the connections of tasks."""
        from stepwell.integrations.aws.http_client import Http

        return Http(self.allow_private, self.limits)

    @cached_property
    def aws(self) -> Aws:
        from stepwell.integrations.aws.client import Aws  # imported late: so is botocore

        return Aws(self.endpoints, self.allow_aws, self.limits)

    @property
    def busy(self) -> bool:
        """Whether an HTTP request runs."""
        return any(
            self.__dict__[name].open for name in ("http", "deliveries") if name in self.__dict__
        )

    def close(self) -> None:
        if "aws" in self.__dict__:
            self.aws.close()
