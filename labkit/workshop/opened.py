"""What people of a machine may read or change since its lab came up, by two fingerprints of it."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping
from dataclasses import dataclass

from labkit.lab.fingerprint import Fingerprint

__all__ = ["A_FOLDER", "PEOPLE", "FileState", "file_states", "opened_files", "readable"]

#: A file or folder in a fingerprint: mode, owner, group, a hash of the content, and one of what its
#: access control list and capabilities give, if it has any.
FILE = re.compile(
    r"(?P<mode>[0-7]{4}) (?P<user>\d+):(?P<group>\d+) (?P<content>[0-9a-f]{16}|folder)"
    r"(?: rights (?P<rights>[0-9a-f]{16}))?"
)
A_FOLDER = "folder"
#: The first account of a person (login.defs(5), UID_MIN).
PEOPLE = 1000
READ, WRITE, ENTER = 4, 2, 1
#: The bits with which a program runs as its owner, or with its group.
SET_ID = 0o6000
ETC = "/etc/"


@dataclass(frozen=True, slots=True)
class FileState:
    """A file or folder in a fingerprint.

    Attributes
    ----------
    mode, user, group : int
    content : str
        A hash of it; ``A_FOLDER`` of a folder.
    rights : str
        A hash of its access control list and capabilities; "" without them.
    """

    mode: int
    user: int
    group: int
    content: str
    rights: str = ""

    @property
    def lends(self) -> str:
        """What a program gives to who runs it: its owner or group (setuid), or capabilities."""
        if self.content == A_FOLDER:
            return ""
        return f"{self.mode & SET_ID or ''}{self.rights}"

    def may(self, right: int) -> bool:
        """Say whether some person's account has a right: as owner, by its group or as any other.

        Whom an access control list names is not read: it may be a person. It gives no more than
        the group's bits of the mode, which are its mask (acl(5)).

        Parameters
        ----------
        right : int
            A bit of the mode, as it stands for others.

        Returns
        -------
        bool
        """
        return bool(
            self.mode & right
            or ((self.group >= PEOPLE or self.rights) and self.mode & right << 3)
            or (self.user >= PEOPLE and self.mode & right << 6)
        )


def opened_files(before: Fingerprint, after: Fingerprint) -> list[str]:
    """Name what the people of a machine could not read or change before.

    Parameters
    ----------
    before, after : dict
        Fingerprints of the machines.

    Returns
    -------
    list of str
        One line for each private key, copy of a file that was root's alone, file below /etc, closed
        folder, and program with the rights of its owner or further ones.

    Examples
    --------
    >>> def state(mode):
    ...     return {"etcd1": {"files": {"/etc/etcd/pki/ca.key": f"{mode} 0:0 3f1c3f1c3f1c3f1c"}}}
    >>> opened_files(state("0600"), state("0644"))
    ['/etc/etcd/pki/ca.key of etcd1 can be read by the users of the machine']
    """
    return [
        f"{line} by the users of the machine"
        for machine in after
        for line in _opened(machine, file_states(before, machine), file_states(after, machine))
    ]


def _opened(
    machine: str, before: Mapping[str, FileState], after: Mapping[str, FileState]
) -> list[str]:
    # what is made root's alone now counts as well as what was
    private = {
        it.content: path
        for path, it in (*after.items(), *before.items())
        if path.startswith(ETC) and it.content != A_FOLDER and not it.may(READ)
    }
    lines = []
    for path, it in sorted(after.items()):
        was = before.get(path)
        if was == it or not _is_reached(path, after):
            continue
        original = private.get(it.content) or (path if path.endswith(".key") else "")
        if original and it.may(READ) and not (was and was.may(READ)):
            copied = "" if original == path else f", a copy of {original},"
            lines.append(f"{path} of {machine}{copied} can be read")
        if path.startswith(ETC) and it.may(WRITE) and not (was and was.may(WRITE)):
            lines.append(f"{path} of {machine} can be changed")
        if it.content == A_FOLDER and was and it.may(ENTER) and not was.may(ENTER):
            lines.append(f"{path} of {machine} can be entered")
        if it.may(ENTER) and it.lends and not (was and was.lends == it.lends):
            lines.append(f"{path} of {machine} can be run with more rights than theirs")
    return lines


def readable(state: Fingerprint, machine: str, path: str) -> bool:
    """Say whether the people of a machine may read a file.

    Parameters
    ----------
    state : dict
        A fingerprint of the machines.
    machine, path : str

    Returns
    -------
    bool

    Examples
    --------
    >>> state = {"worker1": {"files": {"/etc/kubernetes/a.conf": "0644 0:0 3f1c3f1c3f1c3f1c"}}}
    >>> readable(state, "worker1", "/etc/kubernetes/a.conf")
    True
    """
    files = file_states(state, machine)
    return path in files and files[path].may(READ) and _is_reached(path, files)


def _is_reached(path: str, files: Mapping[str, FileState]) -> bool:
    """Say whether people get to a file through those of its folders that are known."""
    folder = posixpath.dirname(path)
    while folder != "/":
        if folder in files and not files[folder].may(ENTER):
            return False
        folder = posixpath.dirname(folder)
    return True


def file_states(state: Fingerprint, machine: str) -> dict[str, FileState]:
    """Return the files and folders of a machine in a fingerprint, by path.

    Parameters
    ----------
    state : dict
        A fingerprint of the machines.
    machine : str

    Returns
    -------
    dict of str to FileState
        Without links and special files.

    Examples
    --------
    >>> state = {"etcd1": {"files": {"/etc/etcd": "0750 0:0 folder", "/etc/mtab": "-> /proc"}}}
    >>> file_states(state, "etcd1")
    {'/etc/etcd': FileState(mode=488, user=0, group=0, content='folder', rights='')}
    """
    found = {}
    for path, said in state.get(machine, {}).get("files", {}).items():
        if match := FILE.fullmatch(said):
            numbers = int(match["mode"], 8), int(match["user"]), int(match["group"])
            found[path] = FileState(*numbers, match["content"], match["rights"] or "")
    return found
