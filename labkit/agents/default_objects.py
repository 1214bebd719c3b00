"""Exit with 1, and say why, until namespaces have the default objects that their pods need.

Arguments: a kubeconfig, and the namespaces. One request for each kind is quicker than one for each
namespace.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from labkit.agents._apiserver import end, listed

#: What the controllers make in each namespace, and every pod mounts or names.
DEFAULTS = (("ServiceAccount", "default"), ("ConfigMap", "kube-root-ca.crt"))
KINDS = "serviceaccounts,configmaps"


def missing(items: Sequence[dict[str, Any]], namespaces: Sequence[str]) -> list[str]:
    """Return a line for each default object that a namespace lacks.

    Examples
    --------
    >>> about = {"name": "default", "namespace": "shop"}
    >>> missing([{"kind": "ServiceAccount", "metadata": about}], ["shop"])
    ['shop has no ConfigMap/kube-root-ca.crt']
    """
    there = {(it["kind"], it["metadata"]["namespace"], it["metadata"]["name"]) for it in items}
    return [
        f"{namespace} has no {kind}/{name}"
        for namespace in namespaces
        for kind, name in DEFAULTS
        if (kind, namespace, name) not in there
    ]


def main() -> None:
    """Check all namespaces once."""
    kubeconfig, *namespaces = sys.argv[1:]
    end(missing(listed(kubeconfig, KINDS), namespaces))


if __name__ == "__main__":
    main()
