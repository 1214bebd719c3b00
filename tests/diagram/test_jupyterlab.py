"""The living diagram in JupyterLab, in a real browser, without a lab and with one."""

from __future__ import annotations

import json
import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nbformat
import pytest
import requests

import labkit
from labkit import techniques
from labkit.analysis import attack_paths, with_control
from labkit.model import read_model

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser

CHANNEL = "kube-apiserver@master -> etcd@etcd1:2379"
CONTROL = "etcd-client-tls"
NO_NEWS = {"disabledExtensions": {"@jupyterlab/apputils-extension:announcements": True}}
START_S = 240
KUBELET = "kube-apiserver@master -> kubelet@worker1:10250"
KUBELET_CONTROL = "kubelet-anonymous"
MODEL = """import labkit

labkit.living_diagram(labkit.load_model("insecure"))"""
LAB = """import labkit

(lab,) = labkit.attach("insecure", name="NAME")
labkit.living_diagram(labkit.load_model(lab.environment), lab=lab)"""


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@pytest.fixture(scope="module")
def jupyterlab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], str]]:
    """Start JupyterLab; return a function: the address of a notebook that holds one cell."""
    home = tmp_path_factory.mktemp("jupyterlab")
    work = home / "work"
    work.mkdir()
    (home / "config" / "labconfig").mkdir(parents=True)
    (home / "config" / "labconfig" / "page_config.json").write_text(json.dumps(NO_NEWS))
    port, token = free_port(), secrets.token_hex(16)
    folders = {
        "HOME": home,
        "IPYTHONDIR": home / "ipython",
        "JUPYTER_CONFIG_DIR": home / "config",
        "JUPYTER_DATA_DIR": home / "data",
        "JUPYTER_RUNTIME_DIR": home / "runtime",
        "JUPYTERLAB_SETTINGS_DIR": home / "settings",
        "JUPYTERLAB_WORKSPACES_DIR": home / "workspaces",
    }
    command = [
        *(sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root"),
        *("--ServerApp.ip=127.0.0.1", f"--ServerApp.port={port}", "--ServerApp.port_retries=0"),
        *(f"--IdentityProvider.token={token}", f"--ServerApp.root_dir={work}"),
        "--LabApp.extension_manager=readonly",
    ]

    def address(cell: str) -> str:
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell)])
        notebook.metadata["kernelspec"] = {"display_name": "Python 3", "name": "python3"}
        name = f"{secrets.token_hex(4)}.ipynb"
        nbformat.write(notebook, work / name)
        return f"http://127.0.0.1:{port}/lab/tree/{name}?token={token}"

    log = home / "log.txt"
    with log.open("w") as stream:
        server = subprocess.Popen(
            command,
            stdout=stream,
            stderr=subprocess.STDOUT,
            env=os.environ | {name: str(folder) for name, folder in folders.items()},
        )
    try:
        wait_for(f"http://127.0.0.1:{port}/api/status", token, server, log)
        yield address
    finally:
        server.terminate()
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def wait_for(url: str, token: str, server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and server.poll() is None:
        try:
            requests.get(url, headers={"Authorization": f"token {token}"}, timeout=5)
        except requests.RequestException:
            time.sleep(0.3)
        else:
            return
    pytest.fail(f"JupyterLab did not start: {log.read_text()[-2000:]}", pytrace=False)


@pytest.fixture
def show(page: Page, jupyterlab: Callable[[str], str]) -> Callable[[str], None]:
    """Return a function that opens a notebook with one cell, and runs it."""

    def opened(cell: str) -> None:
        page.goto(jupyterlab(cell))
        # keys that are pressed before the kernel answers may be lost
        page.wait_for_selector("text=| Idle")
        page.locator(".jp-CodeCell .cm-content").first.click()
        page.keyboard.press("Shift+Enter")
        page.wait_for_selector(".lkd-line")

    return opened


def photograph(page: Page) -> None:
    """Store a picture of the diagram for the documentation, if somebody asks for it."""
    if folder := os.environ.get("LABKIT_SCREENSHOTS"):
        from io import BytesIO

        from PIL import Image

        taken = Image.open(BytesIO(page.locator(".lkd").screenshot()))
        small = taken.convert("RGB").quantize(64, dither=Image.Dither.NONE)
        small.save(Path(folder) / "diagram.png", optimize=True)


def test_jupyterlab_starts(jupyterlab: Callable[[str], str]) -> None:
    # a test by itself, because a busy machine may take a minute for it
    assert requests.get(jupyterlab(MODEL), timeout=60).ok


def test_diagram_answers_clicks_and_keys_in_jupyterlab(
    page: Page,
    show: Callable[[str], None],
    click_line: Callable[[str], None],
    choose_by_keys: Callable[[str], None],
    tab_to: Callable[..., None],
) -> None:
    show(MODEL)

    # a click on a channel shows its claims
    click_line(CHANNEL)
    page.wait_for_selector(".lkd-claims")
    details = page.locator(".lkd-details")
    assert details.locator(".lkd-h").inner_text() == CHANNEL
    assert details.locator(".lkd-claims > li").count() == 4
    assert "etcd.service:" in details.inner_text() or "kube-apiserver" in details.inner_text()

    # a click on a control changes channels and findings
    before = page.locator(".lkd-title").inner_text()
    page.locator(f'.lkd-controls [data-control="{CONTROL}"]').click()
    page.wait_for_selector(".lkd-changed")
    assert page.locator(".lkd-title").inner_text() != before
    assert "(before: none)" in details.inner_text()
    photograph(page)

    # the keys alone, from the picture: choose a foothold and a goal, step through the path
    page.locator(".lkd-line").first.focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    second = page.locator(".lkd-line").nth(1).get_attribute("data-key")
    assert details.locator(".lkd-h").inner_text() == second
    tab_to("it.tagName === 'SELECT'")
    choose_by_keys("pod")
    page.keyboard.press("Tab")
    choose_by_keys("admin")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_selector('[aria-current="step"]')
    tab_to("it.textContent.startsWith('path 2')", "Shift+Tab")
    page.keyboard.press("Enter")
    changed = with_control(read_model("insecure"), CONTROL)
    expected = attack_paths(changed, "pod", "admin").paths[1]
    assert len(expected) > 1
    for number in range(1, len(expected) + 1):
        current = page.locator('[aria-current="step"]').inner_text()
        assert current.startswith(f"step {number} of {len(expected)}")
        page.keyboard.press("ArrowDown")
    # the notebook's own shortcuts did not take the keys
    assert page.locator(".jp-Cell").count() == 2


@pytest.mark.lab
def test_flip_in_the_lab_turns_verdicts_and_the_attack(
    page: Page,
    show: Callable[[str], None],
    click_line: Callable[[str], None],
    lab_insecure: Any,
    lab_name: str,
    settled: Callable[..., list[str]],
) -> None:
    attack = techniques["kubelet-exec"]
    assert attack.run(lab_insecure).succeeded
    try:
        show(LAB.replace("NAME", lab_name))
        click_line(KUBELET)
        claims = page.locator(".lkd-details .lkd-claims")
        assert "probe:" not in claims.inner_text()
        # in the model alone: the lab stays as it is, and offers to follow
        page.locator(f'.lkd-controls [data-control="{KUBELET_CONTROL}"]').click()
        in_lab = page.locator(f'[data-lab="{KUBELET_CONTROL}"]')
        in_lab.wait_for()
        assert attack.run(lab_insecure).succeeded
        # in the lab: the probes agree, and the attack is refused
        in_lab.click()
        told = f"Lab {lab_name} (insecure): {KUBELET_CONTROL} is in place. Probes: "
        page.get_by_text(told).wait_for()
        assert " 0 disagree, 0 unprobed" in page.get_by_text(told).inner_text()
        assert "probe: agree" in claims.inner_text()
        assert in_lab.count() == 0
        refused = attack.run(labkit.attach("insecure", name=lab_name)[0])
        assert refused.succeeded is False
        assert "401" in refused.reason
    finally:
        lab_insecure.reset()
    assert settled(lab_insecure) == []
