"""Print the configuration files of this machine as JSON, by path.

Standard input names the files that the machine came up with. The output has those that still exist,
the drop-ins of their units, and new files beside them in the folders of the components.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

UNITS = Path("etc/systemd/system")
#: Folders of the components, whose files below "pki" are keys, and of accounts and modes.
FOLDERS = (
    *("etc/kubernetes", "etc/etcd", "etc/flannel", "etc/docker"),
    *("etc/sysusers.d", "etc/tmpfiles.d"),
)
SUFFIXES = (".conf", ".env", ".json", ".jsonl", ".toml", ".yaml", ".yml")
LARGE = 1_000_000


def read(known: Iterable[str], root: Path = Path("/")) -> dict[str, str]:
    """Return the text of each file by its path."""
    named = {root / path.lstrip("/") for path in known}
    found = {}
    for path in sorted({*named, *new_files(named, root)}):
        if not path.is_file():
            continue
        # a file that is left out would count as deleted
        if path.stat().st_size > LARGE:
            sys.exit(f"{path} is too large for a configuration file")
        found[f"/{path.relative_to(root)}"] = path.read_text(errors="replace")
    return found


def new_files(known: set[Path], root: Path) -> Iterator[Path]:
    """Yield the drop-ins of known units, and files of the components that were added."""
    for unit in [path for path in known if path.parent == root / UNITS]:
        yield from unit.with_name(f"{unit.name}.d").glob("*.conf")
    for folder in FOLDERS:
        for path in (root / folder).rglob("*"):
            if path.suffix in SUFFIXES and "pki" not in path.relative_to(root).parts:
                yield path


if __name__ == "__main__":
    json.dump(read(json.load(sys.stdin)), sys.stdout)
