"""Create certificates and keys for one lab, from the plan in an environment's ``pki.yaml``.

Every authority and every key is new in each lab. The private key of an authority is written to a
machine only if the plan says so; otherwise it is gone once the lab is up.
"""

from __future__ import annotations

import datetime as dt
import ipaddress
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

__all__ = ["Authority", "Leaf", "key_pair"]

#: How long certificates are valid, and since when: a clock that is set back must not end a lab.
LIFETIME, SINCE = dt.timedelta(days=30), dt.timedelta(days=1)
USAGES = {"server": ExtendedKeyUsageOID.SERVER_AUTH, "client": ExtendedKeyUsageOID.CLIENT_AUTH}


def _name(common_name: str, organization: str | None = None) -> x509.Name:
    parts = [x509.NameAttribute(NameOID.COMMON_NAME, common_name)]
    if organization:
        parts.insert(0, x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization))
    return x509.Name(parts)


def _pem(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _alternative_names(hosts: Iterable[str]) -> list[x509.GeneralName]:
    names: list[x509.GeneralName] = []
    for host in hosts:
        try:
            names.append(x509.IPAddress(ipaddress.ip_address(host)))
        except ValueError:
            names.append(x509.DNSName(host))
    return names


def _builder(subject: x509.Name, issuer: x509.Name) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - SINCE)
        .not_valid_after(now + LIFETIME)
    )


@dataclass(frozen=True, slots=True)
class Leaf:
    """A certificate and its private key.

    Attributes
    ----------
    certificate, key : bytes
        PEM.
    """

    certificate: bytes
    key: bytes


class Authority:
    """A certificate authority.

    Parameters
    ----------
    certificate : bytes
        PEM.
    key : bytes
        The private key of the certificate: PEM, an elliptic-curve key.

    See Also
    --------
    Authority.create : Create a new authority.

    Examples
    --------
    >>> authority = Authority.create("etcd-ca")
    >>> leaf = authority.issue("etcd1", hosts=["etcd1", "10.0.0.11"], usages=["server"])
    >>> x509.load_pem_x509_certificate(leaf.certificate).issuer.rfc4514_string()
    'CN=etcd-ca'
    """

    def __init__(self, certificate: bytes, key: bytes) -> None:
        self.certificate = certificate
        self.key = key
        self._issuer = x509.load_pem_x509_certificate(certificate)
        loaded = load_pem_private_key(key, password=None)
        assert isinstance(loaded, ec.EllipticCurvePrivateKey)
        self._key = loaded

    @classmethod
    def create(cls, common_name: str) -> Authority:
        """Create a new self-signed authority.

        Parameters
        ----------
        common_name : str
            The common name of its subject.

        Returns
        -------
        Authority
            Valid for 30 days.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        subject = _name(common_name)
        certificate = (
            _builder(subject, subject)
            .public_key(key.public_key())
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(
                x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False
            )
            .add_extension(_key_usage(ca=True), critical=True)
            .sign(key, hashes.SHA256())
        )
        return cls(certificate.public_bytes(Encoding.PEM), _pem(key))

    def issue(
        self,
        common_name: str,
        *,
        organization: str | None = None,
        hosts: Sequence[str] = (),
        usages: Sequence[str] = ("client",),
    ) -> Leaf:
        """Create a key and sign a certificate for it.

        Parameters
        ----------
        common_name : str
            The user's name in Kubernetes and etcd.
        organization : str, optional
            The user's group in Kubernetes.
        hosts : sequence of str
            The DNS names and IP addresses of a server.
        usages : sequence of {"server", "client"}
            The extended key usages (RFC 5280, section 4.2.1.12).

        Returns
        -------
        Leaf
            Valid for 30 days.

        Raises
        ------
        KeyError
            A usage is neither "server" nor "client".

        Notes
        -----
        Kubernetes reads the common name as the user and the organization as the group
        (https://kubernetes.io/docs/reference/access-authn-authz/authentication/,
        "X509 client certificates").
        """
        key = ec.generate_private_key(ec.SECP256R1())
        builder = (
            _builder(_name(common_name, organization), self._issuer.subject)
            .public_key(key.public_key())
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()),
                critical=False,
            )
            .add_extension(_key_usage(ca=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([USAGES[u] for u in usages]), critical=False)
        )
        if hosts:
            builder = builder.add_extension(
                x509.SubjectAlternativeName(_alternative_names(hosts)), critical=False
            )
        certificate = builder.sign(self._key, hashes.SHA256())
        return Leaf(certificate.public_bytes(Encoding.PEM), _pem(key))


def _key_usage(*, ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not ca,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=ca,
        crl_sign=ca,
        encipher_only=False,
        decipher_only=False,
    )


def key_pair() -> tuple[bytes, bytes]:
    """Create the key pair that signs service-account tokens.

    Returns
    -------
    public, private : bytes
        PEM; RSA with 2048 bits, which every version of Kubernetes accepts.

    Examples
    --------
    >>> public, private = key_pair()
    >>> public.startswith(b"-----BEGIN PUBLIC KEY-----")
    True
    """
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return public, _pem(key)
