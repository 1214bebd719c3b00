"""Measure how long the lab takes: up, reset, and a flip of every control and back.

``python benchmarks/lab.py`` needs a Docker Engine and the images (``labkit image build``). It
creates clusters under its own name, and removes them. Nothing else should run at the same time.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from functools import partial

from labkit import Lab, controls
from labkit.cli._messages import reporter
from labkit.lab.parallel import bring_up, in_parallel
from labkit.matrix import variants

MODES = ("insecure", "hardened")
NAME = "bench"


def seconds(work: Callable[[], object]) -> float:
    """Return the seconds that a function takes."""
    began = time.monotonic()
    work()
    return time.monotonic() - began


def row(what: str, *times: float) -> None:
    """Print a row of the table: the median, the least and the most seconds."""
    print(
        f"| {what} | {statistics.median(times):.1f} | {min(times):.1f} | {max(times):.1f} "
        f"| {len(times)} |",
        flush=True,
    )


def alone(mode: str, runs: int, share: int) -> None:
    """Measure one mode alone, with every `share`-th control."""
    quiet = reporter(quiet=True)
    lab, up = Lab(mode, name=NAME, reporter=quiet), []
    try:
        for _ in range(runs):
            lab.down()
            up.append(seconds(lab.up))
        row(f"{mode}: up", *up)
        row(f"{mode}: reset, nothing changed", *(seconds(lab.reset) for _ in range(runs)))
        plain, back = lab.environment, []
        there: dict[str, float] = {}
        for variant in variants(plain)[1::share]:
            there[str(variant)] = seconds(partial(lab.apply, variant.environment(plain).edits))
            back.append(seconds(partial(lab.apply, ())))
        row(f"{mode}: a control flipped", *there.values())
        row(f"{mode}: and back", *back)
        slowest = sorted(there, key=lambda name: there[name])[-3:]
        print(f"\nslowest: {', '.join(f'{name} {there[name]:.1f} s' for name in slowest)}\n")
        lab.apply(controls["kubelet-anonymous"].flip(plain, on=mode == "insecure"))
        row(f"{mode}: reset after a flip of kubelet-anonymous", seconds(lab.reset))
    finally:
        lab.down()


def main() -> None:
    """Measure both modes, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=3, help="repetitions of up and reset")
    parser.add_argument("--share", type=int, default=1, metavar="N", help="flip every Nth control")
    given = parser.parse_args()
    print("| what | median s | least | most | times |\n|---|---|---|---|---|")
    try:
        both = seconds(lambda: bring_up(MODES, name=NAME, reporter=reporter(quiet=True)))
        row("both modes: up", both)
    finally:
        in_parallel([Lab(mode, name=NAME) for mode in MODES], Lab.down)
    for mode in MODES:
        alone(mode, given.runs, given.share)


if __name__ == "__main__":
    main()
