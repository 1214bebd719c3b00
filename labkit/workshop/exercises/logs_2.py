"""Have the audit log say who read a secret, and not what was in it."""

from __future__ import annotations

from collections.abc import Mapping

from labkit.cluster import Environment
from labkit.cluster.audit_policy import AuditedRequest, AuditPolicy
from labkit.model.audit_trail import policy_in_use
from labkit.model.collected_logs import answers_with_secrets
from labkit.workshop.checks import Attempt, hardened_state
from labkit.workshop.definition import Exercise, Hint, Outcome, WrongSolution
from labkit.workshop.edited import EditedLab

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
#: What people look for after an incident: who read secrets, one or all, and in which way.
ACCOUNTS = ("system:serviceaccounts", "system:serviceaccounts:shop", "system:authenticated")
READERS: Mapping[str, tuple[str, ...]] = {
    "alice": ("system:authenticated",),
    "system:serviceaccount:shop:web": ACCOUNTS,
    "prometheus": ("system:authenticated",),
    "kubernetes-admin": ("system:masters", "system:authenticated"),
    "system:anonymous": ("system:unauthenticated",),
}
READ = [
    AuditedRequest(verb, "secrets", namespace=place, name=name, user=user, groups=groups)
    for verb, name in (("get", "db-credentials"), ("list", ""), ("watch", ""))
    for place in ("shop", "payments")
    for user, groups in READERS.items()
]
#: Requests with a token, the levels that write it down, and whose token it is.
TOKENS = (
    (
        AuditedRequest("create", "serviceaccounts/token", namespace="shop", name="default"),
        ("RequestResponse",),
        "the tokens that the apiserver makes are",
    ),
    (
        AuditedRequest("create", "tokenreviews", "authentication.k8s.io", namespace="", name=""),
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
    if policy is None:
        return None
    for request in READ:
        rule = policy.rule_for(request)
        if rule is None or not rule.records:
            line = "the policy has no event of it when somebody reads a secret"
            what = f"{request.verb} secrets in {request.namespace} by {request.user}"
            return Outcome("no-event", (f"{line}: {what}", "so nobody would find out who did"))
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
        files=without_event,
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
    for request, levels, whose in TOKENS:
        rule = policy.rule_for(request)
        if rule is not None and rule.level in levels:
            return Outcome("tokens", (f"no secret is in the log, but {whose}",))
    return found


EXERCISE = Exercise(
    name="logs-2",
    title="Who read it, and not what it was",
    notebook="15-logs-and-monitoring",
    kind="harden",
    mode="logs-insecure",
    task="""
Edit the audit policy of the apiserver in `logs-insecure` until no value of a secret, and no token
that the apiserver makes or checks, gets into the log. The event of each request for a secret must
still be there, with the caller: it is what people look for after an incident. The store stays open
in this task, and the journals are sent as before.
""",
    hints=(
        Hint("The first rule that fits a request decides. Where does yours stand?", "open"),
        Hint("A policy is read when the apiserver starts.", "not-restarted"),
        Hint("Is the event still there? Who read a secret must be in the log.", "no-event"),
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
