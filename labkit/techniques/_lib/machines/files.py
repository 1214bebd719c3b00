"""Helpers of the techniques that read a file on the master."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from labkit.errors import ProbeError
from labkit.model import Foothold
from labkit.model.file_access import may_open
from labkit.techniques._lib.machines.reach import PERSON, run, run_from
from labkit.techniques._lib.verdict import Setting, Verdict

if TYPE_CHECKING:
    from labkit.cluster import Environment
    from labkit.lab import Lab

__all__ = ["PERSON", "read_denied", "settings_of"]


def read_denied(
    lab: Lab, technique: str, foothold: Foothold, node: str, paths: Sequence[str]
) -> Verdict | None:
    """Try to read files of a machine as an ordinary user; return a verdict if one is denied.

    Parameters
    ----------
    lab : Lab
    technique : str
    foothold : Foothold
    node : str
    paths : sequence of str

    Returns
    -------
    Verdict or None
        None if the user can read every file.

    Raises
    ------
    ProbeError
        A file cannot be read for another reason than its permissions, or root cannot read it.
    """
    for path in paths:
        output = run_from(lab, foothold, ["head", "--bytes=1", "--", path])
        if not output.exit_code:
            continue
        if "Permission denied" not in output.error:
            raise ProbeError(f"{node}: {path} cannot be read", evidence=[output.error.strip()])
        run(lab, node, ["head", "--bytes=1", "--", path], check=True)
        reason = f"permission denied: {path}"
        control = "root of the same machine reads the file"
        evidence = (f"tried to read {path} as {PERSON}",)
        return Verdict(technique, lab.mode, foothold, False, reason, evidence, control)
    return None


def settings_of(env: Environment, node: str, paths: Sequence[str]) -> list[Setting]:
    """Return who can read each file, as settings of a technique."""
    claims = {path: may_open(env, env.node(node), PERSON, path).claim for path in paths}
    return [
        (f"can {PERSON} read {path}", claim.detail, str(claim.source))
        for path, claim in claims.items()
    ]
