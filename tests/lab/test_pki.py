"""Certificates are judged by a real handshake: accepted where they should be, refused else."""

from __future__ import annotations

import socket
import ssl
import threading
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from labkit.lab.pki import Authority, Leaf


def shake(
    tmp_path: Path, server: Leaf, client: Leaf, trusted_by_server: bytes, trusted_by_client: bytes
) -> str:
    """Shake hands over a socket pair and return the client's common name, as the server has it."""
    contexts = []
    for purpose, leaf, trusted in (
        (ssl.PROTOCOL_TLS_SERVER, server, trusted_by_server),
        (ssl.PROTOCOL_TLS_CLIENT, client, trusted_by_client),
    ):
        context = ssl.SSLContext(purpose)
        file = tmp_path / f"{purpose.name}.pem"
        file.write_bytes(leaf.certificate + leaf.key)
        context.load_cert_chain(file)
        context.load_verify_locations(cadata=trusted.decode())
        context.verify_mode = ssl.CERT_REQUIRED
        contexts.append(context)
    ours, theirs = socket.socketpair()
    errors: list[ssl.SSLError] = []

    def call() -> None:
        try:
            with contexts[1].wrap_socket(theirs, server_hostname="etcd1") as wrapped:
                wrapped.recv(1)
        except ssl.SSLError as error:
            errors.append(error)
        except OSError:
            pass
        finally:
            theirs.close()

    caller = threading.Thread(target=call)
    caller.start()
    try:
        with contexts[0].wrap_socket(ours, server_side=True) as wrapped:
            certificate = wrapped.getpeercert() or {}
            wrapped.send(b"x")
    finally:
        ours.close()
        caller.join()
    if errors:
        raise errors[0]
    parts: Any = certificate["subject"]
    subject = {key: value for part in parts for key, value in part}
    return str(subject["commonName"])


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority.create("etcd-ca")


@pytest.fixture(scope="module")
def server(authority: Authority) -> Leaf:
    return authority.issue("etcd1", hosts=["etcd1", "10.0.0.11"], usages=["server"])


def test_handshake_succeeds_with_planned_certificates(
    tmp_path: Path, authority: Authority, server: Leaf
) -> None:
    client = authority.issue("flanneld")
    ca = authority.certificate
    assert shake(tmp_path, server, client, ca, ca) == "flanneld"


def test_client_of_an_unknown_authority_is_refused(
    tmp_path: Path, authority: Authority, server: Leaf
) -> None:
    unknown = Authority.create("etcd-ca").issue("flanneld")
    with pytest.raises(ssl.SSLError, match="certificate verify failed"):
        shake(tmp_path, server, unknown, authority.certificate, authority.certificate)


def test_server_of_an_unknown_authority_is_refused(tmp_path: Path, authority: Authority) -> None:
    unknown = Authority.create("etcd-ca").issue("etcd1", hosts=["etcd1"], usages=["server"])
    client = authority.issue("flanneld")
    with pytest.raises(ssl.SSLError, match="alert unknown ca"):
        shake(tmp_path, unknown, client, authority.certificate, authority.certificate)


def test_server_of_another_name_is_refused(tmp_path: Path, authority: Authority) -> None:
    other = authority.issue("etcd2", hosts=["etcd2"], usages=["server"])
    client = authority.issue("flanneld")
    with pytest.raises(ssl.SSLError, match="alert bad certificate"):
        shake(tmp_path, other, client, authority.certificate, authority.certificate)


def test_clients_certificate_is_not_a_servers(tmp_path: Path, authority: Authority) -> None:
    client = authority.issue("flanneld", hosts=["etcd1"])
    with pytest.raises(ssl.SSLError, match="alert unsupported certificate"):
        shake(tmp_path, client, client, authority.certificate, authority.certificate)


def test_certificate_has_user_as_common_name_and_group_as_organization(
    authority: Authority,
) -> None:
    leaf = authority.issue("system:node:worker1", organization="system:nodes")
    subject = x509.load_pem_x509_certificate(leaf.certificate).subject
    assert subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value == "system:node:worker1"
    assert subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)[0].value == "system:nodes"


def test_reloaded_authority_issues_valid_certificates(authority: Authority) -> None:
    again = Authority(authority.certificate, authority.key)
    issued = x509.load_pem_x509_certificate(again.issue("x").certificate)
    issued.verify_directly_issued_by(x509.load_pem_x509_certificate(authority.certificate))
