"""The steps of the service accounts of a model of configuration, by the rights bound to them.

The manifests of an environment, or those copied beside the files of machines, are read as the
objects of a cluster are: the same rules give the same steps as in a dump. Files copied from
machines seldom hold every pod, so an account with rights of its own is taken to have a pod.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from labkit.analysis.attack_graph.from_abac import as_rbac
from labkit.analysis.attack_graph.from_channels import AT_REST
from labkit.analysis.attack_graph.from_machines import machine_steps
from labkit.analysis.attack_graph.from_objects import object_steps
from labkit.analysis.attack_graph.from_objects.builder import account
from labkit.analysis.attack_graph.from_objects.not_read import UNREAD_POD
from labkit.analysis.attack_graph.steps import Step
from labkit.cluster.copied.static_pods import MANIFESTS
from labkit.cluster.feature_gates import USER_NAMESPACES, Features
from labkit.cluster.objects.apiservers import Apiserver
from labkit.cluster.objects.facts import (
    CONTROLLERS,
    UNREAD,
    Admission,
    ClusterNode,
    Dump,
    Namespace,
    PodGroup,
)
from labkit.cluster.objects.reader import Builder
from labkit.cluster.policies import USER_FACING, Binding, Rbac, aggregated
from labkit.cluster.syntax.urls import is_loopback, url_of
from labkit.cluster.versions import oldest_kubelet, version_reported
from labkit.errors import ConfigError
from labkit.model import Foothold
from labkit.model.admission_hooks import labels_of
from labkit.model.admission_plugins import unread_flags
from labkit.model.authorization import apiserver_authorization
from labkit.model.bootstrap import bootstrap_policy
from labkit.model.decision import (
    ALLOWED,
    ANONYMOUS,
    EVERYTHING,
    UNKNOWN,
    Caller,
    Decision,
    authorizers,
    decide,
    member_of,
)
from labkit.model.features import features_of
from labkit.model.file_access import may_open, ordinary_users
from labkit.model.footholds import ADMIN, CALLS, NETWORK, NODE, POD, SECRETS
from labkit.model.pod_security import standard
from labkit.model.rights import authenticated_as
from labkit.model.secret_readers import secrets_read

if TYPE_CHECKING:
    from labkit.cluster.facts import Component, Environment
    from labkit.model import Model

__all__ = ["account_steps", "as_dump", "assumed_accounts"]

AUTHENTICATED, ACCOUNTS = "system:authenticated", "system:serviceaccounts"
#: What a component may give to its callers, and what nobody knows without its files.
ABSENT = (
    ("kube-apiserver", (ADMIN, SECRETS), "whom the apiserver lets in, and to what"),
    ("etcd", (ADMIN, SECRETS), "where etcd listens, and whether it demands a certificate"),
    ("kubelet", (POD, SECRETS), "whom a kubelet lets in, and to what"),
)
#: The keys under which a workload has the template of its pods.
TEMPLATES: dict[str, tuple[str, ...]] = {
    "Deployment": ("spec", "template"),
    "DaemonSet": ("spec", "template"),
    "StatefulSet": ("spec", "template"),
    "ReplicaSet": ("spec", "template"),
    "ReplicationController": ("spec", "template"),
    "Job": ("spec", "template"),
    "CronJob": ("spec", "jobTemplate", "spec", "template"),
}


def account_steps(model: Model) -> tuple[Step, ...]:
    """Return the steps that RBAC gives to pods, nodes and accounts of a model of configuration.

    Parameters
    ----------
    model : Model

    Returns
    -------
    tuple of Step
        For the kit's own kind of environment, whose files are complete and whose techniques say
        what its pods' tokens open, only those that exist if something unread allows them.

    Examples
    --------
    >>> from labkit.model import read_model
    >>> account_steps(read_model("hardened"))
    ()
    """
    env = model.env
    if env is None:
        return ()
    others = (
        *_steps_of_pods_from_urls(env),
        *_steps_of_unread_engines(env),
        *_steps_of_etcd_data(model, env),
        *_steps_of_unread_etcd(env),
    )
    doubtful = (*_doubtful_steps(model, env), *others)
    if env.complete:
        return doubtful
    found: list[Step] = [
        *doubtful,
        *_token_steps(env),
        *_local_steps(env),
        *machine_steps(env),
        *_steps_of_absent_components(env),
    ]
    for it in env.components:
        if it.kind != "kube-apiserver":
            continue
        dump = as_dump(env, it)
        found += object_steps(dump)
        found += _identities(model, env, it)
        for home in ("", *(item.name for item in dump.namespaces)):
            # a container's environment lies open to a caller who runs commands in it
            because = ("which pods there are is not among the files",)
            found.append(Step("exec", Foothold("enters", home), (POD, SECRETS), because))
        found += [
            Step("mounted-token", POD, (who,), why, technique="pod-token")
            for who, why in assumed_accounts(env)
        ]
        for pods in dump.pods:
            here = Foothold("pod", pods.id)
            found.append(Step("enter-pod", POD, (here,), (pods.id,), 0.01))
            if pods.spec.host_network:
                local = tuple(Foothold("local", node) for node in pods.nodes)
                found.append(Step("host-network", here, local, (f"{pods.id}: hostNetwork",)))
            if pods.spec.listens is not False:
                unread = pods.spec.listens is None
                unknown = "whether the container runtime gives NET_RAW" if unread else ""
                why = (f"{pods.id}: hostNetwork, and NET_RAW is not dropped",)
                found.append(Step("host-network", here, (NETWORK,), why, 2.0, unknown=unknown))
    # equal steps differ in what has to be found out: the one that is known to exist counts
    return tuple(dict.fromkeys(sorted(found, key=lambda step: bool(step.unknown))))


def _doubtful_steps(model: Model, env: Environment) -> Iterator[Step]:
    """Yield the steps that exist if what could not be read lets a caller do everything."""
    for it in env.components:
        if it.kind != "kube-apiserver":
            continue
        yield from _doubtful(env, it, member_of(AUTHENTICATED, ACCOUNTS), POD, "a pod's account")
        nobody = authenticated_as(it, env, None)
        if nobody.user and apiserver_authorization(env, it).value == "enforced":
            # of an unknown claim, the channel of anyone says it
            yield from _doubtful(env, it, nobody, CALLS, "a caller without a credential")
        names = {credential.id for credential in model.credentials}
        for held in env.credentials:
            name = f"{held.name}@{held.node}"
            if name in names:
                caller, who = authenticated_as(it, env, held), held.common_name or held.name
                yield from _doubtful(env, it, caller, Foothold("holds", name), who)


def _steps_of_pods_from_urls(env: Environment) -> Iterator[Step]:
    """Yield the steps of the static pods that a kubelet fetches: no admission refuses them.

    Anyone who answers for a URL without TLS gives the machine its pods.
    """
    for it in env.components:
        url = it.given("staticPodURL") if it.kind == "kubelet" else None
        if url is None or not url.value:
            continue
        gives, why = (Foothold("root", it.node), NODE), (str(url.source),)
        unknown = f"which pods {it.node} runs from {url.value}"
        yield Step("static-pod-from-url", POD, gives, why, unknown=unknown)
        if url.value.startswith("http://"):
            unknown = f"whether an attacker can answer for {url.value}"
            yield Step("static-pod-from-url", NETWORK, gives, why, unknown=unknown)


def _steps_of_unread_engines(env: Environment) -> Iterator[Step]:
    """Yield the steps to containerd's port, of which a file that was not read may say anything."""
    for it in env.components:
        if it.kind == "containerd" and it.unread("grpc.tcp_address"):
            why = (str(it.setting("grpc.tcp_address").source),)
            unknown = f"whether {it.id} serves its clients on a port: its files were not all read"
            gives = (Foothold("root", it.node), NODE)
            yield Step("containerd-port", CALLS, gives, why, unknown=unknown)


def _steps_of_etcd_data(model: Model, env: Environment) -> Iterator[Step]:
    """Yield the steps of a machine's users who read the files of etcd, or perhaps do."""
    at_rest = {"none": "", "unknown": AT_REST}.get(model.secrets_at_rest)
    nodes = {node.name: node for node in env.nodes}
    for it in env.components:
        if it.kind != "etcd" or at_rest is None:
            continue
        node, folders = nodes[it.node], _etcd_folders(it)
        # the account of etcd is no user of the machine
        users = [user for user in ordinary_users(env, node) if user != it.user]
        files = [f"{folders[0]}/member/snap/db", *(f"{each}/0.wal" for each in folders[1:])]
        answers = [may_open(env, node, user, path) for user in users for path in files]
        claims = {each.value: each.claim for each in reversed(answers)}
        if "" in folders and users:
            why = str(it.setting("data-dir").source)
            unknown = f"where {it.id} keeps its data"
        elif ALLOWED in claims:
            why, unknown = str(claims[ALLOWED]), ""
        elif UNKNOWN in claims:
            why = str(claims[UNKNOWN])
            unknown = f"whether a user on {node.name} can read etcd's files"
        else:
            continue
        found_out = "; ".join(filter(None, (unknown, at_rest)))
        yield Step(
            "read-etcd-files", Foothold("user", node.name), (SECRETS,), (why,), unknown=found_out
        )


def _steps_of_unread_etcd(env: Environment) -> Iterator[Step]:
    """Yield the steps to an etcd beside an apiserver that was not read: it may listen anywhere."""
    there = {it.node for it in env.components if it.kind == "etcd"}
    for it in env.components:
        if it.kind != "kube-apiserver" or it.node in there:
            continue
        for server in it.values("etcd-servers"):
            _, host, _ = url_of(server)
            if host and is_loopback(host):
                why = (str(server.source),)
                unknown = f"where etcd on {it.node} listens, and whether it demands a certificate"
                yield Step("etcd-read", CALLS, (ADMIN, SECRETS), why, unknown=unknown)
                break


def _steps_of_absent_components(env: Environment) -> Iterator[Step]:
    """Yield the steps to the components that every cluster has, where their files were not copied.

    An etcd on the apiserver's own machine is that of :func:`_steps_of_unread_etcd`.
    """
    kinds = {it.kind for it in env.components}
    beside = any(it.name == "etcd-read" for it in _steps_of_unread_etcd(env))
    for kind, goals, unknown in ABSENT:
        if kind not in kinds and not (kind == "etcd" and beside):
            why = (f"no file of {kind} was copied",)
            yield Step(f"{kind}-not-copied", CALLS, goals, why, unknown=unknown)


def _etcd_folders(it: Component) -> tuple[str, ...]:
    """Return where an etcd keeps its data; empty for a folder that is not known.

    https://etcd.io/docs/v3.6/op-guide/configuration/: by default ``NAME.etcd`` in the folder that
    it starts in.
    """
    flags = ("data-dir", *(("wal-dir",) if it.given("wal-dir") else ()))
    values = ((flag, it.setting(flag).value) for flag in flags)
    return tuple("" if it.unread(flag) or value[:1] != "/" else value for flag, value in values)


def _local_steps(env: Environment) -> Iterator[Step]:
    """Yield the steps of pods that may share a node's network, or be root there.

    Not all pods are copied, unless a file has those of every namespace.
    """
    lacks_pods = _read_objects(env).may_lack("Pod")
    kubelets = {it.node for it in env.components if it.kind == "kubelet"}
    # a machine whose kubelet was not copied has the pods of its folder
    for node, files in ((it.name, it.files) for it in env.nodes):
        static = any(path.startswith(f"{MANIFESTS}/") for path in files)
        if node not in kubelets and not static:
            continue
        why = ("which pods there are is not among the files",)
        if lacks_pods:
            unknown = f"whether a pod that was not read gives root on {node}"
            yield Step(UNREAD_POD, POD, (Foothold("root", node), NODE), why, unknown=unknown)
        unknown = f"whether a pod with hostNetwork runs on {node}"
        yield Step("host-network", POD, (Foothold("local", node),), why, unknown=unknown)
        unknown = f"whether a pod with hostNetwork and NET_RAW runs on {node}"
        yield Step("host-network", POD, (NETWORK,), why, 2.0, unknown=unknown)


def _token_steps(env: Environment) -> Iterator[Step]:
    """Yield what an apiserver allows pods' tokens by other authorizers than RBAC."""
    for it in env.components:
        if it.kind != "kube-apiserver":
            continue
        caller = member_of(AUTHENTICATED, ACCOUNTS)
        for goal, found in _given_to(env, it, caller):
            if found.value == ALLOWED:
                why = (f"{caller.user}: a pod may have its token", found.claim)
                yield Step("mounted-token", POD, (goal,), why, technique="pod-token")


def _doubtful(
    env: Environment, apiserver: Component, caller: Caller, place: Foothold, who: str
) -> Iterator[Step]:
    """Yield the step of a caller who perhaps may do everything, or reads secrets.

    Who may do everything beside the controllers has their accounts, by pods of their own.
    """
    for action in (EVERYTHING, replace(EVERYTHING, namespace=CONTROLLERS)):
        found = decide(env, apiserver, caller, action)
        if found.value == UNKNOWN:
            where = f" in {action.namespace}" if action.namespace else ""
            unknown = f"whether {who} may do everything{where}: {found.claim.detail}"
            yield Step("use-credential", place, (ADMIN,), (found.claim,), unknown=unknown)
            return
    for goal, found in _given_to(env, apiserver, caller):
        if found.value == UNKNOWN:
            unknown = f"whether {who} {goal}: {found.claim.detail}"
            yield Step("use-credential", place, (goal,), (found.claim,), unknown=unknown)


def _given_to(
    env: Environment, apiserver: Component, caller: Caller
) -> Iterator[tuple[Foothold, Decision]]:
    """Yield what a caller has, or perhaps has: everything, or else secrets by their namespace."""
    everything = decide(env, apiserver, caller, EVERYTHING)
    if everything.value == ALLOWED:
        yield ADMIN, everything
        return
    for home, found in secrets_read(env, apiserver, caller):
        yield Foothold("secrets", home), found


def _identities(model: Model, env: Environment, apiserver: Component) -> Iterator[Step]:
    """Yield the steps from a stored credential to whom it makes its holder, and their groups."""
    names = {credential.id for credential in model.credentials}
    for held in env.credentials:
        name = f"{held.name}@{held.node}"
        caller = authenticated_as(apiserver, env, held)
        if name not in names or caller.user in ("", ANONYMOUS):
            continue
        who = [Foothold("is", caller.user)]
        who += [Foothold("group", group) for group in sorted(caller.groups)]
        unread = caller.claim.value == UNKNOWN
        unknown = f"whether {apiserver.id} takes it: {caller.claim.detail}" if unread else ""
        yield Step(
            "use-credential",
            Foothold("holds", name),
            tuple(who),
            (f"{caller.user}: {held.source}",),
            unknown=unknown,
        )


def assumed_accounts(env: Environment) -> Iterator[tuple[Foothold, tuple[str, ...]]]:
    """Yield the accounts and groups that a pod's token may stand for, each with the reason.

    Those of the apiserver's own bootstrap policy are the control plane's: no pod has them.
    """
    own = {(it.namespace, it.name) for it in bootstrap_policy().bindings}
    lines = (as_rbac(it, with_rbac=True).bindings for it in env.abac.values())
    for binding in (*env.rbac.bindings, *(it for some in lines for it in some)):
        if (binding.namespace, binding.name) in own:
            continue
        for kind, namespace, name in binding.subjects:
            who, said = _holder(kind, namespace or binding.namespace, name)
            if who is not None:
                yield who, (said, str(binding.source))


def _holder(kind: str, namespace: str, name: str) -> tuple[Foothold | None, str]:
    """Return the account or group that a subject names, and why a pod may have its token."""
    if kind == "User" and name.startswith("system:serviceaccount:") and name.count(":") == 3:
        kind, (namespace, name) = "ServiceAccount", name.split(":")[2:]
    if kind == "ServiceAccount":
        said = f"a pod of {namespace} may have this account: not all pods are among the files"
        return account(namespace, name), said
    if kind == "Group" and name == AUTHENTICATED:
        return Foothold("group", name), "a pod's token is a credential, if one is mounted"
    if kind == "Group" and (name == ACCOUNTS or name.startswith(f"{ACCOUNTS}:")):
        where = name.removeprefix(ACCOUNTS).removeprefix(":")
        of = f"a pod of {where}" if where else "every pod"
        return Foothold("group", name), f"{of} with a token is in this group"
    return None, ""


def as_dump(env: Environment, apiserver: Component) -> Dump:
    """Return the manifests of an environment as the objects of a cluster.

    Parameters
    ----------
    env : Environment
    apiserver : labkit.cluster.Component
        Its admission configuration counts for namespaces without a label.

    Returns
    -------
    Dump
        With the apiserver's bootstrap policy, and a pod per worker for a workload whose node
        nothing says.

    Examples
    --------
    >>> from labkit.cluster import read_environment
    >>> env = read_environment("hardened")
    >>> "card-processor" in {it.name for it in as_dump(env, env.component(
    ...     "kube-apiserver@master")).pods}
    True
    """
    asked = {it.kind for it in authorizers(env, apiserver)}
    policy = as_rbac(env.abac.get(apiserver.id, ()), with_rbac="RBAC" in asked)
    masters = {it.node for it in env.components if it.kind == "kube-apiserver"}
    kubelets = dict.fromkeys(it.node for it in env.components if it.kind == "kubelet")
    found = _read_objects(env)
    own = bootstrap_policy()
    sources = {(it.namespace, it.name): it.source for it in env.rbac.roles}
    roles = [
        replace(it, source=sources.get((it.namespace, it.name), it.source))
        for it in found.rbac.roles
    ]
    named = {(it.namespace, it.name) for it in roles}
    facing = {it.name: it for it in USER_FACING}
    for it in own.roles:
        if (it.namespace, it.name) in named:
            continue
        selects = facing.get(it.name) if not it.namespace else None
        if selects:
            it = replace(it, labels=selects.labels, selectors=selects.selectors)
        roles.append(it)
    bound = {(it.namespace, it.name) for it in env.rbac.bindings}
    bindings: list[Binding] = [*env.rbac.bindings]
    bindings += [it for it in own.bindings if (it.namespace, it.name) not in bound]
    if "RBAC" not in asked:
        bindings.clear()
    if "ABAC" in asked:
        roles, bindings = [*roles, *policy.roles], [*bindings, *policy.bindings]
    homes = dict.fromkeys(
        [
            "default",
            "kube-system",
            *(it.namespace for it in bindings if it.namespace),
            *(namespace for it in bindings for _, namespace, _ in it.subjects if namespace),
            *(it.name for it in found.namespaces),
            *(it.namespace for it in found.pods),
        ]
    )
    nodes = {it.name: it for it in found.nodes}
    nodes |= {
        name: ClusterNode(name, name in masters, nodes[name].version if name in nodes else "")
        for name in kubelets
    }
    features = features_of(env, apiserver)
    return replace(
        found,
        pods=tuple(_taken(pods, features, nodes) for pods in found.pods),
        nodes=tuple(nodes.values()),
        namespaces=tuple(
            Namespace(name, _level(env, apiserver, name), labels_of(env, name)) for name in homes
        ),
        # what a missing binding may give, _doubtful_steps yields
        rbac=Rbac(
            tuple(aggregated(roles)), tuple(bindings), env.rbac.missing & {"Role", "ClusterRole"}
        ),
        # which pods and services there are, account_steps asks
        lacking={kind: homes for kind, homes in found.lacking.items() if kind == "Secret"},
        etcd_data=tuple(
            (it.node, folder)
            for it in env.components
            if it.kind == "etcd"
            for folder in _etcd_folders(it)
        ),
        apiservers=(Apiserver(features, audiences=_audiences(apiserver)),),
        admission=_admission(env, apiserver),
    )


def _read_objects(env: Environment) -> Dump:
    """Return the objects of manifests, with a pod per worker for each workload."""
    masters = {it.node for it in env.components if it.kind == "kube-apiserver"}
    kubelets = dict.fromkeys(it.node for it in env.components if it.kind == "kubelet")
    workers = [node for node in kubelets if node not in masters] or list(kubelets)
    builder = Builder(env.name)
    for item in env.objects:
        for one in _with_pods(item.value, workers):
            kind = one.get("kind")
            if isinstance(kind, str):
                builder.add(one, kind, item.path)
    return builder.finish()


def _audiences(apiserver: Component) -> frozenset[str] | None:
    names = ("api-audiences", "service-account-issuer")
    if any(unread_flags(apiserver, name) for name in names):
        return None
    found = (frozenset(it.value for it in apiserver.values(name)) for name in names)
    return next(filter(None, found), None)


def _taken(pods: PodGroup, features: Features, nodes: Mapping[str, ClusterNode]) -> PodGroup:
    """Return pods of a manifest as an apiserver and kubelets take them.

    Without user namespaces, the apiserver drops ``hostUsers`` of a new pod, and a kubelet ignores
    it.
    """
    if pods.spec.host_users:
        return pods
    has, least = features.has(USER_NAMESPACES), oldest_kubelet(min(features.versions))
    reported = (nodes[name].version if name in nodes else "" for name in pods.nodes or nodes)
    oldest = min((version_reported(it) or least for it in reported), default=least)
    if has and oldest < USER_NAMESPACES.on:
        has = None
    shared = {True: False, False: True, None: None}[has]
    return replace(pods, spec=replace(pods.spec, host_users=shared))


def _admission(env: Environment, apiserver: Component) -> Admission:
    flag = "disable-admission-plugins"
    disabled = frozenset(it.value for it in apiserver.values(flag))
    return Admission(env.admission_hooks, disabled, not unread_flags(apiserver, flag))


def _level(env: Environment, apiserver: Component, namespace: str) -> str:
    try:
        return standard(env, apiserver, namespace).value
    except ConfigError:
        if env.complete:
            raise
        return UNREAD


def _with_pods(item: dict[str, Any], workers: list[str]) -> Iterator[dict[str, Any]]:
    """Yield an object with the namespace that kubectl gives it; for a workload, its pods."""
    about = item.get("metadata")
    if not isinstance(about, dict):
        return
    kind = item.get("kind")
    template: Any = item
    for key in TEMPLATES.get(str(kind), ()):
        template = template.get(key) if isinstance(template, dict) else None
    if kind not in {"Node", "Namespace", "ClusterRole", "ClusterRoleBinding"}:
        about = {"namespace": "default", **about}
    if kind not in (*TEMPLATES, "Pod") or not isinstance(template, dict):
        yield {**item, "metadata": about}
        return
    spec = template.get("spec")
    if not isinstance(spec, dict):
        return
    if kind != "Pod":
        labels = template.get("metadata", {})
        labels = labels.get("labels", {}) if isinstance(labels, dict) else {}
        about = {"name": about.get("name"), "namespace": about["namespace"], "labels": labels}
    nodes = [spec["nodeName"]] if spec.get("nodeName") else workers
    for number, node in enumerate(nodes or [""]):
        name = f"{about.get('name')}-{number}" if number else about.get("name")
        owner = {"name": str(about.get("name")), "kind": str(kind)}
        owners = {} if kind == "Pod" and len(nodes) < 2 else {"ownerReferences": [owner]}
        yield {
            **template,
            "kind": "Pod",
            "metadata": {**about, "name": name, **owners},
            "spec": {**spec, "nodeName": node},
        }
