"""Print the hash of what a person may set of each Secret, as the apiserver decrypts it, as JSON.

The argument is a kubeconfig. What a Secret contains stays on this machine.
"""

from __future__ import annotations

import hashlib
import json
import sys
from typing import Any

from labkit.agents._apiserver import listed

#: The apiserver writes it when somebody shows the token of the Secret
#: (Kubernetes, "Managing Service Accounts").
LAST_USED = "kubernetes.io/legacy-token-last-used"


def hashed(secret: dict[str, Any]) -> str:
    """Return the start of the hash of a Secret's type, data, labels and annotations."""
    about = secret["metadata"]
    labels = {key: it for key, it in (about.get("labels") or {}).items() if key != LAST_USED}
    said = [secret.get("type"), secret.get("data"), labels, about.get("annotations")]
    text = json.dumps([it or None for it in said], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def names(secret: dict[str, Any]) -> str:
    """Return the namespace and name of a Secret."""
    return f"{secret['metadata']['namespace']}/{secret['metadata']['name']}"


if __name__ == "__main__":
    json.dump({names(it): hashed(it) for it in listed(sys.argv[1], "secrets")}, sys.stdout)
