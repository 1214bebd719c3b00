"""Attack paths for the page: each step with what it uses in the picture."""

from __future__ import annotations

from labkit.analysis import Path, attack_paths, cost
from labkit.diagram.scene import Json
from labkit.model import Model
from labkit.render.path_marks import PathMarks

__all__ = ["found_paths"]

#: Most paths that the page offers.
MOST_PATHS = 3


def found_paths(model: Model, start: str, goal: str) -> Json:
    """Return the cheapest paths from a foothold to a goal, known or possible.

    Parameters
    ----------
    model : Model
    start, goal : str
        As :func:`labkit.attack_paths` takes them.

    Returns
    -------
    dict
        The answer is "reached", "possible" or "out of reach". A step that depends on something
        unknown names it as ``unknown``.

    Raises
    ------
    ConfigError
        There is no such foothold or goal in the model.

    Examples
    --------
    >>> from labkit.model import read_model
    >>> found = found_paths(read_model("insecure"), "network", "node")
    >>> found["answer"], found["paths"][0]["steps"][0]["channels"]
    ('reached', ['anyone@network -> dockerd@worker1:2375'])
    """
    found = attack_paths(model, start, goal, MOST_PATHS)
    marks = PathMarks(model)
    answer = "reached" if found.paths else "possible" if found.possible else "out of reach"
    return {
        "start": str(found.start),
        "goal": str(found.goal),
        "answer": answer,
        "paths": [_path(path, marks) for path in found.paths or found.possible],
    }


def _path(path: Path, marks: PathMarks) -> Json:
    return {
        "cost": f"{cost(path):g}",
        "steps": [
            {
                "name": step.name,
                "foothold": str(step.foothold),
                "grants": list(map(str, step.grants)),
                "because": list(map(str, step.because)),
                "unknown": step.unknown,
                "technique": step.technique,
                "channels": sorted(mark.channels),
                "components": sorted(mark.components),
            }
            for step, mark in zip(path, marks.marks(path), strict=True)
        ],
    }
