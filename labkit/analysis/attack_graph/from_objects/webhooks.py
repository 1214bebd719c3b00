"""Services that the apiserver calls: what those who answer for them are sent, and what they change.

They answer for admission webhooks, for the conversion of custom resources, and for groups of the
API (aggregated API servers).
"""

from __future__ import annotations

from collections.abc import Iterable

from labkit.analysis.attack_graph.from_objects.builder import (
    MEMBERSHIP,
    ClusterIndex,
    StepBuilder,
    inside,
)
from labkit.analysis.attack_graph.from_objects.consequences import Consequences
from labkit.analysis.attack_graph.from_objects.entry_points import pods_behind, stands_for
from labkit.analysis.attack_graph.from_objects.permissions import WORKLOADS
from labkit.cluster.admission_hooks import AdmissionHook
from labkit.cluster.objects.facts import ApiExtension, PodGroup
from labkit.model import Foothold
from labkit.model.admission_hooks import may_refuse
from labkit.model.rules import Action

__all__ = ["write_webhooks"]

MUTATING = "MutatingAdmissionWebhook"
#: The cost of answering as the attacker likes, and of waiting for a request.
ANSWER = 3.0
RBAC = "rbac.authorization.k8s.io"
WRITES, CHANGES = ("create", "update"), ("create", "update", "delete")
#: Who changes these starts pods of their own making.
POD = (Action("create", "pods"),)
TEMPLATES = (
    Action("update", "pods"),
    *(Action(verb, name, group) for group, name in WORKLOADS for verb in WRITES),
)
#: Who changes these gets any rights.
RIGHTS = tuple(
    Action(verb, resource, RBAC)
    for resource in ("clusterrolebindings", "rolebindings", "clusterroles", "roles")
    for verb in WRITES
)
SECRETS = tuple(Action(verb, "secrets") for verb in CHANGES)
#: Whose review is asked for is in the request: a bearer token.
TOKENS = (Action("create", "tokenreviews", "authentication.k8s.io"),)
CLUSTER_WIDE = frozenset({"clusterrolebindings", "clusterroles", "tokenreviews"})


def write_webhooks(cluster: ClusterIndex, builder: StepBuilder, consequences: Consequences) -> None:
    """Write the steps of an attacker who answers for a service that the apiserver calls.

    Parameters
    ----------
    cluster : ClusterIndex
    builder : StepBuilder
    consequences : Consequences

    Notes
    -----
    A mutating webhook changes the pods and bindings that it is sent; each is sent the secrets that
    its rules name. An aggregated API server is sent who calls, by the headers of the front proxy,
    and the request, but not the caller's credential; it answers with what objects it likes, by
    which controllers act. The same holds for the webhook that converts a custom resource.

    References
    ----------
    https://kubernetes.io/docs/tasks/extend-kubernetes/configure-aggregation-layer/
    """
    for called in cluster.called:
        foothold = Foothold("answers", "/".join(called))
        hooks = [it for it in cluster.hooks if it.service == called]
        extensions = [it for it in cluster.dump.extensions if it.service == called]
        named = [*(it.name for it in hooks), *(it.name for it in extensions)]
        names = ", ".join(dict.fromkeys(named))
        pods, unknown = _answering(cluster, called)
        for each in pods:
            why = (f"{each.id} answers for {names}",)
            builder.add("answer-for-service", inside(each), [foothold], why, MEMBERSHIP, unknown)
        for hook in hooks:
            _admit(cluster, builder, consequences, hook, foothold)
        for it in extensions:
            _answer(builder, consequences, it, foothold)


def _admit(
    cluster: ClusterIndex,
    builder: StepBuilder,
    to: Consequences,
    hook: AdmissionHook,
    place: Foothold,
) -> None:
    def add(name: str, sent: Iterable[Action], grant: Foothold, unknown: str = "") -> None:
        if any(_sees(cluster, hook, action) for action in sent):
            builder.add(name, place, [grant], (hook.name,), ANSWER, unknown)

    during = "are written while the attacker answers"
    if hook.plugin == MUTATING:
        add("mutating-webhook", POD, to.privileged())
        add("mutating-webhook", TEMPLATES, to.privileged(), f"whether workloads {during}")
        add("mutating-webhook", RIGHTS, to.admin(), f"whether roles or bindings {during}")
    add("validating-webhook", SECRETS, to.reads_secrets(""), f"which secrets {during}")
    tokens = "whose tokens are reviewed while the attacker answers"
    add("validating-webhook", TOKENS, to.makes_tokens(""), tokens)


def _answer(
    builder: StepBuilder, to: Consequences, extension: ApiExtension, place: Foothold
) -> None:
    group = extension.group or "its group"
    name = "conversion-webhook" if extension.converts else "aggregated-apiserver"
    unknown = f"what controllers and clients do by the answers for {group}"
    builder.add(name, place, [to.admin()], (extension.name,), ANSWER, unknown)


def _answering(cluster: ClusterIndex, called: tuple[str, str]) -> tuple[Iterable[PodGroup], str]:
    """Return the pods behind a service that is called, and what has to be found out about it."""
    home, name = called
    if service := cluster.services.get(called):
        return pods_behind(cluster, stands_for(service, cluster.services)), ""
    if not cluster.dump.may_lack("Service", home):
        return (), ""
    return cluster.pods_of.get(home, ()), f"which pods are behind Service {home}/{name}"


def _sees(cluster: ClusterIndex, hook: AdmissionHook, action: Action) -> bool:
    homes = ("",) if action.resource in CLUSTER_WIDE else cluster.namespaces
    for home in homes:
        asked = Action(action.verb, action.resource, action.group, home)
        if may_refuse(hook, asked, cluster.labels_of(home)):
            return True
    return False
