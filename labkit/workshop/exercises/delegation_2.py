"""Have a webhook's denials hold without its answer, and keep everybody else out of it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import TypeAlias

from labkit.cluster import Environment, read_environment
from labkit.model.decision import (
    ALLOWED,
    AUTHENTICATED,
    UNKNOWN,
    Action,
    Caller,
    authorizers,
    decide,
    member_of,
)
from labkit.model.reviewers import reviewer_of
from labkit.model.rights import authenticated_as
from labkit.workshop.checks import Attempt, hardened_state, ways_back
from labkit.workshop.definition import Exercise, Hint, Outcome, WrongSolution
from labkit.workshop.edited import EditedLab

__all__ = ["EXERCISE"]

Callers: TypeAlias = tuple[Caller, ...]
#: The group to which it denies secrets.
GROUP = "contractors"
FILE = "/etc/kubernetes/authorization.yaml"
START = f"""
path = "{FILE}"
text = insecure.read_file("master", path).decode()
"""
DENY = """text = text.replace("failurePolicy: NoOpinion", "failurePolicy: Deny")
"""
END = """insecure.write_file("master", path, text.encode())
_ = insecure.exec("master", ["systemctl", "restart", "kube-apiserver"], timeout=90)
"""
SECRETS = "secrets"
VERBS = ("get", "list", "watch", "create", "update", "patch", "delete")
#: What the check asks about; a namespace of another name stands for those that are to come.
ACTIONS = (
    *(
        Action(verb, resource, namespace=namespace)
        for resource in (SECRETS, "pods", "configmaps", "pods/exec")
        for namespace in ("", "shop", "kube-system", "another")
        for verb in VERBS
    ),
    Action("list", "nodes"),
    Action("get", "", path="/metrics"),
)
OF_SECRETS = tuple(it for it in ACTIONS if it.resource == SECRETS)
REST = tuple(it for it in ACTIONS if it.resource != SECRETS)
NOBODY = "no authorizer allows anything any more: a webhook that denies nothing allows nothing"
EVERYBODY = "and so are the components of the cluster: one machine that fails stops all of them"


def changed(before: Environment, after: Environment) -> Outcome | None:
    """Say what has become of people's rights, with the webhook's answer and without it.

    With it, contractors are denied secrets and everything else is as before. Without it, they are
    still denied secrets, and those whom the webhook denies nothing keep what they have.
    """
    contractors, others = callers(before, after)
    return (
        _less_than_before(before, after, contractors, others)
        or _secrets_open(after, contractors)
        or _too_wide(before, after, others)
    )


def _less_than_before(
    before: Environment, after: Environment, contractors: Callers, others: Callers
) -> Outcome | None:
    """Say who may do less while the webhook answers; it has no opinion on what it does not deny."""
    rest, rest_now = without_webhook(before), without_webhook(after)
    for who in (*others, *contractors):
        asked = REST if who in contractors else ACTIONS
        had = [it for it in asked if decided(rest, who, it) == ALLOWED]
        lost = [it for it in had if decided(rest_now, who, it) != ALLOWED]
        if lost and lost == had:
            line = (
                f"the denial holds, but {who.user} is denied everything, and also with its answer"
            )
            return Outcome("nobody-allows", (line, NOBODY))
        if lost:
            return Outcome("less-than-before", said(f"{who.user} may not do it any more", lost))
    return None


def _secrets_open(after: Environment, contractors: Callers) -> Outcome | None:
    """Say which contractor is let to secrets without a question, or without an answer."""
    for who in contractors:
        for silent, state, what in (
            (False, "not-asked", f"nobody asks the webhook whether {who.user} may"),
            (True, "open", f"while the webhook does not answer, {who.user} may"),
        ):
            answers = {it: decided(after, who, it, silent=silent) for it in OF_SECRETS}
            if passed := [it for it, value in answers.items() if value == ALLOWED]:
                return Outcome(state, said(what, passed))
            unclear = [it for it, value in answers.items() if value == UNKNOWN]
            if silent and unclear:
                return Outcome("files-unclear", said(f"{what}, perhaps", unclear))
    return None


def _too_wide(before: Environment, after: Environment, others: Callers) -> Outcome | None:
    """Say who depends on the webhook's answer although it denies them nothing."""
    for who in others:
        kept = [it for it in ACTIONS if decided(before, who, it, silent=True) == ALLOWED]
        lost = [it for it in kept if decided(after, who, it, silent=True) != ALLOWED]
        if lost:
            first = f"the denial holds, but without the webhook {who.user} "
            lines = (f"{first}is denied everything as well", EVERYBODY)
            return Outcome("too-wide", lines if lost == kept else said(f"{first}may not", lost))
    return None


def callers(before: Environment, after: Environment) -> tuple[Callers, Callers]:
    """Return the contractors, also one whom nobody knows yet, and the others.

    Whom a condition names may be a contractor too.
    """
    reviewer = reviewer_of(before)
    people = reviewer.people if reviewer else ()
    apiserver = before.component("kube-apiserver@master")
    scheduler = authenticated_as(apiserver, before, before.credential("kube-scheduler", "master"))
    hooks = (it.webhook for it in authorizers(after, apiserver))
    text = " ".join(it.value for hook in hooks if hook for it in hook.conditions)
    named = {it.user for it in people}
    names = dict.fromkeys(("another contractor", *re.findall(r"""['"](.+?)['"]""", text)))
    more = (member_of(GROUP, AUTHENTICATED, user=it) for it in names if it not in named)
    return (
        (*(it for it in people if GROUP in it.groups), *more),
        (*(it for it in people if GROUP not in it.groups), scheduler),
    )


def said(first: str, actions: Sequence[Action]) -> tuple[str, ...]:
    """Return a line, and lines for the first of some actions."""
    named = (f"{it}{f' in {it.namespace}' if it.namespace else ''}" for it in actions[:3])
    return (f"{first}:", *named)


def without_webhook(env: Environment) -> Environment:
    """Return an environment whose apiserver asks no webhook: one that has no opinion is as none."""
    found = env.apiserver_files.authorizers
    kept = {name: tuple(it for it in all_ if it.kind != "Webhook") for name, all_ in found.items()}
    return replace(env, apiserver_files=replace(env.apiserver_files, authorizers=kept))


def decided(env: Environment, who: Caller, action: Action, *, silent: bool = False) -> str:
    """Return what is decided; unknown where the webhook is asked, unless it is silent."""
    apiserver = env.component("kube-apiserver@master")
    return decide(env, apiserver, who, action, unanswered=silent).value


def check(lab: EditedLab, answer: object) -> Outcome:
    """Cut the webhook off, and look whether only those depend on it whom it denies something."""
    found = hardened_state(
        lab,
        [Attempt("webhook-outage", "HTTP 500: no authorizer after the webhook is asked")],
        ["kube-apiserver@master -> opa@*"],
        works=lambda it: changed(read_environment(it.environment.folder), it.environment),
    )
    if edited := [it for it in lab.by_hand if it.role == "reviewer"]:
        line = f"{edited[0].path} of the webhook differs, which delegation-1 does as well; to mend:"
        return Outcome("reviewer-edited", (line, *ways_back(lab, edited[0].role)))
    return found


EXERCISE = Exercise(
    name="delegation-2",
    title="No answer is no permission",
    notebook="14-delegated-decisions",
    kind="harden",
    mode="hook-insecure",
    task="""
mallory, a contractor, may do everything in `hook-insecure` but read secrets: only the webhook
denies that. Who cuts it off gets the secrets with her token. Edit the master until her request is
refused as well while the webhook does not answer (HTTP 500, as no authorizer after it is asked).

While it answers, everything stays as it is: mallory is refused with HTTP 403. And without its
answer, those whom it denies nothing, such as alice, keep all their rights. The channel to the
webhook is not part of this task.
""",
    hints=(
        Hint("Who has to wait for the webhook now? Look at its matchConditions.", "too-wide"),
        Hint("Which authorizer gave people their rights? Put it back.", "nobody-allows"),
        Hint(
            "Who else has rights in the file that you changed? Put theirs back.", "less-than-before"
        ),
        Hint(
            "The condition must be true for every contractor, and for secrets in every namespace.",
            "not-asked",
        ),
        Hint("%lab reset hook-insecure review", "reviewer-edited"),
        Hint("The webhook must deny before another authorizer allows: mind the order.", "unclear"),
        Hint(
            "labkit knows conditions that look for a group, or compare the user or an attribute of "
            "the resource with one word, joined by &&. Write yours in that form.",
            "files-unclear",
        ),
        Hint("labkit logs master kube-apiserver --mode hook-insecure", "does-not-run"),
        Hint(
            f"The authorizers stand in {FILE} on the master, in the order in which they are asked."
        ),
        Hint("failurePolicy says what no answer means. The documentation knows two values."),
    ),
    check=check,
    solution=START + DENY + END,
    wrong=(
        WrongSolution(
            "the apiserver waits longer",
            START + 'text = text.replace("timeout: 3s", "timeout: 10s")\n' + END,
            "open",
            "webhook-outage (root on a worker) still succeeds",
        ),
        WrongSolution(
            "the webhook is asked about everybody",
            START
            + DENY
            + """head, _, _ = text.partition("      matchConditions:")
text = head + "  - type: ABAC\\n    name: abac\\n"
"""
            + END,
            "too-wide",
            "without the webhook alice is denied everything as well",
        ),
        WrongSolution(
            "nobody but the webhook is asked",
            START + DENY + 'text = text.replace("  - type: ABAC\\n    name: abac\\n", "")\n' + END,
            "nobody-allows",
            "no authorizer allows anything any more",
        ),
        WrongSolution(
            "the webhook is asked last",
            START
            + DENY
            + """abac = "  - type: ABAC\\n    name: abac\\n"
text = text.replace(abac, "").replace("authorizers:\\n", "authorizers:\\n" + abac)
"""
            + END,
            "unclear",
            "no webhook denies mallory secrets before another authorizer",
        ),
        WrongSolution(
            "the webhook is asked about one namespace",
            START
            + DENY
            + """found = "in request.groups"
text = text.replace(found, found + " && request.resourceAttributes.namespace == 'shop'")
"""
            + END,
            "not-asked",
            "nobody asks the webhook whether mallory may",
        ),
        WrongSolution(
            "the webhook is asked about one person",
            START
            + DENY
            + """text = text.replace("'contractors' in request.groups", "request.user == 'mallory'")
"""
            + END,
            "not-asked",
            "nobody asks the webhook whether another contractor may",
        ),
        WrongSolution(
            "a value that does not exist",
            START
            + 'text = text.replace("NoOpinion", "Forbid")\n'
            + END.replace("timeout=90", "timeout=90, check=False"),
            "does-not-run",
            "%lab reset hook-insecure master",
        ),
    ),
    techniques=("webhook-outage",),
)
