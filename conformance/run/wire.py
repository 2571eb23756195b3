"""A thin way to the API for long runs: the same requests that boto3 sends, signed, at a fraction of
its cost.

boto3 stays the suite's usual door (endpoint.py); this one is for thousands of generated machines
against an endpoint that is near.
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
    """Calls over one kept-open connection for each thread. `seconds`: the longest wait for an
    answer.
    """

    def __init__(self, url: str, region: str, key: str, secret: str, seconds: float = 70) -> None:
        self.url, self.seconds = url, seconds
        parts = urlsplit(url)
        self._host, self._secure = parts.netloc, parts.scheme == "https"
        self._signer = SigV4Auth(Credentials(key, secret), _SERVICE, region)
        self._kept = threading.local()

    def call(self, operation: str, **parameters: Any) -> dict[str, Any]:
        """The answer of an operation, timestamps as numbers. ClientError if it is refused."""
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
        except (
            ValueError
        ):  # the page of a web server that found no handler, or whose handler failed
            answer, status = (
                {"message": " ".join(text[:300].decode(errors="replace").split())},
                max(status, 500),
            )
        if status >= 300:
            code = str(answer.get("__type", status)).rsplit("#", 1)[-1]
            message = answer.get("message", answer.get("Message", ""))
            raise ClientError({"Error": {"Code": code, "Message": message}}, operation)
        return answer

    def _send(self, body: bytes, headers: dict[str, str]) -> tuple[int, bytes]:
        """Status and body of the answer. EndpointConnectionError, ConnectionClosedError if there is
        none, or not a whole one.
        """
        kept = getattr(self._kept, "connection", None)
        kind = http.client.HTTPSConnection if self._secure else http.client.HTTPConnection
        try:
            if kept is not None:
                # the server may close a connection that was idle for long: asked once more, on a
                # new one
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
        """One request and its answer; the connection is kept if all went well."""
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
