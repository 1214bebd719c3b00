"""Read certificates from PEM files, and the plan of an environment's certificates.

The library for certificates is loaded by the first file that has one: most commands read none.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING

from labkit.cluster.syntax.source import Source, Unknown, broken
from labkit.cluster.syntax.yamldoc import Document, read_one

if TYPE_CHECKING:
    from cryptography import x509

__all__ = [
    "Authority",
    "Bundle",
    "Certificate",
    "KeyPair",
    "Pki",
    "PlannedCertificate",
    "read_certificates",
    "read_pki",
    "signer_of",
]

#: The purposes of a key by their object identifiers (RFC 5280, section 4.2.1.12).
USAGES = {"1.3.6.1.5.5.7.3.1": "server", "1.3.6.1.5.5.7.3.2": "client"}


@dataclass(frozen=True, slots=True)
class Certificate:
    """The content of one certificate.

    Attributes
    ----------
    path : str
        Its file.
    subject, common_name : str
    organizations : tuple of str
    issuer : str
    hosts : tuple of str
        Subject alternative names: DNS names and IP addresses.
    usages : tuple of str
        "server", "client" or object identifiers.
    authority : bool
        Whether it is a certificate authority.
    not_before, not_after : datetime
        In UTC.
    """

    path: str
    subject: str
    common_name: str
    organizations: tuple[str, ...]
    issuer: str
    hosts: tuple[str, ...]
    usages: tuple[str, ...]
    authority: bool
    not_before: datetime
    not_after: datetime


@dataclass(frozen=True, slots=True)
class Authority:
    """A planned certificate authority.

    Attributes
    ----------
    name, common_name : str
    certificate, key : str
        Paths on the machines.
    roles : tuple of str
        The roles whose machines have the certificate.
    key_nodes : tuple of str
        The machines that have the key.
    source : Source
    """

    name: str
    common_name: str
    certificate: str
    key: str
    roles: tuple[str, ...]
    key_nodes: tuple[str, ...]
    source: Source


@dataclass(frozen=True, slots=True)
class Bundle:
    """A planned file with the certificates of several authorities.

    Attributes
    ----------
    name : str
    authorities : tuple of str
    certificate : str
        Its path on the machines.
    roles : tuple of str
        The roles whose machines have it.
    source : Source
    """

    name: str
    authorities: tuple[str, ...]
    certificate: str
    roles: tuple[str, ...]
    source: Source


@dataclass(frozen=True, slots=True)
class PlannedCertificate:
    """A planned certificate, with ``${NODE}`` and ``${NODE_IP}`` as placeholders.

    Attributes
    ----------
    name : str
    roles, nodes : tuple of str
        The roles, or the machines, that have it.
    signed_by : str
        The authority.
    common_name : str
    organizations, hosts, usages : tuple of str
    certificate, key : str
        Paths on the machines.
    source : Source
    """

    name: str
    roles: tuple[str, ...]
    nodes: tuple[str, ...]
    signed_by: str
    common_name: str
    organizations: tuple[str, ...]
    hosts: tuple[str, ...]
    usages: tuple[str, ...]
    certificate: str
    key: str
    source: Source

    @property
    def role(self) -> str:
        """The first role of its machines, or the empty string."""
        return self.roles[0] if self.roles else ""

    @property
    def organization(self) -> str:
        """The first organization, or the empty string."""
        return self.organizations[0] if self.organizations else ""


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A planned key pair without a certificate, for example for service account tokens.

    Attributes
    ----------
    name : str
    roles : tuple of str
    public, private : str
        Paths on the machines.
    source : Source
    """

    name: str
    roles: tuple[str, ...]
    public: str
    private: str
    source: Source

    @property
    def role(self) -> str:
        """The first role of its machines, or the empty string."""
        return self.roles[0] if self.roles else ""


@dataclass(frozen=True)
class Pki:
    """The plan of an environment's keys and certificates (``pki.yaml``).

    Attributes
    ----------
    authorities : tuple of Authority
    certificates : tuple of PlannedCertificate
    key_pairs : tuple of KeyPair
    bundles : tuple of Bundle
    unknowns : tuple of Unknown
    """

    authorities: tuple[Authority, ...] = ()
    certificates: tuple[PlannedCertificate, ...] = ()
    key_pairs: tuple[KeyPair, ...] = ()
    bundles: tuple[Bundle, ...] = ()
    unknowns: tuple[Unknown, ...] = ()

    @cached_property
    def private_keys(self) -> frozenset[str]:
        """The paths of the private keys."""
        found = {it.key for it in self.authorities} | {it.key for it in self.certificates}
        return frozenset(found | {it.private for it in self.key_pairs}) - {""}

    @cached_property
    def files(self) -> frozenset[str]:
        """The paths of everything that the plan writes."""
        found = {it.certificate for it in self.authorities}
        found |= {it.certificate for it in self.certificates}
        found |= {it.certificate for it in self.bundles} | {it.public for it in self.key_pairs}
        return self.private_keys | found - {""}

    def trusted(self, path: str) -> frozenset[str]:
        """Return the names of the authorities whose certificates a file holds."""
        alone = {item.name for item in self.authorities if item.certificate == path}
        of_bundles = (it.authorities for it in self.bundles if it.certificate == path)
        return frozenset(alone).union(*of_bundles)


#: A plan without an entry.
NO_PLAN = Pki()


def read_certificates(data: bytes, path: str) -> tuple[Certificate, ...]:
    """Read all certificates of a PEM file.

    Parameters
    ----------
    data : bytes
    path : str
        The file, for messages.

    Returns
    -------
    tuple of Certificate

    Raises
    ------
    ConfigError
        The file has no certificate, or a corrupt one.

    Examples
    --------
    >>> read_certificates(b"no certificate", "ca.crt")
    Traceback (most recent call last):
    labkit.errors.ConfigError: ca.crt: no certificate can be read here: ...
    """
    from cryptography import x509
    from cryptography.exceptions import UnsupportedAlgorithm

    line = None
    if b"-----BEGIN" in data:
        line = data.count(b"\n", 0, data.index(b"-----BEGIN")) + 1
    try:
        return tuple(_facts(item, path) for item in x509.load_pem_x509_certificates(data))
    except (
        ValueError,
        TypeError,
        UnsupportedAlgorithm,
        x509.DuplicateExtension,
        x509.UnsupportedGeneralNameType,
        x509.InvalidVersion,
    ) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise broken(
            path,
            line,
            f"no certificate can be read here: {reason}",
            f"openssl x509 -in {path} -noout -text",
        ) from error


def _facts(certificate: x509.Certificate, path: str) -> Certificate:
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    subject, extensions = certificate.subject, certificate.extensions
    names = [str(item.value) for item in subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    hosts: list[str] = []
    usages: list[str] = []
    authority = False
    for extension in extensions:
        value = extension.value
        if isinstance(value, x509.SubjectAlternativeName):
            hosts += [str(name) for name in value.get_values_for_type(x509.DNSName)]
            hosts += [str(name) for name in value.get_values_for_type(x509.IPAddress)]
        elif isinstance(value, x509.ExtendedKeyUsage):
            usages += [USAGES.get(oid.dotted_string, oid.dotted_string) for oid in value]
        elif isinstance(value, x509.BasicConstraints):
            authority = value.ca
    organizations = subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)
    return Certificate(
        path=path,
        subject=subject.rfc4514_string(),
        # Go's pkix.Name keeps the last one
        common_name=names[-1] if names else "",
        organizations=tuple(str(item.value) for item in organizations),
        issuer=certificate.issuer.rfc4514_string(),
        hosts=tuple(hosts),
        usages=tuple(usages),
        authority=authority,
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
    )


def signer_of(data: bytes, authorities: Iterable[tuple[str, bytes]]) -> str | None:
    """Return the name of the authority whose key signed the first certificate of a PEM text.

    Parameters
    ----------
    data : bytes
    authorities : iterable of (str, bytes)
        Names, with the PEM text of each certificate.

    Returns
    -------
    str or None
        Empty if an authority has the issuer's name but did not sign the certificate; None if no
        authority has that name.

    Examples
    --------
    >>> signer_of(b"no certificate", [])
    """
    from cryptography import x509
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm

    try:
        [certificate, *_] = x509.load_pem_x509_certificates(data)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return None
    named = None
    for name, pem in authorities:
        try:
            [authority, *_] = x509.load_pem_x509_certificates(pem)
            if authority.subject != certificate.issuer:
                continue
            named = ""
            certificate.verify_directly_issued_by(authority)
        except (ValueError, TypeError, UnsupportedAlgorithm, InvalidSignature):
            continue
        return name
    return named


def _entries(
    document: Document,
    kind: str,
    known: str,
    others: Iterable[Authority | Bundle | PlannedCertificate | KeyPair],
) -> Iterable[tuple[int, list[Unknown]]]:
    """Yield the places of a list's entries; no name may be that of another entry."""
    names: dict[str, int | None] = {}
    taken = {it.name: it.source.path for it in others}
    for index, item in enumerate(document.sequence(kind)):
        if not isinstance(item, dict):
            raise document.broken("expected an entry with a name", kind, index)
        name = document.text(kind, index, "name")
        if name in names:
            raise document.broken(
                f"two entries named {name!r}, the first on line {names[name]}", kind, index, "name"
            )
        if name in taken:
            raise document.broken(
                f"{name!r} is an entry of {taken[name]} as well", kind, index, "name"
            )
        names[name] = document.line(kind, index, "name")
        why = f"not a key of an entry of {kind}"
        yield index, list(document.unknown_keys(frozenset(known.split()), why, kind, index))


def _roles(document: Document, *keys: str | int) -> tuple[str, ...]:
    return document.words(*keys, "roles") or document.words(*keys, "role")


def read_pki(text: str, path: str, base: Pki = NO_PLAN) -> Pki:
    """Read the plan of keys and certificates.

    Parameters
    ----------
    text, path : str
        The file's content, and its name for messages.
    base : Pki
        The plan to which the file adds: its authorities may sign, and no name may be there twice.

    Returns
    -------
    Pki

    Raises
    ------
    ConfigError
        The plan is malformed, or names an authority that it does not have.

    Examples
    --------
    >>> plan = read_pki("authorities: [{name: ca, common_name: ca, certificate: /ca.crt, "
    ...                 "key: /ca.key, roles: [master]}]", "pki.yaml")
    >>> plan.authorities[0].roles
    ('master',)
    """
    document = read_one(text, path)
    top = frozenset({"authorities", "bundles", "certificates", "key_pairs"})
    unknowns = [*base.unknowns, *document.unknown_keys(top, "not part of a plan of keys")]
    authorities, bundles = list(base.authorities), list(base.bundles)
    certificates, pairs = list(base.certificates), list(base.key_pairs)
    known = "name common_name certificate key roles role key_nodes"
    for index, odd in _entries(document, "authorities", known, authorities):
        at = ("authorities", index)
        unknowns += odd
        authorities.append(
            Authority(
                name=document.text(*at, "name"),
                common_name=document.text(*at, "common_name"),
                certificate=document.text(*at, "certificate"),
                key=document.text(*at, "key", default=""),
                roles=_roles(document, *at),
                key_nodes=document.words(*at, "key_nodes"),
                source=document.source(*at, "name"),
            )
        )
    names = {authority.name for authority in authorities}
    known = "name authorities certificate roles role"
    for index, odd in _entries(document, "bundles", known, bundles):
        at = ("bundles", index)
        unknowns += odd
        members = document.words(*at, "authorities")
        if strange := sorted(set(members) - names):
            raise document.broken(f"no authority named {strange[0]!r}", *at, "authorities")
        bundles.append(
            Bundle(
                name=document.text(*at, "name"),
                authorities=members,
                certificate=document.text(*at, "certificate"),
                roles=_roles(document, *at),
                source=document.source(*at, "name"),
            )
        )
    known = "name role roles nodes signed_by common_name organization hosts usages certificate key"
    for index, odd in _entries(document, "certificates", known, certificates):
        at = ("certificates", index)
        unknowns += odd
        signer = document.text(*at, "signed_by")
        if signer not in names:
            raise document.broken(f"signed_by: no authority named {signer!r}", *at, "signed_by")
        certificates.append(
            PlannedCertificate(
                name=document.text(*at, "name"),
                roles=_roles(document, *at),
                nodes=document.words(*at, "nodes"),
                signed_by=signer,
                common_name=document.text(*at, "common_name"),
                organizations=document.words(*at, "organization"),
                hosts=document.words(*at, "hosts"),
                usages=document.words(*at, "usages"),
                certificate=document.text(*at, "certificate"),
                key=document.text(*at, "key"),
                source=document.source(*at, "name"),
            )
        )
    known = "name role roles public private"
    for index, odd in _entries(document, "key_pairs", known, pairs):
        at = ("key_pairs", index)
        unknowns += odd
        pairs.append(
            KeyPair(
                name=document.text(*at, "name"),
                roles=_roles(document, *at),
                public=document.text(*at, "public"),
                private=document.text(*at, "private"),
                source=document.source(*at, "name"),
            )
        )
    return Pki(
        tuple(authorities), tuple(certificates), tuple(pairs), tuple(bundles), tuple(unknowns)
    )
