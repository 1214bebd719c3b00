"""Compare the times of two versions of labkit: up, reset and flips, in turns on one machine.

``python benchmarks/lab_before_after.py OLD`` compares with the version that another Python has
installed: OLD is the path of that Python, such as ``../labkit-before/.venv/bin/python``. Both take
the image of their own recipe, which must be there. Each round measures both versions, and each
round begins with the other one, so that other work of the machine meets both. A time is that of the
whole command, as a person waits for it.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time

NAME = "bench"
FLIPS = {"insecure": "on", "hardened": "off"}


def steps(mode: str, control: str) -> dict[str, list[str]]:
    """Return the measured commands of one round, in their order."""
    flip = FLIPS[mode]
    back = "on" if flip == "off" else "off"
    return {
        "up": ["up"],
        "reset, nothing changed": ["reset"],
        f"control {flip}": ["control", flip, control],
        f"control {back}": ["control", back, control],
        f"control {flip} again": ["control", flip, control],
        "reset after a flip": ["reset"],
        "attack": ["attack", "etcd-read"],
        "down": ["down"],
    }


def seconds(python: str, mode: str, name: str, command: list[str]) -> float:
    """Return the seconds that a command takes; end with its output if it fails."""
    # without -P, Python would import the labkit of the folder that this is run in
    argv = [python, "-P", "-m", "labkit", *command, "--mode", mode, "--name", name]
    began = time.monotonic()
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(argv)}: {done.stdout}{done.stderr}")
    return time.monotonic() - began


def place(python: str) -> str:
    """Return the path of the labkit that a Python imports."""
    argv = [python, "-P", "-c", "import labkit; print(labkit.__file__)"]
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout.strip()


def main() -> None:
    """Measure both versions in turns, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("old", help="the path of the Python that has the other version")
    parser.add_argument("--runs", type=int, default=3, help="the number of rounds")
    parser.add_argument("--mode", choices=FLIPS, action="append", help="Default: both")
    parser.add_argument("--control", default="kubelet-anonymous", help="the control to flip")
    parser.add_argument("--name", default=NAME, help="the name of the labs")
    given = parser.parse_args()
    pythons = {"before": given.old, "after": sys.executable}
    places = {version: place(python) for version, python in pythons.items()}
    if len(set(places.values())) == 1:
        sys.exit(f"both Pythons import {places['after']}: give the Python of another version")
    print("\n".join(f"{version}: {path}" for version, path in places.items()), file=sys.stderr)
    print("| what | before: median s | least | after: median s | least |\n|---|---|---|---|---|")
    for mode in given.mode or FLIPS:
        times: dict[tuple[str, str], list[float]] = {}
        for turn in range(given.runs):
            for side in sorted(pythons, reverse=turn % 2 == 0):
                name = f"{given.name}-{side}"
                try:
                    for what, command in steps(mode, given.control).items():
                        took = seconds(pythons[side], mode, name, command)
                        times.setdefault((what, side), []).append(took)
                        print(f"{mode}, {side}: {what} {took:.1f} s", file=sys.stderr, flush=True)
                finally:
                    seconds(pythons[side], mode, name, ["down"])
        for what in steps(mode, given.control):
            both = [times[what, side] for side in ("before", "after")]
            cells = [f"{statistics.median(found):.1f} | {min(found):.1f}" for found in both]
            print(f"| {mode}: {what} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
