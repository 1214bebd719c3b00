"""Every technique is met in a notebook, as a lesson or in an exercise of it."""

from __future__ import annotations

import json
import re
from pathlib import Path

from labkit import techniques
from labkit.workshop import exercises

FOLDER = Path(__file__).resolve().parent.parent.parent / "notebooks"
#: Met in no notebook yet. Remove a name as soon as a notebook has it; add none.
MISSING: set[str] = set()


def met() -> set[str]:
    """Return the techniques that a notebook's code or one of its exercises names."""
    found = {name for it in exercises.values() for name in it.techniques}
    for path in FOLDER.glob("*.ipynb"):
        for cell in json.loads(path.read_text())["cells"]:
            if cell["cell_type"] == "code":
                found |= set(re.findall(r'"([a-z-]+)"', "".join(cell["source"])))
    return found & set(techniques)


def test_list_of_missing_techniques_only_shrinks() -> None:
    assert set(techniques) - met() == MISSING
