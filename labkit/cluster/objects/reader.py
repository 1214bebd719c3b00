"""Read the output of ``kubectl get … -o json``, or ``-o yaml``, into a :class:`Dump`."""

from __future__ import annotations

import base64
import os
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from labkit.cluster.admission_hooks import HOOK_KINDS, admission_hooks
from labkit.cluster.feature_gates import USER_NAMESPACES, Features
from labkit.cluster.kinds import is_foreign
from labkit.cluster.objects.access import is_dump, objects, without_refusals
from labkit.cluster.objects.apiservers import Apiserver, apiserver_of, is_apiserver
from labkit.cluster.objects.contents import contents_of, credentials_in
from labkit.cluster.objects.etcd_data import data_folders, is_etcd
from labkit.cluster.objects.extensions import EXTENSIONS, extension_of
from labkit.cluster.objects.facts import (
    Account,
    Admission,
    ApiExtension,
    ClusterNode,
    CustomWorkload,
    Dump,
    Endpoint,
    Ingress,
    Namespace,
    NetworkPolicy,
    PodGroup,
    PodSpec,
    SecretName,
    Service,
)
from labkit.cluster.objects.network import NETWORK, OTHER_POLICIES, ROUTES, NetworkObject
from labkit.cluster.objects.open_ports import OpenPort, open_kubelets, open_ports
from labkit.cluster.objects.pods import account_of, owner_of, spec_of
from labkit.cluster.objects.templates import kind_of_definition, kind_of_object, templates_in
from labkit.cluster.objects.volumes import Claims, has_claims
from labkit.cluster.policies import RBAC_KINDS, Binding, Rbac, RbacRole, RbacRule, aggregated
from labkit.cluster.syntax.disk import MAX_DUMP, Found, file_text, files_below
from labkit.cluster.syntax.source import Source, Unknown, unknown_of
from labkit.cluster.syntax.values import mapping, selects, sequence, text_of, truth, words
from labkit.cluster.versions import version_reported
from labkit.errors import ConfigError
from labkit.gc_pause import gc_pause

__all__ = ["DUMP_COMMAND", "KINDS", "Builder", "has_objects", "read_dump"]

#: The kinds that labkit reads, and what is not known without each.
KINDS = {
    "Node": "which nodes exist, and which of them run the control plane",
    "Namespace": "where Pod Security refuses privileged pods",
    "Pod": "which pods run where, and with which service account",
    "ServiceAccount": "which service accounts exist",
    "Secret": "which secrets hold service account tokens",
    "Role": "the permissions in one namespace",
    "ClusterRole": "the permissions in the cluster",
    "RoleBinding": "who has permissions in one namespace",
    "ClusterRoleBinding": "who has permissions in the cluster",
    "APIService": "which pods answer for groups of the API",
    "ConfigMap": "which ConfigMaps hold a credential",
}
#: The kinds of which every cluster has objects in kube-system: service accounts and, with RBAC, the
#: roles and bindings of its components. One that has none of them there was read in part.
OF_EVERY_CLUSTER = frozenset({"Role", "RoleBinding", "ServiceAccount"})
SYSTEM = "kube-system"
ACCOUNT_ANNOTATION = "kubernetes.io/service-account.name"
ENFORCE_LABEL = "pod-security.kubernetes.io/enforce"
DUMP_COMMAND = (
    "kubectl get nodes,namespaces,pods,serviceaccounts,secrets,configmaps,roles,rolebindings,"
    "clusterroles,clusterrolebindings,services,endpointslices,networkpolicies,ingresses,"
    "deployments,daemonsets,"
    "statefulsets,replicasets,replicationcontrollers,jobs,cronjobs,persistentvolumes,"
    "persistentvolumeclaims,validatingwebhookconfigurations,mutatingwebhookconfigurations,"
    "apiservices,customresourcedefinitions -A -o json"
)
#: Of nodes with the control plane or with etcd; the last two are those of RKE and of MicroK8s.
CONTROL_PLANE_LABELS = (
    "node-role.kubernetes.io/control-plane",
    "node-role.kubernetes.io/master",
    "node-role.kubernetes.io/etcd",
    "node-role.kubernetes.io/controlplane",
    "node.kubernetes.io/microk8s-controlplane",
)
#: The clouds that serve metadata at 169.254.169.254, by the scheme of a node's providerID.
CLOUDS = frozenset(
    [
        *("alicloud", "aws", "azure", "digitalocean", "exoscale", "gce", "hcloud", "ibm"),
        *("linode", "oci", "openstack", "scaleway"),
    ]
)
#: https://cloud.google.com/kubernetes-engine/docs/concepts/workload-identity
HIDES_METADATA = "iam.gke.io/gke-metadata-server-enabled"
#: MicroK8s runs its apiserver in no pod, by default with AlwaysAllow: the addon rbac changes that.
#: https://microk8s.io/docs/multi-user
MICROK8S = ("microk8s.io/cluster", "node.kubernetes.io/microk8s-controlplane")
ITS_APISERVER = "the apiserver of MicroK8s, which is in no pod, and whose default is AlwaysAllow"
NO_APISERVER = "no pod of an apiserver in the dump"
ITS_FLAGS_ARE = (
    "its flags are not known: taken to ask Node and RBAC alone, with the admission plugins that "
    "are on by default"
)
CHANGE = frozenset({"update", "patch", "*"})
YAML = frozenset({".yaml", ".yml"})
FINISHED = frozenset({"Succeeded", "Failed"})
BOOTSTRAP_TOKEN = "bootstrap.kubernetes.io/token"  # noqa: S105 - a type
#: The kinds of objects that are in no namespace, beside those of admission.
IN_NO_NAMESPACE = frozenset(
    ["ClusterRole", "ClusterRoleBinding", "Namespace", "Node", "PersistentVolume", *EXTENSIONS]
)
#: The kinds whose pods start later, or again. Those of a daemon set follow the nodes: it counts
#: only where no pods were read.
STARTED_LATER = frozenset(
    [
        *("CronJob", "DaemonSet", "Deployment", "Job", "ReplicaSet", "ReplicationController"),
        "StatefulSet",
    ]
)
ENDED = frozenset({"Complete", "Failed"})
#: The kinds with a template of pods, by the names of their resources.
WORKLOADS = {
    "deployments": "Deployment",
    "daemonsets": "DaemonSet",
    "statefulsets": "StatefulSet",
    "replicasets": "ReplicaSet",
    "replicationcontrollers": "ReplicationController",
    "cronjobs": "CronJob",
}


@gc_pause()
def read_dump(path: Path | str) -> Dump:
    """Read the output of ``kubectl get … -o json``, or ``-o yaml``.

    Parameters
    ----------
    path : path or str
        A file (with lists, objects, or several of them), or a folder of such files.

    Returns
    -------
    Dump
        Its ``unknowns`` list what was not understood or is missing. Values of secrets are dropped.

    Raises
    ------
    ConfigError
        There is no such file or folder, or the folder has no JSON file and no objects in YAML.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> _ = (folder / "nodes.json").write_text('{"kind": "NodeList", "items": [{}]}')
    >>> read_dump(folder).unknowns[0].why
    'an object without a name'
    """
    path = Path(path)
    folder = path.is_dir()
    files = [Found(path, path.name)] if path.exists() and not folder else list(_below(path))
    if not files:
        raise ConfigError(f"no dump at {path}", hint=f"write one: {DUMP_COMMAND}")
    builder = Builder(Path(os.path.realpath(path)).name if folder else path.stem)
    for file in files:
        if file.problem:
            builder.unread.append(Unknown(file.name, None, "", file.problem))
            continue
        try:
            text = file_text(file.path, file.name, MAX_DUMP, utf16=True)
            text, refusals = without_refusals(text)
            why = "not known: which objects of that kind exist"
            builder.refused += [Unknown(file.name, None, it, why) for it in refusals]
            for item, kind in objects(text, file.name):
                builder.add(item, kind, file.name)
        except ConfigError as error:
            builder.unread.append(unknown_of(error, file.name))
    return builder.finish()


def _below(folder: Path) -> Iterator[Found]:
    """Yield the files of objects below a folder, and its folders that cannot be read."""
    for found in files_below(folder):
        lost = bool(found.problem) and found.path.is_dir()
        suffix = found.path.suffix
        if lost or suffix == ".json" or (suffix in YAML and is_dump(found.path)):
            yield found


def has_objects(folder: Path) -> bool:
    """Say whether a folder has a JSON file, or objects in YAML.

    Examples
    --------
    >>> import tempfile
    >>> has_objects(Path(tempfile.mkdtemp()))
    False
    """
    return any(True for _ in _below(folder))


@dataclass
class _EqualPods:
    """Equal pods during the reading: their common labels, their names and nodes.

    `varied` has the keys of the labels in which they differ.
    """

    labels: dict[str, Any]
    names: list[str] = field(default_factory=list)
    nodes: dict[str, None] = field(default_factory=dict)
    varied: set[str] = field(default_factory=set)


@dataclass
class Builder:
    """Collects objects one by one, and makes a :class:`Dump` of them.

    Attributes
    ----------
    name : str
        The dump's name.
    unknowns, unread : list of Unknown
    kinds : set of str
    nodes, namespaces, accounts, secrets, roles, bindings : dict
        By namespace and name.
    configs : list of SecretName
        The ConfigMaps that hold a credential.
    network : list of NetworkObject
    late : list of mapping
        Pods whose service account, or whose claims, were not yet read.
    specs : dict
        The results of :func:`~labkit.cluster.objects.pods.spec_of`.
    claims : Claims
        And the persistent volumes that they are bound to.
    groups : dict
        Equal pods.
    workloads : set of (str, str, str)
        As in :class:`Dump`.
    templates : dict
        The templates of pods of workloads, by kind, namespace and name.
    owners : dict
        Kind, namespace and name of what made a workload, by its own.
    hooks : list of (mapping, Source)
        Webhooks, policies and their bindings.
    extensions : list of ApiExtension
    custom_workloads : dict of (str, str) to CustomWorkload
        By group and kind.
    of_other_groups : set of (str, str)
        The groups and kinds of the objects of other projects.
    apiservers : list of Apiserver
        By their pods.
    other_policies : set of str
        The kinds of network policies of other projects.
    open_ports : list of (str, OpenPort)
        The ports of the control plane that serve everybody, each with its node.
    etcd_data : list of (str, str)
        As in :class:`Dump`.
    apiserver_of_nodes : str
        A node by whose labels the apiserver is MicroK8s'; empty for another apiserver.
    unknowns_beside : list of Unknown
        What is taken to be as usual.
    addresses : dict of str to (str, str)
        The namespaces and names of pods by their own addresses.
    homes : dict of (str, str) to set of str
        By file and kind: the namespaces of the objects that are in one.
    every_namespace : bool
        Each kind was asked for in every namespace.
    refused : list of Unknown
        What kubectl was not allowed to list.
    """

    name: str
    unknowns: list[Unknown] = field(default_factory=list)
    kinds: set[str] = field(default_factory=set)
    nodes: dict[str, ClusterNode] = field(default_factory=dict)
    namespaces: dict[str, Namespace] = field(default_factory=dict)
    accounts: dict[tuple[str, str], Account] = field(default_factory=dict)
    secrets: dict[tuple[str, str], SecretName] = field(default_factory=dict)
    configs: list[SecretName] = field(default_factory=list)
    network: list[NetworkObject] = field(default_factory=list)
    roles: dict[tuple[str, str], RbacRole] = field(default_factory=dict)
    bindings: dict[tuple[str, str], Binding] = field(default_factory=dict)
    late: list[Mapping[str, Any]] = field(default_factory=list)
    specs: dict[tuple[bytes, bool, bool | None], PodSpec] = field(default_factory=dict)
    claims: Claims = field(default_factory=Claims)
    groups: dict[tuple[object, ...], _EqualPods] = field(default_factory=dict)
    unread: list[Unknown] = field(default_factory=list)
    addresses: dict[str, tuple[str, str]] = field(default_factory=dict)
    workloads: set[tuple[str, str, str]] = field(default_factory=set)
    templates: dict[tuple[str, str, str], tuple[Mapping[str, Any], ...]] = field(
        default_factory=dict
    )
    owners: dict[tuple[str, str, str], tuple[str, str, str]] = field(default_factory=dict)
    hooks: list[tuple[Mapping[str, Any], Source]] = field(default_factory=list)
    extensions: list[ApiExtension] = field(default_factory=list)
    custom_workloads: dict[tuple[str, str], CustomWorkload] = field(default_factory=dict)
    of_other_groups: set[tuple[str, str]] = field(default_factory=set)
    apiservers: list[Apiserver] = field(default_factory=list)
    other_policies: set[str] = field(default_factory=set)
    open_ports: list[tuple[str, OpenPort]] = field(default_factory=list)
    etcd_data: list[tuple[str, str]] = field(default_factory=list)
    apiserver_of_nodes: str = ""
    unknowns_beside: list[Unknown] = field(default_factory=list)
    homes: dict[tuple[str, str], set[str]] = field(default_factory=lambda: defaultdict(set))
    every_namespace: bool = False
    refused: list[Unknown] = field(default_factory=list)

    def add(self, item: Mapping[str, Any], kind: str, path: str) -> None:
        """Add an object, or those of a list; a malformed one becomes an unknown."""
        foreign = is_foreign(item.get("apiVersion"), kind)
        if kind in OTHER_POLICIES and (foreign or kind not in NETWORK):
            self.other_policies.add(kind)
        if foreign:
            self._foreign(item, kind, path)
            return
        if kind in ROUTES and kind not in self.kinds:
            why = "labkit does not read this kind: which services are called from outside by it"
            self.unknowns.append(Unknown(path, None, kind, why))
            self.kinds.add(kind)
        if kind not in READERS and kind not in NETWORK:
            inner = item.get("items") if kind.endswith("List") else None
            for each in inner if isinstance(inner, list) else ():
                if isinstance(each, dict):
                    self.add(each, str(each.get("kind", kind.removesuffix("List"))), path)
            self._foreign(item, kind, path)
            return
        self.kinds.add(kind)
        name = ""
        try:
            name, namespace = text_of(item, "metadata", "name"), _namespace(item, kind)
            if not name:
                raise ValueError("an object without a name")
            if namespace:
                self.homes[path, kind].add(namespace)
            if kind in NETWORK:
                self.network.extend(NETWORK[kind](item, namespace, name))
            else:
                source = Source(path, None, _shown(kind, namespace, name))
                READERS[kind](self, item, namespace, name, source)
        except ValueError as error:
            self.unknowns.append(Unknown(path, None, f"{kind} {name}".strip(), str(error)))

    def _foreign(self, item: Mapping[str, Any], kind: str, path: str) -> None:
        """Keep the templates of pods of an object whose kind labkit does not read."""
        found = tuple(templates_in(item))
        try:
            key = (kind, _namespace(item, kind), text_of(item, "metadata", "name"))
            if found and not key[2]:
                raise ValueError("an object without a name")
            custom = kind_of_object(item, kind)
        except ValueError as error:
            if found:
                self.unknowns.append(Unknown(path, None, kind, str(error)))
            return
        self.made_by(item, key)
        self.start_later(key, *found)
        if found and custom:
            self.custom_workloads.setdefault((custom.group, kind), custom)
        if custom:
            self.of_other_groups.add((custom.group, kind))

    def start_later(self, key: tuple[str, str, str], *templates: Mapping[str, Any]) -> None:
        """Keep templates of pods; another group of the API may have a kind of the same name."""
        if templates:
            self.templates[key] = (*self.templates.get(key, ()), *templates)

    def made_by(self, item: Mapping[str, Any], key: tuple[str, str, str]) -> None:
        """Keep what an object names as its owner; one that is malformed has none."""
        with suppress(ValueError):
            for owner in sequence(item, "metadata", "ownerReferences")[:1]:
                self.owners[key] = (text_of(owner, "kind"), key[1], text_of(owner, "name"))

    def pod(
        self, item: Mapping[str, Any], namespace: str, name: str, *, late: bool = False
    ) -> None:
        """Add a pod to the group of its equals; a late one may have claims."""
        spec = mapping(item, "spec")
        if text_of(item, "status", "phase") in FINISHED:
            return
        if is_apiserver(namespace, name):
            self._apiserver(spec, Source(self.name, None, f"Pod {namespace}/{name}"))
        if namespace == "kube-system" and name.startswith(("etcd", "kube-apiserver")):
            self.open_ports += [(text_of(spec, "nodeName"), it) for it in open_ports(spec)]
        account = account_of(spec)
        node = text_of(spec, "nodeName")
        known = self.accounts.get((namespace, account))
        claimed = self.claims.of_pod(item, namespace) if late else {}
        found = spec_of(item, known.automount if known else None, claimed, self.specs)
        made_by, owner = owner_of(item, node)
        if is_etcd(namespace, name) and made_by == "Node":
            self._etcd(node, name, data_folders(spec))
        key = (namespace, owner, account, found, node if found.near_host else "", made_by)
        labels = mapping(item, "metadata", "labels").items()
        alike = self.groups.get(key)
        if alike is None:
            alike = self.groups[key] = _EqualPods(dict(labels))
        elif alike.labels.items() != labels:
            alike.varied.update(key for key, _ in alike.labels.items() ^ labels)
            alike.labels = {k: v for k, v in labels if alike.labels.get(k) == v}
        alike.names.append(name)
        if node:
            alike.nodes[node] = None
        if not found.host_network:
            # the address of a pod in its node's network says only which node
            for address in sequence(item, "status", "podIPs") or [{"ip": None}]:
                ip = text_of(address, "ip") or text_of(item, "status", "podIP")
                self.addresses[ip] = (namespace, name)

    def _apiserver(self, spec: Mapping[str, Any], source: Source) -> None:
        unread: list[tuple[str, str]] = []
        found = apiserver_of(spec, unread)
        self.apiservers.append(found)
        about = source.text
        self.unknowns += [Unknown(self.name, None, f"{about}: {it}", why) for it, why in unread]
        if found.allows_all:
            subjects = (("Group", "", "system:authenticated"),)
            binding = Binding("AlwaysAllow", "", "ClusterRole", "cluster-admin", subjects, source)
            self.bindings["", f"{about}: AlwaysAllow"] = binding
        if found.decides:
            why = f"{found.decides} may allow more than RBAC does"
            self.unknowns.append(Unknown(self.name, None, about, why))

    def _etcd(self, node: str, name: str, folders: tuple[str, ...]) -> None:
        self.etcd_data += [(node, folder) for folder in folders]
        if "" in folders:
            why = f"where it keeps its data on {node}: a pod with that folder reads the secrets"
            self.unknowns.append(Unknown(self.name, None, f"Pod {name}", why))

    def finish(self) -> Dump:
        """Return the dump, with an unknown for every kind that is missing."""
        self._add_pods_of_templates()
        for item in self.late:
            try:
                name = text_of(item, "metadata", "name")
                self.pod(item, _namespace(item, "Pod"), name, late=True)
            except ValueError as error:
                shown = str(item.get("metadata", ""))[:60]
                self.unknowns.append(Unknown(self.name, None, f"Pod {shown}", str(error)))
        self.late.clear()
        if self.apiserver_of_nodes and not self.apiservers:
            self.apiservers.append(Apiserver(Features(complete=False), decides=ITS_APISERVER))
            why = f"{ITS_APISERVER}, may allow more than RBAC does"
            self.unknowns.append(Unknown(self.name, None, self.apiserver_of_nodes, why))
        elif self.nodes and not self.apiservers:
            self.unknowns_beside.append(Unknown(self.name, None, NO_APISERVER, ITS_FLAGS_ARE))
        for namespace, owner, _, _, _, made_by in self.groups:
            self.workloads.add((str(made_by), str(namespace), str(owner)))
        missing = {
            kind: Unknown(self.name, None, f"no {kind} in the dump", f"not known: {why}")
            for kind, why in KINDS.items()
            if kind not in self.kinds
        }
        lacking = self._lacking()
        partial = [*self._missing_namespaces(lacking)]
        # a cluster may have no secret; the steps that depend on one say so
        gaps = [it for kind, it in missing.items() if kind != "Secret"]
        return Dump(
            name=self.name,
            kinds=frozenset(self.kinds),
            nodes=tuple(self.nodes.values()),
            namespaces=tuple(self.namespaces.values()),
            pods=tuple(self._groups()),
            accounts=tuple(self.accounts.values()),
            secrets=tuple(self.secrets.values()),
            configs=tuple(self.configs),
            services=tuple(it for it in self.network if isinstance(it, Service)),
            endpoints=tuple(self._endpoint(it) for it in self.network if isinstance(it, Endpoint)),
            network_policies=tuple(it for it in self.network if isinstance(it, NetworkPolicy)),
            ingresses=tuple(it for it in self.network if isinstance(it, Ingress)),
            other_policies=frozenset(self.other_policies),
            rbac=Rbac(
                tuple(aggregated(self.roles.values())),
                tuple(self.bindings.values()),
                self._missing_rbac(lacking),
            ),
            aggregated=frozenset(it.name for it in self.roles.values() if it.selectors),
            workloads=frozenset(self.workloads),
            unknowns=(
                *self.refused,
                *partial,
                *self.unread,
                *self.unknowns,
                *missing.values(),
                *self._missing_roles(lacking),
                *self._missing_workloads(),
                *self._missing_objects(),
                *self.unknowns_beside,
            ),
            unread=tuple(self.unread),
            gaps=(*self.refused, *partial, *self.unread, *self.unknowns, *gaps),
            apiservers=tuple(self.apiservers),
            open_ports=tuple(self.open_ports),
            lacking=lacking,
            etcd_data=tuple(self.etcd_data),
            extensions=tuple(self.extensions),
            custom_workloads=tuple(self.custom_workloads.values()),
            admission=Admission(
                admission_hooks(self.hooks, self.kinds),
                frozenset().union(*(it.disabled for it in self.apiservers)),
                all(it.features.complete for it in self.apiservers),
                any(it.configured for it in self.apiservers),
            ),
        )

    def _add_pods_of_templates(self) -> None:
        """Have the pods read later of workloads that have none at the moment: each may start one.

        A cron job has no pod most of the time, and a deployment may have no replicas.
        """
        running = {
            (str(made_by), str(home), str(owner)) for home, owner, _, _, _, made_by in self.groups
        }
        for item in self.late:
            with suppress(ValueError):
                owner = owner_of(item, text_of(item, "spec", "nodeName"))
                running.add((owner[0], _namespace(item, "Pod"), owner[1]))
        for key in tuple(running):
            while (key := self.owners.get(key, key)) not in running:
                running.add(key)
        for key, templates in self.templates.items():
            kind, home, name = key
            follows_nodes = kind == "DaemonSet" and "Pod" in self.kinds
            if key in running or follows_nodes:
                continue
            for template in templates:
                about: dict[str, Any] = {"name": name, "namespace": home}
                about["ownerReferences"] = [{"kind": kind, "name": name}]
                with suppress(ValueError):
                    about["labels"] = mapping(template, "metadata", "labels")
                self.late.append({"metadata": about, "spec": template.get("spec")})
        self.templates.clear()

    def _endpoint(self, found: Endpoint) -> Endpoint:
        """Return an endpoint with the pods whose addresses it has."""
        owners = (self.addresses.get(it, ("", "")) for it in found.addresses)
        pods = [pod for pod in owners if pod[1]]
        return replace(found, pods=(*found.pods, *pods)) if pods else found

    def _missing_workloads(self) -> Iterator[Unknown]:
        """Yield what is not known of workloads that a rule names, and that made no pod."""
        names = {(kind, name) for kind, _, name in self.workloads}
        for found in self.roles.values():
            for rule in found.rules:
                if not rule.names or not CHANGE & set(rule.verbs):
                    continue
                for resource in rule.resources:
                    kind = WORKLOADS.get(resource, "")
                    lost = [name for name in rule.names if (kind, name) not in names]
                    if lost and kind and kind not in self.kinds:
                        what = f"no pod of {kind} {', '.join(lost)} is in the dump"
                        why = f"{what}: not known whether there is one, which {resource} would say"
                        at = found.source
                        yield Unknown(at.path, None, at.text, why)

    def _missing_objects(self) -> Iterator[Unknown]:
        """Yield what is not known of the kinds of other projects of which the dump has no object.

        It does not say whether there are any, so this is no gap.
        """
        for key, custom in self.custom_workloads.items():
            if key not in self.of_other_groups:
                name = f"{custom.resource}.{custom.group}"
                why = (
                    f"not known: which pods they may start; kubectl get {name} -A -o json has them"
                )
                yield Unknown(self.name, None, f"no {name} in the dump", why)

    def _lacking(self) -> dict[str, frozenset[str]]:
        """Return the kinds of which objects may be missing, with the namespaces whose ones it has.

        kubectl asks for the objects of one namespace or, with ``-A``, of all: a file whose objects
        are all in one namespace has perhaps no others. Every cluster has the namespace kube-system
        and the service default/kubernetes.
        """
        # of the others, a cluster may have objects in one namespace alone
        every = {*KINDS, "Service"}
        found: dict[str, frozenset[str]] = {
            kind: frozenset() for kind in sorted(every - self.kinds)
        }
        if self.every_namespace:
            return found
        of_file: dict[str, set[str]] = defaultdict(set)
        for (path, _), homes in self.homes.items():
            of_file[path] |= homes
        whole = {path for path, homes in of_file.items() if len(homes) > 1}
        whole -= {
            path
            for path, kind in self.homes
            if kind in OF_EVERY_CLUSTER and SYSTEM not in of_file[path]
        }
        for kind in sorted({kind for _, kind in self.homes} & every):
            places = {path: homes for (path, each), homes in self.homes.items() if each == kind}
            if not whole & places.keys():
                found[kind] = frozenset().union(*places.values())
        if SYSTEM not in self.namespaces:
            found["Namespace"] = frozenset(self.namespaces)
        on = {node for alike in self.groups.values() for node in alike.nodes}
        if not on <= self.nodes.keys():
            found["Node"] = frozenset(self.nodes)
        return found

    def _missing_namespaces(self, lacking: Mapping[str, frozenset[str]]) -> Iterator[Unknown]:
        """Yield what is not known of the namespaces that were not read."""
        some: dict[frozenset[str], list[str]] = defaultdict(list)
        for kind, homes in lacking.items():
            if homes and kind not in IN_NO_NAMESPACE:
                some[homes].append(kind)
        for homes, kinds in some.items():
            if kinds == ["Secret"]:
                # there may be no others; the steps that depend on one say so
                continue
            shown = f"{', '.join(sorted(kinds))} of {', '.join(sorted(homes))} alone"
            why = "not known: those of other namespaces, which kubectl get -A has"
            yield Unknown(self.name, None, shown, why)

    def _missing_rbac(self, lacking: Mapping[str, frozenset[str]]) -> frozenset[str]:
        """Return the kinds of RBAC of which some objects may not be in the dump.

        Every apiserver with RBAC makes the role cluster-admin and binds it, so all cluster roles
        have it, and all their bindings.
        """
        found = {kind for kind in RBAC_KINDS if self.unread or kind in lacking}
        if RBAC_KINDS["ClusterRole"] not in self.roles:
            found.add("ClusterRole")
        if not self.every_namespace and RBAC_KINDS["ClusterRoleBinding"] not in self.bindings:
            found.add("ClusterRoleBinding")
        return frozenset(found)

    def _missing_roles(self, lacking: Mapping[str, frozenset[str]]) -> Iterator[Unknown]:
        partial = self._missing_rbac(lacking)
        for binding in self.bindings.values():
            home = "" if binding.role_kind == "ClusterRole" else binding.namespace
            if (home, binding.role) not in self.roles and binding.role != "cluster-admin":
                source, role = binding.source, f"{binding.role_kind} {binding.role}"
                why = f"{role} does not exist: the binding has no effect"
                if binding.role_kind in partial:
                    why = f"{role} is not in the dump: what the binding gives is not known"
                yield Unknown(source.path, None, source.text, why)

    def _has_user_namespaces(self, node: str) -> bool:
        """Say whether a kubelet gives pods user namespaces by default; without, it ignores them."""
        known = self.nodes.get(node)
        version = version_reported(known.version) if known else None
        return version is not None and version >= USER_NAMESPACES.on

    def _groups(self) -> Iterator[PodGroup]:
        taken: dict[tuple[str, str], int] = {}
        for key, alike in self.groups.items():
            namespace, owner, account, spec, node, made_by = key
            assert isinstance(namespace, str)
            assert isinstance(account, str)
            assert isinstance(spec, PodSpec)
            name = f"{owner} on {node}" if node else str(owner)
            count = taken[namespace, name] = taken.get((namespace, name), 0) + 1
            name = f"{name} ({count})" if count > 1 else name
            labels = tuple((key, str(value)) for key, value in alike.labels.items())
            nodes, names = tuple(alike.nodes), tuple(alike.names)
            if spec.host_users is False and not all(map(self._has_user_namespaces, nodes)):
                spec = replace(spec, host_users=None)
            by, varied = (str(owner), str(made_by)), frozenset(alike.varied)
            yield PodGroup(namespace, name, account, spec, nodes, names, labels, *by, varied)


def _namespace(item: Mapping[str, Any], kind: str) -> str:
    """Return an object's namespace; kubectl puts a manifest that has none into the default one."""
    found = text_of(item, "metadata", "namespace")
    return found or ("" if kind in IN_NO_NAMESPACE or kind in HOOK_KINDS else "default")


def _shown(kind: str, namespace: str, name: str) -> str:
    return f"{kind} {namespace}/{name}" if namespace else f"{kind} {name}"


def _node(to: Builder, item: Mapping[str, Any], namespace: str, name: str, at: Source) -> None:
    labels = mapping(item, "metadata", "labels")
    control_plane = any(label in labels for label in CONTROL_PLANE_LABELS)
    if not to.apiserver_of_nodes and not labels.keys().isdisjoint(MICROK8S):
        to.apiserver_of_nodes = str(at)
    version = text_of(item, "status", "nodeInfo", "kubeletVersion")
    cloud = text_of(item, "spec", "providerID").partition(":")[0]
    hides = text_of(labels, HIDES_METADATA) == "true"
    cloud = cloud if cloud in CLOUDS else ""
    to.nodes[name] = ClusterNode(name, control_plane, version, cloud, hides)


def _one_namespace(to: Builder, item: Mapping[str, Any], _: str, name: str, at: Source) -> None:
    labels = mapping(item, "metadata", "labels")
    to.namespaces[name] = Namespace(name, text_of(labels, ENFORCE_LABEL), labels)


def _pod(to: Builder, item: Mapping[str, Any], namespace: str, name: str, at: Source) -> None:
    metadata = mapping(item, "metadata")
    spec = item.get("spec")
    if isinstance(spec, dict) and has_claims(spec):
        # what it mounts depends on its claims and their volumes
        to.late.append(item)
    elif "uid" in metadata or "ServiceAccount" in to.kinds:
        to.pod(item, namespace, name)
    else:
        # whether a pod in a manifest gets a token depends on its service account
        to.late.append(item)


def _volume(to: Builder, item: Mapping[str, Any], namespace: str, name: str, at: Source) -> None:
    to.claims.add_volume(name, item)


def _claim(to: Builder, item: Mapping[str, Any], namespace: str, name: str, at: Source) -> None:
    to.claims.add_claim(namespace, name, item)


def _account(to: Builder, item: Mapping[str, Any], namespace: str, name: str, at: Source) -> None:
    automount = truth(item, "automountServiceAccountToken")
    to.accounts[namespace, name] = Account(namespace, name, automount)


def _secret(to: Builder, item: Mapping[str, Any], namespace: str, name: str, at: Source) -> None:
    kind = text_of(item, "type")
    account = (
        text_of(item, "metadata", "annotations", ACCOUNT_ANNOTATION) if "token" in kind else ""
    )
    groups = None
    if kind == BOOTSTRAP_TOKEN and (data := mapping(item, "data")):
        if _plain(data, "usage-bootstrap-authentication") != "true":
            kind = f"{kind}, for signing only"
        groups = tuple(filter(None, _plain(data, "auth-extra-groups").split(",")))
    holds = contents_of(item, kind)
    to.secrets[namespace, name] = SecretName(namespace, name, kind, account, groups, holds)


def _config(to: Builder, item: Mapping[str, Any], namespace: str, name: str, at: Source) -> None:
    data = mapping(item, "data")
    if holds := credentials_in({key: text_of(data, key) for key in data}):
        to.configs.append(SecretName(namespace, name, "ConfigMap", holds=holds))
    if namespace == SYSTEM and name.startswith("kubelet-config"):
        try:
            to.open_ports += [("", it) for it in open_kubelets(text_of(data, "kubelet"), name)]
        except ConfigError as error:
            raise ValueError(str(error)) from error


def _plain(data: Mapping[str, Any], key: str) -> str:
    """Return the groups or the usage of a bootstrap token, which are not secret."""
    try:
        return base64.b64decode(text_of(data, key), validate=True).decode()
    except ValueError as error:
        raise ValueError(f"data.{key}: not a text in base64") from error


def _workload(to: Builder, item: Mapping[str, Any], namespace: str, name: str, at: Source) -> None:
    # the reader of a kind does not know its kind, and the source names it
    kind = at.text.partition(" ")[0]
    to.workloads.add((kind, namespace, name))
    place = ("spec", "jobTemplate", "spec") if kind == "CronJob" else ("spec",)
    template = mapping(item, *place, "template")
    to.made_by(item, (kind, namespace, name))
    # an older version of a deployment is a replica set of it
    made = kind in ("Job", "ReplicaSet") and sequence(item, "metadata", "ownerReferences")
    if kind in STARTED_LATER and template and not made and not _has_ended(item):
        to.start_later((kind, namespace, name), template)


def _has_ended(item: Mapping[str, Any]) -> bool:
    """Say whether a job has ended: then it starts no pods any more."""
    found = (it for it in sequence(item, "status", "conditions") if isinstance(it, dict))
    return any(it.get("type") in ENDED and it.get("status") == "True" for it in found)


def _hook(to: Builder, item: Mapping[str, Any], namespace: str, name: str, at: Source) -> None:
    # in a list, an object may not repeat its kind
    to.hooks.append(({**item, "kind": at.text.partition(" ")[0]}, at))


def _extension(to: Builder, item: Mapping[str, Any], _: str, name: str, at: Source) -> None:
    kind = at.text.partition(" ")[0]
    found = extension_of(item, kind, name)
    if found is not None:
        to.extensions.append(found)
    custom = kind_of_definition(item) if kind == "CustomResourceDefinition" else None
    if custom is not None:
        # the name that was guessed of an object may be wrong
        to.custom_workloads[custom.group, custom.kind] = custom


def _role(to: Builder, item: Mapping[str, Any], namespace: str, name: str, at: Source) -> None:
    rules = tuple(
        RbacRule(
            verbs=words(rule, "verbs"),
            api_groups=words(rule, "apiGroups"),
            resources=words(rule, "resources"),
            names=words(rule, "resourceNames"),
            paths=words(rule, "nonResourceURLs"),
        )
        for rule in sequence(item, "rules")
    )
    selectors = tuple(sequence(item, "aggregationRule", "clusterRoleSelectors"))
    for selector in selectors:
        # refuse a malformed selector here, where the object is known
        selects(selector, {})
    labels = mapping(item, "metadata", "labels")
    to.roles[namespace, name] = RbacRole(name, namespace, rules, at, labels, selectors)


def _binding(to: Builder, item: Mapping[str, Any], namespace: str, name: str, at: Source) -> None:
    # in OpenShift's own group, a role's namespace says which kind it is
    usual = "Role" if text_of(item, "roleRef", "namespace") else "ClusterRole"
    to.bindings[namespace, name] = Binding(
        name=name,
        namespace=namespace,
        role_kind=text_of(item, "roleRef", "kind") or usual,
        role=text_of(item, "roleRef", "name"),
        subjects=tuple(
            (
                text_of(who, "kind").removeprefix("System"),
                text_of(who, "namespace"),
                text_of(who, "name"),
            )
            for who in sequence(item, "subjects")
        ),
        source=at,
    )


READERS: dict[str, Callable[[Builder, Mapping[str, Any], str, str, Source], None]] = {
    "Node": _node,
    "Namespace": _one_namespace,
    "Pod": _pod,
    "PersistentVolume": _volume,
    "PersistentVolumeClaim": _claim,
    "ServiceAccount": _account,
    "Secret": _secret,
    "ConfigMap": _config,
    "Role": _role,
    "ClusterRole": _role,
    "RoleBinding": _binding,
    "ClusterRoleBinding": _binding,
    **dict.fromkeys((*WORKLOADS.values(), "Job"), _workload),
    **dict.fromkeys(HOOK_KINDS, _hook),
    **dict.fromkeys(EXTENSIONS, _extension),
}
