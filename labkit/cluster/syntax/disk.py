"""Read files and folders of this computer without a hang, a crash or a way out of the folder.

Somebody else may have written the folder. So nothing is opened before its kind and size are
known, and a link counts only if it stays inside.
"""

from __future__ import annotations

import codecs
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from labkit.cluster.syntax.source import broken, decode, without_nul
from labkit.errors import ConfigError

__all__ = [
    "MAX_BYTES",
    "MAX_DUMP",
    "MAX_FILES",
    "MAX_MODEL",
    "Found",
    "file_text",
    "files_below",
    "inside",
    "is_file",
    "kind_of",
    "leaves",
    "printable",
    "read_bytes",
]

#: Bytes: no file of a machine's configuration is larger, no model, and no dump of a cluster.
MAX_BYTES, MAX_MODEL, MAX_DUMP = 2_000_000, 20_000_000, 500_000_000
#: Files below one folder, and folders in one another.
MAX_FILES, MAX_FOLDERS = 50_000, 40
#: A text is decoded in this many pieces, each of at least so many bytes.
PIECES, PIECE = 100, 100_000
#: Names that only files have.
FILES = (".yaml", ".yml", ".json", ".conf", ".service", ".socket")
KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a FIFO"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


@dataclass(frozen=True, slots=True)
class Found:
    """One entry below a folder.

    Attributes
    ----------
    path : Path
    name : str
        Its path below the folder, in characters that can be printed.
    problem : str
        Why it is not read; empty for a file that can be read.
    """

    path: Path
    name: str
    problem: str = ""


def kind_of(path: Path) -> str:
    """Return what a path is if it is no regular file, or an empty text.

    Parameters
    ----------
    path : Path

    Returns
    -------
    str

    Raises
    ------
    OSError
        There is nothing, or it may not be seen.

    Examples
    --------
    >>> kind_of(Path("/dev/zero")), kind_of(Path("/"))
    ('a device', 'a folder')
    """
    return _kind(path.stat())


def _kind(status: os.stat_result) -> str:
    return next((name for is_kind, name in KINDS if is_kind(status.st_mode)), "")


def printable(name: str) -> str:
    r"""Return a name in characters that can be printed.

    Parameters
    ----------
    name : str

    Returns
    -------
    str

    Examples
    --------
    >>> printable("etcd.conf"), printable("two\nlines")
    ('etcd.conf', 'two\\nlines')
    """
    return name if name.isprintable() else name.encode("unicode_escape").decode("ascii")


def inside(path: Path, folder: Path) -> bool:
    """Say whether a path is inside a folder after all of its links were followed.

    Parameters
    ----------
    path, folder : Path

    Returns
    -------
    bool

    Examples
    --------
    >>> inside(Path("/etc/../root"), Path("/etc"))
    False
    """
    return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder))


def read_bytes(
    path: Path | str,
    shown: str,
    limit: int = MAX_BYTES,
    hint: str = "",
    length: int | None = None,
) -> bytes:
    """Return the content of a file, if it is a regular file and not too large.

    Parameters
    ----------
    path : path or str
    shown : str
        Its name for messages.
    limit : int
        Bytes.
    hint : str, optional
        The next step if it cannot be read.
    length : int, optional
        Return the first so many bytes alone.

    Returns
    -------
    bytes

    Raises
    ------
    ConfigError
        It does not exist, is not a regular file, is too large, or may not be read.

    Examples
    --------
    >>> read_bytes("/dev/zero", "pki.yaml")
    Traceback (most recent call last):
    ...
    labkit.errors.ConfigError: pki.yaml: cannot be read: it is a device, not a file
      next: ls -ld /dev/zero
    """
    with _opened(path, shown, limit, hint) as file:
        return file.read(limit if length is None else min(length, limit))


def file_text(path: Path | str, shown: str, limit: int = MAX_BYTES, *, utf16: bool = False) -> str:
    """Return the text of a file, as :func:`~labkit.cluster.syntax.source.decode` returns it.

    It is decoded in pieces, so that a large file is in memory once, and not as bytes as well.

    Parameters
    ----------
    path : path or str
    shown : str
        Its name for messages.
    limit : int
        Bytes.
    utf16 : bool
        Also read UTF-16 with a byte order mark.

    Returns
    -------
    str

    Raises
    ------
    ConfigError
        As :func:`read_bytes` and :func:`~labkit.cluster.syntax.source.decode` do.

    Examples
    --------
    >>> file_text("/dev/zero", "pods.json")
    Traceback (most recent call last):
    ...
    labkit.errors.ConfigError: pods.json: cannot be read: it is a device, not a file
      next: ls -ld /dev/zero
    """
    decoder = codecs.getincrementaldecoder("utf-8")()
    text = ""
    with _opened(path, shown, limit) as file:
        size = os.fstat(file.fileno()).st_size
        if file.read(len(codecs.BOM_UTF8)) != codecs.BOM_UTF8:
            file.seek(0)
        try:
            for piece in _pieces(file, max(size // PIECES, PIECE), limit):
                # CPython lengthens a local text in place; another Python copies it this often
                text += decoder.decode(piece)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            # UTF-16, or an error that names its line
            file.seek(0)
            return decode(file.read(limit), shown, utf16=utf16)
    return without_nul(text, shown)


def _pieces(file: BinaryIO, length: int, limit: int) -> Iterator[bytes]:
    while piece := file.read(min(length, limit)):
        limit -= len(piece)
        yield piece


@contextmanager
def _opened(path: Path | str, shown: str, limit: int, hint: str = "") -> Iterator[BinaryIO]:
    """Open a regular file that is not too large."""
    shown = printable(shown)
    hint = hint or f"ls -ld {printable(str(path))}"
    try:
        _refuse(Path(path).stat(), shown, limit, hint)
        # what stands there may have changed since
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            _refuse(os.fstat(descriptor), shown, limit, hint)
            yield file
    except (OSError, ValueError) as error:
        why = f"cannot be read: {getattr(error, 'strerror', None) or error}"
        raise broken(shown, None, why, hint) from error


def _refuse(status: os.stat_result, shown: str, limit: int, hint: str) -> None:
    if kind := _kind(status):
        raise broken(shown, None, f"cannot be read: it is {kind}, not a file", hint)
    if status.st_size > limit:
        what = f"has {status.st_size:,} bytes; labkit reads at most {limit:,} of such a file"
        raise broken(shown, None, what, "is this the right file?")


def files_below(folder: Path, *, deep: bool = True) -> Iterator[Found]:
    """Yield the files below a folder, sorted, and what cannot be read there.

    Links are followed to files inside the folder. A link to a folder is a problem.

    Parameters
    ----------
    folder : Path
    deep : bool
        Whether to read the folders in it as well.

    Yields
    ------
    Found

    Examples
    --------
    >>> list(files_below(Path("/nowhere")))
    []
    """
    if not os.path.lexists(folder):
        return
    real = Path(os.path.realpath(folder))
    stack, count = [("", 0)], 0
    while stack:
        name, depth = stack.pop()
        if depth > MAX_FOLDERS:
            yield Found(folder / name, printable(name), "too many folders in one another")
            continue
        try:
            entries = sorted(os.scandir(folder / name), key=lambda entry: entry.name)
        except OSError as error:
            yield Found(folder / name, printable(name), f"cannot be read: {error.strerror}")
            continue
        below = []
        for entry in entries:
            inner = f"{name}/{entry.name}" if name else entry.name
            count += 1
            if count > MAX_FILES:
                yield Found(folder, "", f"holds more than {MAX_FILES:,} files")
                return
            if not entry.name.isprintable():
                problem = "its name has characters that cannot be printed"
                yield Found(folder / inner, printable(inner), problem)
            elif entry.is_dir(follow_symlinks=False):
                if inner.endswith(FILES):
                    yield Found(folder / inner, inner, "a folder, not a file")
                elif deep:
                    below.append((inner, depth + 1))
            else:
                yield Found(folder / inner, inner, _problem(entry, real))
        stack += reversed(below)


def _problem(entry: os.DirEntry[str], folder: Path) -> str:
    """Return why an entry is not read, or an empty text."""
    try:
        kind = kind_of(Path(entry.path))
    except OSError as error:
        what = "a link that leads nowhere" if entry.is_symlink() else "cannot be read"
        return f"{what}: {error.strerror}"
    if entry.is_symlink() and not inside(Path(entry.path), folder):
        return "a link that leaves the folder"
    if entry.is_symlink() and kind:
        return f"a link to {kind}, not to a file"
    return f"{kind}, not a file" if kind else ""


def is_file(path: Path, shown: str, folder: Path) -> bool:
    """Say whether an optional file exists; refuse one that cannot be read.

    Parameters
    ----------
    path : Path
    shown : str
        Its name for messages.
    folder : Path
        A link counts only if it stays in this folder.

    Returns
    -------
    bool

    Raises
    ------
    ConfigError
        It is a link out of the folder or that leads nowhere.

    Examples
    --------
    >>> is_file(Path("/nowhere/pki.yaml"), "pki.yaml", Path("/nowhere"))
    False
    """
    if not os.path.lexists(path):
        return False
    if not inside(path, folder):
        raise leaves(shown)
    return True


def leaves(shown: str) -> ConfigError:
    """Return the error for a link that leaves its folder.

    Parameters
    ----------
    shown : str
        The link's name for messages.

    Returns
    -------
    ConfigError

    Examples
    --------
    >>> print(leaves("mine/pki.yaml").message)
    mine/pki.yaml: a link that leaves the folder
    """
    return broken(
        printable(shown), None, "a link that leaves the folder", "copy the file into the folder"
    )
