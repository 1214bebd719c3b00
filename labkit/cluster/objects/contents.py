"""Credentials among the contents of Secrets and ConfigMaps: whose they are, and never their values.

A kubeconfig, a token of a service account, a client certificate with its key, the key of a cloud or
of a machine. A password of a database or of a registry does not open the cluster.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from labkit.cluster.objects.facts import StoredSecret
from labkit.cluster.syntax.values import text_of
from labkit.errors import ConfigError

if TYPE_CHECKING:
    from labkit.cluster.certificates import Certificate

__all__ = ["contents_of", "credentials_in"]

#: The types of secrets whose contents are known by their type, or open nothing in the cluster.
#: Releases of Helm have the manifests of what they installed.
OF_KNOWN_TYPE = frozenset(
    [
        *("kubernetes.io/service-account-token", "bootstrap.kubernetes.io/token"),
        *("kubernetes.io/dockercfg", "kubernetes.io/dockerconfigjson", "helm.sh/release.v1"),
    ]
)
#: No kubeconfig and no key is longer.
LONGEST = 262_144
TOKEN = re.compile(r"eyJ[\w-]{8,}\.(eyJ[\w-]{8,})\.[\w-]{8,}")
#: A kubeconfig without a token, a key or a password of its own opens nothing.
KUBECONFIG = re.compile(r"kind[\"']?\s*:\s*[\"']?Config\b")
INLINE = re.compile(r"\b(?:client-key-data|token|password|client-secret)[\"']?\s*:\s*[\"']?\w")
KEY, CERTIFICATE = "PRIVATE KEY-----", "-----BEGIN CERTIFICATE-----"
#: Of authorities whose certificates a component of the cluster may take.
AUTHORITIES = re.compile(r"kube|etcd|front-proxy|k3s|rke2|openshift|\bca\b", re.IGNORECASE)
#: The keys of clouds, by their own form or by the names that their clients look for.
CLOUDS = {
    "AWS": re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b|aws_secret_access_key", re.IGNORECASE),
    "Google": re.compile(r"[\"']type[\"']\s*:\s*[\"']service_account[\"']"),
    "Azure": re.compile(r"azure_?client_?secret|aadClientSecret", re.IGNORECASE),
}
ACCOUNT = "system:serviceaccount:"


def contents_of(item: Mapping[str, Any], kind: str) -> tuple[StoredSecret, ...] | None:
    """Return the credentials that a Secret holds; None if its contents are not known.

    Parameters
    ----------
    item : mapping
        The object. A value that is empty or no base64 was taken out before.
    kind : str
        The type of the secret.

    Returns
    -------
    tuple of StoredSecret or None

    Examples
    --------
    >>> contents_of({"data": {"password": "aHVudGVyMg=="}}, "Opaque")
    ()
    >>> print(contents_of({"data": {"config": ""}}, "Opaque"))
    None
    """
    if kind in OF_KNOWN_TYPE:
        return ()
    encoded, plain = item.get("data"), item.get("stringData")
    if not isinstance(encoded, dict):
        encoded = {}
    texts = {key: text_of(plain, key) for key in plain} if isinstance(plain, dict) else {}
    for key, value in encoded.items():
        if not isinstance(value, str) or not value:
            return None
        if len(value) < LONGEST:
            try:
                texts[key] = base64.b64decode(value, validate=True).decode("utf-8", "replace")
            except (binascii.Error, ValueError):
                return None
    return credentials_in(texts) if encoded or texts else None


def credentials_in(texts: Mapping[str, str]) -> tuple[StoredSecret, ...]:
    """Return the credentials among the texts of an object, by their keys.

    Parameters
    ----------
    texts : mapping of str to str

    Returns
    -------
    tuple of StoredSecret

    Examples
    --------
    >>> [it.what for it in credentials_in({"aws_secret_access_key": "x"})]
    ['a key of AWS']
    >>> credentials_in({"url": "postgres://db.shop"})
    ()
    """
    return tuple(dict.fromkeys(_found(texts)))


def _found(texts: Mapping[str, str]) -> Iterator[StoredSecret]:
    certificates: list[Certificate] = []
    keys = False
    for name, text in texts.items():
        if KUBECONFIG.search(text) and INLINE.search(text):
            yield StoredSecret("a kubeconfig")
        for token in TOKEN.finditer(text) if "eyJ" in text else ():
            yield from _of_token(token[1])
        for cloud, form in CLOUDS.items():
            if form.search(name) or form.search(text):
                yield StoredSecret(f"a key of {cloud}")
        keys = keys or KEY in text
        if CERTIFICATE in text:
            # cryptography takes 8 MiB, and few dumps have a certificate
            from labkit.cluster.certificates import read_certificates

            try:
                certificates += read_certificates(text.encode(), name)
            except ConfigError:
                yield StoredSecret("a certificate that cannot be read")
    if keys:
        etcd = any("etcd" in name.lower() for name in texts)
        yield from _of_key(certificates, of_etcd=etcd)


def _of_token(payload: str) -> Iterator[StoredSecret]:
    try:
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        subject = claims.get("sub")
    except (ValueError, AttributeError):
        return
    if isinstance(subject, str) and subject.startswith(ACCOUNT):
        yield StoredSecret("a token", subject)


def _of_key(certificates: list[Certificate], *, of_etcd: bool) -> Iterator[StoredSecret]:
    if not certificates:
        yield StoredSecret("a private key")
    for it in certificates:
        name = it.common_name
        if it.authority:
            if AUTHORITIES.search(name):
                yield StoredSecret(f"perhaps the key of the authority {name}")
        elif not it.usages or "client" in it.usages:
            if of_etcd or "etcd" in f"{name} {it.issuer}".lower():
                yield StoredSecret(f"a client certificate for etcd, of {name}")
            yield StoredSecret("a client certificate", name, it.organizations)
