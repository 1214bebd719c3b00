"""The permissions of RBAC that get their holder further: one row each.

A row says which verbs on which resource make up the permission, whether a RoleBinding can give
it, and what its holder has by it alone. What permissions give only together is in
:mod:`~labkit.analysis.attack_graph.from_objects.bindings`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import TypeAlias

from labkit.analysis.attack_graph.from_objects.builder import (
    ClusterIndex,
    account,
    doubts,
    inside,
)
from labkit.analysis.attack_graph.from_objects.consequences import (
    BY_PORT,
    MASTERS,
    Consequences,
)
from labkit.analysis.attack_graph.from_objects.entry_points import FLAW, pods_behind
from labkit.cluster.objects.facts import CustomWorkload
from labkit.cluster.policies import RbacRole, RbacRule
from labkit.model import Foothold
from labkit.model.admission_hooks import operation_of
from labkit.model.footholds import CALLS
from labkit.model.rules import Action
from labkit.model.secret_readers import ALL_AT_ONCE, BY_NAME

__all__ = [
    "CHANGEABLE",
    "PERMISSIONS",
    "RBAC",
    "STARTING",
    "WORKLOADS",
    "Grant",
    "Held",
    "allows",
    "everything",
    "homes_of_workloads",
    "permissions_of",
    "permissions_to_ask",
    "plain_name",
]

#: Verb, API group and resource.
Request: TypeAlias = tuple[str, str, str]

RBAC, CERTIFICATES = "rbac.authorization.k8s.io", "certificates.k8s.io"
ADMISSION, AUTHENTICATION = "admissionregistration.k8s.io", "authentication.k8s.io"
#: The first version that knows constrained impersonation, in alpha; on by default since 1.36.
#: https://kubernetes.io/docs/reference/access-authn-authz/user-impersonation/ and KEP-5284
CONSTRAINED_IMPERSONATION = (1, 35)
CREATE, CHANGE = ("create",), ("update", "patch")
#: The verbs of the methods of HTTP, which a proxy takes all.
ANY_METHOD = ("get", "create", "update", "patch", "delete")
#: The verbs whose requests name no object.
#: https://kubernetes.io/docs/reference/access-authn-authz/rbac/#referring-to-resources
NAMELESS = ("create", "deletecollection")
BY_DELETION = ("delete", "deletecollection")
WORKLOADS = (
    ("apps", "deployments"),
    ("apps", "daemonsets"),
    ("apps", "statefulsets"),
    ("apps", "replicasets"),
    ("batch", "jobs"),
    ("batch", "cronjobs"),
    ("", "replicationcontrollers"),
)
#: Controllers that do with rights of their own what some resources ask, with the API group and the
#: resources; True if they do anything in the cluster, False if they start pods in the namespace.
CONTROLLERS = (
    # https://argo-cd.readthedocs.io/en/stable/operator-manual/security/ and .../app-any-namespace/
    ("Argo CD", "argoproj.io", "applications applicationsets appprojects", True),
    ("Argo Workflows", "argoproj.io", "cronworkflows workflows workflowtemplates", False),
    # https://fluxcd.io/flux/installation/configuration/multitenancy/
    ("Flux", "kustomize.toolkit.fluxcd.io", "kustomizations", True),
    ("Flux", "helm.toolkit.fluxcd.io", "helmreleases", True),
    # https://docs.k3s.io/helm and https://docs.k3s.io/upgrades/automated
    ("the Helm controller of k3s", "helm.cattle.io", "helmchartconfigs helmcharts", True),
    ("the system upgrade controller", "upgrade.cattle.io", "plans", True),
    ("Rancher", "management.cattle.io", "clusterroletemplatebindings globalrolebindings", True),
    # https://olm.operatorframework.io/docs/advanced-tasks/operator-scoping-with-operatorgroups/
    (
        "the Operator Lifecycle Manager",
        "operators.coreos.com",
        "clusterserviceversions installplans subscriptions",
        True,
    ),
    # https://docs.openshift.com/container-platform/4.16/rest_api/
    (
        "the Machine Config Operator",
        "machineconfiguration.openshift.io",
        "kubeletconfigs machineconfigs",
        True,
    ),
    ("OpenShift", "apps.openshift.io", "deploymentconfigs", False),
    ("OpenShift", "build.openshift.io", "buildconfigs builds", False),
    # https://kyverno.io/docs/policy-types/cluster-policy/generate/
    ("Kyverno", "kyverno.io", "clusterpolicies", True),
    ("Crossplane", "kubernetes.crossplane.io", "objects", True),
    ("Crossplane", "helm.crossplane.io", "releases", True),
    # https://tekton.dev/docs/pipelines/taskruns/: a run names its service account
    ("Tekton", "tekton.dev", "pipelineruns taskruns", False),
    ("Knative", "serving.knative.dev", "services", False),
    ("KubeVirt", "kubevirt.io", "virtualmachineinstances virtualmachines", False),
    ("KEDA", "keda.sh", "scaledjobs", False),
    ("Volcano", "batch.volcano.sh", "jobs", False),
    ("JobSet", "jobset.x-k8s.io", "jobsets", False),
    ("OpenKruise", "apps.kruise.io", "clonesets daemonsets statefulsets", False),
    ("the Spark operator", "sparkoperator.k8s.io", "sparkapplications", False),
    ("KubeRay", "ray.io", "rayclusters rayjobs rayservices", False),
)
#: Whose pod template can be changed (that of a Job cannot), and the kind of each.
CHANGEABLE = {
    ("apps", "deployments"): "Deployment",
    ("apps", "daemonsets"): "DaemonSet",
    ("apps", "statefulsets"): "StatefulSet",
    ("apps", "replicasets"): "ReplicaSet",
    ("batch", "cronjobs"): "CronJob",
    ("", "replicationcontrollers"): "ReplicationController",
}

POD = ("", "pods")
#: The kinds of what makes pods, by the resources whose objects have the template of these pods.
MADE_BY = {
    **{resource: (kind,) for resource, kind in CHANGEABLE.items()},
    ("apps", "replicasets"): ("ReplicaSet", "Deployment"),
    ("batch", "jobs"): ("Job", "CronJob"),
}
#: What a controller sends in turn for a request about a resource; it passes admission as well.
FOLLOW_UPS = {
    ("apps", "deployments"): Action("create", "replicasets", "apps"),
    ("batch", "cronjobs"): Action("create", "jobs", "batch"),
    # the token of a new secret, and the certificate of a request
    ("", "secrets"): Action("update", "secrets"),
    (CERTIFICATES, "certificatesigningrequests"): Action(
        "update", "certificatesigningrequests/status", CERTIFICATES
    ),
}


@dataclass(frozen=True, slots=True)
class Grant:
    """A permission that somebody has somewhere.

    Attributes
    ----------
    consequences : Consequences
    who : Foothold
    namespace : str
        Empty for all of them.
    held : Held
        The permission.
    because : tuple of str
        The binding and the role.
    doubt : str
        What has to be found out about admission; empty for nothing.
    """

    consequences: Consequences
    who: Foothold
    namespace: str
    held: Held
    because: tuple[str, ...]
    doubt: str = ""

    @property
    def names(self) -> tuple[str, ...]:
        """The rule's resourceNames; empty for any object."""
        return self.held.names

    def step(
        self, name: str, grants: Iterable[Foothold], cost: float = 1.0, unknown: str = ""
    ) -> None:
        """Add a step of the permission's holder."""
        unknown = doubts(unknown, self.doubt)
        self.consequences.builder.add(name, self.who, grants, self.because, cost, unknown)


@dataclass(frozen=True, slots=True)
class Permission:
    """One permission of RBAC.

    Attributes
    ----------
    name : str
    resources : tuple of (str, str)
        API group and resource; one of them is enough.
    verbs : tuple of str
        One of them is enough.
    alone : callable or None
        Adds the steps that it gives by itself, for a :class:`Grant`; None where it gives
        something only together with another.
    cluster_scoped : bool
        What it is about is in no namespace, so a RoleBinding gives nothing of it.
    at_kubelet : bool
        The request goes to a kubelet, and does not pass the apiserver's admission.
    """

    name: str
    resources: tuple[tuple[str, str], ...]
    verbs: tuple[str, ...]
    alone: Callable[[Grant], None] | None = None
    cluster_scoped: bool = False
    at_kubelet: bool = False


def _read_secrets(it: Grant, cost: float) -> None:
    if not it.names:
        it.step("read-secrets", [it.consequences.reads_secrets(it.namespace)], cost)
        return
    named = it.consequences.cluster.tokens_named
    for name in it.names:
        homes = [it.namespace] if it.namespace else [s.namespace for s in named.get(name, ())]
        for home in homes:
            foothold = Foothold("secret", f"{home}/{name}")
            it.step("read-secrets", [foothold], cost)
            it.consequences.builder.once(
                foothold, partial(it.consequences.in_secret, foothold, home, name)
            )


def _read_configs(it: Grant) -> None:
    """Add the steps to the ConfigMaps that hold a credential."""
    to = it.consequences
    for (home, name), config in to.cluster.stored_configs.items():
        if it.namespace in ("", home) and (not it.names or name in it.names):
            it.step("read-config", [to.in_config(config)])


def _read_pods(it: Grant) -> None:
    """Add the steps to the credentials in the specifications of pods, or of what makes pods."""
    to, resources = it.consequences, {(group, name) for _, group, name in it.held.requests}
    for pods in to.cluster.with_credential:
        if it.namespace not in ("", pods.namespace):
            continue
        read = POD in resources and (not it.names or bool({*it.names} & {*pods.pods}))
        if any(pods.kind in MADE_BY.get(resource, ()) for resource in resources):
            # the name of a replica set begins with that of its deployment
            read |= not it.names or any(
                f"{name}-".startswith(f"{pods.owner}-") for name in it.names
            )
        if read:
            it.step("read-pod", [to.in_spec(pods)])


def _get_secrets(it: Grant) -> None:
    # without list, the name has to be known
    _read_secrets(it, 1.0 if it.names else 2.0)


def _named_accounts(it: Grant, name: str) -> None:
    of = it.consequences.cluster.accounts_of
    homes = [it.namespace] if it.namespace else list(of)
    it.step(name, [account(h, each) for h in homes for each in it.names if each in of.get(h, ())])


def _request_tokens(it: Grant) -> None:
    if it.names:
        _named_accounts(it, "token-request")
    else:
        it.step("token-request", [it.consequences.makes_tokens(it.namespace)])


def _start_pods(it: Grant, name: str, cost: float) -> None:
    it.step(name, [it.consequences.starts_pods(it.namespace)], cost)


def _change_workloads(it: Grant) -> None:
    if not it.names:
        _start_pods(it, "change-workload", 1.5)
        return
    for home, unknown in homes_of_workloads(it).items():
        it.step("change-workload", [it.consequences.starts_pods(home)], 1.5, unknown)


def homes_of_workloads(it: Grant) -> dict[str, str]:
    """Return the namespaces, out of those of a grant, that have a workload of one of its names.

    Each is with what has to be found out: a workload without pods is in no dump without its kind.
    """
    cluster = it.consequences.cluster
    homes = [it.namespace] if it.namespace else list(cluster.namespaces)
    there, kind = cluster.dump.workloads, CHANGEABLE.get(it.held.resource, "")
    found = {h: "" for h in homes if any((kind, h, name) in there for name in it.names)}
    if kind and kind not in cluster.dump.kinds:
        unknown = f"whether there is a {kind} {', '.join(it.names)}: none is in the dump"
        found = {home: found.get(home, unknown) for home in homes}
    return found


def _enter_pods(it: Grant, name: str, cost: float, unknown: str = "") -> None:
    if it.names:
        found = it.consequences.cluster.named(it.namespace, it.names)
        it.step(name, map(inside, found), cost, unknown)
    else:
        it.step(name, [it.consequences.enters(it.namespace)], cost, unknown)


def _exec_by_get(it: Grant) -> None:
    unknown = it.consequences.cluster.exec_by_get
    if unknown is not None:
        _enter_pods(it, "exec-by-websocket", 1.5, unknown)


def _debug(it: Grant) -> None:
    if it.names:
        _enter_pods(it, "debug-container", 1.0)
        for pods in it.consequences.cluster.named(it.namespace, it.names):
            it.step("privileged-debug-container", it.consequences.by_debugging(pods))
    else:
        it.step("debug-container", [it.consequences.debugs(it.namespace)])


def plain_name(name: str) -> str:
    """Return the name of an object in a request for a proxy, which may have a scheme and a port.

    Examples
    --------
    >>> plain_name("https:web:8443"), plain_name("web:80"), plain_name("web")
    ('web', 'web', 'web')
    """
    parts = name.split(":")
    return parts[len(parts) > 2]


def _forward_ports(it: Grant, name: str) -> None:
    """Add the steps of one who reaches ports through the apiserver, wherever they call it from."""
    to = it.consequences
    if name == "proxy":
        it.step(name, [CALLS])
    if not it.names:
        it.step(name, [to.reaches_ports(it.namespace)])
        return
    cluster = to.cluster
    names = [plain_name(each) for each in it.names]
    if it.held.resource[1] == "services/proxy":
        services = (
            service
            for (home, each), service in cluster.services.items()
            if each in names and it.namespace in ("", home)
        )
        found = [pods for service in services for pods in pods_behind(cluster, service)]
    else:
        found = cluster.named(it.namespace, names)
    it.step(name, map(inside, found), FLAW, BY_PORT)


def _proxy_to_nodes(it: Grant) -> None:
    it.step("proxy", [CALLS])


def _send_tokens_to_kubelets(it: Grant) -> None:
    """Add the steps of root on a node to the accounts of pods that call its kubelet.

    What collects metrics sends its own token to each of them, so root on a node gets it.
    """
    to, cluster = it.consequences, it.consequences.cluster
    _, _, home, name = (*str(it.who.where).split(":"), "", "", "", "")[:4]
    if it.who not in (
        account(each.namespace, each.account) for each in cluster.pods_of.get(home, ())
    ):
        return
    nodes = [node for node in cluster.nodes if not it.names or node in it.names]
    for node in nodes:
        unknown = f"whether a pod of {home}/{name} calls the kubelet of {node} with its token"
        root, why = Foothold("root", node), it.because
        to.builder.add("kubelet-caller-token", root, [it.who], why, 2.0, unknown)


def _call_kubelets(it: Grant) -> None:
    known = it.consequences.cluster.nodes
    nodes = [it.consequences.enters_on(node) for node in it.names if node in known]
    it.step("exec-through-kubelet", nodes if it.names else [it.consequences.enters("")])


def _create_mutating_webhooks(it: Grant) -> None:
    it.step("mutating-webhook", [it.consequences.privileged()], 3.0)


def _change_mutating_webhooks(it: Grant) -> None:
    named = f" {', '.join(it.names)}" if it.names else ""
    unknown = f"whether there is a MutatingWebhookConfiguration{named}"
    it.step("mutating-webhook", [it.consequences.privileged()], 3.0, unknown)


def _impersonate_accounts(it: Grant) -> None:
    if it.names:
        _named_accounts(it, "impersonate")
    else:
        it.step("impersonate", [it.consequences.impersonates(it.namespace)])


def _impersonate_users(it: Grant) -> None:
    if not it.names:
        it.step("impersonate", [it.consequences.any_user()])
        return
    # the apiserver asks for serviceaccounts where the name is one
    plain = [name for name in it.names if not name.startswith("system:serviceaccount:")]
    it.step("impersonate", [Foothold("is", name) for name in plain])


def _impersonate_groups(it: Grant) -> None:
    to = it.consequences
    it.step("impersonate", [to.in_group(name) for name in it.names or (MASTERS,)])


def _impersonate_nodes(it: Grant) -> None:
    known = it.consequences.cluster.nodes
    nodes = [name.removeprefix("system:node:") for name in it.names] or known
    it.step("impersonate", [it.consequences.kubelet(name) for name in nodes if name in known])


def _impersonate_for_some(it: Grant, impersonate: Callable[[Grant], None]) -> None:
    """Add the steps of one who may make some requests as another: constrained impersonation."""
    if it.consequences.cluster.versions[-1] >= CONSTRAINED_IMPERSONATION:
        unknown = "which requests the verbs impersonate-on allow"
        impersonate(replace(it, doubt=doubts(it.doubt, unknown)))


def _see_secrets(it: Grant) -> None:
    unknown = "which secrets are written while the webhook sees them"
    it.step("validating-webhook", [it.consequences.reads_secrets("")], 3.0, unknown)


def _answer_for_groups(it: Grant, unknown: str) -> None:
    """Add the step of one whose own server answers, through the apiserver, for a group.

    Controllers do what the objects of that group ask, and RBAC's authorizer reads its own ones.
    """
    it.step("aggregated-apiserver", [it.consequences.admin()], 3.0, unknown)


def _convert_objects(it: Grant) -> None:
    """Add the step of one whose own webhook is sent every object of a custom resource.

    It may change what is read and written, but for names, and controllers act by it.
    """
    named = f" of {', '.join(it.names)}" if it.names else ""
    unknown = f"whether a controller does more than its caller may by what objects{named} ask"
    it.step("conversion-webhook", [it.consequences.admin()], 3.0, unknown)


def _redirect_services(it: Grant) -> None:
    """Add the steps of one who says which pods are behind services that the apiserver calls.

    Slices of endpoints and pods have names of their own.
    """
    of_services = it.held.resource in (("", ""), ("", "services"), ("", "endpoints"))
    for home, name in it.consequences.cluster.called:
        if it.namespace in ("", home) and (not it.names or not of_services or name in it.names):
            unknown = f"whether the apiserver takes the certificate of another server for {name}"
            it.step("redirect-service", [Foothold("answers", f"{home}/{name}")], 2.0, unknown)


def _map_cloud_users(it: Grant) -> None:
    """Add the step of one who says, in the ConfigMap aws-auth, which users of AWS are who here.

    https://docs.aws.amazon.com/eks/latest/userguide/auth-configmap.html
    """
    here = it.namespace in ("", "kube-system") and (not it.names or "aws-auth" in it.names)
    if here and "aws" in it.consequences.cluster.clouds:
        unknown = "whether the cluster takes its users from the ConfigMap aws-auth, as EKS may"
        it.step("cloud-users", [it.consequences.admin()], 1.5, unknown)


def _ask_controller(it: Grant, name: str, everything: bool) -> None:
    to = it.consequences
    grant = to.admin() if everything else to.starts_pods(it.namespace)
    asked = ", ".join(dict.fromkeys(resource for _, _, resource in it.held.requests))
    unknown = f"whether {name} runs, and does what {asked} ask with rights of its own"
    it.step("ask-controller", [grant], 2.0, unknown)


def _core(*resources: str) -> tuple[tuple[str, str], ...]:
    return tuple(("", it) for it in resources)


def _rbac(resource: str) -> tuple[tuple[str, str], ...]:
    return ((RBAC, resource),)


def _certificates(resource: str) -> tuple[tuple[str, str], ...]:
    return ((CERTIFICATES, resource),)


PERMISSIONS = (
    Permission("list secrets", _core("secrets"), ALL_AT_ONCE, partial(_read_secrets, cost=1.0)),
    Permission("get secrets", _core("secrets"), BY_NAME, _get_secrets),
    Permission("read configs", _core("configmaps"), (*ALL_AT_ONCE, *BY_NAME), _read_configs),
    Permission("create secrets", _core("secrets"), ("create",)),
    Permission("read pods", (POD, *MADE_BY), (*ALL_AT_ONCE, *BY_NAME), _read_pods),
    Permission("request tokens", _core("serviceaccounts/token"), ("create",), _request_tokens),
    Permission(
        "create pods",
        _core("pods"),
        ("create",),
        partial(_start_pods, name="create-pod", cost=1.0),
    ),
    Permission(
        "change pods",
        _core("pods"),
        CHANGE,
        partial(_enter_pods, name="replace-image", cost=2.0),
    ),
    Permission(
        "exec", _core("pods/exec"), ("create",), partial(_enter_pods, name="exec", cost=1.0)
    ),
    Permission("exec by get", _core("pods/exec"), ("get",), _exec_by_get),
    # only a process that reads commands does what one says
    Permission(
        "attach", _core("pods/attach"), ("create",), partial(_enter_pods, name="attach", cost=3.0)
    ),
    Permission("debug", _core("pods/ephemeralcontainers"), CHANGE, _debug),
    # a websocket begins with a GET
    Permission(
        "forward",
        _core("pods/portforward"),
        ("create", "get"),
        partial(_forward_ports, name="port-forward"),
    ),
    Permission(
        "proxy to ports",
        _core("services/proxy", "pods/proxy"),
        ANY_METHOD,
        partial(_forward_ports, name="proxy"),
    ),
    # the apiserver sends its certificate for kubelets to whatever the status of a node names
    Permission(
        "proxy to nodes", _core("nodes/proxy"), ANY_METHOD, _proxy_to_nodes, cluster_scoped=True
    ),
    Permission("change node status", _core("nodes/status"), CHANGE, cluster_scoped=True),
    Permission(
        "call kubelets",
        _core(*(f"nodes/{it}" for it in ("proxy", "metrics", "stats", "log", "pods", "configz"))),
        ("get", "create"),
        _send_tokens_to_kubelets,
        cluster_scoped=True,
        at_kubelet=True,
    ),
    # a websocket begins with a GET: the kubelet takes "get" for enough to exec
    Permission(
        "kubelet",
        _core("nodes/proxy"),
        ("get", "create"),
        _call_kubelets,
        cluster_scoped=True,
        at_kubelet=True,
    ),
    Permission(
        "create workloads",
        WORKLOADS,
        ("create",),
        partial(_start_pods, name="create-pod", cost=1.0),
    ),
    Permission("change workloads", tuple(CHANGEABLE), CHANGE, _change_workloads),
    Permission("bind clusterroles", _rbac("clusterroles"), ("bind",)),
    Permission("bind roles", _rbac("roles"), ("bind",)),
    Permission(
        "create clusterrolebindings", _rbac("clusterrolebindings"), CREATE, cluster_scoped=True
    ),
    Permission(
        "change clusterrolebindings", _rbac("clusterrolebindings"), CHANGE, cluster_scoped=True
    ),
    Permission("create rolebindings", _rbac("rolebindings"), CREATE),
    Permission("change rolebindings", _rbac("rolebindings"), CHANGE),
    Permission("escalate clusterroles", _rbac("clusterroles"), ("escalate",), cluster_scoped=True),
    Permission("escalate roles", _rbac("roles"), ("escalate",)),
    Permission("create clusterroles", _rbac("clusterroles"), CREATE, cluster_scoped=True),
    Permission("change clusterroles", _rbac("clusterroles"), CHANGE, cluster_scoped=True),
    Permission("create roles", _rbac("roles"), CREATE),
    Permission("change roles", _rbac("roles"), CHANGE),
    Permission(
        "impersonate users",
        _core("users"),
        ("impersonate",),
        _impersonate_users,
        cluster_scoped=True,
    ),
    Permission("impersonate groups", _core("groups"), ("impersonate",), cluster_scoped=True),
    Permission(
        "impersonate accounts", _core("serviceaccounts"), ("impersonate",), _impersonate_accounts
    ),
    Permission(
        "create requests",
        _certificates("certificatesigningrequests"),
        ("create",),
        cluster_scoped=True,
    ),
    Permission(
        "approve requests",
        _certificates("certificatesigningrequests/approval"),
        CHANGE,
        cluster_scoped=True,
    ),
    Permission("approve for signers", _certificates("signers"), ("approve",), cluster_scoped=True),
    # the controller of certificates approves these by itself
    Permission(
        "approved automatically",
        _certificates("certificatesigningrequests/nodeclient"),
        CREATE,
        cluster_scoped=True,
    ),
    Permission("change namespaces", _core("namespaces"), CHANGE),
    Permission("change nodes", _core("nodes"), CHANGE, cluster_scoped=True),
    Permission("bind pods to nodes", _core("pods/binding", "bindings"), CREATE),
    *(
        Permission(
            f"{verb} apiservices",
            (("apiregistration.k8s.io", "apiservices"),),
            verbs,
            partial(_answer_for_groups, unknown=unknown),
            cluster_scoped=True,
        )
        for verb, verbs, unknown in (
            ("create", CREATE, "what clients do with the answers of a group that nobody serves"),
            (
                "change",
                CHANGE,
                "whether the apiserver reaches a server of the attacker, and for which group",
            ),
        )
    ),
    Permission(
        "write custom resource definitions",
        (("apiextensions.k8s.io", "customresourcedefinitions"),),
        (*CREATE, *CHANGE),
        _convert_objects,
        cluster_scoped=True,
    ),
    Permission("map users of a cloud", _core("configmaps"), (*CREATE, *CHANGE), _map_cloud_users),
    Permission("change services", _core("services"), CHANGE, _redirect_services),
    Permission(
        "write endpoints",
        (*_core("endpoints"), ("discovery.k8s.io", "endpointslices")),
        (*CREATE, *CHANGE),
        _redirect_services,
    ),
    Permission("read node logs", _core("nodes/log"), ("get",), cluster_scoped=True),
    Permission("create volumes", _core("persistentvolumes"), CREATE, cluster_scoped=True),
    Permission("delete secrets", _core("secrets"), ("delete",)),
    Permission(
        "create mutating webhooks",
        ((ADMISSION, "mutatingwebhookconfigurations"),),
        CREATE,
        _create_mutating_webhooks,
        cluster_scoped=True,
    ),
    Permission(
        "change mutating webhooks",
        ((ADMISSION, "mutatingwebhookconfigurations"),),
        CHANGE,
        _change_mutating_webhooks,
        cluster_scoped=True,
    ),
    *(
        Permission(
            f"impersonate {kind} for some requests",
            ((AUTHENTICATION, resource),),
            verbs,
            partial(_impersonate_for_some, impersonate=impersonate),
            cluster_scoped=resource != "serviceaccounts",
        )
        for kind, resource, verbs, impersonate in (
            ("users", "users", ("impersonate:user-info",), _impersonate_users),
            ("groups", "groups", ("impersonate:user-info",), _impersonate_groups),
            (
                "accounts",
                "serviceaccounts",
                ("impersonate:serviceaccount",),
                _impersonate_accounts,
            ),
            (
                "nodes",
                "nodes",
                ("impersonate:arbitrary-node", "impersonate:associated-node"),
                _impersonate_nodes,
            ),
        )
    ),
    Permission(
        "write validating webhooks",
        ((ADMISSION, "validatingwebhookconfigurations"),),
        (*CREATE, *CHANGE),
        _see_secrets,
        cluster_scoped=True,
    ),
    *(
        Permission(
            f"ask {name}",
            tuple((group, resource) for resource in resources.split()),
            (*CREATE, *CHANGE),
            partial(_ask_controller, name=name, everything=everything),
        )
        for name, group, resources, everything in CONTROLLERS
    ),
    *(
        Permission(f"{verb} {what}", ((ADMISSION, resource),), verbs, cluster_scoped=True)
        for what, resource in (
            ("mutating policies", "mutatingadmissionpolicies"),
            ("policy bindings", "mutatingadmissionpolicybindings"),
        )
        for verb, verbs in (("create", CREATE), ("change", CHANGE))
    ),
)
#: Those by which somebody starts pods of their own making.
STARTING = ("create pods", "create workloads", "change workloads")


@dataclass(frozen=True, slots=True)
class Held:
    """A permission that a role gives.

    ``names`` are the rule's resourceNames, of one resource; without them it holds for any object
    of the permission's resources. ``requests`` are the verbs, groups and resources that make it up.
    """

    permission: Permission
    names: tuple[str, ...] = ()
    resource: tuple[str, str] = ("", "")
    requests: tuple[Request, ...] = ()

    def __str__(self) -> str:
        shown = dict.fromkeys(f"{verb} {resource}" for verb, _, resource in self.requests)
        names = f" named {', '.join(self.names)}" if self.names else ""
        return f"{', '.join(shown)}{names}"

    def objection(self, cluster: ClusterIndex, namespace: str) -> str:
        """Return what has to be found out about admission for its holder; "" for nothing.

        One of its requests is enough for its holder, for each of its names.
        """
        if self.permission.at_kubelet or not cluster.hooks:
            return ""
        home = "" if self.permission.cluster_scoped else namespace
        found = (self._objection(cluster, home, request) for request in self.requests)
        return min(found, key=len, default="")

    def _objection(self, cluster: ClusterIndex, home: str, request: Request) -> str:
        verb, group, resource = request
        sent = [Action(verb, resource, group, home, name) for name in self.names or ("",)]
        follow_up = FOLLOW_UPS.get((group, resource))
        if follow_up and operation_of(sent[0]) and verb not in BY_DELETION:
            sent.append(replace(follow_up, namespace=home))
        return doubts(*map(cluster.objection, sent))


def allows(rule: RbacRule, verb: str, group: str, resource: str) -> bool:
    """Say whether a rule lets a verb through, on some object, as RBAC's authorizer matches.

    ``*/exec`` stands for that subresource of everything; ``pods/*`` stands for nothing.

    Examples
    --------
    >>> rule = RbacRule(("create",), ("",), ("pods", "*/exec"), (), ())
    >>> allows(rule, "create", "", "pods/exec"), allows(rule, "create", "", "pods/attach")
    (True, False)
    """
    if verb not in rule.verbs and "*" not in rule.verbs:
        return False
    if group not in rule.api_groups and "*" not in rule.api_groups:
        return False
    if "*" in rule.resources or resource in rule.resources:
        return True
    main, slash, sub = resource.partition("/")
    return bool(main and slash) and f"*/{sub}" in rule.resources


def everything(role: RbacRole) -> bool:
    """Say whether a role lets its holder do everything.

    Examples
    --------
    >>> from labkit.cluster import Source
    >>> rule = RbacRule(("*",), ("*",), ("*",), (), ())
    >>> everything(RbacRole("admin", "", (rule,), Source("x", None, "")))
    True
    """
    return any(
        "*" in rule.verbs and "*" in rule.api_groups and "*" in rule.resources and not rule.names
        for rule in role.rules
    )


def permissions_to_ask(kinds: Iterable[CustomWorkload]) -> tuple[Permission, ...]:
    """Return the permissions to ask the controllers of kinds whose objects make pods.

    Parameters
    ----------
    kinds : iterable of CustomWorkload
        The kinds of a cluster.

    Returns
    -------
    tuple of Permission
        Without those that the table of all clusters has.

    Examples
    --------
    >>> rollouts = CustomWorkload("argoproj.io", "rollouts", "Rollout", "v1alpha1")
    >>> jobs = CustomWorkload("ray.io", "rayjobs", "RayJob", "v1")
    >>> [it.name for it in permissions_to_ask([rollouts, jobs])]
    ['ask rollouts.argoproj.io']
    """
    known = {(group, name) for _, group, names, _ in CONTROLLERS for name in names.split()}
    return tuple(
        Permission(
            f"ask {it.resource}.{it.group}",
            ((it.group, it.resource),),
            (*CREATE, *CHANGE),
            partial(_ask_controller, name=f"the controller of {it.group}", everything=False),
            cluster_scoped=it.cluster_scoped,
        )
        for it in kinds
        if (it.group, it.resource) not in known
    )


def permissions_of(role: RbacRole, more: tuple[Permission, ...] = ()) -> tuple[Held, ...]:
    """Return the permissions of a role that get its holder further.

    Parameters
    ----------
    role : RbacRole
    more : tuple of Permission
        Beside those of all clusters.

    Returns
    -------
    tuple of Held

    Examples
    --------
    >>> from labkit.cluster import Source
    >>> rule = RbacRule(("get", "create"), ("",), ("pods",), (), ())
    >>> role = RbacRole("deployer", "", (rule,), Source("x", None, ""))
    >>> [held.permission.name for held in permissions_of(role)]
    ['read pods', 'create pods']
    """
    names: dict[tuple[str, tuple[str, str]], dict[str, None]] = {}
    requests: dict[tuple[str, tuple[str, str]], dict[Request, None]] = {}
    free: dict[str, dict[Request, None]] = {}
    rows = {row.name: row for row in (*PERMISSIONS, *more)}
    for rule in role.rules:
        for row in (*_rows_about(rule.resources), *more):
            for request in _given(rule, row):
                if not rule.names:
                    free.setdefault(row.name, {})[request] = None
                    continue
                key = row.name, request[1:]
                names.setdefault(key, {}).update(dict.fromkeys(rule.names))
                requests.setdefault(key, {})[request] = None
    named = (
        Held(rows[key[0]], tuple(some), key[1], tuple(requests[key]))
        for key, some in names.items()
        if key[0] not in free
    )
    return (*(Held(rows[name], requests=tuple(some)) for name, some in free.items()), *named)


@lru_cache(maxsize=4096)
def _rows_about(resources: tuple[str, ...]) -> tuple[Permission, ...]:
    """Return the rows that are about one of a rule's resources: many roles name the same ones."""
    if any(it.startswith("*") for it in resources):
        return PERMISSIONS
    return tuple(row for row in PERMISSIONS if any(it in resources for _, it in row.resources))


def _given(rule: RbacRule, row: Permission) -> Iterator[Request]:
    """Yield the requests by which a rule gives a permission."""
    verbs = row.verbs if "*" in rule.verbs else [it for it in row.verbs if it in rule.verbs]
    for group, resource in row.resources if verbs else ():
        for verb in verbs:
            # these requests have no name: a rule with names does not match
            if rule.names and verb in NAMELESS and "/" not in resource:
                continue
            if allows(rule, verb, group, resource):
                yield verb, group, resource
