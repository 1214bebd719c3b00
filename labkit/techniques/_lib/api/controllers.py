"""Helpers of the techniques with the controller manager's certificate."""

from __future__ import annotations

from labkit.cluster import Environment
from labkit.cluster.syntax.source import is_true
from labkit.techniques._lib.api.positive_controls import reads
from labkit.techniques._lib.verdict import Setting

__all__ = ["KIND", "own_accounts", "own_work"]

KIND = "kube-controller-manager"


def own_accounts(env: Environment) -> Setting:
    """Return whether each controller uses a service account of its own, as a setting.

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


#: The positive control, with the manager's certificate.
own_work = reads("namespaces", "/api/v1/namespaces?limit=1", "controller manager")
