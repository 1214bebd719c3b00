"""The script of the diagram in a blank page of a real browser, with Python's real answers."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from importlib import resources
from typing import TYPE_CHECKING, Any

import pytest

from labkit.diagram.session import Session
from labkit.errors import LabBusy, LabkitError
from labkit.model import Draft, Model, read_model
from labkit.verification import Report, Row

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

pytestmark = pytest.mark.browser

#: Stands in for anywidget: a model with messages, which Python answers.
HTML = """<!doctype html><html lang="en"><title>diagram</title>
<link rel="stylesheet" href="diagram.css"><body><div id="here"></div>
<script type="module">
import widget from "./diagram.js";
const listeners = {};
const model = {
  get: () => window.scene,
  on: (event, call) => { (listeners[event] ||= []).push(call); },
  off: () => {},
  send: async (question) => {
    for (const message of await window.askPython(question)) {
      if (message.scene) {
        window.scene = message.scene;
        listeners["change:scene"].forEach((call) => call());
      } else listeners["msg:custom"].forEach((call) => call(message));
    }
  },
};
window.scene = await window.firstScene();
widget.render({ model, el: document.getElementById("here") });
document.body.dataset.ready = "yes";
</script></body></html>"""
ETCD = "kube-apiserver@master -> etcd@etcd1:2379"


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("page")
    (folder / "index.html").write_text(HTML)
    for name in ("diagram.js", "diagram.css"):
        text = (resources.files("labkit.diagram") / "assets" / name).read_text(encoding="utf-8")
        (folder / name).write_text(text)
    (folder / "favicon.ico").touch()
    handler = functools.partial(Quiet, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


def answering(session: Session) -> Callable[[dict[str, Any]], list[dict[str, Any]]]:
    """Return what answers a question of the page, as the widget does."""

    def answer(asked: dict[str, Any]) -> list[dict[str, Any]]:
        number = asked["number"]
        try:
            if asked["ask"] == "paths":
                found = session.paths(asked["start"], asked["goal"])
                return [{"number": number, "answer": found}]
            if asked["ask"] == "flip":
                scene = session.flip(asked["wanted"])
            else:
                scene = session.flip_in_lab(asked["control"], asked["on"], lambda line: None)
        except LabkitError as error:
            return [{"number": number, "error": str(error)}]
        return [{"scene": scene}, {"number": number, "answer": {}}]

    return answer


@pytest.fixture
def show(page: Page, address: str) -> Callable[..., Page]:
    def opened(session: Session) -> Page:
        page.expose_function("firstScene", session.shown)
        page.expose_function("askPython", answering(session))
        page.goto(address)
        page.wait_for_selector("body[data-ready]")
        return page

    return opened


@pytest.fixture(scope="module")
def insecure() -> Model:
    return read_model("insecure")


def line(page: Page, channel: str) -> Locator:
    return page.locator(f'.lkd-line[data-key="{channel}"]')


def focused(page: Page) -> str:
    return str(page.evaluate("document.activeElement.getAttribute('aria-label') || ''"))


def test_every_channel_is_an_element_with_a_text(show: Any, insecure: Model) -> None:
    page = show(Session(insecure))
    told = page.locator(".lkd-line").evaluate_all(
        "(all) => all.map((it) => [it.getAttribute('role'), it.getAttribute('aria-label')])"
    )
    assert len(told) == len(insecure.channels)
    for (role, text), channel in zip(told, insecure.channels, strict=True):
        assert role == "button"
        assert text.startswith(f"channel {channel.id}: ")
        assert f"encryption {channel.encryption.value}" in text


def test_click_on_a_channel_shows_claims_sources_evidence_and_controls(
    show: Any, insecure: Model, click_line: Any
) -> None:
    row = Row("insecure", ETCD, "encryption", "none", "", "none", "HTTP 200", "", "agree")
    page = show(Session(insecure, Report([row])))
    click_line(ETCD)
    details = page.locator(".lkd-details")
    assert details.locator(".lkd-h").inner_text() == ETCD
    assert details.locator(".lkd-claims > li").count() == 4
    [channel] = [it for it in insecure.channels if it.id == ETCD]
    text = details.inner_text()
    assert str(channel.encryption.source) in text
    assert "probe: agree; observed none: HTTP 200" in text
    assert details.locator('[data-control="etcd-client-tls"]').count() == 1
    assert details.get_attribute("aria-live") == "polite"


def test_keys_alone_reach_a_channel_and_its_details(show: Any, insecure: Model) -> None:
    page = show(Session(insecure))
    for _ in range(20):
        page.keyboard.press("Tab")
        if focused(page).startswith("channel "):
            break
    first, second = insecure.channels[:2]
    assert focused(page).startswith(f"channel {first.id}:")
    page.keyboard.press("ArrowRight")
    assert focused(page).startswith(f"channel {second.id}:")
    page.keyboard.press("End")
    assert focused(page).startswith(f"channel {insecure.channels[-1].id}:")
    page.keyboard.press("ArrowRight")
    assert focused(page).startswith(f"channel {first.id}:")
    halo = "getComputedStyle(document.activeElement.querySelector('.lkd-halo')).stroke"
    assert page.evaluate(halo) != "none"
    page.keyboard.press("Enter")
    assert page.locator(".lkd-details .lkd-h").inner_text() == first.id
    page.keyboard.press("Tab")
    assert focused(page).startswith("component ")


def test_click_on_a_control_changes_channels_and_findings(show: Any, insecure: Model) -> None:
    page = show(Session(insecure))
    before = page.locator(".lkd-title").inner_text()
    page.locator('.lkd-controls [data-control="etcd-client-tls"]').click()
    page.wait_for_selector(".lkd-changed")
    assert page.locator(".lkd-title").inner_text() != before
    assert "changed by the chosen controls" in str(line(page, ETCD).get_attribute("aria-label"))
    changes = page.locator(".lkd-effect").inner_text()
    assert "open" in changes
    assert "mitigated" in changes
    page.locator(".lkd-reset").click()
    page.wait_for_selector(".lkd-changed", state="detached")
    assert page.locator(".lkd-title").inner_text() == before


def test_focus_stays_on_a_control_that_is_flipped_by_keys(show: Any, insecure: Model) -> None:
    page = show(Session(insecure))
    page.locator('.lkd-controls [data-control="docker-tcp"]').focus()
    page.keyboard.press("Enter")
    page.wait_for_selector(".lkd-changed")
    assert page.evaluate("document.activeElement.dataset.control") == "docker-tcp"
    assert page.evaluate("document.activeElement.getAttribute('aria-pressed')") == "true"


def test_path_is_stepped_through_by_keys(
    show: Any, insecure: Model, choose_by_keys: Any, tab_to: Any
) -> None:
    session = Session(insecure)
    page = show(session)
    found = session.paths("pod", "admin")["paths"][1]["steps"]
    assert len(found) > 1
    page.locator("select").first.focus()
    choose_by_keys("pod")
    page.keyboard.press("Tab")
    choose_by_keys("admin")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_selector('[aria-current="step"]')
    tab_to("it.textContent.startsWith('path 2')", "Shift+Tab")
    page.keyboard.press("Enter")
    for number, step in enumerate(found, start=1):
        current = page.locator('[aria-current="step"]').inner_text()
        assert current.startswith(f"step {number} of {len(found)}")
        assert f"{step['name']}:" in current
        hits = page.locator(".lkd-hit").count()
        assert bool(hits) == bool(step["channels"] or step["components"])
        page.keyboard.press("ArrowDown")


def doubtful() -> Model:
    draft = Draft("doubtful")
    draft.component("kube-apiserver")
    draft.component("etcd")
    draft.channel(
        "kube-apiserver", "etcd", encryption="unknown", client_authentication="unknown",
        authorization="allow-all",
    )  # fmt: skip
    return draft.model()


def test_unknown_looks_different_without_colours(show: Any, click_line: Any) -> None:
    page = show(Session(doubtful()))
    only = page.locator(".lkd-line").first
    assert only.locator(".lkd-stroke").get_attribute("stroke-dasharray") == "9 4 2 4"
    assert str(page.locator(".lkd-label text").text_content()).endswith("?")
    click_line(str(only.get_attribute("data-key")))
    chip = page.locator(".lkd-claims .lkd-unknown").first
    assert chip.inner_text() == "? unknown"
    assert chip.evaluate("(it) => getComputedStyle(it).borderTopStyle") == "dashed"
    page.locator("select").nth(0).select_option("pod")
    page.locator("select").nth(1).select_option("secrets")
    page.locator(".lkd-find").click()
    page.wait_for_selector(".lkd-step.lkd-possible")
    text = page.locator(".lkd-paths").inner_text()
    assert "possible" in text
    assert "To find out:" in text


def test_text_of_a_model_is_never_html(show: Any, click_line: Any) -> None:
    draft = Draft("<img src=x onerror=alert(1)>")
    draft.component("<b>web</b>", kind="process")
    draft.component("store", kind="datastore")
    draft.channel("<b>web</b>", "store", encryption="none")
    page = show(Session(draft.model()))
    click_line("<b>web</b> -> store")
    assert page.locator("#here img, #here b").count() == 0
    assert "<b>web</b>" in page.locator(".lkd-details").inner_text()


class BusyLab:
    name, mode = "default", "insecure"


def test_error_of_the_lab_is_shown(
    show: Any, insecure: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise LabBusy("labkit verify runs in it", hint="wait for its end")

    monkeypatch.setattr("labkit.diagram.in_lab.flip_and_verify", refuse)
    lab: Any = BusyLab()
    page = show(Session(insecure, lab=lab))
    page.locator('.lkd-controls [data-control="docker-tcp"]').click()
    button = page.locator('[data-lab="docker-tcp"]')
    assert button.inner_text() == "put it in place in lab default (insecure)"
    button.click()
    page.wait_for_selector(".lkd-is-error")
    assert "next: wait for its end" in page.locator(".lkd-status").inner_text()


def test_labels_and_boxes_lie_inside_the_picture(show: Any, insecure: Model) -> None:
    page = show(Session(insecure))
    outside = page.evaluate(
        """() => {
          const whole = document.querySelector('.lkd-picture > svg').getBoundingClientRect();
          return [...document.querySelectorAll('.lkd-label, .lkd-box')].filter((it) => {
            const at = it.getBoundingClientRect();
            return at.left < whole.left - 1 || at.right > whole.right + 1
              || at.top < whole.top - 1 || at.bottom > whole.bottom + 1;
          }).length;
        }"""
    )
    assert outside == 0
