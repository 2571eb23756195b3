"""A server whose memory is limited: large requests fail for the moment, and nothing else does."""

import http.client
import os
import resource
from pathlib import Path

from tests.integrations.server.conftest import Serve
from tests.integrations.server.live import Live, request
from tests.integrations.server.test_server import create

MEGABYTE = 1_000_000
FUNCTIONS = "/2015-03-31/functions"  # whose requests may be large


def status_of(live: Live, body: bytes) -> int:
    """0: the connection was closed."""
    try:
        return request(live, FUNCTIONS, body)[0]
    except (OSError, http.client.HTTPException):
        return 0


def test_a_request_that_finds_no_memory_may_be_repeated(serve: Serve) -> None:
    live = serve()
    client = live.client()
    arn = create(client)
    body = b'{"FunctionName": "' + b"x" * 12 * MEGABYTE + b'"}'
    pages = int(Path(f"/proc/{live.process.pid}/statm").read_text().split()[0])
    used = pages * os.sysconf("SC_PAGE_SIZE")
    _, most = resource.prlimit(live.process.pid, resource.RLIMIT_AS)
    found = []
    for more in (6, 15, 30, 200):  # it ends at another place for each
        limit = (used + more * MEGABYTE, most)
        resource.prlimit(live.process.pid, resource.RLIMIT_AS, limit)
        found.append(status_of(live, body))
        assert client.start_execution(stateMachineArn=arn)["executionArn"]
    assert set(found[:-1]) <= {0, 503} and found[-1] == 400, found  # no name is that long
    assert not [each for each in live.log if "traceback" in each]
