"""What callers without a credential get to by the rights that are bound to them.

An apiserver with anonymous authentication, which is the default, takes them for the user
``system:anonymous`` of the group ``system:unauthenticated``:
https://kubernetes.io/docs/reference/access-authn-authz/authentication/#anonymous-requests
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from labkit.analysis.channel_steps import CALLS, root_on
from labkit.analysis.dumped import dump_steps
from labkit.analysis.finding import Finding
from labkit.analysis.ledger import group, identity, root
from labkit.analysis.risk import RiskRule
from labkit.analysis.roles import ADMIN, NODE_ROOT, OUTSIDE, POD, SECRETS
from labkit.analysis.steps import Step, attack_graph, close
from labkit.cluster.dump import ClusterNode, Dump, Namespace
from labkit.cluster.policies import Binding, Rbac
from labkit.cluster.source import Source
from labkit.model.authorization import ANONYMOUS, UNAUTHENTICATED, apiserver_authorization
from labkit.model.bootstrap import bootstrap_policy
from labkit.model.claims import Claim
from labkit.model.pod_security import standard
from labkit.model.rights import Action, authenticated_as, may

if TYPE_CHECKING:
    from labkit.cluster.facts import Component, Environment
    from labkit.model import Model

__all__ = ["anonymous_finding", "anonymous_steps", "anonymous_threats", "dump_steps_of_anonymous"]

STRANGER = (identity(ANONYMOUS), group(UNAUTHENTICATED))
#: From the worst to the mildest, with the impact of each.
IMPACTS = {ADMIN: 4, NODE_ROOT: 4, SECRETS: 3, POD: 3}
#: How what is less than a goal begins: the secrets, or the pods, of one namespace.
PARTLY = (f"{SECRETS} of ", "reads secret ", "enters the pods of ")
CONTROL = "apiserver-anonymous"
READ_SECRETS = tuple(Action(verb, "secrets") for verb in ("list", "get"))


def anonymous_steps(model: Model) -> tuple[Step, ...]:
    """Return the steps of a caller without a credential through a model of configuration.

    Where everybody may do everything, the claims of the channels say so, and there are none.

    Parameters
    ----------
    model : Model

    Returns
    -------
    tuple of Step

    Examples
    --------
    >>> from labkit.model import read_model
    >>> anonymous_steps(read_model("hardened"))
    ()
    """
    found: list[Step] = []
    if model.env is not None:
        for apiserver in _open_apiservers(model.env):
            found += _steps_at(model.env, apiserver)
    return tuple(found)


def dump_steps_of_anonymous(dump: Dump) -> tuple[Step, ...]:
    """Return the steps from everywhere to the identity of a caller without a credential.

    Examples
    --------
    >>> dump_steps_of_anonymous(Dump("shop"))
    ()
    """
    bindings = _bindings(dump.rbac)
    if not bindings or dump.anonymous is False:
        return ()
    said = "no flag of an apiserver in the dump says otherwise"
    because = (f"anonymous authentication is on: {said}", str(bindings[0].source))
    return tuple(
        Step("call-unauthenticated", place, STRANGER, because) for place in (CALLS, OUTSIDE)
    )


def _bindings(rbac: Rbac) -> list[Binding]:
    """Return the bindings that give something to callers without a credential."""
    strangers = {("User", ANONYMOUS), ("Group", UNAUTHENTICATED)}
    return [
        binding
        for binding in rbac.bindings
        if any((kind, name) in strangers for kind, _, name in binding.subjects)
    ]


def _open_apiservers(env: Environment) -> Iterator[Component]:
    for it in env.components:
        if (
            it.kind == "kube-apiserver"
            and authenticated_as(it, env, None).user == ANONYMOUS
            and apiserver_authorization(env, it).value != "allow-all"
        ):
            yield it


def _steps_at(env: Environment, it: Component) -> Iterator[Step]:
    stranger = authenticated_as(it, env, None)
    for action in READ_SECRETS:
        claim = may(env, it, stranger, action)
        if claim.value == "allowed":
            because = (str(stranger.claim), str(claim))
            yield Step("apiserver-anonymous", CALLS, (SECRETS,), because)
            break
    bindings = _bindings(env.rbac)
    if not bindings or "RBAC" not in {each.value for each in it.values("authorization-mode")}:
        return
    because = (str(stranger.claim), str(bindings[0].source))
    yield Step("call-unauthenticated", CALLS, STRANGER, because)
    dump = _as_dump(env, it)
    yield from dump_steps(dump)
    for fact in ("enters every pod", *(f"enters the pods of {it.name}" for it in dump.namespaces)):
        # what a container is given as its environment lies open to whoever runs commands in it
        yield Step("exec", fact, (POD, SECRETS), ("which pods there are is not among the files",))
    for node in dump.nodes:
        yield Step("node-root", root(node.name), (root_on(node.name),), (), 0.0)


def _as_dump(env: Environment, apiserver: Component) -> Dump:
    """Return the roles and bindings of an environment as the objects of a cluster."""
    own = bootstrap_policy()
    named = {(role.namespace, role.name) for role in env.rbac.roles}
    roles = (*env.rbac.roles, *(it for it in own.roles if (it.namespace, it.name) not in named))
    homes = dict.fromkeys(
        ["default", "kube-system", *(it.namespace for it in env.rbac.bindings if it.namespace)]
    )
    masters = {it.node for it in env.components if it.kind == "kube-apiserver"}
    kubelets = dict.fromkeys(it.node for it in env.components if it.kind == "kubelet")
    return Dump(
        env.name,
        nodes=tuple(ClusterNode(node, node in masters, "") for node in kubelets),
        namespaces=tuple(Namespace(name, standard(env, apiserver, name).value) for name in homes),
        rbac=Rbac(roles, (*env.rbac.bindings, *own.bindings)),
    )


def anonymous_threats(model: Model, risk: RiskRule) -> Iterator[Finding]:
    """Yield a finding where callers without a credential get to a goal by their rights.

    Examples
    --------
    >>> from labkit.model import read_model
    >>> list(anonymous_threats(read_model("hardened"), RiskRule()))
    []
    """
    steps = anonymous_steps(model)
    if steps and model.env is not None:
        graph = attack_graph(steps, {ADMIN: [SECRETS]})
        apiserver = next(_open_apiservers(model.env))
        rbac = model.env.rbac
        yield from anonymous_finding(graph, apiserver.id, rbac, risk, CONTROL)


def anonymous_finding(
    graph: Any, subject: str, rbac: Rbac, risk: RiskRule, control: str = ""
) -> Iterator[Finding]:
    """Yield the finding that something is reached without a credential, the worst of it.

    Parameters
    ----------
    graph : networkx.DiGraph
        Of the steps, as :func:`labkit.analysis.steps.attack_graph` returns it.
    subject : str
        The apiserver's id.
    rbac : Rbac
        Where the binding stands that gives the rights.
    risk : RiskRule
    control : str
        What closes it, where labkit can: technique and control have one name.
    """
    ways = close(graph, CALLS)
    partly = [fact for fact in ways if fact.startswith(PARTLY)]
    for goal in (*IMPACTS, *partly):
        if goal not in ways:
            continue
        path = ways[goal]
        likelihood, weight = risk.weigh("anonymous-rights", 4, IMPACTS.get(goal, 3))
        said = {reason for step in path for reason in step.because}
        source = next(
            (it.source for it in _bindings(rbac) if str(it.source) in said),
            Source(subject, None, path[0].because[-1]),
        )
        yield Finding(
            id=f"anonymous-rights@{subject}",
            rule="anonymous-rights",
            title="Callers without a credential have rights of their own",
            subject=subject,
            stride=("elevation of privilege", "information disclosure"),
            cwe=("CWE-306", "CWE-862"),
            attack=("T1078.001",),
            references=(
                "CIS Kubernetes Benchmark 1.2.1",
                "Kubernetes documentation: Anonymous requests",
            ),
            property="path",
            claim=Claim("reached", goal, source),
            state="open",
            control=control,
            technique=control,
            likelihood=likelihood,
            impact=weight,
            severity=risk.level(likelihood, weight),
            explanation=" -> ".join(step.technique for step in path),
        )
        return
