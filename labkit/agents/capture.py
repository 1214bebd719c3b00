"""Capture packets until the file ``stop`` is in a folder, and print them (pcap).

Arguments: the folder, which is created and removed again; tcpdump's filter; and optionally a
command that redirects packets to this machine while it runs.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from labkit.agents._program import in_folder, stopped

TCPDUMP = ("tcpdump", "-i", "eth0", "-n", "-s", "0", "-U", "--immediate-mode")
#: The exit status if tcpdump or the redirecting command ended too early.
HELPER_ENDED = 9


@contextlib.contextmanager
def running(
    folder: Path, commands: Sequence[Sequence[str]]
) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Run commands during the block; their standard error goes to files in the folder."""
    started: list[subprocess.Popen[bytes]] = []
    try:
        for number, argv in enumerate(commands):
            with (folder / f"errors-{number}").open("wb") as errors:
                started.append(
                    subprocess.Popen(
                        argv,
                        stdin=subprocess.DEVNULL,
                        stdout=subprocess.DEVNULL,
                        stderr=errors,
                    )
                )
        yield started
    finally:
        for process in started:
            process.terminate()
        for process in started:
            process.wait()


def wait(folder: Path, helpers: Sequence[subprocess.Popen[bytes]], pause: float = 0.1) -> bool:
    """Wait for the file ``stop``; return False if a helper ended before."""
    while not stopped(folder):
        if any(helper.poll() is not None for helper in helpers):
            return False
        time.sleep(pause)
    return True


def capture(folder: Path, commands: Sequence[Sequence[str]]) -> bytes | str:
    """Run commands until the file ``stop`` exists; return the packets, or the commands' errors."""
    with running(folder, commands) as helpers:
        told = wait(folder, helpers)
    if told:
        return (folder / "pcap").read_bytes()
    errors = sorted(folder.glob("errors-*"))
    return "".join(file.read_text(errors="replace") for file in errors)


def main() -> None:
    """Capture packets until the file STOP is in the folder."""
    folder, filters, *lead = Path(sys.argv[1]), *sys.argv[2:]
    tcpdump = [*TCPDUMP, "-w", str(folder / "pcap"), filters]
    with in_folder(folder):
        found = capture(folder, [tcpdump, lead] if lead else [tcpdump])
    if isinstance(found, str):
        sys.stderr.write(found)
        sys.exit(HELPER_ENDED)
    sys.stdout.buffer.write(found)


if __name__ == "__main__":
    main()
