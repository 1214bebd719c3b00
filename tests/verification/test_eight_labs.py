"""Eight labs verified at once on one machine: it takes longer, and no claim stays unprobed.

``make eight-labs`` runs it; without that it is skipped.
"""

from __future__ import annotations

import collections
import itertools
import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from labkit.lab import Lab
from labkit.lab.parallel import bring_up, in_parallel
from labkit.lab.progress import make_reporter

MODES = ("insecure", "hardened")
NAMES = tuple(f"eight-{os.getpid()}-{number}" for number in range(4))
LABS = tuple(itertools.product(NAMES, MODES))


def verdicts(lab: tuple[str, str]) -> dict[str, int]:
    """Return how often ``labkit verify`` gives each verdict, and print what is not "agree"."""
    name, mode = lab
    argv = [sys.executable, "-m", "labkit", "verify", "--json", "--name", name, "--mode", mode]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=900)
    if not done.stdout.strip():
        return {done.stderr: 1}
    rows = json.loads(done.stdout)
    for row in rows:
        if row["verdict"] != "agree":
            print(lab, json.dumps(row))
    return dict(collections.Counter(row["verdict"] for row in rows))


@pytest.mark.lab
@pytest.mark.skipif(
    "LABKIT_EIGHT_LABS" not in os.environ, reason="takes minutes and 10 GB: make eight-labs"
)
def test_every_claim_of_eight_labs_is_probed_at_once() -> None:
    try:
        for name in NAMES:
            bring_up(MODES, name=name, reporter=make_reporter())
        began = time.monotonic()
        with ThreadPoolExecutor(len(LABS)) as pool:
            found = dict(zip(LABS, pool.map(verdicts, LABS), strict=True))
        print(f"{time.monotonic() - began:.0f} s: {found}")
        assert {tuple(each) for each in found.values()} == {("agree",)}
    finally:
        in_parallel([Lab(mode, name=name) for name, mode in LABS], Lab.down)
