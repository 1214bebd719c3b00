"""One light lab alone: every cell of a notebook works, or says what it lacks and the command."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from labkit.lab import Lab
from labkit.lab.progress import QuietReporter

NOTEBOOKS = Path(__file__).resolve().parent.parent.parent / "notebooks"
ALL = bool(os.environ.get("LABKIT_ALL_NOTEBOOKS"))
BECAUSE = "because its cell failed:"
ABSENT = "light-insecure is not up: light-hardened is"
#: The cells that fail where light-hardened alone is up: a part of each, and what its message says.
FAILS: dict[str, dict[str, str]] = {
    "02-etcd": {
        "read_insecure = read.run(insecure)": ABSENT,
        "forge_insecure = forge.run(insecure)": ABSENT,
        "rest_insecure = rest.run(insecure)": ABSENT,
        "evidence(rest_insecure, rest_hardened)": f"rest_insecure is not set, {BECAUSE} {ABSENT}",
        'reply = insecure.exec("attacker"': ABSENT,
        "insecure.exec(member, [": ABSENT,
        "[read_insecure, read_hardened": f"read_insecure is not set, {BECAUSE} {ABSENT}",
    },
    "05-machine-in-the-middle": {
        'techniques["mitm-kubelet"]': "mitm-kubelet does not apply to light-hardened: there is no",
        'techniques["mitm-apiserver"]': "mitm-apiserver does not apply to light-hardened",
        "Verdicts([*kubelet,": f"kubelet is not set, {BECAUSE} mitm-kubelet",
    },
    "07-etcd-peers-and-flannel": {},
}
CHOSEN = sorted(it.stem for it in NOTEBOOKS.glob("0*.ipynb")) if ALL else sorted(FAILS)


@pytest.fixture(scope="module")
def name(lab_name: str) -> Iterator[str]:
    """Return the name of a lab in light-hardened; there is no other one of that name."""
    own = f"{lab_name}-one"
    with Lab("light-hardened", name=own, reporter=QuietReporter()):
        yield own


@pytest.mark.lab
@pytest.mark.parametrize("notebook", CHOSEN)
def test_cell_works_or_names_what_it_lacks(
    name: str, notebook: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LABKIT_NAME", name)
    opened = nbformat.read(NOTEBOOKS / f"{notebook}.ipynb", as_version=4)
    client = NotebookClient(opened, timeout=180, allow_errors=True, kernel_name="python3")
    client.execute()
    cells = [it for it in client.nb.cells if it.cell_type == "code"]
    failed = {it.source: lines for it in cells if (lines := error(it))}
    for lines in failed.values():
        # what happened, and what to do next: no traceback
        assert len(lines) == 2, lines
        assert re.fullmatch("  next: (labkit workshop switch insecure|choose an env).*", lines[1])
    for cell in cells:
        if re.match(r"%check etcd|%exercise etcd-1|%lab reset", cell.source):
            assert f"{ABSENT}\n  next: labkit workshop switch insecure" in printed(cell), (
                cell.source
            )
    if notebook in FAILS:
        expected = FAILS[notebook]
        assert len(failed) == len(expected), list(failed)
        for part, message in expected.items():
            [lines] = [lines for source, lines in failed.items() if part in source]
            assert lines[0].startswith(message)


def error(cell: nbformat.NotebookNode) -> list[str]:
    """Return what a participant sees of a cell's error, line by line."""
    return [line for it in cell.outputs if it.output_type == "error" for line in it.traceback]


def printed(cell: nbformat.NotebookNode) -> str:
    return "".join(it.text for it in cell.outputs if it.output_type == "stream")
