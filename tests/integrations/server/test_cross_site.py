"""Requests that pages of other origins cause, as browsers send them. In a real browser:
tests/console/test_cross_site.py.
"""

import json
from urllib.error import HTTPError
from urllib.parse import urlsplit

import pytest
from tests.integrations.server.conftest import Serve
from tests.integrations.server.live import request

IMAGE = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"}
CLICK = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
FORM = "application/x-www-form-urlencoded"


@pytest.mark.parametrize("options", [(), ("--read-only",), ("--no-console",)])
def test_a_get_changes_nothing(serve: Serve, options: tuple[str, ...]):
    live = serve(*options)
    sns = live.client("sns")
    for headers in (
        {},
        IMAGE,
        CLICK,
        {"Sec-Fetch-Site": "same-origin"},
        {"Sec-Fetch-Site": "none"},
    ):
        for method in ("GET", "HEAD", "OPTIONS"):
            assert request(live, "/?Action=CreateTopic&Name=evil", b"", method, **headers)[0] >= 400
    assert sns.list_topics()["Topics"] == []
    with pytest.raises(HTTPError) as caught:
        live.get("/?Action=CreateTopic&Name=evil")
    assert b"<Code>AccessDenied</Code>" in caught.value.read()


def test_pages_of_other_origins_reach_no_path_by_any_method(serve: Serve):
    live = serve()
    api = live.client("apigatewayv2").create_api(Name="a", ProtocolType="HTTP")["ApiId"]
    doors = (
        "/",
        "/console/api/overview",
        "/console/app.js",
        "/health",
        "/metrics",
        "/2015-03-31/functions",
        "/v2/apis",
        f"/_apis/{api}/x",
    )
    for site in ("cross-site", "same-site"):
        for path in doors:
            for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"):
                for dest in ("image", "iframe", "empty", "script"):
                    mode = "navigate" if dest == "iframe" else "no-cors"
                    headers = {
                        "Sec-Fetch-Site": site,
                        "Sec-Fetch-Mode": mode,
                        "Sec-Fetch-Dest": dest,
                    }
                    assert request(live, path, b"", method, **headers)[0] in (400, 403), (
                        path,
                        method,
                        headers,
                    )
            assert request(live, path, b"{}", "POST", **CLICK | {"Sec-Fetch-Site": site})[0] in (
                400,
                403,
            ), path
    # a link to the page, and to an API, may be anywhere
    assert request(live, "/", b"", "GET", **CLICK)[0] == 200
    assert request(live, f"/_apis/{api}/x", b"", "GET", **CLICK)[0] == 404
    assert request(live, "/", b"", "GET", **CLICK | {"Sec-Purpose": "prefetch;prerender"})[0] == 400
    assert request(live, "/console/api/overview", b"", "GET", **CLICK)[0] == 400


def test_an_api_for_any_origin_serves_embedded_requests(serve: Serve):
    live = serve()
    apis = live.client("apigatewayv2")
    opened = apis.create_api(
        Name="a", ProtocolType="HTTP", CorsConfiguration={"AllowOrigins": ["*"]}
    )["ApiId"]
    closed = apis.create_api(
        Name="b", ProtocolType="HTTP", CorsConfiguration={"AllowOrigins": ["https://a.example"]}
    )["ApiId"]
    assert request(live, f"/_apis/{opened}/x", b"", "GET", **IMAGE)[0] == 404
    assert request(live, f"/_apis/{closed}/x", b"", "GET", **IMAGE)[0] == 403
    assert (
        request(live, f"/_apis/{closed}/x", b"", "GET", **IMAGE, Origin="https://a.example")[0]
        == 404
    )


def test_pages_of_other_origins_cannot_call(serve: Serve):
    live = serve("--allow-host", "stepwell")
    port = urlsplit(live.url).port
    for host in (f"localhost:{port}", f"sync-localhost:{port}", "stepwell:80", "sync-stepwell"):
        assert request(live, Host=host)[0] == 200
    assert request(live, Host=f"localhost:{port}", Origin=f"http://localhost:{port}")[0] == 200
    for headers in (
        {"Host": "evil.example"},
        {"Host": f"localhost:{port}", "Origin": "https://evil.example"},
    ):
        for path, method in (("/", "POST"), ("/metrics", "GET"), ("/health", "GET")):
            status, _, body = request(live, path, method=method, **headers)
            assert (status, json.loads(body)["__type"]) == (400, "AccessDeniedException")
