"""The shared labs of all tests, doctests and notebooks: one pair for the whole session.

A test or notebook of a profile gets the profile's labs. They come last, profile by profile, and
no other lab of the session is there then: a lab takes a tenth of a processor only by being there.
Whatever does not use the usual pair has the marker ``apart``: it can run beside the others.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import socket
from collections.abc import Callable, Generator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from labkit.errors import LabkitError
from labkit.lab.parallel import bring_up, in_parallel
from labkit.lab.progress import without_progress

# the duration of an example depends on the machine, so there is no deadline
settings.register_profile("labkit", deadline=None)
settings.load_profile("labkit")

MODES = ("insecure", "hardened")
LAB_FIXTURES = {"labs", "lab_insecure", "lab_hardened", "lab_of", "lab_name"}
#: A lab's name has the form test-MACHINE-PROCESS. So the next session recognizes and removes the
#: labs of a session that was killed.
MACHINE = hashlib.sha256(socket.gethostname().encode()).hexdigest()[:6]


class Labs:
    """The labs of this session: the first test that needs one brings it up."""

    def __init__(self) -> None:
        self.name = os.environ.get("LABKIT_TEST_NAME") or f"test-{MACHINE}-{os.getpid()}"
        self._labs: dict[str, Any] = {}
        self._errors: dict[tuple[str, ...], BaseException] = {}
        self.is_allowed = False
        self._has_logs = False

    def up(self, modes: Sequence[str] = MODES) -> dict[str, Any]:
        """Return the labs of some modes, and remove those without or of another profile.

        After a failed start, raise its error again at once.
        """
        if not self.is_allowed:
            raise RuntimeError(
                "only a test with a lab's fixture among its parameters has a lab of the session"
            )
        from labkit.resources import split_mode

        profiles = {split_mode(mode)[0] for mode in modes}
        self.down([mode for mode in self._labs if split_mode(mode)[0] not in profiles])
        missing = tuple(mode for mode in modes if mode not in self._labs)
        if missing in self._errors:
            raise self._errors[missing]
        if missing:
            self._start(missing)
        return {mode: self._labs[mode] for mode in modes}

    def _start(self, modes: Sequence[str]) -> None:
        from labkit.lab import Lab
        from labkit.lab.progress import make_reporter

        if not self._labs:
            _remove_orphans()
        # known before they are up, so that an interrupted start is removed as well
        self._labs |= {mode: Lab(mode, name=self.name) for mode in modes}
        try:
            started = bring_up(modes, name=self.name, reporter=make_reporter())
        except LabkitError as error:
            self._errors[tuple(modes)] = error
            self.save_logs()
            self.down(modes)
            raise
        self._labs |= {lab.mode: lab for lab, _ in started}

    def down(self, modes: Sequence[str] | None = None) -> None:
        """Remove labs: those of some modes, or all."""
        from labkit.lab import Lab

        gone = list(self._labs) if modes is None else list(modes)
        in_parallel([self._labs[mode] for mode in gone], Lab.down)
        # not before: who interrupts this has the end of the session go on with it
        for mode in gone:
            del self._labs[mode]

    def save_logs(self) -> None:
        """Write the last lines of each machine's journal to files, once, if CI wants them."""
        wanted = os.environ.get("LABKIT_TEST_LOGS")
        if not wanted or self._has_logs or not self._labs:
            return
        self._has_logs = True
        folder = Path(wanted)
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
    # a shell's background jobs ignore it, and so would the commands that tests interrupt
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    # now, because the next test begins with a reset or a restart
    if report.failed and item.get_closest_marker("lab"):
        item.config.stash[LABS].save_logs()
    return report


def pytest_collectstart(collector: Any) -> None:
    # JupyterLab stores a picture of each Mermaid diagram, which a run by nbval does not have.
    if hasattr(collector, "skip_compare"):
        collector.skip_compare += ("image/svg+xml",)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        if _is_cell(item):
            item.output_timeout = 30  # type: ignore[attr-defined]  # nbval's own is 5 s
            item.compare_outputs = of_results(item.compare_outputs)  # type: ignore[attr-defined]
            item.add_marker("lab")
        elif _uses_session_labs(item):
            item.add_marker("lab")
        if item.get_closest_marker("lab") and (_profile_of(item) or not _uses_session_labs(item)):
            item.add_marker("apart")
    # first the quick tests, which need no Docker; last those of profiles, one profile after the
    # other; the notebooks follow the other tests that use the same labs
    items.sort(
        key=lambda item: (
            item.get_closest_marker("lab") is not None,
            _profile_of(item),
            _is_cell(item),
        )
    )


def of_results(compare: Callable[..., bool]) -> Callable[..., bool]:
    """Return nbval's comparison without the outputs that show progress: they depend on the time."""

    def compare_results(found: list[Any], *rest: Any, **options: Any) -> bool:
        return compare(without_progress(found), *rest, **options)

    return compare_results


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    stash = item.config.stash
    needs_lab = item.get_closest_marker("lab") is not None
    stash[LABS].is_allowed = needs_lab and _uses_session_labs(item)
    if not needs_lab:
        return
    if NO_ENGINE not in stash:
        stash[NO_ENGINE] = _why_no_engine()
    if stash[NO_ENGINE]:
        if os.environ.get("CI") == "true":
            pytest.fail(f"CI must run every test, but: {stash[NO_ENGINE]}", pytrace=False)
        pytest.skip(stash[NO_ENGINE])
    if _is_cell(item):
        # now, because the kernel that nbval starts next inherits the environment variables
        stash[LABS].up(attached(item.path))
        os.environ["LABKIT_NAME"] = stash[LABS].name


def pytest_sessionfinish(session: pytest.Session) -> None:
    session.config.stash[LABS].down()


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    reason = config.stash.get(NO_ENGINE, "")
    if reason:
        terminalreporter.section("NOT TESTED: everything that needs Docker", red=True, bold=True)
        terminalreporter.line(reason)
        terminalreporter.line("next: make test, which finds or installs an engine")


def _profile_of(item: pytest.Item) -> str:
    """Return the profile whose labs a test uses; empty for the usual pair."""
    from labkit.resources import split_mode

    if _is_cell(item):
        return split_mode(attached(item.path)[0])[0]
    marker = item.get_closest_marker("profile")
    return str(marker.args[0]) if marker else ""


def _uses_session_labs(item: pytest.Item) -> bool:
    return _is_cell(item) or bool(LAB_FIXTURES & set(getattr(item, "fixturenames", ())))


def _is_cell(item: pytest.Item) -> bool:
    return type(item).__name__ == "IPyNbCell"


@cache
def attached(notebook: Path) -> tuple[str, ...]:
    """Return the modes whose labs a notebook's first cell attaches; the usual pair if none."""
    cells = json.loads(notebook.read_text())["cells"]
    first = "".join(next(cell["source"] for cell in cells if cell["cell_type"] == "code"))
    if call := re.search(r"labkit\.attach\(([^)]*)\)", first):
        return tuple(re.findall(r'"([\w-]+)"', call[1]))
    return MODES


@pytest.fixture(scope="session")
def labs(pytestconfig: pytest.Config) -> dict[str, Any]:
    """Return both labs of the session by mode. A test that changes a lab must reset it."""
    return pytestconfig.stash[LABS].up()


@pytest.fixture(scope="session")
def lab_of(pytestconfig: pytest.Config) -> Callable[[str], Any]:
    """Return a function: the lab of a mode. A test that changes a lab must reset it.

    A test of a profile has the marker ``profile``: no lab of another profile is there then.
    """
    from labkit.resources import split_mode

    def lab(mode: str) -> Any:
        profile, _ = split_mode(mode)
        # the other one is needed as well, and two labs that start at once wait for each other less
        pair = [f"{profile}-{each}" for each in MODES] if profile else MODES
        return pytestconfig.stash[LABS].up(pair)[mode]

    return lab


@pytest.fixture(scope="session")
def lab_name(pytestconfig: pytest.Config) -> str:
    """Return the name of the session's labs, for labs of other modes."""
    return pytestconfig.stash[LABS].name


@pytest.fixture(scope="session")
def lab_insecure(labs: dict[str, Any]) -> Any:
    return labs["insecure"]


@pytest.fixture(scope="session")
def lab_hardened(labs: dict[str, Any]) -> Any:
    return labs["hardened"]
