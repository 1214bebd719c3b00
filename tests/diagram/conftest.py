"""A headless Chromium for the tests in a browser, which reaches 127.0.0.1 and nothing else."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, Route

#: The same names as in scripts/chromium.
NAMES = ("chromium", "chromium-browser", "google-chrome")
MISSING = "Chromium is not installed; next: scripts/chromium, which installs it or says how"
#: Seconds that a busy machine may take for one step of a test.
PATIENCE_S = 90
OPTIONS = [
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--no-proxy-server",
]


#: Returns a point of a line at which nothing else is on top of it.
POINT = """(key) => {
  const lines = [...document.querySelectorAll(".lkd-line")];
  const line = lines.find((it) => it.dataset.key === key);
  line.scrollIntoView({ block: "center" });
  const path = line.querySelector(".lkd-reach");
  const toScreen = path.getScreenCTM();
  for (let part = 0.05; part < 1; part += 0.01) {
    const at = path.getPointAtLength(path.getTotalLength() * part).matrixTransform(toScreen);
    const top = document.elementFromPoint(at.x, at.y);
    if (top && line.contains(top)) return [at.x, at.y];
  }
  return null;
}"""


@pytest.fixture
def click_line(page: Page) -> Callable[[str], None]:
    """Return a function that clicks on the line of a channel with the mouse."""

    def click(channel: str) -> None:
        point = page.evaluate(POINT, channel)
        assert point is not None, f"{channel} lies behind other lines everywhere"
        page.mouse.click(*point)

    return click


@pytest.fixture
def tab_to(page: Page) -> Callable[..., None]:
    """Return a function that presses Tab until a condition on the focused element holds."""

    def move(script: str, key: str = "Tab") -> None:
        for _ in range(120):
            if page.evaluate(f"((it) => {script})(document.activeElement)"):
                return
            page.keyboard.press(key)
        pytest.fail(f"no element by {key}: {script}", pytrace=False)

    return move


@pytest.fixture
def choose_by_keys(page: Page) -> Callable[[str], None]:
    """Return a function that chooses an option of the list that has the focus, by arrows."""

    def choose(word: str) -> None:
        for _ in range(40):
            if page.evaluate("document.activeElement.value") == word:
                return
            page.keyboard.press("ArrowDown")
        pytest.fail(f"no option {word} by the arrows", pytrace=False)

    return choose


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    wanted = filter(None, (os.environ.get("LABKIT_CHROMIUM"), *NAMES))
    program = next(filter(None, map(shutil.which, wanted)), None)
    if program is None:
        if os.environ.get("CI") == "true":
            pytest.fail(f"CI must run every test, but: {MISSING}", pytrace=False)
        pytest.skip(MISSING)
    from playwright.sync_api import sync_playwright

    # Chromium's own sandbox does not start as root
    as_root = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=program, args=[*OPTIONS, *as_root])
        yield found
        found.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """Return a new page; the test fails if it asks any other host, or if a script fails."""
    context = browser.new_context(viewport={"width": 1500, "height": 1000})
    context.set_default_timeout(PATIENCE_S * 1000)
    strangers: list[str] = []
    failures: list[str] = []

    def only_here(route: Route) -> None:
        if urlsplit(route.request.url).hostname == "127.0.0.1":
            route.continue_()
        else:
            route.abort()

    def note(url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("data", "blob") and parts.hostname != "127.0.0.1":
            strangers.append(url)

    context.route("**/*", only_here)
    context.on("request", lambda request: note(request.url))
    opened = context.new_page()
    opened.on("websocket", lambda socket: note(socket.url))
    opened.on("pageerror", lambda error: failures.append(str(error)))
    yield opened
    context.close()
    assert strangers == []
    assert failures == []
