"""Try to read what the controller manager says to the apiserver, which runs beside it.

Plaintext or not, it cannot be read but by root on that very machine.
"""

from __future__ import annotations

from labkit.techniques._lib.wire import same_machine

__all__ = ["TECHNIQUE"]

TECHNIQUE = same_machine.technique(
    "eavesdrop-controller-manager",
    "Read what the controller manager says to the apiserver",
    "kube-controller-manager@* -> *@*:*",
)
