"""What the tests, the doctests and the notebooks share: one pair of labs for all of them."""

from __future__ import annotations

import hashlib
import os
import re
import socket
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from labkit.errors import LabkitError
from labkit.lab.parallel import bring_up, in_parallel

# how long an example takes says something of the machine, and nothing of the code
settings.register_profile("labkit", deadline=None)
settings.load_profile("labkit")

MODES = ("insecure", "hardened")
LAB_FIXTURES = {"labs", "lab_insecure", "lab_hardened"}
#: Who made a lab can be read from its name, so that the next session removes what a killed
#: one left: test-MACHINE-PROCESS.
MACHINE = hashlib.sha256(socket.gethostname().encode()).hexdigest()[:6]


class Labs:
    """The labs of this session: up when the first test needs them, down at its end."""

    def __init__(self) -> None:
        self.name = os.environ.get("LABKIT_TEST_NAME") or f"test-{MACHINE}-{os.getpid()}"
        self._labs: dict[str, Any] = {}
        self._error: BaseException | None = None
        self._begun = False

    def up(self) -> dict[str, Any]:
        """Return the labs, by mode; what went wrong once goes wrong again at once."""
        if self._error is not None:
            raise self._error
        if not self._labs:
            from labkit.lab.progress import make_reporter

            self._begun = True
            _remove_orphans()
            try:
                started = bring_up(MODES, name=self.name, reporter=make_reporter())
            except LabkitError as error:
                self._error = error
                raise
            self._labs = {lab.mode: lab for lab, _ in started}
        return self._labs

    def down(self) -> None:
        """Remove the labs, if they were ever begun."""
        if self._begun:
            from labkit.lab import Lab

            in_parallel([Lab(mode, name=self.name) for mode in MODES], Lab.down)
            self._labs, self._begun = {}, False

    def save_logs(self, folder: Path) -> None:
        """Write the end of each machine's journal into a folder."""
        folder.mkdir(parents=True, exist_ok=True)
        for mode, lab in self._labs.items():
            for node in lab.environment.nodes:
                try:
                    text = lab.logs(node.name, lines=500)
                except LabkitError as error:
                    text = str(error)
                (folder / f"{mode}-{node.name}.log").write_text(text)


def _remove_orphans() -> None:
    from labkit.lab import Lab, list_labs

    for status in list_labs():
        made_by = re.fullmatch(rf"test-{MACHINE}-(\d+)", status.name)
        if made_by and not Path(f"/proc/{made_by[1]}").exists() and Path("/proc/self").exists():
            Lab(status.mode, name=status.name).down()


LABS = pytest.StashKey[Labs]()
NO_ENGINE = pytest.StashKey[str]()


def _why_no_engine() -> str:
    from labkit.lab.engine import connect

    try:
        connect()
    except LabkitError as error:
        return f"{error.message}: {' '.join(error.evidence)}"
    return ""


def pytest_configure(config: pytest.Config) -> None:
    config.stash[LABS] = Labs()


def pytest_collectstart(collector: Any) -> None:
    # JupyterLab saves a picture beside each Mermaid diagram; nbval would miss it in a fresh run.
    if hasattr(collector, "skip_compare"):
        collector.skip_compare += ("image/svg+xml",)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        if _is_cell(item):
            item.output_timeout = 30  # type: ignore[attr-defined]  # nbval's own is 5 s
            item.add_marker("lab")
        elif LAB_FIXTURES & set(getattr(item, "fixturenames", ())):
            item.add_marker("lab")
    # what is quick and needs no Docker first; the notebooks last, as they stand
    items.sort(key=lambda item: (_is_cell(item), item.get_closest_marker("lab") is not None))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("lab") is None:
        return
    stash = item.config.stash
    if NO_ENGINE not in stash:
        stash[NO_ENGINE] = _why_no_engine()
    if stash[NO_ENGINE]:
        if os.environ.get("CI") == "true":
            pytest.fail(f"CI has to test everything. {stash[NO_ENGINE]}", pytrace=False)
        pytest.skip(stash[NO_ENGINE])
    if _is_cell(item):
        # before nbval starts the kernel, which inherits the environment
        stash[LABS].up()
        os.environ["LABKIT_NAME"] = stash[LABS].name


def pytest_sessionfinish(session: pytest.Session) -> None:
    labs = session.config.stash[LABS]
    folder = os.environ.get("LABKIT_TEST_LOGS")
    try:
        if session.testsfailed and folder:
            labs.save_logs(Path(folder))
    finally:
        labs.down()


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    reason = config.stash.get(NO_ENGINE, "")
    if reason:
        terminalreporter.section("NOT TESTED: everything that needs Docker", red=True, bold=True)
        terminalreporter.line(reason)
        terminalreporter.line("make test installs or finds an engine, or says what to do")


def _is_cell(item: pytest.Item) -> bool:
    return type(item).__name__ == "IPyNbCell"


@pytest.fixture(scope="session")
def labs(pytestconfig: pytest.Config) -> dict[str, Any]:
    """Both labs of the session, by mode. Who changes one resets it."""
    return pytestconfig.stash[LABS].up()


@pytest.fixture(scope="session")
def lab_insecure(labs: dict[str, Any]) -> Any:
    return labs["insecure"]


@pytest.fixture(scope="session")
def lab_hardened(labs: dict[str, Any]) -> Any:
    return labs["hardened"]
