"""The participants' copies of the notebooks: without solutions, and without outputs.

The markers are those of nbgrader (https://nbgrader.readthedocs.io/): what stands between
``### BEGIN SOLUTION`` and ``### END SOLUTION`` goes, and a stub takes its place.
"""

from __future__ import annotations

import json
import re
from typing import Any

from labkit.errors import ConfigError
from labkit.resources import notebooks_dir

__all__ = ["BEGIN", "END", "STUB", "participant_copy", "participants_notebooks"]

BEGIN, END = "### BEGIN SOLUTION", "### END SOLUTION"
STUB = "# your solution"
SOLUTION = re.compile(
    rf"^(?P<indent>[ \t]*){re.escape(BEGIN)}[ \t]*\n.*?^[ \t]*{re.escape(END)}[ \t]*$",
    re.MULTILINE | re.DOTALL,
)


def participant_copy(data: bytes, name: str = "notebook") -> bytes:
    r"""Return a participant's copy of a master notebook.

    Parameters
    ----------
    data : bytes
        The master.
    name : str
        Its name, for errors.

    Returns
    -------
    bytes

    Raises
    ------
    ConfigError
        It is not a notebook, or a marker has no partner.

    Examples
    --------
    >>> cell = {"cell_type": "code", "metadata": {}, "outputs": [1], "execution_count": 3,
    ...         "source": "a = 1\n### BEGIN SOLUTION\nb = 2\n### END SOLUTION\n"}
    >>> copy = json.loads(participant_copy(json.dumps({"cells": [cell]}).encode()))
    >>> copy["cells"][0]["source"], copy["cells"][0]["outputs"]
    (['a = 1\n', '# your solution\n'], [])
    """
    try:
        notebook: dict[str, Any] = json.loads(data)
        cells = notebook["cells"]
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{name} is not a notebook", hint="labkit notebooks DIR") from error
    for cell in cells:
        text = SOLUTION.sub(rf"\g<indent>{STUB}", "".join(cell["source"]))
        if BEGIN in text or END in text:
            raise ConfigError(
                f"{name}: a cell has {BEGIN!r} or {END!r} without the other one",
                hint="add the missing marker to the master notebook",
            )
        cell["source"] = text.splitlines(keepends=True)
        if cell["cell_type"] == "code":
            cell["outputs"], cell["execution_count"] = [], None
    return (json.dumps(notebook, indent=1, ensure_ascii=False) + "\n").encode()


def participants_notebooks() -> dict[str, bytes]:
    """Return the participants' copies of the notebooks by their file names.

    Returns
    -------
    dict of str to bytes

    Examples
    --------
    >>> b"BEGIN SOLUTION" in participants_notebooks()["02-etcd.ipynb"]
    False
    """
    masters = sorted(notebooks_dir().glob("*.ipynb"))
    return {path.name: participant_copy(path.read_bytes(), path.name) for path in masters}
