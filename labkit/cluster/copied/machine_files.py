"""Read certificates, people's kubeconfigs and RBAC from the machines' files."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from labkit.cluster.apiserver_files import (
    ApiserverFiles,
    ReviewWebhook,
    read_authentication,
    read_authorizers,
    read_tokens,
)
from labkit.cluster.audit_policy import read_audit_policy
from labkit.cluster.certificates import Certificate, read_certificates
from labkit.cluster.facts import Component, File, Node
from labkit.cluster.kubeconfig import KubeConfig, looks_like_kubeconfig, read_kubeconfig
from labkit.cluster.policies import RBAC_KINDS, Rbac, read_abac, read_encryption, read_rbac
from labkit.cluster.syntax.source import Collected, Setting, Unknown, broken, decode, trying

__all__ = ["certificates_of", "personal_kubeconfigs", "rbac_of", "read_apiserver_files"]

#: Flags whose file, where it is missing, leaves claims unknown; without the others an environment
#: is not complete.
MAY_BE_ABSENT = frozenset(
    ["authorization-config", "authentication-config", "audit-policy-file", "token-auth-file"]
)
#: The flags that name kubeconfigs of servers that an apiserver asks, and what it asks them about.
WEBHOOKS = {
    "authentication-token-webhook-config-file": "tokens",
    "authorization-webhook-config-file": "access",
}
CERTIFICATES = (".crt", ".pem", ".cert", ".cer")
#: Bytes of the largest kubeconfig; people name these files as they like.
MOST_KUBECONFIG = 1_000_000
WHO_ELSE = "not known: who else has permissions"


def certificates_of(
    nodes: Iterable[Node], unknowns: list[Unknown]
) -> dict[tuple[str, str], tuple[Certificate, ...]]:
    """Read the certificates in the machines' files.

    Parameters
    ----------
    nodes : iterable of Node
    unknowns : list of Unknown
        Takes errors if it collects them.

    Returns
    -------
    dict of (str, str) to tuple of Certificate
        By machine and path.

    Raises
    ------
    ConfigError
        A certificate is corrupt, unless `unknowns` collects errors.
    """
    found = {}
    for node in nodes:
        for path, file in sorted(node.files.items()):
            if not path.endswith(CERTIFICATES):
                continue
            with trying(unknowns):
                data = file.read_bytes()
                # a .pem file can be a key instead
                if b"CERTIFICATE" in data or not path.endswith(".pem"):
                    found[node.name, path] = read_certificates(data, file.source)
    return found


def personal_kubeconfigs(
    nodes: Iterable[Node],
    components: Iterable[Component],
    webhooks: Iterable[KubeConfig],
    unknowns: list[Unknown],
) -> Iterable[KubeConfig]:
    """Yield the kubeconfigs that no component uses: those of people.

    A kubeconfig that ``kubectl proxy`` uses still is a person's.

    Parameters
    ----------
    nodes : iterable of Node
    components : iterable of Component
    webhooks : iterable of KubeConfig
        Those by which apiservers find the servers that they ask.
    unknowns : list of Unknown

    Yields
    ------
    KubeConfig

    Raises
    ------
    ConfigError
        A kubeconfig is malformed, unless `unknowns` collects errors.
    """
    used = {
        (component.node, component.kubeconfig.path)
        for component in components
        if component.kubeconfig and component.kind != "kubectl-proxy"
    }
    used |= {(it.node, it.path) for it in webhooks}
    for node in nodes:
        for path, file in sorted(node.files.items()):
            if (node.name, path) in used:
                continue
            with trying(unknowns):
                data = file.read_bytes()
                if not looks_like_kubeconfig(data):
                    continue
                if len(data) > MOST_KUBECONFIG:
                    raise broken(file.source, None, "too large for a kubeconfig: it was not read")
                text = decode(data, file.source)
                config = read_kubeconfig(text, file.source, machine_path=path, node=node.name)
                unknowns += config.unknowns
                yield config


def read_apiserver_files(
    nodes: Iterable[Node], components: Iterable[Component], unknowns: list[Unknown]
) -> ApiserverFiles:
    """Read the files that apiservers' flags name.

    Parameters
    ----------
    nodes : iterable of Node
    components : iterable of Component
    unknowns : list of Unknown

    Returns
    -------
    ApiserverFiles
        Without what is missing or malformed, which `unknowns` then names.

    Raises
    ------
    ConfigError
        A file is missing or malformed, unless `unknowns` collects errors.
    """
    files = {node.name: node.files for node in nodes}
    found = ApiserverFiles()
    readers: dict[str, tuple[dict[str, Any], Callable[[str, str], tuple[Any, Any]]]] = {
        "authorization-policy-file": (found.abac, read_abac),
        "encryption-provider-config": (found.encryption, read_encryption),
        "authorization-config": (found.authorizers, read_authorizers),
        "authentication-config": (found.authentication, read_authentication),
        "audit-policy-file": (found.audit, read_audit_policy),
        "token-auth-file": (found.tokens, read_tokens),
    }
    for component in components:
        if component.kind != "kube-apiserver":
            continue
        for flag, (into, read) in readers.items():
            with trying(unknowns):
                setting = component.setting(flag)
                file = files[component.node].get(setting.value)
                if file is None and setting.value:
                    why = f"{component.node} has no such file"
                    if flag not in MAY_BE_ABSENT:
                        place = setting.source
                        raise broken(place.path, place.line, f"{place.text}: {why}")
                    unknowns.append(
                        Unknown(setting.source.path, setting.source.line, setting.source.text, why)
                    )
                if file is not None:
                    into[component.id], odd = read(file.read_text(), file.source)
                    unknowns += odd
        webhooks = _webhooks(component, files[component.node], found, unknowns)
        found.webhooks[component.id] = tuple(webhooks)
    return found


def _webhooks(
    component: Component, files: Mapping[str, File], found: ApiserverFiles, unknowns: list[Unknown]
) -> Iterator[ReviewWebhook]:
    """Yield the servers that an apiserver asks, by its flags and its AuthorizationConfiguration."""
    named = [(asks, component.given(flag)) for flag, asks in WEBHOOKS.items()]
    configured = (it.webhook for it in found.authorizers.get(component.id, ()) if it.webhook)
    named += [("access", it.kubeconfig) for it in configured]
    for asks, setting in named:
        if setting is None or not setting.value:
            continue
        with trying(unknowns):
            config = _webhook_config(component.node, files, setting, unknowns)
            if config is not None:
                yield ReviewWebhook(asks, config)


def _webhook_config(
    node: str, files: Mapping[str, File], setting: Setting, unknowns: list[Unknown]
) -> KubeConfig | None:
    file = files.get(setting.value)
    if file is None:
        source, why = setting.source, f"{node} has no such file: whom the apiserver asks"
        unknowns.append(Unknown(source.path, source.line, source.text, f"{why} is not known"))
        return None
    config = read_kubeconfig(file.read_text(), file.source, machine_path=setting.value, node=node)
    unknowns += config.unknowns
    return config


def rbac_of(manifests: Iterable[File], unknowns: list[Unknown]) -> Rbac:
    """Read the roles and bindings of all manifests.

    Parameters
    ----------
    manifests : iterable of File
    unknowns : list of Unknown

    Returns
    -------
    Rbac
        Every apiserver with RBAC makes objects of each kind: where `unknowns` collects errors, a
        kind without such an object is missing, and others of it may be.

    Raises
    ------
    ConfigError
        A manifest is malformed, unless `unknowns` collects errors.
    """
    files = list(manifests)
    read = []
    for file in files:
        with trying(unknowns):
            read.append(read_rbac(file.read_text(), file.source))
    roles = tuple(role for item in read for role in item.roles)
    bindings = tuple(binding for item in read for binding in item.bindings)
    missing: frozenset[str] = frozenset()
    if len(read) < len(files):
        missing = frozenset(RBAC_KINDS)
    elif isinstance(unknowns, Collected):
        found = {(it.source.text, it.namespace) for it in roles}
        found |= {(it.source.text, it.namespace) for it in bindings}
        for kind, (namespace, name) in RBAC_KINDS.items():
            if (f"{kind} {name}", namespace) not in found:
                missing |= {kind}
                why = f"{name}, which every cluster has, is not among the files: {WHO_ELSE}"
                unknowns.append(Unknown(kind, None, "", why))
    return Rbac(roles, bindings, missing)
