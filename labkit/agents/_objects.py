"""Ask the apiserver for objects, and end with what is missing of them.

The text of this module replaces its import when a program is sent. So it must not import from
``__future__``, and a program gets all its names.
"""

import json
import subprocess
import sys
from collections.abc import Sequence
from typing import Any


def listed(kubeconfig: str, kinds: str) -> list[dict[str, Any]]:
    """Return all objects of some kinds; exit as kubectl does if it fails."""
    argv = ["kubectl", f"--kubeconfig={kubeconfig}", "get", kinds, "--all-namespaces"]
    done = subprocess.run([*argv, "--output=json"], stdout=subprocess.PIPE, check=False)
    if done.returncode:
        sys.exit(done.returncode)
    found: list[dict[str, Any]] = json.loads(done.stdout)["items"]
    return found


def end(missing: Sequence[str]) -> None:
    """Exit with 1 and these lines, if there are any."""
    if missing:
        sys.exit("\n".join(missing))
