"""Edits of an environment's files.

An edit names a role of machines, the file's path on them and its new content. It works on text and
does not interpret it, so the same edit serves the model (which labkit reads from the changed text)
and the lab (where labkit writes the text into the machines). The role :data:`PLAN` stands for files
beside the roles' folders: ``etcd-auth.yaml``, ``pki.yaml``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeAlias

import yaml

from labkit.cluster.syntax.yamldoc import read_one
from labkit.errors import ConfigError

__all__ = [
    "NEW_FILE",
    "PLAN",
    "Edit",
    "Flag",
    "Item",
    "Key",
    "Option",
    "TmpfilesLine",
    "Whole",
    "from_json",
    "to_json",
]

PLAN = ""
#: How messages name a file that only edits made; the role follows, and the path on its machines.
NEW_FILE = "edits/"
UNITS = "/etc/systemd/system/"


@dataclass(frozen=True, slots=True)
class Flag:
    r"""Set or remove a flag on the command line of a systemd unit.

    Parameters
    ----------
    role : str
    unit : str
        The unit's file name.
    name : str
        Without the two hyphens.
    value : str, tuple of str or None
        Several values repeat the flag; None removes it.

    Examples
    --------
    >>> unit = "[Service]\nExecStart=/bin/kubelet \\\n  --v=2 \\\n  --x=1\n"
    >>> print(Flag("worker", "kubelet.service", "v", None).apply(unit), end="")
    [Service]
    ExecStart=/bin/kubelet \
      --x=1
    """

    role: str
    unit: str
    name: str
    value: str | tuple[str, ...] | None

    @property
    def path(self) -> str:
        """The file's path on the machine."""
        return f"{UNITS}{self.unit}"

    def __str__(self) -> str:
        values = (self.value,) if isinstance(self.value, str) else self.value
        if values is None:
            return f"{self.role}: {self.path}: without --{self.name}"
        return f"{self.role}: {self.path}: {' '.join(f'--{self.name}={it}' for it in values)}"

    def apply(self, text: str | None) -> str | None:
        """Return the file's text after the edit; None stands for no file."""
        if text is None:
            raise _missing(self.role, self.path)
        lines = text.splitlines()
        start = next(i for i, line in enumerate(lines) if line.startswith("ExecStart="))
        end = start
        while lines[end].rstrip().endswith("\\"):
            end += 1
        words = [line.rstrip().removesuffix("\\").strip() for line in lines[start : end + 1]]
        place = next((i for i, word in enumerate(words) if self._is_mine(word)), len(words))
        words = [word for word in words if not self._is_mine(word)]
        values = (self.value,) if isinstance(self.value, str) else self.value or ()
        words[place:place] = [f"--{self.name}={value}" for value in values]
        joined = " \\\n  ".join(words)
        return "\n".join([*lines[:start], joined, *lines[end + 1 :]]) + "\n"

    def _is_mine(self, word: str) -> bool:
        return word == f"--{self.name}" or word.startswith(f"--{self.name}=")


@dataclass(frozen=True, slots=True)
class Item:
    r"""Add or remove one value of a flag that takes several values, separated by commas.

    Parameters
    ----------
    role : str
    unit : str
        The unit's file name.
    name : str
        The flag, without the two hyphens.
    value : str
    there : bool
        True adds the value, False removes it.

    Examples
    --------
    >>> unit = "[Service]\nExecStart=/bin/etcd --listen=a\n"
    >>> print(Item("etcd", "etcd.service", "listen", "b", True).apply(unit), end="")
    [Service]
    ExecStart=/bin/etcd --listen=a,b
    """

    role: str
    unit: str
    name: str
    value: str
    there: bool

    @property
    def path(self) -> str:
        """The file's path on the machine."""
        return f"{UNITS}{self.unit}"

    def __str__(self) -> str:
        word = "with" if self.there else "without"
        return f"{self.role}: {self.path}: --{self.name} {word} {self.value}"

    def apply(self, text: str | None) -> str | None:
        """Return the file's text after the edit; the other values stay."""
        found = re.search(rf"--{re.escape(self.name)}=(\S*)", text or "")
        if text is None or found is None:
            raise _missing(self.role, self.path, f" with a flag --{self.name}")
        others = [item for item in found[1].split(",") if item not in ("", self.value)]
        values = ",".join([*others, self.value] if self.there else others)
        return text[: found.start(1)] + values + text[found.end(1) :]


@dataclass(frozen=True, slots=True)
class Option:
    r"""Set a line ``Name=value`` of a systemd unit.

    Parameters
    ----------
    role : str
    unit : str
        The unit's file name.
    name, value : str

    Examples
    --------
    >>> Option("worker", "docker.socket", "SocketMode", "0666").apply("SocketMode=0600\n")
    'SocketMode=0666\n'
    """

    role: str
    unit: str
    name: str
    value: str

    @property
    def path(self) -> str:
        """The file's path on the machine."""
        return f"{UNITS}{self.unit}"

    def __str__(self) -> str:
        return f"{self.role}: {self.path}: {self.name}={self.value}"

    def apply(self, text: str | None) -> str | None:
        """Return the file's text after the edit."""
        pattern = re.compile(rf"^{re.escape(self.name)}=.*$", re.MULTILINE)
        if text is None or not pattern.search(text):
            raise _missing(self.role, self.path, f" with a line {self.name}=")
        return pattern.sub(f"{self.name}={self.value}", text)


@dataclass(frozen=True, slots=True)
class Key:
    r"""Set or remove a key of a YAML or TOML file.

    Parameters
    ----------
    role : str
    path : str
        The file on the machine.
    key : str
        Keys joined by dots; a number is the index of a list, from 0.
    value : object
        None removes the key.

    Examples
    --------
    >>> Key("worker", "/etc/k.yaml", "authentication.anonymous.enabled", False).apply("port: 1")
    'port: 1\nauthentication:\n  anonymous:\n    enabled: false\n'
    """

    role: str
    path: str
    key: str
    value: Any

    def __str__(self) -> str:
        if self.value is None:
            return f"{self.role}: {self.path}: without {self.key}"
        return f"{self.role}: {self.path}: {self.key}: {json.dumps(self.value)}"

    def apply(self, text: str | None) -> str | None:
        """Return the file's text after the edit."""
        if text is None:
            raise _missing(self.role, self.path)
        if not self.path.endswith(".toml"):
            return _with_key(text, self.key, json.dumps(self.value))
        try:
            return _with_toml_key(text, self.key, json.dumps(self.value))
        except (ValueError, TypeError, AttributeError) as error:  # or no table where one must be
            raise ConfigError(f"{self.role}: {self.path}: {self.key}: {error}") from error


@dataclass(frozen=True, slots=True)
class TmpfilesLine:
    r"""Set the line of a tmpfiles.d file that gives a path its owner and mode.

    Parameters
    ----------
    role : str
    path : str
        The tmpfiles.d file on the machine.
    about : str
        The path that the line is for.
    line : str

    Examples
    --------
    >>> line = "z /etc/x 0600 root root"
    >>> edit = TmpfilesLine("master", "/etc/tmpfiles.d/k.conf", "/etc/x", line)
    >>> edit.apply("z /etc/x 0644 root root\n")
    'z /etc/x 0600 root root\n'
    """

    role: str
    path: str
    about: str
    line: str

    def __str__(self) -> str:
        return f"{self.role}: {self.path}: {self.line}"

    def apply(self, text: str | None) -> str | None:
        """Return the file's text after the edit."""
        lines = (text or "").splitlines()
        kept = [line for line in lines if line.split()[1:2] != [self.about]]
        return "\n".join([*kept, self.line]) + "\n"


@dataclass(frozen=True, slots=True)
class Whole:
    """Replace or remove a whole file.

    Parameters
    ----------
    role : str
    path : str
        The file on the machine, or beside the roles' folders.
    text : str or None
        None removes the file.
    """

    role: str
    path: str
    text: str | None

    def __str__(self) -> str:
        where = f"{self.role}: {self.path}" if self.role else self.path
        if self.text is None:
            return f"{where}: the whole file, removed"
        count = len(self.text.splitlines())
        return f"{where}: the whole file, {count} line{'s' * (count != 1)}"

    def apply(self, text: str | None) -> str | None:
        """Return the file's new text."""
        return self.text


Edit: TypeAlias = Flag | Item | Option | Key | TmpfilesLine | Whole
#: The names of the kinds in the record that each changed lab keeps: a name never changes.
KINDS: Mapping[str, type[Edit]] = {
    "Flag": Flag,
    "Item": Item,
    "Option": Option,
    "Key": Key,
    "Rule": TmpfilesLine,
    "Whole": Whole,
}


@lru_cache(maxsize=512)
def _with_key(text: str, key: str, value: str) -> str:
    """Return a YAML file's text with one key changed; cached, because what-if repeats it."""
    document = deepcopy(read_one(text, "the file to change").value)
    *way, last = key.split(".")
    here: Any = document
    for part in way:
        here = here[int(part)] if isinstance(here, list) else here.setdefault(part, {})
    wanted = json.loads(value)
    if wanted is None:
        here.pop(last, None)
    else:
        here[last] = wanted
    return yaml.safe_dump(document, sort_keys=False)


@lru_cache(maxsize=512)
def _with_toml_key(text: str, key: str, value: str) -> str:
    """Return a TOML file's text with one key changed; all else stays as it was written."""
    import tomlkit  # slow, and few edits need it

    document = tomlkit.parse(text)
    *way, last = key.split(".")
    here: Any = document
    for part in way:
        here = here.setdefault(part, tomlkit.table())
    wanted = json.loads(value)
    if wanted is None:
        here.pop(last, None)
    else:
        here[last] = wanted
    return tomlkit.dumps(document)


def to_json(edits: tuple[Edit, ...]) -> list[dict[str, Any]]:
    """Return edits as values that JSON can hold.

    Parameters
    ----------
    edits : tuple of Edit

    Returns
    -------
    list of dict

    Examples
    --------
    >>> edits = (Flag("master", "kube-apiserver.service", "anonymous-auth", "false"),)
    >>> from_json(to_json(edits)) == edits
    True
    """
    names = {kind: name for name, kind in KINDS.items()}
    return [
        {"edit": names[type(edit)], **{name: getattr(edit, name) for name in edit.__slots__}}
        for edit in edits
    ]


def from_json(items: list[dict[str, Any]]) -> tuple[Edit, ...]:
    """Return the edits that :func:`to_json` wrote.

    Parameters
    ----------
    items : list of dict

    Returns
    -------
    tuple of Edit
    """
    return tuple(
        KINDS[item["edit"]](**{name: _as_tuple(item[name]) for name in item if name != "edit"})
        for item in items
    )


def _as_tuple(value: Any) -> Any:
    """Return a list as a tuple: JSON has no tuples."""
    return tuple(value) if isinstance(value, list) else value


def _missing(role: str, path: str, what: str = "") -> ConfigError:
    return ConfigError(
        f"cannot change {path}{what} on {role or 'the plan'}: the environment has no such file",
        hint="choose a change that fits this environment",
    )
