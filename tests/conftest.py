"""A headless Chromium, which reaches 127.0.0.1 and nothing else, and a look at a lab's state."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
import yaml

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, Route

#: The same names as in scripts/chromium.
NAMES = ("chromium", "chromium-browser", "google-chrome")
MISSING = "Chromium is not installed; next: scripts/chromium, which installs it or says how"
#: Seconds that a busy machine may take for one step of a test.
PATIENCE_S = 90
REASONS = Path(__file__).with_name("techniques") / "reasons"
#: Seconds in which a lab settles after a change: pods that start again, programs that end.
SETTLES_S = 30.0
OPTIONS = [
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--no-proxy-server",
]


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


@pytest.fixture(scope="session")
def settled() -> Callable[..., list[str]]:
    """Return a function: the differences from a lab's start that stay and were not known."""

    def differences(lab: Any, known: Sequence[str] = ()) -> list[str]:
        deadline = time.monotonic() + SETTLES_S
        while (found := {*lab.drift()} - {*known}) and time.monotonic() < deadline:
            time.sleep(1)
        return sorted(found)

    return differences


@pytest.fixture(scope="session")
def reason_in() -> Callable[..., str]:
    """Return a function: the reason, written down by hand, why a technique ends as it does."""

    def read(name: str, mode: str, foothold: str) -> str:
        written = yaml.safe_load((REASONS / f"{name}.yaml").read_text())[mode]
        return str(written[foothold] if isinstance(written, dict) else written)

    return read
