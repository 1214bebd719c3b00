"""Requests as the cluster's administrator: preparation, clean-up and positive controls."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from labkit.errors import ProbeError

if TYPE_CHECKING:
    from labkit.lab import Lab

__all__ = ["SECRETS_IN", "annotate", "create", "label", "read", "remove"]

#: The path that lists the secrets of the namespace shop, with a limit of one.
SECRETS_IN = "/api/v1/namespaces/shop/secrets?limit=1"
GONE = {"gracePeriodSeconds": 0}


def read(lab: Lab, path: str) -> Any:
    """Return an object, or an empty mapping if it does not exist."""
    return _ask(lab, "GET", path)


def create(lab: Lab, path: str, body: Any) -> Any:
    """Create an object in a collection, and return it."""
    return _ask(lab, "POST", path, body)


def remove(lab: Lab, path: str) -> None:
    """Delete an object at once; do nothing if it does not exist."""
    _ask(lab, "DELETE", path, GONE)


def annotate(lab: Lab, path: str, name: str, value: str | None) -> None:
    """Set an annotation of an object, or remove it with None."""
    _ask(lab, "PATCH", path, {"metadata": {"annotations": {name: value}}})


def label(lab: Lab, path: str, name: str, value: str | None) -> None:
    """Set a label of an object, or remove it with None."""
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
