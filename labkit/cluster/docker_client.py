"""Environment files of docker's client: the engine it calls, and its credentials."""

from __future__ import annotations

from collections.abc import Iterator

from labkit.cluster.facts import DockerClient, Node
from labkit.cluster.syntax.source import Setting, Source
from labkit.cluster.syntax.systemd import parse_environment

__all__ = ["read_docker_clients"]

FOLDER = "/etc/docker/"


def read_docker_clients(node: Node) -> Iterator[DockerClient]:
    """Yield the clients in ``/etc/docker/*.env`` that set ``DOCKER_HOST``.

    Parameters
    ----------
    node : Node

    Yields
    ------
    DockerClient

    Raises
    ------
    ConfigError
        A line is not an assignment of a variable.

    References
    ----------
    https://docs.docker.com/reference/cli/docker/

    Examples
    --------
    >>> from labkit.cluster import read_environment
    >>> [client] = [c for c in read_environment("hardened").docker_clients if "worker1" in c.path]
    >>> client.host.value, client.folder
    ('tcp://worker1:2376', '/etc/docker/pki')
    """
    for path, file in sorted(node.files.items()):
        if not path.startswith(FOLDER) or not path.endswith(".env"):
            continue
        variables = parse_environment(file.read_text(), file.source, [])
        found = {
            name: Setting(value, Source(file.source, line, f"{name}={value}"))
            for name, (value, line) in variables.items()
        }
        if host := found.get("DOCKER_HOST"):
            verify = found.get("DOCKER_TLS_VERIFY")
            folder = found.get("DOCKER_CERT_PATH")
            yield DockerClient(
                node=node.name,
                path=path,
                host=host,
                # docker's client takes any text except the empty one as true
                verify=verify if verify and verify.value else None,
                folder=folder.value if folder else "/root/.docker",
            )
