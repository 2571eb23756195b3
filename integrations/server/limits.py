"""The limits of the server: part of integrations/limits.py."""

from dataclasses import dataclass


@dataclass(frozen=True)
class ServerLimits:
    """Upper bounds, all inclusive."""

    # the API
    request_bytes: int = (
        2 * 1024 * 1024
    )  # of one request's body; AWS says 1 MB, which a definition of full length cannot keep to
    upload_bytes: int = (
        72 * 1024 * 1024
    )  # the same of requests that bring code (50 MB, as base64) or the payload of a function (6 MB)
    request_seconds: float = 30.0  # that a client may take to send it
    answer_seconds: float = 60.0  # that a client may take nothing of its answer
    request_head_seconds: float = 20.0  # the same of its head, from the first byte
    request_head_bytes: int = 65_536
    open_head_bytes: int = 64 * 1024 * 1024  # of all heads that are not complete yet
    pipelined_requests: int = (
        64  # of one connection, sent before an earlier one was answered; beyond it, it is closed
    )
    pipelined_bytes: int = 65_536  # of the body of such a one
    open_requests: int = (
        4_096  # being answered, long polls among them; more are refused: ThrottlingException
    )
    open_request_bytes: int = (
        256 * 1024 * 1024
    )  # of all their bodies together, as far as they have come
    peer_request_bytes: int = (
        128 * 1024 * 1024
    )  # the same of one address of a client (one /64 of IPv6)
    connection_idle_seconds: int = (
        75  # longer than clients keep theirs, so that they never use one that is being closed
    )

    # HTTP APIs
    http_api_bytes: int = 10 * 1024 * 1024  # of one request's body
