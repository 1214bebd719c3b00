"""Find the files that a user copied from machines, and the machine of each."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from labkit.cluster.facts import File
from labkit.cluster.syntax.source import Unknown, decode, trying
from labkit.errors import ConfigError

__all__ = ["Copied", "copied_files", "is_copied", "machines_in"]

#: Folders in the root of a machine.
TOP = ("etc", "var", "usr", "lib")
OBJECTS = "manifests"
YAML = (".yaml", ".yml", ".json")
#: No configuration file is larger, and no machine has more files.
MAX_BYTES, MAX_FILES = 2_000_000, 50_000
DEFAULT_NAME = "node"
LINKS = 20


@dataclass(frozen=True)
class Copied:
    """The files of a folder.

    Attributes
    ----------
    machines : dict of str to dict of str to File
        By folder, then by path on the machine.
    objects : tuple of File
        YAML and JSON files with the cluster's objects.
    """

    machines: dict[str, dict[str, File]]
    objects: tuple[File, ...]


def is_copied(folder: Path) -> bool:
    """Say whether a folder has files of a machine.

    Parameters
    ----------
    folder : Path

    Returns
    -------
    bool

    Examples
    --------
    >>> import tempfile
    >>> is_copied(Path(tempfile.mkdtemp()))
    False
    """
    return bool(_roots(folder))


def _roots(folder: Path) -> dict[str, Path]:
    if any((folder / top).is_dir() for top in TOP):
        return {"": folder}
    try:
        inner = sorted(item for item in folder.iterdir() if item.is_dir())
    except OSError:
        return {}
    return {
        item.name: item
        for item in inner
        if item.name != OBJECTS and any((item / top).is_dir() for top in TOP)
    }


def copied_files(folder: Path, unknowns: list[Unknown]) -> Copied:
    """Find the files of a folder.

    Parameters
    ----------
    folder : Path
    unknowns : list of Unknown
        The function adds the files that it does not read.

    Returns
    -------
    Copied

    Raises
    ------
    ConfigError
        The folder has no machine's files.

    Examples
    --------
    >>> copied_files(Path("/nowhere"), [])
    Traceback (most recent call last):
    labkit.errors.ConfigError: no machine's files at /nowhere
      next: copy them to FOLDER/NODE/etc/... and FOLDER/NODE/var/lib/...
    """
    roots = _roots(folder)
    if not roots:
        hint = "copy them to FOLDER/NODE/etc/... and FOLDER/NODE/var/lib/..."
        raise ConfigError(f"no machine's files at {folder}", hint=hint)
    machines = {
        name: dict(_machine_files(root, f"{name}/" if name else "", unknowns))
        for name, root in roots.items()
    }
    places = [*folder.glob("*"), *folder.glob(f"{OBJECTS}/**/*")]
    objects = []
    for path in sorted(path for path in places if path.suffix in YAML and path.is_file()):
        shown = path.relative_to(folder).as_posix()
        if path.stat().st_size > MAX_BYTES:
            why = "too large for configuration: read a dump with read_dump"
            unknowns.append(Unknown(_printable(shown), None, "", why))
        elif _printable(shown) == shown:
            objects.append(File(path, OBJECTS, shown))
    return Copied(machines, tuple(objects))


def _printable(text: str) -> str:
    return text.encode("utf-8", "replace").decode()


def _machine_files(root: Path, start: str, unknowns: list[Unknown]) -> Iterator[tuple[str, File]]:
    def unreadable(error: OSError) -> None:
        shown = os.path.relpath(error.filename, root) if error.filename else ""
        why = f"cannot be read: {error.strerror}"
        unknowns.append(Unknown(_printable(start + shown), None, "", why))

    count = 0
    for here, folders, names in os.walk(root, onerror=unreadable):
        folders.sort()
        for name in sorted(names):
            path = Path(here, name)
            inside = "/" + path.relative_to(root).as_posix()
            shown = _printable(start + inside[1:])
            if start + inside[1:] != shown:
                unknowns.append(Unknown(shown, None, "", "its name is not text"))
                continue
            real = _follow_links(root, inside)
            if real is None:
                why = "its target is not among the files"
                unknowns.append(Unknown(shown, None, "a link", why))
            elif real.is_file() and real.stat().st_size <= MAX_BYTES:
                yield inside, File(real, start.rstrip("/"), shown)
                count += 1
            if count >= MAX_FILES:
                unknowns.append(Unknown(start, None, "", f"labkit reads only {MAX_FILES} files"))
                return


def _follow_links(root: Path, inside: str) -> Path | None:
    """Follow a path's links as the machine would, but never out of the copied folder."""
    parts = [part for part in PurePosixPath(inside).parts if part != "/"]
    here: list[str] = []
    links = 0
    while parts:
        part = parts.pop(0)
        if part == "..":
            here = here[:-1]
            continue
        path = root.joinpath(*here, part)
        if path.is_symlink():
            links += 1
            if links > LINKS:
                return None
            target = PurePosixPath(path.readlink().as_posix())
            if target.is_absolute():
                here = []
            parts = [p for p in target.parts if p not in ("/", ".")] + parts
            continue
        here.append(part)
    found = root.joinpath(*here)
    return found if found.exists() else None


def machines_in(copied: Copied, unknowns: list[Unknown]) -> dict[str, dict[str, File]]:
    """Return the machines' files by machine name: the folder's name, or the machine's own.

    Parameters
    ----------
    copied : Copied
    unknowns : list of Unknown

    Returns
    -------
    dict of str to dict of str to File
    """
    found: dict[str, dict[str, File]] = {}
    for folder, files in copied.machines.items():
        wanted = folder or _own_name(files, unknowns) or DEFAULT_NAME
        name = re.sub(r"[^A-Za-z0-9._-]", "-", wanted)
        while name in found:
            name += "-2"
        found[name] = files
    return found


def _own_name(files: dict[str, File], unknowns: list[Unknown]) -> str:
    """Return the name of a machine from its own files."""
    if file := files.get("/etc/hostname"):
        with trying(unknowns):
            return decode(file.read_bytes(), file.source).strip().partition("\n")[0]
    if file := files.get("/etc/kubernetes/manifests/etcd.yaml"):
        with trying(unknowns):
            found = re.search(r"^\s*-\s*--name=(\S+)\s*$", file.read_text(), re.MULTILINE)
            return found[1] if found else ""
    return ""
