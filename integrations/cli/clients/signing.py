"""The signatures of requests to a server, with the credentials and the region that AWS's clients
find: environment, profiles, and so on.
"""

from __future__ import annotations

import os
from typing import Final

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.exceptions import BotoCoreError, ProfileNotFound, SSOError
from botocore.session import Session

from stepwell.engine.arns import Home
from stepwell.integrations.errors import UsageError

SERVICE: Final = "states"


def _unusable(fault: BotoCoreError) -> UsageError:
    if isinstance(fault, ProfileNotFound):
        profile = os.environ.get("AWS_PROFILE") or os.environ.get("AWS_DEFAULT_PROFILE")
        return UsageError(f"there is no AWS profile called {profile}")
    if isinstance(fault, SSOError):
        return UsageError("the session of AWS's single sign-on has expired: use `aws sso login`")
    kind = type(fault).__name__.removesuffix("Error")
    return UsageError(f"the AWS credentials cannot be used ({kind}): try `aws configure list`")


class Signer:
    """Raises UsageError where the profile or the credentials cannot be read."""

    def __init__(self) -> None:
        session = Session()
        try:
            # AWS_REGION is of the AWS CLI and other SDKs; botocore itself reads the older name only
            named = os.environ.get("AWS_REGION") or session.get_config_variable("region")
            self.region: str = named or Home().region
            self._credentials = session.get_credentials()
        except BotoCoreError as fault:
            raise _unusable(fault) from None

    def endpoint(self) -> str:
        """The URL of Step Functions at AWS, in this region."""
        suffix = ".cn" if self.region.startswith("cn-") else ""
        return f"https://{SERVICE}.{self.region}.amazonaws.com{suffix}"

    def sign(self, url: str, headers: dict[str, str], body: bytes) -> dict[str, str]:
        """The headers with the signature; as they are without credentials."""
        if self._credentials is None:
            return headers
        request = AWSRequest("POST", url, headers=headers, data=body)
        try:
            frozen = self._credentials.get_frozen_credentials()
            SigV4Auth(frozen, SERVICE, self.region).add_auth(request)
        except BotoCoreError as fault:
            raise _unusable(fault) from None
        return dict(request.headers.items())
