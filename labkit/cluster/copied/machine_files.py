"""Read certificates, people's kubeconfigs and policies from the machines' files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from labkit.cluster.certificates import Certificate, read_certificates
from labkit.cluster.facts import Component, File, Node
from labkit.cluster.kubeconfig import KubeConfig, looks_like_kubeconfig, read_kubeconfig
from labkit.cluster.policies import (
    AbacRule,
    Encryption,
    Rbac,
    read_abac,
    read_encryption,
    read_rbac,
)
from labkit.cluster.syntax.source import Unknown, broken, trying

__all__ = ["certificates_of", "personal_kubeconfigs", "policies", "rbac_of"]

CERTIFICATES = (".crt", ".pem", ".cert", ".cer")
KUBECONFIGS = (".conf", ".kubeconfig", ".yaml", ".yml", "/config")


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
    nodes: Iterable[Node], components: Iterable[Component], unknowns: list[Unknown]
) -> Iterable[KubeConfig]:
    """Yield the kubeconfigs that no component uses: those of people.

    A kubeconfig that ``kubectl proxy`` uses still is a person's.

    Parameters
    ----------
    nodes : iterable of Node
    components : iterable of Component
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
    for node in nodes:
        for path, file in sorted(node.files.items()):
            if not path.endswith(KUBECONFIGS) or (node.name, path) in used:
                continue
            with trying(unknowns):
                text = file.read_bytes().decode("utf-8", errors="replace")
                if not looks_like_kubeconfig(text):
                    continue
                config = read_kubeconfig(
                    file.read_text(), file.source, machine_path=path, node=node.name
                )
                unknowns += config.unknowns
                yield config


def policies(
    nodes: Iterable[Node], components: Iterable[Component], unknowns: list[Unknown]
) -> tuple[dict[str, tuple[AbacRule, ...]], dict[str, Encryption]]:
    """Read the ABAC policy and encryption files that apiservers name.

    Parameters
    ----------
    nodes : iterable of Node
    components : iterable of Component
    unknowns : list of Unknown

    Returns
    -------
    abac : dict of str to tuple of AbacRule
        By component.
    encryption : dict of str to Encryption
        By component.

    Raises
    ------
    ConfigError
        A file is missing or malformed, unless `unknowns` collects errors.
    """
    files = {node.name: node.files for node in nodes}
    abac: dict[str, tuple[AbacRule, ...]] = {}
    encryption: dict[str, Encryption] = {}
    for component in components:
        if component.kind != "kube-apiserver":
            continue
        for flag in ("authorization-policy-file", "encryption-provider-config"):
            with trying(unknowns):
                file = _named(files[component.node], component, flag)
                if file is None:
                    continue
                if flag == "authorization-policy-file":
                    abac[component.id], odd = read_abac(file.read_text(), file.source)
                else:
                    encryption[component.id], odd = read_encryption(file.read_text(), file.source)
                unknowns += odd
    return abac, encryption


def _named(files: Mapping[str, File], component: Component, flag: str) -> File | None:
    setting = component.setting(flag)
    if setting.value and setting.value not in files:
        raise broken(
            setting.source.path,
            setting.source.line,
            f"{setting.source.text}: {component.node} has no such file",
        )
    return files.get(setting.value)


def rbac_of(manifests: Iterable[File], unknowns: list[Unknown]) -> Rbac:
    """Read the roles and bindings of all manifests.

    Parameters
    ----------
    manifests : iterable of File
    unknowns : list of Unknown

    Returns
    -------
    Rbac

    Raises
    ------
    ConfigError
        A manifest is malformed, unless `unknowns` collects errors.
    """
    read = []
    for file in manifests:
        with trying(unknowns):
            read.append(read_rbac(file.read_text(), file.source))
    return Rbac(
        tuple(role for item in read for role in item.roles),
        tuple(binding for item in read for binding in item.bindings),
    )
