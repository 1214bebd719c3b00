"""Ask a real apiserver and the model the same questions: who may do what, by random RBAC.

Hypothesis draws roles, bindings and questions. A running lab gets the objects, answers a
SubjectAccessReview for each question, and loses the objects again; the model decides by the same
objects. What differs is shrunk to the fewest rules; keep it as a test in
tests/model/test_decision.py. ``make differential SEED=1 COUNT=10000`` asks a lab that is up,
``python tests/differential/test_differential.py SEED COUNT LAB`` one of another name.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from hypothesis import HealthCheck, Phase, Verbosity, given, seed, settings
from hypothesis import strategies as st

from labkit import agents
from labkit.cluster import Environment
from labkit.cluster.policies import Rbac, read_rbac
from labkit.cluster.syntax.source import Source
from labkit.lab import Lab
from labkit.model.claims import Claim
from labkit.model.decision import Action, Caller, authorize, decide_at_kubelet, kubelet_actions
from labkit.model.rights import bearer_at_kubelet, service_account

#: Questions about one policy.
EACH = 100
#: Questions in the share of this test that CI asks, in some 10 seconds.
SHARE = 500
#: The seed of that share; the command takes any.
SEED = 1
GROUP = "rbac.authorization.k8s.io"
API = f"/apis/{GROUP}/v1"
REVIEWS = "/apis/authorization.k8s.io/v1/subjectaccessreviews"
MASTER, APISERVER, PORT = "master", "kube-apiserver@master", 6443
#: Namespaces of the lab, in which the objects are made.
HOMES = ("shop", "payments")
SENTINEL = "labkit:differential"
AGGREGATE = f"{GROUP}/aggregate-to-"
KINDS = {
    "ClusterRole": "clusterroles",
    "ClusterRoleBinding": "clusterrolebindings",
    "Role": "roles",
    "RoleBinding": "rolebindings",
}
USERS = (
    *("ann", "bob", "system:anonymous", "system:serviceaccount:shop:sa"),
    *("system:serviceaccount:payments:sa", "system:node:worker1", "system:node:worker9"),
)
GROUPS = (
    *("dev", "ops", "system:authenticated", "system:unauthenticated", "system:serviceaccounts"),
    *("system:serviceaccounts:shop", "system:nodes", "system:masters"),
)
VERBS = ("get", "list", "create", "update", "delete", "impersonate", "bind", "*")
API_GROUPS = ("", "apps", GROUP, "*")
PLAIN = ("pods", "secrets", "nodes", "deployments", "users", "clusterroles", "serviceaccounts")
PARTS = ("exec", "log", "proxy", "token", "status", "eviction")
RESOURCES = (
    *PLAIN,
    *("pods/exec", "pods/log", "nodes/proxy", "serviceaccounts/token", "*", "*/exec", "*/*"),
    *("pods/*", "*/token", "pod"),
)
NAMES = ("a", "b", "db-credentials", "web", "worker1", "worker2", "default", "*")
PATHS = ("/metrics", "/healthz", "/healthz/etcd", "/api", "/logs/*", "/metrics/*", "/*", "*")
ASKED_PATHS = ("/metrics", "/metrics/", "/healthz", "/healthz/etcd", "/api/v1", "/logs/a", "/", "*")


def some(*values: str) -> st.SearchStrategy[list[str]]:
    return st.lists(st.sampled_from(values), min_size=1, max_size=2, unique=True)


RESOURCE_RULES = st.fixed_dictionaries(
    {"verbs": some(*VERBS), "apiGroups": some(*API_GROUPS), "resources": some(*RESOURCES)},
    optional={"resourceNames": some(*NAMES)},
)
PATH_RULES = st.fixed_dictionaries({"verbs": some(*VERBS), "nonResourceURLs": some(*PATHS)})
SUBJECTS = st.one_of(
    st.sampled_from(USERS).map(lambda it: {"kind": "User", "name": it, "apiGroup": GROUP}),
    st.sampled_from(GROUPS).map(lambda it: {"kind": "Group", "name": it, "apiGroup": GROUP}),
    st.sampled_from(HOMES).map(
        lambda it: {"kind": "ServiceAccount", "name": "sa", "namespace": it}
    ),
)


OWN = tuple(f"labkit:r{number}" for number in range(5))
EVERY = "labkit:every"
AGGREGATED = ("view", "edit", "admin", "every")


@st.composite
def roles(draw: st.DrawFn) -> dict[str, Any]:
    kind = draw(st.sampled_from(("ClusterRole", "ClusterRole", "Role")))
    about: dict[str, Any] = {"name": draw(st.sampled_from(OWN))}
    if kind == "Role":
        about["namespace"] = draw(st.sampled_from(HOMES))
    elif to := draw(st.one_of(st.none(), st.sampled_from(AGGREGATED))):
        about["labels"] = {f"{AGGREGATE}{to}": "true"}
    each = RESOURCE_RULES if kind == "Role" else st.one_of(RESOURCE_RULES, PATH_RULES)
    return made(kind, about, rules=draw(st.lists(each, min_size=1, max_size=3)))


@st.composite
def bindings(draw: st.DrawFn) -> dict[str, Any]:
    kind = draw(st.sampled_from(("ClusterRoleBinding", "RoleBinding", "RoleBinding")))
    about = {"name": f"labkit:b{draw(st.integers(0, 3))}"}
    of = "ClusterRole"
    if kind == "RoleBinding":
        about["namespace"] = draw(st.sampled_from(HOMES))
        of = draw(st.sampled_from(("ClusterRole", "Role")))
    role = draw(st.sampled_from((*OWN, EVERY, "view", "edit", "admin", "labkit:none")))
    ref = {"apiGroup": GROUP, "kind": of, "name": role}
    subjects = draw(st.lists(SUBJECTS, min_size=1, max_size=3))
    return made(kind, about, roleRef=ref, subjects=subjects)


def made(kind: str, about: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"apiVersion": f"{GROUP}/v1", "kind": kind, "metadata": about, **more}


SELECTING = made(
    "ClusterRole",
    {"name": EVERY},
    aggregationRule={"clusterRoleSelectors": [{"matchLabels": {f"{AGGREGATE}every": "true"}}]},
)


@dataclass(frozen=True)
class Question:
    """One question, as a SubjectAccessReview puts it."""

    user: str
    groups: tuple[str, ...]
    action: Action

    def review(self) -> dict[str, Any]:
        """Return the review's specification."""
        it = self.action
        spec: dict[str, Any] = {"user": self.user, "groups": list(self.groups)}
        if it.path:
            spec["nonResourceAttributes"] = {"verb": it.verb, "path": it.path}
        else:
            resource, _, part = it.resource.partition("/")
            spec["resourceAttributes"] = {
                "verb": it.verb,
                "group": it.group,
                "resource": resource,
                "subresource": part,
                "namespace": it.namespace,
                "name": it.name,
            }
        return {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SubjectAccessReview",
            "spec": spec,
        }


@st.composite
def questions(draw: st.DrawFn, policy: list[dict[str, Any]]) -> Question:
    """Draw a question near a rule of a policy, so that about half are allowed."""
    rule, user, groups, home = draw(grants(policy))
    if "nonResourceURLs" in rule:
        path = draw(st.sampled_from((*ASKED_PATHS, *rule["nonResourceURLs"])))
        verb = draw(st.sampled_from((*rule["verbs"], *rule["verbs"], "get")))
        return Question(user, groups, Action(verb, "", path=path))
    resource = draw(near(rule.get("resources", ()), PLAIN))
    if "/" not in resource and draw(st.integers(0, 3)) == 0:
        resource = f"{resource}/{draw(st.sampled_from(PARTS))}"
    if resource.startswith("*/"):
        resource = f"{draw(st.sampled_from(PLAIN))}/{resource.removeprefix('*/')}"
    action = Action(
        draw(near(rule.get("verbs", ()), VERBS)),
        resource,
        draw(near(rule.get("apiGroups", ()), API_GROUPS)),
        draw(near((home, home) if home else (), ("", *HOMES, "default"))),
        draw(near(rule.get("resourceNames", ()), ("", *NAMES))),
    )
    return Question(user, groups, action)


def near(given: Sequence[str], every: Sequence[str]) -> st.SearchStrategy[str]:
    """Draw one of the given values most of the time, or else any."""
    if not given:
        return st.sampled_from(every)
    return st.integers(0, 4).flatmap(lambda it: st.sampled_from(given if it else every))


@st.composite
def grants(
    draw: st.DrawFn, policy: list[dict[str, Any]]
) -> tuple[dict[str, Any], str, tuple[str, ...], str]:
    """Draw a rule, a user with groups, and a namespace, mostly as one of the bindings has them."""
    bound = [it for it in policy if "roleRef" in it]
    binding = draw(st.sampled_from(bound))
    subject = draw(st.sampled_from(binding["subjects"]))
    user = draw(st.sampled_from(USERS))
    usual = [it for it in GROUPS if it != "system:masters"]
    groups = draw(st.lists(st.sampled_from(usual), max_size=2, unique=True))
    if draw(st.integers(0, 9)):
        if subject["kind"] == "Group":
            groups = [subject["name"], *groups]
        elif subject["kind"] == "ServiceAccount":
            user = f"system:serviceaccount:{subject['namespace']}:{subject['name']}"
        else:
            user = subject["name"]
    home = binding["metadata"].get("namespace", "")
    of = [
        it
        for it in policy
        if "rules" in it and it["metadata"]["name"] == binding["roleRef"]["name"]
    ]
    labelled = [it for it in policy if it["metadata"].get("labels") and "rules" in it]
    rules = [rule for it in of or labelled for rule in it["rules"]]
    return draw(st.sampled_from(rules or [{}])), user, tuple(dict.fromkeys(groups)), home


POLICIES = st.tuples(
    st.lists(roles(), max_size=5), st.lists(bindings(), min_size=1, max_size=6)
).map(lambda it: distinct([SELECTING, *it[0], *it[1]]))


CASES = POLICIES.flatmap(
    lambda it: st.tuples(st.just(it), st.lists(questions(it), min_size=EACH, max_size=EACH))
)


def distinct(objects: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the objects, one of each name."""
    return list({_path(it): it for it in objects}.values())


def _path(it: dict[str, Any]) -> str:
    home = it["metadata"].get("namespace")
    place = f"/namespaces/{home}" if home else ""
    return f"{API}{place}/{KINDS[it['kind']]}/{it['metadata']['name']}"


def expected(env: Environment, policy: list[dict[str, Any]], asked: list[Question]) -> list[str]:
    """Return the model's decisions."""
    read = read_rbac(json.dumps({"kind": "List", "items": policy}), "random.yaml")
    both = Rbac((*env.rbac.roles, *read.roles), (*env.rbac.bindings, *read.bindings))
    drawn = replace(env, rbac=both)
    claim = Claim("required", "drawn", Source("random.yaml", None, ""))
    server = drawn.component(APISERVER)
    return [
        authorize(drawn, server, Caller(it.user, frozenset(it.groups), claim), it.action).value
        for it in asked
    ]


def observed(lab: Lab, policy: list[dict[str, Any]], asked: list[Question]) -> list[str]:
    """Return the apiserver's answers while it has the objects of a policy.

    Raises
    ------
    AssertionError
        The apiserver takes an object or a question not at all.
    """
    requests: list[dict[str, Any]] = []
    objects = [*policy, *_sentinels()]
    for it in objects:
        path = _path(it).rpartition("/")[0]
        requests.append({"method": "POST", "path": path, "body": it})
    for asked_last in _sentinel_questions():
        body = asked_last.review()
        requests.append({"method": "POST", "path": REVIEWS, "body": body, "until": True})
    begin = len(requests)
    requests += [{"method": "POST", "path": REVIEWS, "body": each.review()} for each in asked]
    end = len(requests)
    requests += [{"method": "DELETE", "path": _path(it)} for it in reversed(objects)]
    answers = _send(lab, requests)
    for request, (status, _, text) in zip(requests, answers, strict=True):
        assert status in (200, 201), (request["method"], request["path"], status, text)
    assert all(allowed is True for _, allowed, _ in answers[len(objects) : begin])
    return ["allowed" if allowed else "denied" for _, allowed, _ in answers[begin:end]]


def clean(lab: Lab) -> None:
    """Remove what an interrupted run has left."""
    for home in ("", *HOMES):
        place = f"/namespaces/{home}" if home else ""
        for kind in ("roles", "rolebindings") if home else ("clusterroles", "clusterrolebindings"):
            for it in json.loads(lab.api("GET", f"{API}{place}/{kind}").stdout)["items"]:
                name = it["metadata"]["name"]
                if name.startswith(("labkit:r", "labkit:b", "labkit-r", EVERY, SENTINEL)):
                    lab.api("DELETE", f"{API}{place}/{kind}/{name}")


def _send(lab: Lab, requests: list[dict[str, Any]], worker: str = "") -> list[list[Any]]:
    """Send requests to the apiserver as its administrator, or to the kubelet of a worker."""
    held = lab.environment.credential("admin", MASTER)
    assert held is not None
    as_admin = {"certificate": held.certificate, "key": held.key}
    to = {"host": worker, "port": KUBELET_PORT} if worker else {"host": MASTER, "port": PORT}
    about = {**to, **({} if worker else as_admin), "requests": requests}
    argv = agents.argv("many_requests")
    output = lab.exec(worker or MASTER, argv, stdin=json.dumps(about).encode(), timeout=300)
    assert output.exit_code == 0, output.error[-500:]
    found: list[list[Any]] = json.loads(output.stdout)
    return found


def _sentinels() -> Iterator[dict[str, Any]]:
    """Yield the objects that the apiserver and the controller of aggregation see last."""
    chosen = {f"{AGGREGATE}sentinel": "true"}
    who = [{"kind": "User", "name": SENTINEL, "apiGroup": GROUP}]

    def rules(verb: str) -> list[dict[str, Any]]:
        return [{"verbs": [verb], "apiGroups": ["labkit.example"], "resources": ["sentinels"]}]

    yield made("ClusterRole", {"name": SENTINEL, "labels": chosen}, rules=rules("get"))
    rule = {"clusterRoleSelectors": [{"matchLabels": chosen}]}
    yield made("ClusterRole", {"name": f"{SENTINEL}-all"}, aggregationRule=rule)
    ref = {"apiGroup": GROUP, "kind": "ClusterRole", "name": f"{SENTINEL}-all"}
    yield made("ClusterRoleBinding", {"name": SENTINEL}, roleRef=ref, subjects=who)
    for home in HOMES:
        at = {"name": SENTINEL, "namespace": home}
        yield made("Role", at, rules=rules("list"))
        ref = {"apiGroup": GROUP, "kind": "Role", "name": SENTINEL}
        yield made("RoleBinding", at, roleRef=ref, subjects=who)


def _sentinel_questions() -> Iterator[Question]:
    for verb, home in (("get", ""), *(("list", home) for home in HOMES)):
        yield Question(SENTINEL, (), Action(verb, "sentinels", "labkit.example", home))


def differences(lab: Lab, policy: list[dict[str, Any]], asked: list[Question]) -> list[str]:
    """Return where the model and the apiserver differ, also after a while."""
    wanted = expected(lab.environment, policy, asked)
    for attempt in range(3):
        time.sleep(attempt)
        seen = observed(lab, policy, asked)
        if seen == wanted:
            return []
    return [
        f"{it.user} {list(it.groups)}: {it.action!r}: model {mine}, apiserver {theirs}"
        for it, mine, theirs in zip(asked, wanted, seen, strict=True)
        if mine != theirs
    ]


def case_settings(count: int) -> settings:
    """Return hypothesis's settings for some questions, of which each case has EACH."""
    return settings(
        max_examples=max(1, count // EACH),
        deadline=None,
        database=None,
        verbosity=Verbosity.quiet,
        suppress_health_check=list(HealthCheck),
    )


def compare(lab: Lab, number: int, count: int) -> tuple[int, int]:
    """Ask the questions of a seed; return how many there were, and how many were allowed.

    Raises
    ------
    AssertionError
        The apiserver answers something else than the model decides.
    """
    clean(lab)
    asked_so_far = allowed = 0

    @seed(number)
    @settings(case_settings(count), phases=[Phase.generate, Phase.shrink])
    @given(CASES)
    def check(case: tuple[list[dict[str, Any]], list[Question]]) -> None:
        nonlocal asked_so_far, allowed
        policy, asked = case
        found = differences(lab, policy, asked)
        asked_so_far += len(asked)
        allowed += expected(lab.environment, policy, asked).count("allowed")
        assert not found, (found[:5], policy)

    try:
        check()
    finally:
        clean(lab)
    return asked_so_far, allowed


KUBELET_PORT, WORKER = 10250, "worker1"
NODE_PARTS = (
    *("proxy", "pods", "healthz", "metrics", "stats", "log", "configz", "statusz", "checkpoint"),
    *("*", "spec"),
)
NODE_RULES = st.fixed_dictionaries(
    {
        "apiGroups": st.just([""]),
        "verbs": some("get", "create", "update", "patch", "delete", "*"),
        "resources": some(*(f"nodes/{it}" for it in NODE_PARTS), "*/metrics", "nodes"),
    },
    optional={"resourceNames": some("worker1", "worker2")},
)
KUBELET_PATHS = (
    *("/pods", "/pods/", "/pods/x", "/podsx", "/runningpods/", "/healthz", "/healthz/ping"),
    *("/metrics", "/metrics/probes", "/metricsx", "/stats/", "/stats/summary", "/logs/x", "/logs"),
    *("/configz", "/configz/x", "/statusz", "/checkpoint/a/b/c", "/run/a/b/c", "/exec/a/b/c"),
    *("/attach/a/b/c", "/portForward/a/b", "/containerLogs/a/b/c", "/spec/", "/", "/x"),
)
KUBELET_CASES = st.tuples(
    st.lists(NODE_RULES, min_size=1, max_size=3),
    st.lists(
        st.tuples(
            st.sampled_from(("GET", "GET", "POST", "PUT", "PATCH", "DELETE")),
            st.sampled_from(KUBELET_PATHS),
        ),
        min_size=EACH,
        max_size=EACH,
        unique=True,
    ),
)


def kubelet_differences(
    lab: Lab, name: str, rules: list[dict[str, Any]], asked: list[tuple[str, str]]
) -> list[str]:
    """Return where a kubelet answers another thing than the model decides.

    A kubelet remembers the answers about a user, so each policy has a service account of its own.
    """
    home, about = "shop", {"name": name}
    role = made("ClusterRole", about, rules=rules)
    subject = {"kind": "ServiceAccount", "name": name, "namespace": home}
    ref = {"apiGroup": GROUP, "kind": "ClusterRole", "name": name}
    binding = made("ClusterRoleBinding", about, roleRef=ref, subjects=[subject])
    accounts = f"/api/v1/namespaces/{home}/serviceaccounts"
    sentinels = list(_sentinels())
    objects = [role, binding, *sentinels]
    requests: list[dict[str, Any]] = [
        {"method": "POST", "path": accounts, "body": {"metadata": about}},
        *({"method": "POST", "path": _path(it).rpartition("/")[0], "body": it} for it in objects),
        *(
            {"method": "POST", "path": REVIEWS, "body": it.review(), "until": True}
            for it in _sentinel_questions()
        ),
    ]
    try:
        for status, _, text in _send(lab, requests):
            assert status == 201, text
        token = json.loads(lab.api("POST", f"{accounts}/{name}/token", {"spec": {}}).stdout)
        bearer = {"Authorization": f"Bearer {token['status']['token']}"}
        sent = [{"method": way, "path": path, "headers": bearer} for way, path in asked]
        answers = _send(lab, sent, WORKER)
    finally:
        gone = [*map(_path, reversed(objects)), f"{accounts}/{name}"]
        _send(lab, [{"method": "DELETE", "path": path} for path in gone])
    env = lab.environment
    read = read_rbac(json.dumps({"kind": "List", "items": [role, binding]}), "random.yaml")
    both = Rbac((*env.rbac.roles, *read.roles), (*env.rbac.bindings, *read.bindings))
    drawn = replace(env, rbac=both)
    kubelet = drawn.component(f"kubelet@{WORKER}")
    account = service_account(home, name, Source("random.yaml", None, ""))
    caller = bearer_at_kubelet(drawn, kubelet, account)
    found = []
    for (way, path), (status, _, text) in zip(asked, answers, strict=True):
        assert status != 401, text
        if status == 307 or text.startswith("404 page not found"):
            continue  # nothing is served there: a kubelet asks nobody
        mine = decide_at_kubelet(drawn, kubelet, caller, kubelet_actions(way, path, WORKER)).value
        theirs = "denied" if status == 403 else "allowed"
        if mine != theirs:
            found.append(f"{way} {path}: model {mine}, kubelet {theirs} ({status} {text[:80]})")
    return found


def compare_kubelet(lab: Lab, number: int, count: int) -> int:
    """Send a seed's requests to a kubelet; return how many.

    Raises
    ------
    AssertionError
        The kubelet answers something else than the model decides.
    """
    clean(lab)
    sent = tried = 0

    @seed(number)
    @settings(case_settings(count), phases=[Phase.generate])
    @given(KUBELET_CASES)
    def check(case: tuple[list[dict[str, Any]], list[tuple[str, str]]]) -> None:
        nonlocal sent, tried
        tried += 1
        found = kubelet_differences(lab, f"labkit-r{number}-{tried}", *case)
        sent += len(case[1])
        assert not found, (found[:5], case[0])

    check()
    return sent


def test_kubelet_answers_as_the_model_decides(lab_hardened: Lab) -> None:
    assert compare_kubelet(lab_hardened, SEED, EACH) >= EACH


def test_apiserver_answers_as_the_model_decides(lab_hardened: Lab) -> None:
    asked, allowed = compare(lab_hardened, SEED, SHARE)
    assert asked >= SHARE
    assert 0 < allowed < asked


def main() -> int:
    """Ask the questions of one seed."""
    number, count, *rest = sys.argv[1:]
    lab, began = Lab("hardened", name=rest[0] if rest else "default"), time.monotonic()
    try:
        if rest[1:] == ["kubelet"]:
            sent = compare_kubelet(lab, int(number), int(count))
            took = time.monotonic() - began
            print(f"seed {number}: {sent} requests to a kubelet, 0 differences, {took:.0f} s")
            return 0
        asked, allowed = compare(lab, int(number), int(count))
    except AssertionError as error:
        print(f"seed {number}: {error}")
        return 1
    said = f"{asked} questions, {allowed} of them allowed, 0 differences"
    print(f"seed {number}: {said}, {time.monotonic() - began:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
