"""The unit of the plaintext port, as the insecure environment has it."""

from __future__ import annotations

from labkit.cluster.edits import UNITS
from labkit.paths import environments_dir

__all__ = ["PATH", "UNIT"]

PATH = f"{UNITS}kubectl-proxy.service"
UNIT = (environments_dir() / "insecure" / "master" / PATH.lstrip("/")).read_text()
