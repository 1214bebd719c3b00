"""What the techniques with the controller manager's certificate have in common."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from labkit.cluster import Environment
from labkit.cluster.source import is_true
from labkit.errors import ProbeError
from labkit.techniques._access import api_url
from labkit.techniques._reach import request
from labkit.techniques._verdict import Setting

if TYPE_CHECKING:
    from labkit.lab import Lab

__all__ = ["KIND", "own_accounts", "own_work"]

KIND = "kube-controller-manager"


def own_accounts(env: Environment) -> Setting:
    """Return whether the controllers act by service accounts of their own.

    Examples
    --------
    >>> from labkit import read_environment
    >>> own_accounts(read_environment("hardened"))[:2]
    ('as whom the controllers act', 'each by a service account')
    """
    manager = next(c for c in env.components if c.kind == KIND)
    said = manager.setting("use-service-account-credentials")
    word = "each by a service account" if is_true(said.value) else "all as their manager"
    return "as whom the controllers act", word, str(said.source)


def own_work(lab: Lab, foothold: str, options: Sequence[str]) -> str:
    """Read namespaces with the manager's certificate: the positive control."""
    url = api_url(lab, "/api/v1/namespaces?limit=1")
    own = request(lab, url, foothold=foothold, options=options)
    if own.refusal:
        raise ProbeError(f"the controller manager's certificate reads nothing: {own.refusal}")
    return "the same certificate reads namespaces, which a controller manager is there for"
