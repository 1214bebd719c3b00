"""Print what is missing of nodes, pods and services; exit with 1 if there is anything.

Arguments: a kubeconfig, and the objects that must exist: ``Node/worker1``, ``Pod/web``. All other
nodes and pods must be Ready as well, and each service must lead to its pods. One request is quicker
than ``kubectl wait``.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from labkit.agents._apiserver import end, listed
from labkit.agents._services import astray, has_condition

KINDS = "nodes,pods,services,endpointslices"


def missing(items: list[dict[str, Any]], wanted: Sequence[str]) -> list[str]:
    """Return a line for each wanted object that is missing, and each object that is not ready.

    Examples
    --------
    >>> missing([], ["Node/worker2"])
    ['there is no Node/worker2']
    """
    named = [(f"{it['kind']}/{it['metadata']['name']}", it) for it in items]
    there = {name for name, _ in named}
    said = [f"there is no {name}" for name in wanted if name not in there]
    for name, item in named:
        if item["kind"] in ("Node", "Pod") and not has_condition(item, "Ready"):
            said.append(f"{name} is not ready")
    return said + astray(items)


def main() -> None:
    """Check all objects once."""
    kubeconfig, *wanted = sys.argv[1:]
    end(missing(listed(kubeconfig, KINDS), wanted))


if __name__ == "__main__":
    main()
