"""Find the files that a user copied from machines, and the machine of each."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from labkit.cluster.facts import File
from labkit.cluster.syntax.disk import MAX_BYTES, MAX_FILES, files_below, inside, kind_of, printable
from labkit.cluster.syntax.source import Unknown, decode, trying
from labkit.errors import ConfigError

__all__ = ["Copied", "copied_files", "is_copied", "machines_in"]

#: Folders in the root of a machine.
TOP = ("etc", "var", "usr", "lib")
OBJECTS = "manifests"
YAML = (".yaml", ".yml", ".json")
#: Where a machine's configuration stands, and the ends of its files' names elsewhere.
SETTINGS, ENDS = (
    "/etc/",
    (*YAML, ".conf", ".service", ".socket", ".crt", ".pem", ".key", ".env", ".txt"),
)
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
        inner = sorted(item for item in folder.iterdir() if item.is_dir() and inside(item, folder))
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
    for item in folder.iterdir():
        if item.is_symlink() and item.is_dir() and not inside(item, folder):
            why = "a link that leaves the folder"
            unknowns.append(Unknown(printable(item.name), None, "", why))
    return Copied(machines, tuple(_objects(folder, unknowns)))


def _objects(folder: Path, unknowns: list[Unknown]) -> Iterator[File]:
    """Yield the files with the cluster's objects, beside the machines' folders."""
    for found in (*files_below(folder, deep=False), *files_below(folder / OBJECTS)):
        shown = printable(os.path.relpath(found.path, folder))
        if found.path.suffix not in YAML and not (found.problem and found.path.is_dir()):
            continue
        if found.problem or not inside(found.path, folder):
            why = found.problem or "a link that leaves the folder"
            unknowns.append(Unknown(shown, None, "", why))
        elif found.path.stat().st_size > MAX_BYTES:
            why = "too large for configuration: read a dump with read_dump"
            unknowns.append(Unknown(shown, None, "", why))
        else:
            yield File(found.path, OBJECTS, shown)


def _machine_files(root: Path, start: str, unknowns: list[Unknown]) -> Iterator[tuple[str, File]]:
    def unreadable(error: OSError) -> None:
        shown = os.path.relpath(error.filename, root) if error.filename else ""
        why = f"cannot be read: {error.strerror}"
        unknowns.append(Unknown(printable(start + shown), None, "", why))

    count = 0
    for here, folders, names in os.walk(root, onerror=unreadable):
        folders.sort()
        for name in sorted(names):
            path = Path(here, name)
            at = "/" + path.relative_to(root).as_posix()
            shown = printable(start + at[1:])
            if start + at[1:] != shown:
                unknowns.append(Unknown(shown, None, "", "its name is not text"))
                continue
            real = _follow_links(root, at)
            if real is None:
                why = "its target is not among the files"
                unknowns.append(Unknown(shown, None, "a link", why))
                continue
            problem = kind_of(real) and f"{kind_of(real)}, not a file"
            if not problem and real.stat().st_size > MAX_BYTES:
                problem = f"too large: labkit reads at most {MAX_BYTES:,} bytes of a file"
            if not problem:
                yield at, File(real, start.rstrip("/"), shown)
                count += 1
            elif at.startswith(SETTINGS) or at.endswith(ENDS):
                unknowns.append(Unknown(shown, None, "", problem))
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
