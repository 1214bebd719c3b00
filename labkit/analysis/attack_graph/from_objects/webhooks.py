"""Pods that answer for webhooks: what they are sent, and what they change."""

from __future__ import annotations

from collections.abc import Iterable

from labkit.analysis.attack_graph.from_objects.builder import ClusterIndex, StepBuilder, inside
from labkit.analysis.attack_graph.from_objects.consequences import Consequences
from labkit.analysis.attack_graph.from_objects.entry_points import pods_behind
from labkit.cluster.admission_hooks import AdmissionHook
from labkit.cluster.objects.facts import PodGroup
from labkit.model.admission_hooks import may_refuse
from labkit.model.rules import Action

__all__ = ["write_webhooks"]

MUTATING = "MutatingAdmissionWebhook"
#: Who changes these starts pods of their own making, and gets any rights.
POD = Action("create", "pods")
BINDING = Action("create", "clusterrolebindings", "rbac.authorization.k8s.io")
SECRET = Action("create", "secrets")


def write_webhooks(cluster: ClusterIndex, builder: StepBuilder, consequences: Consequences) -> None:
    """Write the steps of an attacker inside a pod that answers for a webhook.

    Parameters
    ----------
    cluster : ClusterIndex
    builder : StepBuilder
    consequences : Consequences

    Notes
    -----
    A mutating webhook changes the pods and bindings that it is sent; each is sent the secrets that
    its rules name.
    """
    for hook in cluster.hooks:
        if not hook.service[1]:
            continue
        pods, unknown = _answering(cluster, hook)
        for each in pods:
            _answer(cluster, builder, consequences, hook, each, unknown)


def _answer(
    cluster: ClusterIndex,
    builder: StepBuilder,
    to: Consequences,
    hook: AdmissionHook,
    pods: PodGroup,
    unknown: str,
) -> None:
    why, place = (f"{pods.id} answers for {hook.name}",), inside(pods)
    if hook.plugin == MUTATING:
        if _sees(cluster, hook, POD):
            builder.add("mutating-webhook", place, [to.privileged()], why, 3.0, unknown)
        if _sees(cluster, hook, BINDING):
            written = "whether a binding is made while the pod answers"
            found_out = "; ".join(filter(None, (unknown, written)))
            builder.add("mutating-webhook", place, [to.admin()], why, 3.0, found_out)
    if _sees(cluster, hook, SECRET):
        written = "which secrets are written while the pod answers"
        found_out = "; ".join(filter(None, (unknown, written)))
        builder.add("validating-webhook", place, [to.reads_secrets("")], why, 3.0, found_out)


def _answering(cluster: ClusterIndex, hook: AdmissionHook) -> tuple[Iterable[PodGroup], str]:
    """Return the pods behind the service of a webhook, and what has to be found out about it."""
    home, name = hook.service
    for service in cluster.dump.services:
        if (service.namespace, service.name) == hook.service:
            return pods_behind(cluster, service), ""
    if not cluster.dump.may_lack("Service", home):
        return (), ""
    return cluster.pods_of.get(home, ()), f"which pods are behind Service {home}/{name}"


def _sees(cluster: ClusterIndex, hook: AdmissionHook, action: Action) -> bool:
    homes = ("",) if action is BINDING else cluster.namespaces
    for home in homes:
        asked = Action(action.verb, action.resource, action.group, home)
        if may_refuse(hook, asked, cluster.labels_of(home)):
            return True
    return False
