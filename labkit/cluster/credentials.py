"""List the credentials on each machine."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from labkit.cluster.apiserver_files import StaticToken
from labkit.cluster.certificates import Certificate, Pki, read_certificates
from labkit.cluster.facts import Component, Credential, Node
from labkit.cluster.kubeconfig import KubeConfig

__all__ = ["SERVICE_ACCOUNTS", "read_credentials"]

#: What vouches for the tokens of service accounts, in place of an authority.
SERVICE_ACCOUNTS = "service accounts"

# Flags that name a client's certificate and its key
CLIENT_FLAGS = {
    "kube-apiserver": (
        ("etcd-certfile", "etcd-keyfile"),
        ("kubelet-client-certificate", "kubelet-client-key"),
    ),
    "flanneld": (("etcd-certfile", "etcd-keyfile"),),
    "etcd": (
        ("peer-client-cert-file", "peer-client-key-file"),
        ("peer-cert-file", "peer-key-file"),
    ),
}


def _fill(text: str, node: Node) -> str:
    address = node.address or node.name
    return text.replace("${NODE}", node.name).replace("${NODE_IP}", address)


def read_credentials(
    nodes: Iterable[Node],
    pki: Pki,
    certificates: Mapping[tuple[str, str], tuple[Certificate, ...]],
    kubeconfigs: Iterable[KubeConfig],
    components: Iterable[Component],
    tokens: Mapping[str, tuple[StaticToken, ...]],
) -> tuple[Credential, ...]:
    """Join the plan, the certificate files and the kubeconfigs into one list of credentials.

    A planned certificate keeps its planned name. Another one has the name of its kubeconfig's user,
    or of its file.

    Parameters
    ----------
    nodes : iterable of Node
    pki : Pki
        The plan.
    certificates : mapping of (str, str) to tuple of Certificate
        By machine and path.
    kubeconfigs : iterable of KubeConfig
    components : iterable of Component
    tokens : mapping of str to tuple of StaticToken
        The static tokens of each apiserver.

    Returns
    -------
    tuple of Credential

    Raises
    ------
    ConfigError
        An inline certificate of a kubeconfig is corrupt.
    """
    machines = {node.name: node for node in nodes}
    found: dict[tuple[str, str], Credential] = {}
    paths: set[tuple[str, str]] = set()
    for planned in pki.certificates:
        for node in machines.values():
            if node.role not in planned.roles and node.name not in planned.nodes:
                continue
            if planned.nodes and node.name not in planned.nodes:
                continue
            paths.add((node.name, planned.certificate))
            found[planned.name, node.name] = Credential(
                name=planned.name,
                node=node.name,
                kind="certificate",
                certificate=planned.certificate,
                key=planned.key,
                common_name=_fill(planned.common_name, node),
                organizations=tuple(_fill(item, node) for item in planned.organizations),
                signed_by=planned.signed_by,
                usages=planned.usages,
                hosts=tuple(_fill(item, node) for item in planned.hosts),
                kubeconfig="",
                source=planned.source,
            )
    components = tuple(components)
    static = _static_tokens(components, tokens)
    for config in kubeconfigs:
        if not config.method or (config.node, config.certificate) in paths:
            continue
        name = config.user
        if (name, config.node) in found:
            # two files have one user's name: the path distinguishes them
            name = f"{config.user}:{config.path}"
        facts = certificates.get((config.node, config.certificate), ())
        if config.certificate_data:
            facts = read_certificates(config.certificate_data, config.user_source.source.path)
        paths.add((config.node, config.certificate or config.path))
        found[name, config.node] = _credential(
            name, config.method, config.certificate, config.key, facts, config
        )
        if config.method == "token":
            known = _known_token(config, static.get(config.token_digest))
            found[name, config.node] = replace(found[name, config.node], **known)
    for component in components:
        for certificate_flag, key_flag in CLIENT_FLAGS.get(component.kind, ()):
            setting = component.given(certificate_flag)
            if not setting or not setting.value or (component.node, setting.value) in paths:
                continue
            paths.add((component.node, setting.value))
            facts = certificates.get((component.node, setting.value), ())
            name = setting.value.rpartition("/")[2].rpartition(".")[0] or setting.value
            if (name, component.node) in found:
                name = setting.value
            item = facts[0] if facts else None
            found[name, component.node] = Credential(
                name=name,
                node=component.node,
                kind="certificate",
                certificate=setting.value,
                key=component.setting(key_flag).value,
                common_name=item.common_name if item else "",
                organizations=item.organizations if item else (),
                signed_by=item.issuer if item else "",
                usages=item.usages if item else (),
                hosts=item.hosts if item else (),
                kubeconfig="",
                source=setting.source,
            )
    for file, token in static.values():
        for component in components:
            if component.kind == "kube-apiserver" and token in tokens.get(component.id, ()):
                name = _free(found, f"token of {token.user}", component.node, token.source.line)
                found[name, component.node] = Credential(
                    name=name,
                    node=component.node,
                    kind="token",
                    certificate="",
                    key=file,
                    common_name=token.user,
                    organizations=token.groups,
                    signed_by=file,
                    usages=("client",),
                    hosts=(),
                    kubeconfig="",
                    source=token.source,
                )
    return tuple(found.values())


def _free(found: Mapping[tuple[str, str], Credential], name: str, node: str, line: object) -> str:
    return f"{name} (line {line})" if (name, node) in found else name


def _static_tokens(
    components: Iterable[Component], tokens: Mapping[str, tuple[StaticToken, ...]]
) -> dict[str, tuple[str, StaticToken]]:
    """Return the static tokens by their digests, each with its file on the machine."""
    return {
        token.digest: (component.setting("token-auth-file").value, token)
        for component in components
        for token in tokens.get(component.id, ())
    }


def _known_token(config: KubeConfig, static: tuple[str, StaticToken] | None) -> dict[str, Any]:
    """Return whom a kubeconfig's token makes its holder, and what vouches for it."""
    if static:
        file, token = static
        return {"common_name": token.user, "organizations": token.groups, "signed_by": file}
    if config.account:
        namespace = config.account.split(":")[2]
        groups = ("system:serviceaccounts", f"system:serviceaccounts:{namespace}")
        return {
            "common_name": config.account,
            "organizations": groups,
            "signed_by": SERVICE_ACCOUNTS,
        }
    return {}


def _credential(
    name: str,
    kind: str,
    certificate: str,
    key: str,
    facts: tuple[Certificate, ...],
    config: KubeConfig,
) -> Credential:
    item = facts[0] if facts else None
    return Credential(
        name=name,
        node=config.node,
        kind=kind,
        certificate=certificate,
        key=key,
        common_name=item.common_name if item else "",
        organizations=item.organizations if item else (),
        signed_by=item.issuer if item else "",
        usages=item.usages if item else (),
        hosts=item.hosts if item else (),
        kubeconfig=config.path,
        source=config.user_source.source,
    )
