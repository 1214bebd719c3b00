"""Overlays: configurations with a difference, as files that a test can run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from labkit.campaign.draws import edits_of
from labkit.campaign.outcome import Outcome
from labkit.cluster import Environment
from labkit.cluster.edits import Edit, from_json, to_json
from labkit.errors import ConfigError

__all__ = ["Overlay", "read_overlay", "write_overlay"]


@dataclass(frozen=True, slots=True)
class Overlay:
    """A configuration, and the places at which it once differed from the model.

    Attributes
    ----------
    mode : str
    edits : tuple of Edit
    places : tuple of (str, str)
        Techniques and footholds, or channels and properties.
    """

    mode: str
    edits: tuple[Edit, ...]
    places: tuple[tuple[str, str], ...]


def write_overlay(folder: Path, outcome: Outcome, plain: Environment) -> Path:
    """Write the fewest settings of an outcome that disagrees as an overlay.

    Parameters
    ----------
    folder : pathlib.Path
        It is created if it does not exist.
    outcome : Outcome
    plain : Environment
        The environment of the mode, without edits.

    Returns
    -------
    pathlib.Path
        The file.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{outcome.mode}-{outcome.seed}-{outcome.number}.yaml"
    document = {
        "mode": outcome.mode,
        "settings": [str(choice) for choice in outcome.fewest],
        "differs": [str(it) for it in outcome.differences],
        "places": [list(it.place) for it in outcome.differences],
        "edits": to_json(edits_of(plain, outcome.fewest)),
    }
    path.write_text(yaml.safe_dump(_plain(document), sort_keys=False, width=100), encoding="utf-8")
    return path


def _plain(value: Any) -> Any:
    """Return a value with lists for tuples: YAML has no tuples."""
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


def read_overlay(path: Path) -> Overlay:
    """Read a file of :func:`write_overlay`.

    Parameters
    ----------
    path : pathlib.Path

    Returns
    -------
    Overlay

    Raises
    ------
    ConfigError
        The file is not an overlay.
    """
    try:
        found: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
        places = tuple((str(what), str(where)) for what, where in found["places"])
        return Overlay(found["mode"], from_json(found["edits"]), places)
    except (OSError, yaml.YAMLError, KeyError, TypeError, ValueError) as error:
        raise ConfigError(
            f"{path} is not an overlay: {error}",
            hint="write it again: labkit campaign --again",
        ) from error
