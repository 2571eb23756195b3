"""What pages of other origins can do to a server in a real browser: nothing."""

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
from playwright.sync_api import BrowserContext
from tests.integrations.server.live import Live, eventually

SEND = """async target => {
    const type = 'application/x-www-form-urlencoded';
    const body = 'Action=CreateTopic&Name=form';
    const form = {method: 'POST', headers: {'Content-Type': type}, body};
    const names = ['img', 'script', 'iframe', 'video', 'embed', 'link'];
    const settled = [];
    for (const name of names) {
        const element = document.createElement(name);
        if (name === 'link') element.rel = 'stylesheet';
        settled.push(new Promise(done => {
            element.onload = element.onerror = done;
            setTimeout(done, 3000);
        }));
        element[name === 'link' ? 'href' : 'src'] = target.get;
        document.body.append(element);
    }
    for (const mode of ['no-cors', 'cors']) {
        for (const options of [{}, form, {method: 'POST', body: target.form}, {method: 'HEAD'}]) {
            const url = options.method === 'POST' ? target.url : target.get;
            settled.push(fetch(url, {mode, ...options}).catch(() => 0));
        }
    }
    navigator.sendBeacon(target.url, new Blob([target.form], {type}));
    navigator.sendBeacon(target.get);
    await Promise.all(settled);
}"""


class Site:
    """A site with an empty page. posts: the bodies of what was posted to it."""

    def __init__(self) -> None:
        self.posts = list[bytes]()
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.send_header("content-type", "text/html")
                self.end_headers()
                self.wfile.write(b"<!doctype html><title>another site</title><body></body>")

            def do_POST(self) -> None:
                site.posts.append(self.rfile.read(int(self.headers["content-length"])))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *words: object) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_port
        Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def site() -> Iterator[Site]:
    site = Site()
    yield site
    site.server.shutdown()
    site.server.server_close()


@pytest.mark.parametrize("live", [(), ("--read-only",)], indirect=True)
@pytest.mark.parametrize(
    "host", ["localhost", "127.0.0.1"]
)  # the first is the same site, though not the same origin
def test_a_page_of_another_origin_cannot_call(
    context: BrowserContext, live: Live, site: Site, host: str
):
    url = live.url.replace("127.0.0.1", "localhost")
    page = context.new_page()
    page.goto(f"http://{host}:{site.port}/")
    target = {
        "url": f"{url}/",
        "get": f"{url}/?Action=CreateTopic&Name=get",
        "form": "Action=CreateTopic&Name=beacon",
    }
    page.evaluate(SEND, target)
    with context.expect_page() as opened:
        page.evaluate("url => { window.open(url) }", target["get"])
    opened.value.wait_for_load_state()
    assert "AccessDenied" in opened.value.content()
    page.evaluate(
        """url => {
            const form = document.createElement('form');
            form.method = 'POST';
            form.action = url;
            form.innerHTML =
                '<input name=Action value=CreateTopic><input name=Name value=submitted>';
            document.body.append(form);
            form.submit();
        }""",
        target["url"],
    )
    page.wait_for_url(f"{url}/")
    assert live.client("sns").list_topics()["Topics"] == []


@pytest.mark.parametrize("live", [("--allow-private",)], indirect=True)
def test_a_link_of_a_topic_works_when_clicked_and_not_when_embedded(
    context: BrowserContext, live: Live, site: Site
):
    sns = live.client("sns")
    topic = sns.create_topic(Name="news")["TopicArn"]
    sns.subscribe(TopicArn=topic, Protocol="http", Endpoint=f"http://127.0.0.1:{site.port}/")
    link = json.loads(eventually(lambda: site.posts)[0])["SubscribeURL"]
    page = context.new_page()
    page.goto(f"http://localhost:{site.port}/")
    page.evaluate(SEND, {"url": f"{live.url}/", "get": link, "form": link.partition("?")[2]})

    def confirmed() -> bool:
        return str(sns.list_subscriptions()["Subscriptions"][0]["SubscriptionArn"]).startswith(
            topic
        )

    assert not confirmed()
    page.set_content(f"<a href='{link}'>Confirm</a>")
    page.click("a")
    page.wait_for_url(f"{live.url}/**")
    assert confirmed()
