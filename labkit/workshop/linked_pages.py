"""The pages of the documentation that notebooks link to, for a folder of notebooks alone."""

from __future__ import annotations

import re
from collections.abc import Mapping

from labkit.resources import docs_dir

__all__ = ["with_pages"]

#: A notebook's link to a page of the documentation.
LINK = re.compile(rb"\]\(\.\./docs/([\w.-]+)")


def with_pages(notebooks: Mapping[str, bytes]) -> dict[str, bytes]:
    """Return notebooks together with the pages of the documentation that they link to.

    JupyterLab opens what is below the folder of the notebooks, and nothing beside it.

    Parameters
    ----------
    notebooks : mapping of str to bytes
        By file name.

    Returns
    -------
    dict of str to bytes
        The notebooks, and the pages as ``docs/NAME``.

    Raises
    ------
    ConfigError
        The documentation does not come with this installation.
    OSError
        There is no such page.

    Examples
    --------
    >>> found = with_pages({"1.ipynb": b"[what to copy](../docs/your-own-cluster.md)"})
    >>> sorted(found), found["1.ipynb"]
    (['1.ipynb', 'docs/your-own-cluster.md'], b'[what to copy](docs/your-own-cluster.md)')
    """
    pages = {page.decode() for data in notebooks.values() for page in LINK.findall(data)}
    found = {name: LINK.sub(rb"](docs/\1", data) for name, data in notebooks.items()}
    return found | {f"docs/{page}": (docs_dir() / page).read_bytes() for page in sorted(pages)}
