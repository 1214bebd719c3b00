"""containerd: its unix socket.

https://github.com/containerd/containerd/blob/main/docs/ops.md
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from labkit.model.listener import Listener, socket_claims, socket_path
from labkit.model.listeners._base import COMMANDS_THE_MACHINE, Gap, ListenerKind, Server, cis

if TYPE_CHECKING:
    from labkit.cluster.facts import Component, Environment

__all__ = ["SERVER"]


def _read(env: Environment, it: Component) -> Iterator[Listener]:
    address = it.given("address") or it.setting("grpc.address")
    owner = f"{_name(it.setting('grpc.uid').value)}:{_name(it.setting('grpc.gid').value)}"
    path = socket_path(address.value)
    # containerd gives its socket 0660 whatever the umask is (sys.GetLocalListener)
    encryption, client, rights = socket_claims(
        env, it, path, "0660", owner, address.source, it.setting("grpc.gid").source
    )
    yield Listener(
        server=it.id,
        role="api",
        node=it.node,
        zone=it.zone,
        protocol="unix",
        bind="",
        port=None,
        path=path,
        open=True,
        encryption=encryption,
        client_authentication=client,
        authorization=rights,
    )


def _name(number: str) -> str:
    """Return the name of a user or group number, if it is root's."""
    return "root" if number == "0" else number


SERVER = Server(
    "containerd",
    _read,
    (
        ListenerKind(
            "containerd socket",
            gives=("root",),
            impact=4,
            gaps={"client_authentication": Gap(references=cis("1.1 (file permissions)"))},
            by_design=COMMANDS_THE_MACHINE,
        ),
    ),
)
