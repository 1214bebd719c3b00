"""SIGINT, SIGTERM and SIGHUP end a command in the same way; a second one ends it at once."""

from __future__ import annotations

import contextlib
import itertools
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from types import SimpleNamespace
from typing import Any

import pytest

from labkit.errors import LabError
from labkit.interrupts import postponed
from labkit.lab import connection
from labkit.lab.connection import Connection, connection_to
from labkit.lab.parallel import aside, checkpoint, in_parallel

#: Waits in two threads as a command does, undoes something, and says so.
COMMAND = """
import os, signal, sys, time, types
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell ignores it in the background
import labkit.cli._app as cli
from labkit.lab.parallel import in_parallel

def act(item):
    try:
        os.write(1, b"now\\n")
        for _ in range(1200):
            time.sleep(0.05)
    finally:
        os.write(1, b"undone\\n")
        time.sleep({pause})

def work() -> None:
    in_parallel([1, 2], act)

sys.modules["labkit.cli.work"] = types.SimpleNamespace(work=work)
cli.COMMANDS["work"] = "work.work"
sys.argv = ["labkit", "work"]
cli.app()
"""
SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]


@contextlib.contextmanager
def start(pause: float = 0) -> Iterator[subprocess.Popen[str]]:
    argv = [sys.executable, "-c", COMMAND.format(pause=pause)]
    piped: Any = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(argv, **piped) as process:
        try:
            assert process.stdout is not None
            assert [process.stdout.readline() for _ in range(2)] == ["now\n"] * 2
            yield process
        finally:
            process.kill()  # else a failed test waits for it


@pytest.mark.parametrize("number", SIGNALS)
def test_signal_ends_a_command_that_undoes_what_it_did(number: signal.Signals) -> None:
    with start() as process:
        process.send_signal(number)
        out, error = process.communicate(timeout=60)
    assert (process.returncode, out) == (128 + number, "undone\nundone\n")
    assert error == "interrupted\n"


@pytest.mark.parametrize("number", SIGNALS)
def test_second_signal_ends_it_at_once(number: signal.Signals) -> None:
    with start(pause=120) as process:
        process.send_signal(number)
        assert process.stdout is not None
        assert process.stdout.readline() == "undone\n"
        process.send_signal(number)
        assert process.wait(30) == 128 + number


#: A signal reaches a thread that is not the main thread, as the kernel may choose.
TO_THIS_THREAD = "signal.pthread_kill(threading.get_ident(), signal.SIGTERM)"
UNDOING = COMMAND.replace(
    "time.sleep({pause})", f"time.sleep(1); {TO_THIS_THREAD}; time.sleep(120)"
)
WAITING = f"""
import signal, threading, time
from labkit.cli._signals import interruptible

def send():
    time.sleep(1)
    {TO_THIS_THREAD}

try:
    with interruptible():
        threading.Thread(target=send).start()
        threading.Event().wait()
except KeyboardInterrupt as end:
    raise SystemExit(end.exit_code)
"""


def test_signal_to_another_thread_ends_a_wait() -> None:
    with subprocess.Popen([sys.executable, "-c", WAITING]) as process:
        try:
            assert process.wait(30) == 128 + signal.SIGTERM
        finally:
            process.kill()


def test_second_signal_to_another_thread_ends_a_command_that_undoes_what_it_did() -> None:
    argv = [sys.executable, "-c", f"import threading\n{UNDOING}"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert [process.stdout.readline() for _ in range(2)] == ["now\n"] * 2
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 128 + signal.SIGTERM
        finally:
            process.kill()


#: Stops in the middle of the command's imports.
IMPORTING = """
import os, signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell ignores it in the background

class Finder:
    def find_spec(name, *_):
        if name == "labkit.cli._app":
            os.write(1, b"now\\n")
            time.sleep(60)

sys.meta_path.insert(0, Finder)
from labkit.cli import main
main()
"""


def test_interrupt_of_the_imports_prints_no_traceback() -> None:
    argv = [sys.executable, "-c", IMPORTING]
    piped: Any = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(argv, **piped) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "now\n"
        process.send_signal(signal.SIGINT)
        _, error = process.communicate(timeout=60)
    assert (process.returncode, error) == (-signal.SIGINT, "")


def test_ignored_signal_stays_ignored() -> None:
    """As under nohup."""
    ignore = "import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN)"
    argv = [sys.executable, "-c", f"{ignore}\n{COMMAND.format(pause=0)}"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "now\n"
        process.send_signal(signal.SIGHUP)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.5)
        process.terminate()
        assert process.wait(30) == 128 + signal.SIGTERM


@pytest.fixture
def kept_handler() -> Iterator[None]:
    """Set Python's own handler of SIGINT, which a process in the background does not have."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def interrupt_the_first_wait(patch: pytest.MonkeyPatch, before: Callable[[], object]) -> None:
    """Make `in_parallel` meet a signal in its first wait, after a call of a function."""
    calls = iter([before])

    def wait_once(futures: Any, timeout: float | None = None) -> Any:
        if call := next(calls, None):
            call()
            signal.raise_signal(signal.SIGINT)
        return wait(futures, timeout)

    patch.setattr("labkit.lab.parallel.wait", wait_once)


@pytest.mark.usefixtures("kept_handler")
def test_signal_inside_a_lock_leaves_it_free() -> None:
    """The handler runs when the lock has just been taken, as it may in ``Condition.__enter__``."""
    held = threading.Lock()

    class Careless:
        def __enter__(self) -> None:
            held.acquire()
            signal.raise_signal(signal.SIGINT)

        def __exit__(self, *_: object) -> None:
            held.release()

    def hold() -> None:
        with Careless():
            pass

    def hold_later() -> None:
        with postponed() as came:
            hold()
            assert (len(came), held.locked()) == (1, False)

    with pytest.raises(KeyboardInterrupt):
        hold()
    assert held.locked()  # the positive control
    held.release()
    with pytest.raises(KeyboardInterrupt):
        hold_later()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.usefixtures("kept_handler")
def test_second_signal_is_not_kept() -> None:
    def twice() -> None:
        with postponed() as came:
            signal.raise_signal(signal.SIGINT)
            assert came
            signal.raise_signal(signal.SIGINT)
            pytest.fail("the second signal was kept")

    with pytest.raises(KeyboardInterrupt):
        twice()


@pytest.mark.usefixtures("kept_handler")
def test_interrupt_reaches_every_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    begun = threading.Barrier(4)
    ended: list[Any] = []

    def act(item: int) -> None:
        try:
            begun.wait(30)
            while True:
                pass
        except KeyboardInterrupt:
            ended.append(item)
            raise

    interrupt_the_first_wait(monkeypatch, before=lambda: begun.wait(30))
    with pytest.raises(KeyboardInterrupt):
        in_parallel([1, 2, 3], act)
    assert sorted(ended) == [1, 2, 3]


@pytest.mark.usefixtures("kept_handler")
def test_interrupt_that_is_lost_while_undoing_ends_the_work_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As in a matrix whose attack cannot undo something: it goes on with the next cell."""
    begun, cells = threading.Event(), 0

    def attack() -> None:
        checkpoint()
        try:
            begun.set()
            for _ in range(200):
                time.sleep(0.01)
        finally:
            raise LabError("the connection to the machine broke")

    def matrix(_: int) -> None:
        nonlocal cells
        while cells < 3:
            cells += 1
            with contextlib.suppress(LabError):
                attack()

    interrupt_the_first_wait(monkeypatch, before=lambda: begun.wait(60))
    with pytest.raises(KeyboardInterrupt):
        in_parallel([1], matrix)
    assert cells == 2, "the second cell does not begin"
    checkpoint()


@pytest.mark.usefixtures("kept_handler")
def test_thread_that_starts_after_the_interrupt_does_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    interrupted = threading.Event()
    begun: list[int] = []

    class LatePool(ThreadPoolExecutor):
        def submit(self, function: Any, /, *args: Any, **more: Any) -> Future[Any]:
            def late() -> Any:
                assert interrupted.wait(30)
                return function(*args, **more)

            return super().submit(late)

    monkeypatch.setattr("labkit.lab.parallel.ThreadPoolExecutor", LatePool)
    # called after the threads that run already were interrupted
    monkeypatch.setattr("labkit.lab.parallel.close_all", interrupted.set)
    interrupt_the_first_wait(monkeypatch, before=lambda: None)
    with pytest.raises(KeyboardInterrupt):
        in_parallel([1, 2, 3], begun.append)
    assert begun == []


class FakeConnection(Connection):
    """A connection whose opening takes until a test says so, and whose machine never answers."""

    opening, opened = threading.Event(), threading.Event()

    def __init__(self, container: Any) -> None:
        self.opening.set()
        assert self.opened.wait(30)
        self._raw = SimpleNamespace(sendall=lambda _: None, shutdown=self._end)
        self._numbers, self._waiting, self._callers = itertools.count(), {}, {}
        self._lock, self._broken = threading.Lock(), False

    def _end(self, _: int) -> None:
        for future in self._waiting.values():
            future.set_exception(LabError("the connection to the machine broke"))


@pytest.mark.parametrize("moment", ["before the command", "during the command"])
def test_interrupt_ends_the_program_that_runs_beside(
    monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    machine: Any = SimpleNamespace(id=f"machine {moment}")
    monkeypatch.setattr(connection, "Connection", FakeConnection)
    FakeConnection.opening.clear()
    FakeConnection.opened.clear()
    waiting = 60.0

    def program() -> None:
        connection_to(machine).run(["capture"], None, "", waiting)

    def work() -> None:
        with aside() as pool:
            ended.append(pool.submit(program))
            assert FakeConnection.opening.wait(30)
            if moment == "before the command":
                threading.Timer(0.2, FakeConnection.opened.set).start()
            else:
                FakeConnection.opened.set()
                while not connection_to(machine)._waiting:
                    time.sleep(0.01)
            raise KeyboardInterrupt

    began, ended = time.monotonic(), list[Future[None]]()
    with pytest.raises(KeyboardInterrupt):
        work()
    assert time.monotonic() - began < waiting
    assert isinstance(ended[0].exception(), LabError)
    # the thread's number may belong to another thread next
    assert not connection._REFUSED


def test_error_beside_a_program_leaves_the_connections_open(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("labkit.lab.parallel.refuse", lambda _: pytest.fail("refused"))

    def work() -> None:
        with aside() as pool:
            pool.submit(str, 1)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        work()
