"""Write an ABAC policy that gives kube-proxy what it needs, and nobody else anything."""

from __future__ import annotations

from collections.abc import Iterator

from labkit.cluster import Environment
from labkit.cluster.facts import Component
from labkit.model.decision import (
    ALLOWED,
    ANONYMOUS,
    DENIED,
    MASTERS,
    Action,
    Caller,
    authorizers,
    decide,
)
from labkit.model.rights import authenticated_as
from labkit.workshop.checks import Attempt, hardened_state
from labkit.workshop.definition import Exercise, Hint, Outcome, WrongSolution
from labkit.workshop.edited import EditedLab
from labkit.workshop.exercises._callers import CALLERS, as_known, member

__all__ = ["EXERCISE"]

FILE = "/etc/kubernetes/abac.jsonl"
#: What kube-proxy reads, by group and resource.
READS = (
    ("", "services"),
    ("", "endpoints"),
    ("", "nodes"),
    ("discovery.k8s.io", "endpointslices"),
)
WRITE = f"""insecure.write_file("master", "{FILE}", policy.encode())
"""
RESTART = """_ = insecure.exec("master", ["systemctl", "restart", "kube-apiserver"], timeout=90)
"""
POLICY = """
import json

version = "abac.authorization.kubernetes.io/v1beta1"
policy = ""
for group, resource in (
    ("", "services"),
    ("", "endpoints"),
    ("", "nodes"),
    ("discovery.k8s.io", "endpointslices"),
):
    spec = {"user": "system:kube-proxy", "readonly": True, "namespace": "*"}
    spec |= {"apiGroup": group, "resource": resource}
    policy += json.dumps({"apiVersion": version, "kind": "Policy", "spec": spec}) + "\\n"
"""
BROAD = """
policy = insecure.read_file("master", "/etc/kubernetes/abac.jsonl").decode()
policy = "".join(line for line in policy.splitlines(True) if "system:unauth" not in line)
"""


def wrong_rights(env: Environment) -> Outcome | None:
    """Say what kube-proxy lacks, and what it or anybody else of the lab may do besides."""
    apiserver = env.component("kube-apiserver@master")
    # AlwaysDeny has no opinion (apiserver/pkg/authorization/authorizerfactory/builtin.go)
    others = [it for it in authorizers(env, apiserver) if it.kind not in ("ABAC", "AlwaysDeny")]
    if others:
        what = f"{others[0].kind}, {others[0].source}"
        line = f"the policy is not all: another authorizer may give rights as well: {what}"
        return Outcome("too-much", (line,))
    proxy = authenticated_as(apiserver, env, env.credential("kube-proxy", "worker1"))
    lacks = [
        resource
        for group, resource in READS
        for verb in ("list", "watch")
        if decide(env, apiserver, proxy, Action(verb, resource, group)).value != ALLOWED
    ]
    if lacks:
        line = f"kube-proxy may not read {', '.join(dict.fromkeys(lacks))}"
        return Outcome("too-little", (line,))
    more = [
        f"kube-proxy may still {_said(it)}"
        for it in _allowed(env, apiserver, proxy)
        if it.verb != "get" or (it.group, it.resource) not in READS
    ]
    more += [
        f"{who} may still {_said(it)}"
        for who, caller in _others(env, apiserver, proxy)
        for it in _allowed(env, apiserver, caller)
    ]
    return Outcome("too-much", tuple(dict.fromkeys(more))[:4]) if more else None


def _others(env: Environment, apiserver: Component, proxy: Caller) -> Iterator[tuple[str, Caller]]:
    """Yield everybody else of the lab, with what a message calls them.

    That is who has a credential or an account there, or a name that the cluster gives, or whom a
    line names, also by a group.
    """
    people = {it.name for node in env.nodes for it in node.accounts}
    found = [authenticated_as(apiserver, env, it) for it in env.credentials]
    found += [as_known(it) for it in (*CALLERS, *sorted(people))]
    for line in env.abac.get(apiserver.id, ()):
        if line.user:
            found.append(as_known(line.user, *filter(None, [line.group])))
        elif line.group:
            found.append(member(line.group))
    yield "a caller without a credential", authenticated_as(apiserver, env, None)
    for caller in found:
        # by any policy, who is in MASTERS may do everything
        if caller.user not in (proxy.user, ANONYMOUS) and MASTERS not in caller.groups:
            yield caller.user, caller


def _said(action: Action) -> str:
    """Return an action in words: what is no object is a path."""
    if action.path:
        return f"{action} (a path: nonResourcePath)"
    group = f" of the API group {action.group}" if action.group else ""
    where = "every namespace" if action.namespace == "*" else action.namespace
    return f"{action}{group}{f' in {where}' if where else ''}"


def _allowed(env: Environment, apiserver: Component, caller: Caller) -> Iterator[Action]:
    """Yield what the lines of the policy allow a caller, or may allow."""
    places = [("secrets", "", home, "") for home in ("", "kube-system", "shop")]
    places += [
        (it.resource, it.api_group, it.namespace, it.path) for it in env.abac.get(apiserver.id, ())
    ]
    for resource, group, namespace, path in dict.fromkeys(places):
        for verb in ("get", "update"):
            action = Action(verb, "" if path else resource, group, namespace, path=path)
            if decide(env, apiserver, caller, action).value != DENIED:
                yield action


def check(lab: EditedLab, answer: object) -> Outcome:
    """Try the policy, and judge it.

    The attacks ask for one secret: of the other objects, the policy says who reads them.
    """
    found = hardened_state(
        lab,
        [
            Attempt("apiserver-anonymous", "HTTP 403"),
            Attempt("proxy-reads-secrets", "HTTP 403"),
        ],
        ["kubelet@* -> *@master:*"],
    )
    return (wrong_rights(lab.environment) if found.solved else None) or found


EXERCISE = Exercise(
    name="least-privilege-2",
    title="A policy for kube-proxy",
    notebook="08-least-privilege",
    kind="harden",
    mode="insecure",
    task="""
On its TLS port, the apiserver of `insecure` allows everybody everything: see
`/etc/kubernetes/abac.jsonl` on the master. Write a policy with which kube-proxy's certificate still
reads services, endpoints, endpointslices and nodes in every namespace; it reads nothing else, and
changes nothing. The policy gives nobody else anything: no person, no machine, no other component,
no service account. A caller without a credential gets HTTP 403.

The format is described in the documentation of Kubernetes, "Using ABAC Authorization": one JSON
object a line. The `spec` of a line for one user who reads one kind of object everywhere:
`{"user": "ann", "namespace": "*", "apiGroup": "", "resource": "pods", "readonly": true}`.
""",
    hints=(
        Hint("The apiserver reads its policy when it starts.", "not-restarted"),
        Hint("The positive control is kube-proxy's own work: it reads the services.", "unclear"),
        Hint("Which of the four kinds has no line that fits?", "too-little"),
        Hint("Which line gives that, and to whom? Narrow it, or leave it out.", "too-much"),
        Hint("labkit logs master kube-apiserver --mode insecure", "does-not-run"),
        Hint("The policy has two lines, each for a group to which nearly everybody belongs."),
        Hint("kube-proxy is the user system:kube-proxy. endpointslices are in discovery.k8s.io."),
        Hint("A line with readonly allows get, list and watch, and nothing else."),
    ),
    check=check,
    solution=POLICY + WRITE + RESTART,
    wrong=(
        WrongSolution(
            "only anonymous callers are refused",
            BROAD + WRITE + RESTART,
            "open",
            "proxy-reads-secrets (root on a worker) still succeeds",
        ),
        WrongSolution(
            "the secrets of another namespace",
            POLICY
            + """spec = {"user": "system:kube-proxy", "readonly": True, "namespace": "kube-system"}
spec |= {"resource": "secrets"}
policy += json.dumps({"apiVersion": version, "kind": "Policy", "spec": spec}) + "\\n"
"""
            + WRITE
            + RESTART,
            "too-much",
            "kube-proxy may still get secrets in kube-system",
        ),
        WrongSolution(
            "a better policy after the start",
            POLICY.replace('"readonly": True, ', "")
            + WRITE
            + RESTART
            + """import time
time.sleep(1.1)
policy = policy.replace('"user"', '"readonly": true, "user"')
"""
            + WRITE,
            "not-restarted",
            "has not read /etc/kubernetes/abac.jsonl since it was changed",
        ),
        WrongSolution(
            "kube-proxy is refused its own work",
            POLICY.replace("system:kube-proxy", "kube-proxy") + WRITE + RESTART,
            "unclear",
            "positive control",
        ),
    ),
    techniques=("apiserver-anonymous", "proxy-reads-secrets"),
)
