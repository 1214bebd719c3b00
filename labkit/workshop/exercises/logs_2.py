"""Have the audit log say who read a secret, and not what was in it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from labkit.cluster import Environment, Source, read_environment
from labkit.cluster.audit_policy import AuditedRequest, AuditPolicy, AuditRule
from labkit.model.audit_trail import audited, policy_in_use
from labkit.model.claims import Claim
from labkit.model.collected_logs import answers_with_secrets
from labkit.model.decision import ANONYMOUS, Action, Caller
from labkit.workshop.checks import Attempt, hardened_state
from labkit.workshop.definition import Exercise, Hint, Outcome, WrongSolution
from labkit.workshop.edited import EditedLab
from labkit.workshop.exercises._callers import ADMIN, CALLERS, as_known, member

__all__ = ["EXERCISE"]

FILE = "/etc/kubernetes/audit-policy.yaml"
START = f"""
path = "{FILE}"
text = insecure.read_file("master", path).decode()
"""
RESTART = '["systemctl", "restart", "kube-apiserver"]'
END = f"""insecure.write_file("master", path, text.encode())
_ = insecure.exec("master", {RESTART}, timeout=90)
"""
WHOLE = 'text = text.replace("level: RequestResponse", "level: {}")\n'
WHO = "so nobody would find out who did"
SECRETS = "secrets"
#: What people look for after an incident: who read secrets, one or all, and in which way.
READERS = ("alice", "system:serviceaccount:shop:web", "prometheus", ADMIN, ANONYMOUS)
READ = [
    audited(as_known(user), Action(verb, SECRETS, namespace=place, name=name))
    for verb, name in (("get", "db-credentials"), ("list", ""), ("watch", ""))
    for place in ("shop", "payments")
    for user in READERS
]
#: Whose token is refused with HTTP 401: the request has an event as well.
NOBODY = Caller("", frozenset(), Claim("required", "HTTP 401", Source("by hand", None, "")))
VERBS = ("get", "list", "watch", "create", "update", "patch", "delete", "deletecollection")
#: Namespaces of the lab, one that nobody named before, and none: all of them, or no namespace.
NAMESPACES = ("shop", "kube-system", "another", "")
ANY = "any"
#: What requests are for, by resource and group; the last one stands for all that nobody named.
RESOURCES = (
    (SECRETS, ""),
    ("serviceaccounts/token", ""),
    *((f"pods/{part}", "") for part in ("exec", "attach", "portforward", "proxy")),
    ("services/proxy", ""),
    ("nodes/proxy", ""),
    ("pods", ""),
    ("configmaps", ""),
    ("deployments", "apps"),
    ("clusterrolebindings", "rbac.authorization.k8s.io"),
    ("tokenreviews", "authentication.k8s.io"),
    (ANY, "another.example"),
)
#: Requests with a token, the levels that write it down, and whose token it is.
TOKENS = (
    (
        ("serviceaccounts/token", ""),
        ("RequestResponse",),
        "the tokens that the apiserver makes are",
    ),
    (
        ("tokenreviews", "authentication.k8s.io"),
        ("Request", "RequestResponse"),
        "the tokens that a kubelet or a service has the apiserver check are",
    ),
)


def policy_of(env: Environment) -> AuditPolicy | None:
    """Return the audit policy, or None without one that is understood."""
    policy = policy_in_use(env, env.component("kube-apiserver@master"))
    return policy if isinstance(policy, AuditPolicy) else None


def without_event(env: Environment) -> Outcome | None:
    """Return an outcome if the policy has no event of it when somebody reads a secret."""
    policy = policy_of(env)
    missed = policy.missed(READ) if policy else ()
    if not missed:
        return None
    line = "the policy has no event of it when somebody reads a secret"
    return Outcome("no-event", (f"{line}: {said(missed[0])}", WHO))


def lost_event(before: Environment, after: Environment) -> Outcome | None:
    """Return an outcome if a request that had an event has none any more.

    Parameters
    ----------
    before, after : Environment

    Returns
    -------
    Outcome or None
    """
    old, new = policy_of(before), policy_of(after)
    if old is None or new is None:
        return None
    asked = requests(new)
    without = frozenset(old.missed(asked))
    lost = [it for it in new.missed(asked) if it not in without]
    if not lost:
        return None
    if of_secrets := [it for it in lost if it.resource == SECRETS]:
        line = "a request for a secret has no event any more"
        return Outcome("no-event", (f"{line}: {said(of_secrets[0])}", WHO))
    line = "no event of a secret is missing, but others that were in the log are"
    return Outcome("other-events", (f"{line}:", *map(said, lost[:3])))


def requests(policy: AuditPolicy) -> list[AuditedRequest]:
    """Return requests of every kind, also with each word of a policy.

    A rule compares whole words, so a word that it has and one that it has not stand for all.
    """
    rules = policy.rules
    resources = dict.fromkeys([*RESOURCES, *_named(rules)])
    names = dict.fromkeys(["", *(it for rule in rules for of in rule.resources for it in of.names)])
    places = dict.fromkeys([*NAMESPACES, *(it for rule in rules for it in rule.namespaces)])
    everybody = callers(rules)
    return [
        audited(caller, Action(verb, resource, group, namespace, name))
        for resource, group in resources
        for namespace in places
        for verb in VERBS
        for caller in everybody
        for name in names
    ]


def _named(rules: Sequence[AuditRule]) -> Iterator[tuple[str, str]]:
    """Yield the resources that rules name, with their groups; a wildcard is any resource."""
    for it in (each for rule in rules for each in rule.resources):
        for word in it.resources or ("*",):
            yield word.replace("*", ANY), it.group


def callers(rules: Sequence[AuditRule]) -> list[Caller]:
    """Return callers of every kind, and those whom rules name; one is not known at all."""
    found = [as_known(it) for it in CALLERS]
    for rule in rules:
        found += [as_known(it, *rule.groups) for it in rule.users]
        found += [member(it) for it in rule.groups if not rule.users]
    return [*{(it.user, it.groups): it for it in found}.values(), NOBODY]


def said(request: AuditedRequest) -> str:
    """Return a request in words, with its caller."""
    what = f"{request} {request.name}" if request.name else f"{request}"
    group = f" of {request.group}" if request.group else ""
    where = f" in {request.namespace}" if request.namespace else ""
    return f"{what}{group}{where} by {request.user or 'a caller whom nobody knows'}"


def with_tokens(policy: AuditPolicy) -> Outcome | None:
    """Return an outcome if a policy writes down a token, for any caller."""
    made = [it for it in requests(policy) if it.verb == "create"]
    for resource, levels, whose in TOKENS:
        for request in (it for it in made if (it.resource, it.group) == resource):
            rule = policy.rule_for(request)
            if rule is not None and rule.records and rule.level in levels:
                line = f"no secret is in the log, but {whose}"
                return Outcome("tokens", (f"{line}: {said(request)}",))
    return None


def check(lab: EditedLab, answer: object) -> Outcome:
    """Look for a secret in the store, which must still have the event of its reading.

    What is written of other requests, the policy says: a file that the apiserver has read.
    """
    without_answer = "the store is open, but its events have no answers: level (Metadata|Request)"
    found = hardened_state(
        lab,
        [Attempt("read-secrets-in-logs", without_answer)],
        ["systemd-journal-upload@master -> *"],
        files=lambda env: without_event(env) or lost_event(read_environment(env.folder), env),
    )
    if not found.solved:
        return found
    policy = policy_of(lab.environment)
    if policy is None:
        return Outcome("unclear", ("the audit policy cannot be read, so what it writes is open",))
    if answers_with_secrets(policy):
        line = (
            "the answers are out of the log, but the secrets that somebody writes are still in it"
        )
        return Outcome("written", (line,))
    return with_tokens(policy) or found


EXERCISE = Exercise(
    name="logs-2",
    title="Who read it, and not what it was",
    notebook="15-logs-and-monitoring",
    kind="harden",
    mode="logs-insecure",
    task="""
Edit the audit policy of the apiserver in `logs-insecure` until no value of a secret, and no token
that the apiserver makes or checks, gets into the log. The event of each request for a secret must
still be there, with the caller: it is what people look for after an incident. That is so for every
caller, every namespace, and for who reads as for who writes. What the log has of other requests
stays as well: each that has an event keeps one, without what was sent and answered if you like. The
store stays open in this task, and the journals are sent as before.
""",
    hints=(
        Hint("The first rule that fits a request decides. Where does yours stand?", "open"),
        Hint("A policy is read when the apiserver starts.", "not-restarted"),
        Hint("Is the event still there? Who read a secret must be in the log.", "no-event"),
        Hint("A rule of the level None, or one that is gone: what else fits it?", "no-event"),
        Hint("Which requests had an event before? Each of them keeps one.", "other-events"),
        Hint("Who creates a secret sends its value. What does your level write down?", "written"),
        Hint("Which requests are answered with a token, and which are sent with one?", "tokens"),
        Hint("The store is not the question here: what is in the events?", "other-reason"),
        Hint("labkit logs master kube-apiserver --mode logs-insecure", "does-not-run"),
        Hint(f"The policy is {FILE} on the master; kube-apiserver.service names it."),
        Hint("There are four levels: None, Metadata, Request, RequestResponse."),
    ),
    check=check,
    solution=START + WHOLE.format("Metadata") + END,
    wrong=(
        WrongSolution(
            "a rule that comes too late",
            START
            + """text += "  - {level: Metadata, resources: [{group: '', resources: [secrets]}]}\\n"
"""
            + END,
            "open",
            "read-secrets-in-logs (on the cluster network) still succeeds",
        ),
        WrongSolution(
            "the file alone",
            START + WHOLE.format("Metadata") + END.partition("_ =")[0],
            "not-restarted",
            "the files already forbid it",
        ),
        WrongSolution(
            "a better file after the start",
            START
            + WHOLE.format("Request")
            + END
            + """
import time
time.sleep(1.1)
insecure.write_file("master", path, text.replace("level: Request", "level: Metadata").encode())
""",
            "not-restarted",
            "has not read /etc/kubernetes/audit-policy.yaml since it was changed",
        ),
        WrongSolution(
            "the secrets alone",
            START
            + """rule = "  - {level: Metadata, resources: [{group: '', resources: [secrets]}]}\\n"
text = text.replace("rules:\\n", "rules:\\n" + rule)
"""
            + END,
            "tokens",
            "the tokens that the apiserver makes are",
        ),
        WrongSolution(
            "the requests of those who check a token",
            START
            + WHOLE.format("Metadata")
            + """some = "[{group: authentication.k8s.io, resources: [tokenreviews]}]"
text = text.replace("rules:\\n", "rules:\\n  - {level: Request, resources: " + some + "}\\n")
"""
            + END,
            "tokens",
            "has the apiserver check are",
        ),
        WrongSolution(
            "no event at all",
            START + WHOLE.format("None") + END,
            "no-event",
            "no event of it when somebody reads a secret",
        ),
        WrongSolution(
            "no event of a list",
            START
            + WHOLE.format("Metadata")
            + """some = "verbs: [list, watch], resources: [{group: '', resources: [secrets]}]"
rule = "  - {level: None, " + some + "}\\n"
text = text.replace("rules:\\n", "rules:\\n" + rule)
"""
            + END,
            "no-event",
            "list secrets in shop by alice",
        ),
        WrongSolution(
            "no event of what a machine's kubelet asks for",
            START
            + WHOLE.format("Metadata")
            + """rule = "  - {level: None, userGroups: ['system:nodes']}\\n"
text = text.replace("rules:\\n", "rules:\\n" + rule)
"""
            + END,
            "no-event",
            "secrets in shop by system:node:worker1",
        ),
        WrongSolution(
            "the first rule alone",
            START
            + WHOLE.format("Metadata")
            + """text, _, _ = text.partition("  # What runs in a pod")
"""
            + END,
            "other-events",
            "get pods/exec in shop by alice",
        ),
        WrongSolution(
            "without the answers, and with the requests",
            START + WHOLE.format("Request") + END,
            "written",
            "the secrets that somebody writes are still in it",
        ),
        WrongSolution(
            "a level that does not exist",
            START
            + WHOLE.format("MetadataOnly")
            + END.replace("timeout=90", "timeout=90, check=False"),
            "does-not-run",
            "%lab reset logs-insecure master",
        ),
    ),
    techniques=("read-secrets-in-logs",),
)
