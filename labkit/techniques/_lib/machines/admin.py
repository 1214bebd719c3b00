"""What the cluster's administrator does for a technique: before it, after it, to compare."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from labkit.errors import ProbeError

if TYPE_CHECKING:
    from labkit.lab import Lab

__all__ = ["SECRETS_IN", "annotate", "create", "label", "read", "remove"]

#: Where the secrets of shop are listed, at most one of them.
SECRETS_IN = "/api/v1/namespaces/shop/secrets?limit=1"
GONE = {"gracePeriodSeconds": 0}


def read(lab: Lab, path: str) -> Any:
    """Return an object, or nothing where there is none."""
    return _ask(lab, "GET", path)


def create(lab: Lab, path: str, body: Any) -> Any:
    """Create an object in a collection, and return it."""
    return _ask(lab, "POST", path, body)


def remove(lab: Lab, path: str) -> None:
    """Remove an object at once, if it is there."""
    _ask(lab, "DELETE", path, GONE)


def annotate(lab: Lab, path: str, name: str, value: str | None) -> None:
    """Give an object an annotation, or take it away."""
    _ask(lab, "PATCH", path, {"metadata": {"annotations": {name: value}}})


def label(lab: Lab, path: str, name: str, value: str | None) -> None:
    """Give an object a label, or take it away."""
    _ask(lab, "PATCH", path, {"metadata": {"labels": {name: value}}})


def _ask(lab: Lab, method: str, path: str, body: Any = None) -> Any:
    output = lab.api(method, path, body, check=False)
    answer = json.loads(output.stdout) if output.stdout.startswith(b"{") else {}
    if not output.exit_code:
        return answer
    if answer.get("code") == 404 and method in ("GET", "DELETE"):
        return {}
    said = answer.get("message") or output.error.strip()
    raise ProbeError(f"the administrator may not {method} {path.partition('?')[0]}: {said}")
