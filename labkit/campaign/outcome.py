"""The outcomes of a campaign, and the file that keeps them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from labkit.campaign.draws import Choice
from labkit.cluster.syntax.disk import MAX_MODEL, file_text
from labkit.errors import ConfigError

__all__ = ["VERDICTS", "Campaign", "Difference", "Outcome"]

AGREES, DISAGREES, UNPROBED = "agrees", "disagrees", "unprobed"
REFUSED, NO_START, ONCE = "refused", "does not start", "differs once"
#: The cause of what was left when the time for a configuration was over.
OVER = "the time for this configuration was over"
#: From the best to the worst.
VERDICTS = (AGREES, REFUSED, NO_START, UNPROBED, ONCE, DISAGREES)


@dataclass(frozen=True, slots=True, order=True)
class Difference:
    """A cell or a claim whose result differs from the model, or that gave no result.

    Attributes
    ----------
    what : str
        The technique, or the channel's id.
    where : str
        The foothold, or the property of the claim.
    predicted, observed : str
    reason : str
        The evidence, or the cause.
    """

    what: str
    where: str
    predicted: str
    observed: str
    reason: str

    @property
    def place(self) -> tuple[str, str]:
        """The technique and the foothold, or the channel and the property."""
        return self.what, self.where

    def __str__(self) -> str:
        seen = f"predicted {self.predicted}, observed {self.observed or 'nothing'}"
        return f"{self.what}, {self.where}: {seen}: {self.reason}"


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome of one configuration.

    Attributes
    ----------
    mode : str
    seed, number : int
        With the mode, they name the configuration.
    settings : tuple of Choice
    verdict : str
        One of `VERDICTS`. "does not start" if a component does not run with it; "refused" if the
        apiserver or labkit refuses a part of it; "unprobed" if nothing differs and something gave
        no result; "differs once" if a difference did not repeat.
    reason : str
        Which component did not start and what it said, or what refused what.
    cells, claims : dict of str to int
        The number of cells and claims by how they compare.
    differences : tuple of Difference
        Those that repeated; with "differs once", those that did not.
    unprobed : tuple of Difference
        Each with its cause.
    fewest : tuple of Choice
        The fewest of the settings with which a difference still appears.
    """

    mode: str
    seed: int
    number: int
    settings: tuple[Choice, ...]
    verdict: str
    reason: str = ""
    cells: dict[str, int] | None = None
    claims: dict[str, int] | None = None
    differences: tuple[Difference, ...] = ()
    unprobed: tuple[Difference, ...] = ()
    fewest: tuple[Choice, ...] = ()

    @property
    def key(self) -> tuple[str, int, int]:
        """The mode, the seed and the number."""
        return self.mode, self.seed, self.number

    @property
    def unnamed(self) -> tuple[Difference, ...]:
        """What gave no result, and nobody said why."""
        return tuple(it for it in self.unprobed if not it.reason.strip())

    @property
    def is_cut_short(self) -> bool:
        """Whether the time was over before everything was tried."""
        return any(it.reason == OVER for it in self.unprobed)


class Campaign:
    """The outcomes of configurations at random, sorted by mode, seed and number.

    Parameters
    ----------
    outcomes : iterable of Outcome

    Examples
    --------
    >>> print(Campaign([Outcome("insecure", 1, 1, (), "agrees")]).summary())
    1 configuration: 1 agrees, 0 disagrees
    """

    def __init__(self, outcomes: Iterable[Outcome]) -> None:
        self.outcomes = tuple(sorted(outcomes, key=lambda outcome: outcome.key))

    def __iter__(self) -> Iterator[Outcome]:
        return iter(self.outcomes)

    def __len__(self) -> int:
        return len(self.outcomes)

    @property
    def exit_code(self) -> int:
        """1 if a configuration disagrees, else 2 if one has no result, else 0.

        A result without a cause is missing, and so is a difference that did not repeat, and what
        was not tried when the time was over.
        """
        verdicts = {outcome.verdict for outcome in self}
        if DISAGREES in verdicts:
            return 1
        missing = any(outcome.unnamed or outcome.is_cut_short for outcome in self)
        lacking = ONCE in verdicts or missing
        return 2 if lacking or not self.outcomes else 0

    def summary(self) -> str:
        """Return one line with the number of configurations by verdict.

        Returns
        -------
        str
        """
        counts = Counter(outcome.verdict for outcome in self)
        shown = [it for it in VERDICTS if counts[it] or it in (AGREES, DISAGREES)]
        parts = ", ".join(f"{counts[it]} {it}" for it in shown)
        number = len(self.outcomes)
        return f"{number} configuration{'' if number == 1 else 's'}: {parts}"

    def to_json(self) -> str:
        """Return the outcomes as a JSON list, one on each line.

        Returns
        -------
        str
        """
        lines = (json.dumps(_plain(outcome), ensure_ascii=False) for outcome in self)
        return "[\n" + ",\n".join(lines) + "\n]\n"

    @classmethod
    def read(cls, path: Path) -> Campaign:
        """Read a file with the output of :meth:`to_json`.

        Parameters
        ----------
        path : pathlib.Path

        Returns
        -------
        Campaign

        Raises
        ------
        ConfigError
            The file cannot be read, or is not a list of outcomes.
        """
        try:
            rows: Any = json.loads(file_text(path, path.name, MAX_MODEL))
            if not isinstance(rows, list):
                raise TypeError("it is not a list of outcomes")
            return cls(map(_outcome, rows))
        except (ValueError, TypeError, AttributeError, RecursionError) as error:
            raise ConfigError(
                f"{path} is not a campaign: {error}",
                hint=f"remove {path}, and run the command again",
            ) from error


def _plain(outcome: Outcome) -> dict[str, Any]:
    row = asdict(outcome)
    for name in ("settings", "fewest"):
        row[name] = [[choice.setting, choice.value] for choice in getattr(outcome, name)]
    return {name: value for name, value in row.items() if value not in ("", None, (), [])}


def _outcome(row: dict[str, Any]) -> Outcome:
    for name in ("settings", "fewest"):
        row[name] = tuple(Choice(*pair) for pair in row.get(name, ()))
    for name in ("differences", "unprobed"):
        row[name] = tuple(Difference(**item) for item in row.get(name, ()))
    return Outcome(**row)
