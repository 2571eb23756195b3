"""A real browser on a real server. Playwright's fixtures, with the system's Chromium, one a module.

pytest-playwright keeps one browser, and with it a running event loop, for the whole session;
asynchronous tests could not run after that.
"""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import (
    Browser,
    BrowserContext,
    Page,
    Playwright,
    expect,
    sync_playwright,
)
from tests.conftest import ROOT
from tests.integrations.server.live import LIMITED, Live, keep_compiled

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
OPTIONS = [
    "--no-sandbox", "--headless", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
SHOTS = Path(os.environ.get("STEPWELL_SCREENSHOTS", ROOT / "build" / "screenshots"))
Shoot = Callable[[str], None]
PATIENCE_MS = 60_000  # a busy machine needs more than the five seconds of expect()
expect.set_options(timeout=PATIENCE_MS)


@pytest.fixture(scope="module")
def playwright() -> Iterator[Playwright]:
    if CHROMIUM is None:
        pytest.skip("no Chromium here: scripts/browser installs it where it may")
    with sync_playwright() as running:
        yield running


@pytest.fixture(scope="module")
def browser(playwright: Playwright) -> Iterator[Browser]:
    browser = playwright.chromium.launch(executable_path=CHROMIUM, args=OPTIONS)
    yield browser
    browser.close()


@pytest.fixture
def browser_context_args() -> dict[str, Any]:
    return {"viewport": {"width": 1440, "height": 1000}, "color_scheme": "light"}


@pytest.fixture
def live(
    home: dict[str, str],
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
    request: pytest.FixtureRequest,
) -> Iterator[Live]:
    """The server. Its options: @pytest.mark.parametrize("live", [("--read-only",)],
    indirect=True).
    """
    environment = keep_compiled(home, tmp_path_factory.getbasetemp())
    server = Live(
        environment, tmp_path / "served.db", *getattr(request, "param", ()), program=LIMITED
    )
    yield server
    server.close()


@pytest.fixture
def page(context: BrowserContext, live: Live) -> Iterator[Page]:
    """The page of the console. After the test: the browser has logged nothing, and has requested
    nothing from other servers.
    """
    page = context.new_page()
    logged, requested = list[str](), list[str]()
    page.on("console", lambda message: logged.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: logged.append(str(error)))
    page.on("request", lambda request: requested.append(request.url))
    page.set_default_timeout(PATIENCE_MS)
    page.goto(live.url)
    yield page
    assert logged == []
    assert [url for url in requested if not url.startswith((live.url, "data:", "blob:"))] == []


@pytest.fixture
def shoot(page: Page) -> Shoot:
    """shoot("failed"): save a screenshot of the page."""

    def shoot(name: str) -> None:
        SHOTS.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=SHOTS / f"{name}.png", animations="disabled")

    return shoot
