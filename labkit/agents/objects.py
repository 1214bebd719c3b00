"""Print all objects of some kinds as a JSON list. Arguments: a kubeconfig, and the kinds."""

from __future__ import annotations

import json
import sys

from labkit.agents._apiserver import listed

if __name__ == "__main__":
    kubeconfig, kinds = sys.argv[1:]
    json.dump(listed(kubeconfig, kinds), sys.stdout)
