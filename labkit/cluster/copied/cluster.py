"""Read a user's own cluster from a folder with files copied from its machines.

The user's files cannot be corrected here, so a malformed or missing file becomes an
:class:`Unknown`, and labkit reads the rest.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from labkit.cluster.certificates import Pki, signer_of
from labkit.cluster.cloud_keys import read_cloud_keys
from labkit.cluster.components import read_components
from labkit.cluster.copied.files import Copied, copied_files, machines_in
from labkit.cluster.copied.machine_files import (
    certificates_of,
    personal_kubeconfigs,
    rbac_of,
    read_apiserver_files,
)
from labkit.cluster.copied.modes import with_permissions
from labkit.cluster.copied.names import with_names
from labkit.cluster.copied.pki import pki_of, with_readable_certificate
from labkit.cluster.copied.static_pods import (
    kube_proxy_command,
    kube_proxy_files,
    kubeadm_kubelet,
    static_commands,
)
from labkit.cluster.credentials import read_credentials
from labkit.cluster.facts import Component, Credential, Environment, File, Node
from labkit.cluster.kubeconfig import KubeConfig
from labkit.cluster.policies import read_etcd_auth
from labkit.cluster.syntax.source import Collected, Source, Unknown, trying
from labkit.cluster.syntax.yamldoc import Document, read_documents
from labkit.cluster.units import Command, unit_commands
from labkit.cluster.validation import drop_malformed

__all__ = ["read_cluster"]

CONTROL_PLANE = frozenset({"kube-apiserver", "kube-controller-manager", "kube-scheduler"})
ROLES = {"control-plane": "master node", "etcd": "master node", "worker": "worker node"}
#: The components that every cluster has, and what is not known without each.
EXPECTED = {
    "kube-apiserver": "who is authenticated, and who may do what",
    "etcd": "where the objects are stored, and who can access them",
    "kubelet": "who can access the pods of a machine",
    "kube-proxy": "its identity at the apiserver",
}
ETCD_AUTH = "etcd-auth.yaml"


def read_cluster(folder: Path | str) -> Environment:
    """Read the facts of a cluster from the files copied from its machines.

    Parameters
    ----------
    folder : path or str
        One folder per machine (``NODE/etc/kubernetes/...``), or one machine's files
        (``etc/kubernetes/...``); beside them the cluster's objects as YAML.

    Returns
    -------
    Environment
        Its ``unknowns`` list what could not be read or is missing.

    Raises
    ------
    ConfigError
        There is no such folder, or it has no machine's files.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> manifests = folder / "master" / "etc" / "kubernetes" / "manifests"
    >>> manifests.mkdir(parents=True)
    >>> _ = (manifests / "etcd.yaml").write_text(
    ...     "{kind: Pod, spec: {containers: [{command: [etcd, --client-cert-auth=true]}]}}")
    >>> [str(part.setting("client-cert-auth").source) for part in read_cluster(folder).components]
    ['master/etc/kubernetes/manifests/etcd.yaml:1 --client-cert-auth=true']
    """
    path = Path(folder)
    unknowns = Collected()
    copied = copied_files(path, unknowns)
    proxy = kube_proxy_files(_documents(copied.objects, unknowns))
    nodes: list[Node] = []
    components: list[Component] = []
    for name, files in machines_in(copied, unknowns).items():
        node = with_permissions(Node(name, "worker", ROLES["worker"], 0, "", files), unknowns)
        commands = [*unit_commands(node, unknowns)]
        if not any(command.kind == "kubelet" for command in commands):
            commands += kubeadm_kubelet(node, unknowns)
        kubelets = [command for command in commands if command.kind == "kubelet"]
        commands += static_commands(node, kubelets, unknowns)
        kinds = {command.kind for command in commands}
        if "kubelet" in kinds and "kube-proxy" not in kinds and f"{_PROXY}/config.conf" in proxy:
            node = replace(node, files={**files, **proxy})
            commands.append(kube_proxy_command(proxy))
        role = _role(commands)
        node = replace(node, role=role, zone=ROLES[role])
        nodes.append(node)
        found = read_components(node, commands, unknowns)
        components += [drop_malformed(component, unknowns) for component in found]
    return _environment(path, copied, nodes, components, unknowns)


_PROXY = "/var/lib/kube-proxy"


def _environment(
    path: Path,
    copied: Copied,
    nodes: list[Node],
    components: list[Component],
    unknowns: list[Unknown],
) -> Environment:
    components = [with_readable_certificate(item, unknowns) for item in components]
    certificates = certificates_of(nodes, unknowns)
    found = with_names(nodes, components, certificates, unknowns)
    named = read_apiserver_files(found, components, unknowns)
    asked = named.webhook_configs
    webhooks = [with_readable_certificate(config, unknowns) for config in asked]
    kubeconfigs = tuple(
        with_readable_certificate(config, unknowns)
        for config in personal_kubeconfigs(found, components, asked, unknowns)
    )
    clients = [item.kubeconfig for item in components if item.kubeconfig]
    configs = [*clients, *webhooks, *kubeconfigs]
    credentials = read_credentials(found, Pki(), certificates, configs, components, named.tokens)
    pki, authorities = pki_of(found, certificates, components, unknowns)
    auth = None
    for file in copied.objects:
        if Path(file.source).name == ETCD_AUTH:
            with trying(unknowns):
                auth = read_etcd_auth(file.read_text(), file.source)
    manifests = tuple(f for f in copied.objects if Path(f.source).name != ETCD_AUTH)
    absent = Source(ETCD_AUTH, None, f"{ETCD_AUTH} absent: etcd stores users in its own data", True)
    unknowns += _missing(components)
    unknowns += _overlapping(components, pki)
    for node in found:
        unknowns += _distribution(node)
    return Environment(
        name=path.resolve().name,
        description="",
        folder=path,
        layers=(path,),
        roles={node.role: node.zone for node in found},
        nodes=found,
        components=tuple(components),
        credentials=tuple(_signed(credentials, found, configs, authorities, unknowns)),
        pki=pki,
        certificate_files=tuple(item for read in certificates.values() for item in read),
        kubeconfigs=kubeconfigs,
        docker_clients=(),
        apiserver_files=named,
        cloud_keys=read_cloud_keys(found, components, unknowns),
        rbac=rbac_of(manifests, unknowns),
        etcd_auth=auth,
        etcd_auth_source=auth.source if auth else absent,
        manifests=manifests,
        secrets=(),
        bootstrap_kubeconfig="",
        unknowns=tuple(dict.fromkeys(unknowns)),
        complete=False,
    )


def _role(commands: Iterable[Command]) -> str:
    kinds = {command.kind for command in commands}
    if kinds & CONTROL_PLANE:
        return "control-plane"
    return "etcd" if "etcd" in kinds and "kubelet" not in kinds else "worker"


def _documents(files: Iterable[File], unknowns: list[Unknown]) -> Iterator[Document]:
    for file in files:
        with trying(unknowns):
            yield from read_documents(file.read_text(), file.source)


def _missing(components: Iterable[Component]) -> Iterator[Unknown]:
    kinds = {component.kind for component in components}
    for kind, why in EXPECTED.items():
        if kind not in kinds:
            yield Unknown(kind, None, "not among the files", f"not known: {why}")


#: Distributions whose own programs start the components: a mark among the files, and what to copy.
DISTRIBUTIONS = {
    "k3s": (
        ("/etc/rancher/k3s/", "/var/lib/rancher/k3s/", "/k3s.service", "/k3s-agent.service"),
        "its flags are in /etc/rancher/k3s/config.yaml and k3s.service",
    ),
    "RKE2": (
        ("/etc/rancher/rke2/", "/rke2-server.service", "/rke2-agent.service"),
        "copy /var/lib/rancher/rke2/agent/pod-manifests, and the kubelet's flags from its process",
    ),
    "k0s": (
        ("/etc/k0s/", "/var/lib/k0s/", "/k0scontroller.service", "/k0sworker.service"),
        "its flags are in /etc/k0s/k0s.yaml",
    ),
    "MicroK8s": (
        ("/var/snap/microk8s/", "/snap/microk8s/"),
        "its flags are in /var/snap/microk8s/current/args",
    ),
    "EKS": (
        ("/etc/eks/",),
        "its control plane is not on your machines",
    ),
}


def _distribution(node: Node) -> Iterator[Unknown]:
    """Yield the distributions of Kubernetes that a machine's files are marks of."""
    for name, (marks, advice) in DISTRIBUTIONS.items():
        for path, file in sorted(node.files.items()):
            folder = any(mark.endswith("/") and path.startswith(mark) for mark in marks)
            unit = any(path.endswith(mark) and "/systemd/" in path for mark in marks)
            if folder or unit:
                why = (
                    f"{node.name} runs {name}, which labkit recognises and does not read: {advice}"
                )
                yield Unknown(file.source, None, name, f"{why}; or read its objects (kubectl get)")
                break


def _overlapping(components: Iterable[Component], pki: Pki) -> Iterator[Unknown]:
    """Yield the apiservers whose CA for request headers also signs their clients' certificates."""
    for it in components:
        headers = it.given("requestheader-client-ca-file")
        if it.kind != "kube-apiserver" or not headers or it.values("requestheader-allowed-names"):
            continue
        trusted = pki.trusted(headers.value)
        if trusted & pki.trusted(it.setting("client-ca-file").value):
            why = (
                "it signs clients' certificates too, and no --requestheader-allowed-names is set: "
                "kube-apiserver 1.35 and later does not start so, an older one takes every "
                "client certificate for the front proxy's, whose holder names any user"
            )
            source = headers.source
            yield Unknown(source.path, source.line, source.text, why)


def _signed(
    credentials: Iterable[Credential],
    nodes: Iterable[Node],
    configs: Iterable[KubeConfig],
    authorities: list[tuple[str, bytes]],
    unknowns: list[Unknown],
) -> Iterator[Credential]:
    """Yield the credentials, each with the authority whose key signed it."""
    files = {node.name: node.files for node in nodes}
    by_path = {(config.node, config.path): config for config in configs}
    for credential in credentials:
        data = b""
        config = by_path.get((credential.node, credential.kubeconfig))
        file = files[credential.node].get(credential.certificate)
        if config and config.certificate_data:
            data = config.certificate_data
        elif file:
            with trying(unknowns):
                data = file.read_bytes()
        signer = signer_of(data, authorities) if data else None
        if signer == "":
            source, why = credential.source, f"{credential.signed_by} did not sign it"
            unknowns.append(Unknown(source.path, source.line, credential.name, why))
        yield credential if signer is None else replace(credential, signed_by=signer)
