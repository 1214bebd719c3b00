"""What the trainer's machine knows of a workshop: the labs' keys, proofs, and the last notice.

It is a file of JSON lines outside the labs, so root in a lab cannot write it. Lines are only
appended, so two boards may write at the same time.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from labkit.errors import ConfigError
from labkit.resources import state_dir

__all__ = ["Ledger", "LedgerContent", "Notice", "Seat", "ledger_of"]


class Seat(NamedTuple):
    """The lab of a participant in one mode.

    Attributes
    ----------
    name, mode : str
        The lab's name and mode.
    """

    name: str
    mode: str


@dataclass(frozen=True, slots=True)
class Notice:
    """What the trainer tells everybody in the room.

    Parameters
    ----------
    text : str
        One line; "" takes back the notice before.
    until : str
        The time at which something ends, as the trainer's clock shows it, such as "12:30"; "" for
        no such time.

    Examples
    --------
    >>> str(Notice("Lunch", "12:30"))
    'Lunch (until 12:30)'
    """

    text: str = ""
    until: str = ""

    def __str__(self) -> str:
        return f"{self.text} (until {self.until})" if self.text and self.until else self.text


@dataclass(frozen=True, slots=True)
class LedgerContent:
    """The content of a ledger.

    Attributes
    ----------
    keys : mapping of (Seat, str) to str
        The key of a lab in hexadecimal, by the seat and the identifier of the lab's network. A lab
        that is made again has another network and another key.
    proved : mapping of Seat to mapping of str to str
        The time (UTC) at which each exercise was proved, by its name.
    notice : Notice
        The last one.
    contexts : tuple of str
        The Docker contexts of the engines that have labs of the workshop; "" is the default engine.
    """

    keys: Mapping[tuple[Seat, str], str] = field(default_factory=dict, repr=False)
    proved: Mapping[Seat, Mapping[str, str]] = field(default_factory=dict)
    notice: Notice = field(default_factory=Notice)
    contexts: tuple[str, ...] = ()

    @property
    def seats(self) -> list[Seat]:
        """The seats of the workshop, sorted by name and mode."""
        return sorted({*(seat for seat, _ in self.keys), *self.proved})


@dataclass(frozen=True, slots=True)
class Ledger:
    """The file of a workshop's ledger.

    Parameters
    ----------
    file : pathlib.Path

    Examples
    --------
    >>> import tempfile
    >>> ledger = Ledger(Path(tempfile.mkdtemp(), "p.jsonl"))
    >>> ledger.add_key(Seat("p01", "insecure"), "net1", "00ff")
    >>> ledger.add_proof(Seat("p01", "insecure"), "etcd-1", "2026-01-02T03:04:05Z")
    >>> ledger.read().proved
    {Seat(name='p01', mode='insecure'): {'etcd-1': '2026-01-02T03:04:05Z'}}
    """

    file: Path

    def add_key(self, seat: Seat, network: str, key: str) -> None:
        """Note the key of a lab.

        Parameters
        ----------
        seat : Seat
        network : str
            The identifier of the lab's network.
        key : str
            The key in hexadecimal.

        Raises
        ------
        ConfigError
            The file cannot be written.
        """
        self._append({"name": seat.name, "mode": seat.mode, "network": network, "key": key})

    def add_proof(self, seat: Seat, exercise: str, time: str) -> None:
        """Note that an exercise was proved.

        Parameters
        ----------
        seat : Seat
        exercise : str
            The exercise's name.
        time : str
            The time (UTC).

        Raises
        ------
        ConfigError
            The file cannot be written.
        """
        self._append({"name": seat.name, "mode": seat.mode, "exercise": exercise, "proved": time})

    def add_notice(self, notice: Notice) -> None:
        """Note what the trainer told everybody.

        Parameters
        ----------
        notice : Notice

        Raises
        ------
        ConfigError
            The file cannot be written.
        """
        self._append({"notice": notice.text, "until": notice.until})

    def add_context(self, context: str) -> None:
        """Note an engine on which labs of the workshop are made.

        Parameters
        ----------
        context : str
            The Docker context; "" for the default engine.

        Raises
        ------
        ConfigError
            The file cannot be written.
        """
        self._append({"context": context})

    def read(self) -> LedgerContent:
        """Return the content; a file that does not exist is empty.

        Returns
        -------
        LedgerContent
            The first proof of an exercise counts.

        Raises
        ------
        ConfigError
            The file cannot be read, or a line is not a ledger's.
        """
        try:
            lines = self.file.read_text(encoding="utf-8").split("\n")
        except FileNotFoundError:
            lines = []
        except (OSError, UnicodeDecodeError) as error:
            raise self._error(f"cannot be read: {error}") from error
        keys: dict[tuple[Seat, str], str] = {}
        proved: dict[Seat, dict[str, str]] = {}
        notice, contexts = Notice(), list[str]()
        # a command that was killed may leave a last line without its end
        for number, line in enumerate(lines[:-1], 1):
            try:
                item: dict[str, str] = json.loads(line)
                if "notice" in item:
                    notice = Notice(item["notice"], item["until"])
                    continue
                if "context" in item:
                    contexts.append(item["context"])
                    continue
                seat = Seat(item["name"], item["mode"])
                if "key" in item:
                    keys[seat, item["network"]] = item["key"]
                else:
                    proved.setdefault(seat, {}).setdefault(item["exercise"], item["proved"])
            except (ValueError, KeyError, TypeError) as error:
                raise self._error(f"line {number} is not labkit's") from error
        return LedgerContent(keys, proved, notice, tuple(dict.fromkeys(contexts)))

    def start_again(self) -> Path | None:
        """Put the ledger of an earlier workshop aside, so that the next one begins empty.

        Returns
        -------
        pathlib.Path or None
            Where the earlier one is now; None without an earlier one.

        Raises
        ------
        ConfigError
            The file cannot be renamed.
        """
        if not self.file.exists():
            return None
        number = 1
        while (aside := self.file.with_suffix(f".{number}.jsonl")).exists():
            number += 1
        try:
            return self.file.rename(aside)
        except OSError as error:
            raise self._error(f"cannot be renamed: {error.strerror}") from error

    def _append(self, item: Mapping[str, str]) -> None:
        """Write a line with one call, so that lines of two processes do not mix."""
        try:
            self.file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            flags = os.O_RDWR | os.O_APPEND | os.O_CREAT
            file = os.open(self.file, flags, 0o600)
            try:
                # ends a line of a command that was killed; an empty line would be an error
                size = os.fstat(file).st_size
                if size and os.pread(file, 1, size - 1) != b"\n":
                    os.ftruncate(file, os.pread(file, size, 0).rfind(b"\n") + 1)
                os.write(file, json.dumps(item).encode() + b"\n")
            finally:
                os.close(file)
        except OSError as error:
            raise self._error(f"cannot be written: {error.strerror}") from error

    def _error(self, what: str) -> ConfigError:
        return ConfigError(f"{self.file}: {what}", hint=f"ls -l {self.file}")


def ledger_of(workshop: str) -> Ledger:
    """Return the ledger of a workshop, in labkit's folder of this user.

    Parameters
    ----------
    workshop : str
        The prefix of the names of its labs.

    Returns
    -------
    Ledger

    Examples
    --------
    >>> ledger_of("p").file.name
    'p.jsonl'
    """
    return Ledger(state_dir() / "workshop" / f"{workshop}.jsonl")
