"""A client for long runs: the same signed requests as boto3 sends, at a fraction of the CPU time.

The suite uses boto3 (endpoint.py), except for generated machines against endpoints other than AWS.
"""

import http.client
import json
import threading
from contextlib import suppress
from typing import Any, Final
from urllib.parse import urlsplit

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError, ConnectionClosedError, EndpointConnectionError

_SERVICE: Final = "states"
_TARGET: Final = "AWSStepFunctions."


class Wire:
    """Calls over one persistent connection for each thread. `seconds`: timeout of an answer."""

    def __init__(self, url: str, region: str, key: str, secret: str, seconds: float = 70) -> None:
        self.url, self.seconds = url, seconds
        parts = urlsplit(url)
        self._host, self._secure = parts.netloc, parts.scheme == "https"
        self._signer = SigV4Auth(Credentials(key, secret), _SERVICE, region)
        self._kept = threading.local()

    def call(self, operation: str, **parameters: Any) -> dict[str, Any]:
        """Call an operation; timestamps in the answer are numbers. Raises ClientError."""
        body = json.dumps(parameters, ensure_ascii=False).encode()
        headers = {
            "Content-Type": "application/x-amz-json-1.0",
            "X-Amz-Target": _TARGET + operation,
        }
        request = AWSRequest("POST", self.url, headers=headers, data=body)
        self._signer.add_auth(request)
        status, text = self._send(body, dict(request.headers.items()))
        try:
            answer: dict[str, Any] = json.loads(text) if text else {}
        except ValueError:  # such as the error page of a web server
            answer = {"message": " ".join(text[:300].decode(errors="replace").split())}
            status = max(status, 500)
        if status >= 300:
            code = str(answer.get("__type", status)).rsplit("#", 1)[-1]
            message = answer.get("message", answer.get("Message", ""))
            raise ClientError({"Error": {"Code": code, "Message": message}}, operation)
        return answer

    def _send(self, body: bytes, headers: dict[str, str]) -> tuple[int, bytes]:
        """Status and body of the answer. Raises EndpointConnectionError, ConnectionClosedError."""
        kept = getattr(self._kept, "connection", None)
        kind = http.client.HTTPSConnection if self._secure else http.client.HTTPConnection
        try:
            if kept is not None:
                # the server may have closed an idle connection: try again on a new one
                with suppress(ConnectionError):
                    return self._exchange(kept, body, headers)
            return self._exchange(kind(self._host, timeout=self.seconds), body, headers)
        except (OSError, http.client.HTTPException) as error:
            kind_of_error = (
                EndpointConnectionError
                if isinstance(error, ConnectionRefusedError)
                else ConnectionClosedError
            )
            raise kind_of_error(endpoint_url=self.url) from error

    def _exchange(
        self, connection: http.client.HTTPConnection, body: bytes, headers: dict[str, str]
    ) -> tuple[int, bytes]:
        """One request and its answer. The connection is kept unless something fails."""
        self._kept.connection = None
        try:
            connection.request("POST", "/", body, headers)
            answer = connection.getresponse()
            text = answer.read()
        except BaseException:
            connection.close()
            raise
        self._kept.connection = connection
        return answer.status, text
