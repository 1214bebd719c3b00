"""Print the nodes and pods that are missing or not Ready; exit with 1 if there are any.

Arguments: a kubeconfig, and the objects that must exist: ``Node/worker1``, ``Pod/web``. All other
nodes and pods must be Ready as well. One request is quicker than ``kubectl wait``.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence

ITEM = r"""{.kind}/{.metadata.name} {.status.conditions[?(@.type=="Ready")].status}{"\n"}"""


def missing(shown: str, wanted: Sequence[str]) -> list[str]:
    r"""Return a line for each wanted object that is missing, and each object that is not Ready.

    Examples
    --------
    >>> missing("Node/worker1 True\nPod/web False\n", ["Node/worker1", "Node/worker2"])
    ['there is no Node/worker2', 'Pod/web is not ready']
    """
    states = [line.partition(" ") for line in shown.splitlines()]
    there = {name for name, _, _ in states}
    said = [f"there is no {name}" for name in wanted if name not in there]
    return said + [f"{name} is not ready" for name, _, state in states if state != "True"]


def main() -> None:
    """Check all nodes and pods once."""
    kubeconfig, *wanted = sys.argv[1:]
    argv = ["kubectl", f"--kubeconfig={kubeconfig}", "get", "nodes,pods", "--all-namespaces"]
    argv.append(f"--output=jsonpath={{range .items[*]}}{ITEM}{{end}}")
    done = subprocess.run(argv, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        sys.exit(done.returncode)
    if said := missing(done.stdout, wanted):
        sys.exit("\n".join(said))


if __name__ == "__main__":
    main()
