"""The services of others: which may be called, and where. By default none may."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING

from stepwell.integrations.limits import DEFAULT_LIMITS, Limits

if TYPE_CHECKING:
    from stepwell.integrations.aws.client import Aws
    from stepwell.integrations.aws.http_client import Http


class Outside:
    """What a host was told, and the clients that keep to it.

    endpoints      botocore's name of a service -> URL; under "" that of all others
    allow_aws      a service without an endpoint is called at AWS, with the credentials that
                   botocore finds
    allow_private  HTTP may go to this machine and to private networks
    smtp           (host, port) of the server that takes mail; None: nobody does
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
        """For tasks."""
        from stepwell.integrations.aws.http_client import Http

        return Http(self.allow_private, self.limits)

    @cached_property
    def deliveries(self) -> Http:
        """For what topics and rules deliver: slow endpoints of theirs do not take the connections
        of tasks.
        """
        from stepwell.integrations.aws.http_client import Http

        return Http(self.allow_private, self.limits)

    @cached_property
    def aws(self) -> Aws:
        from stepwell.integrations.aws.client import Aws  # imported late: so is botocore

        return Aws(self.endpoints, self.allow_aws, self.limits)

    def close(self) -> None:
        if "aws" in self.__dict__:
            self.aws.close()
