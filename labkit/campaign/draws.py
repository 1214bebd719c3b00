"""Draw configurations from the catalogue: the same seed and number give the same one."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import yaml

from labkit.campaign.catalogue import catalogue
from labkit.cluster import Environment
from labkit.cluster.edits import PLAN, Edit, Key
from labkit.errors import ConfigError

__all__ = ["MOST", "Choice", "draw", "edits_of"]

#: The most settings of one configuration.
MOST = 6


@dataclass(frozen=True, slots=True, order=True)
class Choice:
    """A setting of the catalogue, with one of its values.

    Parameters
    ----------
    setting, value : str

    Examples
    --------
    >>> print(Choice("kube-apiserver --anonymous-auth", "false"))
    kube-apiserver --anonymous-auth: false
    """

    setting: str
    value: str

    def __str__(self) -> str:
        return f"{self.setting}: {self.value}"


def draw(plain: Environment, seed: int, number: int) -> tuple[Choice, ...]:
    """Return 1 to 6 settings, each of which changes something in a mode.

    Parameters
    ----------
    plain : Environment
        The environment of the mode, without edits.
    seed, number : int
        The campaign's seed, and the configuration's number in it.

    Returns
    -------
    tuple of Choice

    Examples
    --------
    >>> from labkit import read_environment
    >>> plain = read_environment("hardened")
    >>> draw(plain, 1, 1) == draw(plain, 1, 1) != draw(plain, 1, 2)
    True
    """
    chance = random.Random(f"{seed} {plain.name} {number}")  # noqa: S311 - a sample, not a secret
    rows = [row for row in catalogue().values() if plain.name in row.modes]
    wanted = chance.randint(1, MOST)
    found: list[Choice] = []
    for row in chance.sample(rows, k=len(rows)):
        value = chance.choice(list(row.values))
        if _changes(plain, row.edits(value, plain)):
            found.append(Choice(row.name, value))
        if len(found) == wanted:
            break
    return tuple(found)


def _changes(plain: Environment, edits: Iterable[Edit]) -> bool:
    """Say whether edits change what a file of an environment says."""
    files = {node.role: node.files for node in plain.nodes}
    files[PLAN] = {file.source.partition("/")[2]: file for file in plain.manifests}
    before: dict[tuple[str, str], str | None] = {}
    after: dict[tuple[str, str], str | None] = {}
    parsed = set()
    for edit in edits:
        place = edit.role, edit.path
        file = files[edit.role].get(edit.path)
        before.setdefault(place, file.read_text() if file else None)
        after[place] = edit.apply(after.get(place, before[place]))
        if isinstance(edit, Key):
            parsed.add(place)  # the edit writes the file in another form
    return any(
        _content(before[place], place in parsed) != _content(after[place], place in parsed)
        for place in after
    )


def _content(text: str | None, parsed: bool) -> Any:
    """Return what a file says, without its form."""
    if text is None or parsed:
        return text and yaml.safe_load(text)
    return sorted(line.split() for line in text.replace("\\\n", "\n").splitlines())


def edits_of(plain: Environment, choices: Iterable[Choice]) -> tuple[Edit, ...]:
    """Return the edits of a configuration.

    Parameters
    ----------
    plain : Environment
        The environment of the mode, without edits.
    choices : iterable of Choice

    Returns
    -------
    tuple of Edit

    Raises
    ------
    ConfigError
        The catalogue has no such setting, or no such value.
    """
    edits: list[Edit] = []
    for choice in choices:
        row = catalogue().get(choice.setting)
        if row is None or choice.value not in row.values:
            raise ConfigError(
                f"the catalogue has no setting {choice}",
                hint="remove the configuration from the file, and run the campaign again",
            )
        edits += row.edits(choice.value, plain)
    return tuple(edits)
