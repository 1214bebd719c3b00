"""TCP ports of dockerd accept only clients with a certificate."""

from __future__ import annotations

from labkit.cluster.edits import Flag, TmpfilesLine
from labkit.controls._base import Control
from labkit.controls._files import file_from
from labkit.model import Model

__all__ = ["CONTROL"]

UNIT, PORT = "docker.service", "tcp://0.0.0.0:2376"
PKI, AUTHORITY = "/etc/docker/pki", "/etc/kubernetes/pki/ca.crt"
#: The files with which the administrator's machine calls each worker's dockerd.
CLIENTS = tuple(f"/etc/docker/{name}.env" for name in ("worker1", "worker2"))


def holds(model: Model) -> bool:
    """Say whether the control is in place; it is, if dockerd has no TCP port."""
    return all(
        channel.client_authentication.value == "required"
        for channel in model.open_channels("* -> dockerd@*:[0-9]*")
    )


CONTROL = Control(
    name="docker-client-auth",
    title="TCP ports of dockerd accept only clients with a certificate",
    why="TLS without --tlsverify encrypts, and accepts every client. A client with a certificate "
    "still is root.",
    on=lambda: (
        Flag("worker", UNIT, "host", ("fd://", PORT)),
        Flag("worker", UNIT, "tls", None),
        Flag("worker", UNIT, "tlsverify", "true"),
        Flag("worker", UNIT, "tlscacert", AUTHORITY),
        Flag("worker", UNIT, "tlscert", f"{PKI}/server-cert.pem"),
        Flag("worker", UNIT, "tlskey", f"{PKI}/server-key.pem"),
        *(file_from("hardened", path, "master") for path in CLIENTS),
        # docker's client looks for the authority beside its certificate
        TmpfilesLine(
            "master",
            "/etc/tmpfiles.d/kubernetes.conf",
            f"{PKI}/ca.pem",
            f"L+ {PKI}/ca.pem - - - - {AUTHORITY}",
        ),
    ),
    # --tls would not be enough: --tlsverify=true would still require certificates
    off=(Flag("worker", UNIT, "tlsverify", "false"),),
    holds=holds,
    changes="client_authentication of * -> dockerd@*:2376",
    stops=("docker-tcp",),
    references=(
        "CIS Docker Benchmark 2.7",
        "Docker documentation: Protect the Docker daemon socket",
    ),
)
