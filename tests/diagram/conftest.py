"""How a person clicks and types in the living diagram, for its tests in a browser."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Page

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
