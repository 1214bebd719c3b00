"""The credential of a component, on its own machine or as a copy elsewhere."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from labkit.cluster import Credential, Environment
from labkit.lab.traces import Trace, leaving
from labkit.model import Foothold
from labkit.model.authorization import credential_of
from labkit.model.decision import Caller
from labkit.model.rights import authenticated_as
from labkit.techniques._lib.api.access import apiserver_of
from labkit.techniques._lib.machines.reach import execution_place, run_from
from labkit.techniques._lib.technique import COPIED_CREDENTIAL

if TYPE_CHECKING:
    from labkit.lab import Lab

__all__ = [
    "MASTER",
    "WORKER",
    "caller",
    "component_credential",
    "copied_credential",
    "credential_options",
]

MASTER, WORKER = "master", "worker1"


def component_credential(env: Environment, kind: str, node: str = WORKER) -> Credential | None:
    """Return the certificate of a machine's component that the apiserver accepts, or None."""
    component = env.component(f"{kind}@{node}")
    used = credential_of(env, component.kubeconfig) if component.kubeconfig else None
    for credential in (used, env.credential(kind, node)):
        if credential is None:
            continue
        known = authenticated_as(apiserver_of(env), env, credential)
        if known.user == credential.common_name:
            return credential
    return None


def caller(env: Environment, kind: str, node: str = WORKER) -> Caller:
    """Return the identity that the apiserver gives the holder of this certificate."""
    return authenticated_as(apiserver_of(env), env, component_credential(env, kind, node))


@contextmanager
def credential_options(
    lab: Lab, foothold: Foothold, kind: str, node: str = WORKER
) -> Iterator[list[str]]:
    """Yield curl's options for this certificate; elsewhere, for a copy of it."""
    credential = component_credential(lab.environment, kind, node)
    if credential is None:
        yield []
        return
    if foothold != COPIED_CREDENTIAL:
        yield ["--cert", credential.certificate, "--key", credential.key]
        return
    with copied_credential(lab, foothold, credential) as (certificate, key):
        yield ["--cert", certificate, "--key", key]


@contextmanager
def copied_credential(
    lab: Lab, foothold: Foothold, credential: Credential
) -> Iterator[tuple[str, str]]:
    """Copy a certificate and its key to a foothold; yield the two paths."""
    folder = f"/tmp/labkit-{secrets.token_hex(4)}"  # noqa: S108 - of the attacker's machine
    with leaving(lab, Trace("file", folder, execution_place(lab, foothold)[0])):
        run_from(lab, foothold, ["mkdir", "--mode=0700", folder])
        for name, path in (("crt", credential.certificate), ("key", credential.key)):
            data = lab.read_file(credential.node, path)
            run_from(lab, foothold, ["tee", f"{folder}/{name}"], stdin=data)
        yield f"{folder}/crt", f"{folder}/key"
