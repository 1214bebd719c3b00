"""Manifests as the insecure environment has them."""

from __future__ import annotations

from labkit.cluster.edits import PLAN, Edit, Whole
from labkit.paths import environments_dir

__all__ = ["gone", "there"]


def there(name: str) -> Edit:
    """Return the edit that puts a manifest of insecure in place."""
    path = f"manifests/{name}"
    return Whole(PLAN, path, (environments_dir() / "insecure" / path).read_text())


def gone(name: str) -> Edit:
    """Return the edit that takes it away."""
    return Whole(PLAN, f"manifests/{name}", None)
