"""Try to capture the traffic of the scheduler, which runs beside the apiserver.

Both ends are on the master, so the packets stay on its loopback interface. An attacker on the
network receives none of them, even if they poison ARP caches. An ordinary user on the master may
not open a capture socket. Only root on the master can capture this traffic.
"""

from __future__ import annotations

from labkit.techniques._lib.wire import same_machine

__all__ = ["TECHNIQUE"]

TECHNIQUE = same_machine.technique(
    "eavesdrop-scheduler",
    "Read what the scheduler says to the apiserver",
    "kube-scheduler@* -> *@*:*",
)
