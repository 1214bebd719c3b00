"""A real Kubernetes cluster in local containers, in one of several modes.

The host talks to the cluster only through the Docker API. The labels of its containers, volumes
and networks are the only record of a lab. No module of this package knows about threats.
"""

from labkit.lab.attach import attach, labs_up
from labkit.lab.doctor import Check, doctor
from labkit.lab.lab import Lab
from labkit.lab.machine import Output
from labkit.lab.status import LabStatus, Timings, list_labs

__all__ = [
    "Check",
    "Lab",
    "LabStatus",
    "Output",
    "Timings",
    "attach",
    "doctor",
    "labs_up",
    "list_labs",
]
