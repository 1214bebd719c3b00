"""Read environment files of docker's client: https://docs.docker.com/reference/cli/docker/."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from labkit.cluster import DockerClient
from labkit.cluster.docker_client import read_docker_clients


def clients(**files: str) -> list[DockerClient]:
    found = {
        f"/etc/docker/{name}.env": SimpleNamespace(source=name, read_text=lambda text=text: text)
        for name, text in files.items()
    }
    node: Any = SimpleNamespace(name="master", files=found)
    return list(read_docker_clients(node))


def test_client_with_tls_verifies_and_has_its_folder() -> None:
    text = "DOCKER_HOST=tcp://w:2376\nDOCKER_TLS_VERIFY=1\nDOCKER_CERT_PATH=/etc/docker/pki\n"
    [client] = clients(w=text)
    assert (client.node, client.path, client.folder) == (
        "master",
        "/etc/docker/w.env",
        "/etc/docker/pki",
    )
    assert client.host.value == "tcp://w:2376"
    assert client.verify is not None
    assert (client.verify.source.path, client.verify.source.line) == ("w", 2)


def test_any_value_but_an_empty_one_switches_verification_on() -> None:
    [no] = clients(w="DOCKER_HOST=tcp://w:2376\nDOCKER_TLS_VERIFY=0\n")
    [empty] = clients(w="DOCKER_HOST=tcp://w:2376\nDOCKER_TLS_VERIFY=\n")
    [absent] = clients(w="DOCKER_HOST=tcp://w:2375\n")
    assert no.verify is not None
    assert empty.verify is None
    assert absent.verify is None


def test_client_without_a_folder_uses_that_of_root() -> None:
    [client] = clients(w="DOCKER_HOST=tcp://w:2376\nDOCKER_TLS_VERIFY=1\n")
    assert client.folder == "/root/.docker"


def test_file_without_a_host_names_no_engine() -> None:
    assert clients(w="DOCKER_TLS_VERIFY=1\n") == []
