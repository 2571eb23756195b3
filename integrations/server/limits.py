"""The limits of the server: part of integrations/limits.py."""

from dataclasses import dataclass


@dataclass(frozen=True)
class ServerLimits:
    """Upper bounds, all inclusive."""

    # body of a request; AWS has 1 MiB, which is too little for a definition of full length
    request_bytes: int = 2 * 1024 * 1024
    # body of a request with code (50 MB in Base64) or with the payload of a function (6 MB)
    upload_bytes: int = 72 * 1024 * 1024
    request_seconds: float = 30.0  # for a client to send the body
    request_head_seconds: float = 20.0  # for a client to send the headers, from the first byte
    answer_seconds: float = 60.0  # for which a client may read nothing of a response
    # with --skip-time, real time for which the timeout of a task that a worker may still answer is
    # not skipped; what skip_outside_seconds is for a library
    skip_worker_seconds: float = 10.0
    request_head_bytes: int = 65_536  # headers of a request
    open_head_bytes: int = 64 * 1024 * 1024  # all incomplete headers together
    # requests of one connection that are sent before an earlier response; more close it
    pipelined_requests: int = 64
    pipelined_bytes: int = 65_536  # body of such a request
    # requests without a response, including long polls; more get a ThrottlingException
    open_requests: int = 4_096
    open_request_bytes: int = 256 * 1024 * 1024  # received bytes of all their bodies
    peer_request_bytes: int = 128 * 1024 * 1024  # the same of one client address (IPv6: one /64)
    # before an idle connection is closed; clients close theirs earlier, so none is closed in use
    connection_idle_seconds: int = 75
    http_api_bytes: int = 10 * 1024 * 1024  # AWS: body of a request to an HTTP API
