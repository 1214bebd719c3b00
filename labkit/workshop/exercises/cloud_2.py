"""Let the role of a machine attach the volumes of its own workload, and no others."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from labkit.cluster import Environment, Source
from labkit.cluster.syntax.yamldoc import Document
from labkit.model.claims import Claim
from labkit.model.clouds import Account, Volume, cloud_of
from labkit.model.decision import ALLOWED, DENIED
from labkit.workshop.checks import Attempt, edited_beside, hardened_state, unread
from labkit.workshop.definition import Exercise, Hint, Outcome, WrongSolution
from labkit.workshop.edited import EditedLab

__all__ = ["EXERCISE"]

FILE = "/etc/cloud/node-policy.yaml"
#: Whose volumes there are, and what the cluster's own user may do: not the question here.
OTHERS = ("/etc/cloud/account.yaml", "/etc/cloud/controller-policy.yaml")
NAMESPACE = "kubernetes.io/created-for/pvc/namespace"
TAG = f"aws:ResourceTag/{NAMESPACE}"
#: Whose volumes the workers attach, and namespaces of which nobody has said anything.
OWN, STRANGERS = "shop", ("hr", "shop-old", "old-shop", "s", "staging")
#: What the cluster needs: each action, and the tags of the volume that it is for.
NEEDS: Mapping[str, Mapping[str, str] | None] = {
    "ec2:DescribeInstances": None,
    "ec2:DescribeVolumes": None,
    "ec2:AttachVolume": {NAMESPACE: OWN},
    "ec2:DetachVolume": {NAMESPACE: OWN},
}
START = f"""
path = "{FILE}"
text = insecure.read_file("cloud", path).decode()
"""
END = """insecure.write_file("cloud", path, text.encode())
_ = insecure.exec("cloud", ["systemctl", "restart", "cloud"], timeout=90)
"""
#: The condition of the last statement, which is about volumes; the placeholder is the value.
CONDITION = (
    f'tag = "{TAG}"\n'
    'text += f"    Condition:\\n      StringEquals: {{{{{{tag}}: {}}}}}\\n"\n'
)


def wrong_rights(env: Environment) -> Outcome | None:
    """Say what the role may do beyond its work, or may not do of it any more.

    Parameters
    ----------
    env : Environment

    Returns
    -------
    Outcome or None
        None if the policy allows the role what the cluster needs, and nothing else.
    """
    account = _account(env)
    return other_volumes(env) or (_too_little(account) or _too_much(account) if account else None)


def other_volumes(env: Environment) -> Outcome | None:
    """Say what the role may do with volumes that the account does not have yet, and with tags."""
    account = _account(env)
    if account is None:
        return None
    policy = account.policies.get(_role(account))
    volumes = {f"of the namespace {name}": {NAMESPACE: name} for name in STRANGERS}
    for tag, value in _named_tags(policy) if policy else ():
        if tag != NAMESPACE:
            volumes[f"with the tag {tag}: {value}"] = {tag: value, NAMESPACE: STRANGERS[0]}
        elif value != OWN:
            volumes[f"of the namespace {value}"] = {NAMESPACE: value}
    volumes["without a tag"] = {}
    for words, tags in volumes.items():
        found = _may(account, "ec2:AttachVolume", tags)
        if found.value != DENIED:
            may = "may" if found.value == ALLOWED else "perhaps may"
            return Outcome("others", (f"the workers {may} still attach a volume {words}",))
    if _may(account, "ec2:CreateTags", {NAMESPACE: STRANGERS[0]}).value != DENIED:
        line = "the workers may give a volume of somebody else the tag of their own"
        return Outcome("tags", (line,))
    return None


def _too_little(account: Account) -> Outcome | None:
    """Say what the cluster needs and the role may not do any more."""
    for action, tags in NEEDS.items():
        if _may(account, action, tags).value != ALLOWED:
            what = f" a volume of the namespace {OWN}" if tags else ""
            return Outcome("too-little", (f"the workers may not {action}{what} any more",))
    return None


def _too_much(account: Account) -> Outcome | None:
    """Say which statement allows an action that the cluster does not need, wherever it is.

    A pattern stands for actions that there are, and for those that are to come.
    """
    policy = account.policies.get(_role(account))
    for statement in _listed(policy.get("Statement")) if policy else ():
        if not isinstance(statement, dict) or "Action" not in statement:
            line = "labkit does not know which actions a statement without Action allows"
            return Outcome("files-unclear", (line,))
        if statement.get("Effect") == "Deny":
            continue
        for action in map(str, _listed(statement["Action"])):
            if action.lower() not in map(str.lower, NEEDS):
                line = f"a statement allows {action}, which the cluster does not need"
                return Outcome("too-much", (line,))
    return None


def _account(env: Environment) -> Account | None:
    cloud = cloud_of(env)
    return cloud.account if cloud else None


def _role(account: Account) -> str:
    return f"role/{account.role}"


def _may(account: Account, action: str, tags: Mapping[str, str] | None) -> Claim:
    """Say whether the role may do something: with a new volume that has tags, or in general."""
    if tags is None:
        return account.may(_role(account), action)
    volume = Volume("new-data", tags, Source("not in the account", None, ""))
    more = replace(account, volumes=(*account.volumes, volume))
    return more.may(_role(account), action, volume.name)


def _named_tags(policy: Document) -> Iterator[tuple[str, str]]:
    """Yield the tags that conditions of a policy name, each with a value that fits."""
    for statement in _listed(policy.get("Statement")):
        conditions = statement.get("Condition") if isinstance(statement, dict) else None
        for wanted in conditions.values() if isinstance(conditions, dict) else ():
            for key, values in wanted.items() if isinstance(wanted, dict) else ():
                _, found, tag = str(key).partition(":ResourceTag/")
                for value in _listed(values) if found else ():
                    yield tag, re.sub(r"[*?]", "x", str(value))


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def check(lab: EditedLab, answer: object) -> Outcome:
    """Attach the volume of another workload and the machine's own; of further ones, ask the policy.

    The account has no others, so that the stand-in has read the policy is asked as well.
    """
    found = hardened_state(
        lab,
        [Attempt("cloud-volume", "HTTP 403 UnauthorizedOperation")],
        ["anyone@network -> cloud-stand-in@cloud:5000"],
    )
    if not found.solved:
        return found
    return (
        edited_beside(lab, *OTHERS)
        or unread(lab, "cloud", "cloud.service", FILE)
        or wrong_rights(lab.environment)
        or found
    )


EXERCISE = Exercise(
    name="cloud-2",
    title="Whose volume is it?",
    notebook="16-cloud-credentials",
    kind="harden",
    mode="cloud-insecure",
    task=f"""
The role of the workers may attach every volume of the account: also `payments-data`, which belongs
to somebody else. Edit its policy until the workers attach the volumes of the namespace `shop` and
no others. They must still attach, read and detach `shop-data` and each later volume of `shop`, and
list machines and volumes. The policy allows nothing that it did not allow before.

The policy is `{FILE}` on the machine `cloud`, in the form of AWS's IAM; the volumes with their tags
are in `/etc/cloud/account.yaml` beside it. The service `cloud` reads both when it starts.
""",
    hints=(
        Hint("Which volumes fit your condition? Look at the tags.", "open"),
        Hint(
            "Do the workers still get their own volume? Attaching is allowed for two things: a "
            "machine and a volume. Which of the two has the tag?",
            "unclear",
        ),
        Hint("What is allowed unless a statement says otherwise? Allow what is wanted.", "others"),
        Hint(
            "Attaching is not all that the cluster does with a volume. Put it back.", "too-little"
        ),
        Hint("Which action is new in the policy? Leave it out.", "too-much"),
        Hint("A statement names what it allows: an Action and a Resource.", "files-unclear"),
        Hint("Who sets a tag decides what the condition on it finds.", "tags"),
        Hint("labkit logs cloud cloud --mode cloud-insecure", "does-not-run"),
        Hint("The volumes are as they are, with their tags. Who may attach which?", "other-file"),
        Hint("A statement can have a Condition. This one asks for a tag: aws:ResourceTag/NAME."),
        Hint("StringEquals, with the tag kubernetes.io/created-for/pvc/namespace."),
    ),
    check=check,
    solution=START + CONDITION.format("shop") + END,
    wrong=(
        WrongSolution(
            "both namespaces",
            START + CONDITION.format("[shop, payments]") + END,
            "open",
            "cloud-volume (root on a worker) still succeeds",
        ),
        WrongSolution(
            "a namespace that has no volume yet",
            START + CONDITION.format("[shop, default]") + END,
            "others",
            "the workers may still attach a volume of the namespace default",
        ),
        WrongSolution(
            "more than before",
            START
            + CONDITION.format("shop")
            + """more = "Action: ec2:ModifyInstanceMetadataOptions"
text += "  - {Effect: Allow, " + more + ", Resource: '*'}\\n"
"""
            + END,
            "too-much",
            "a statement allows ec2:ModifyInstanceMetadataOptions",
        ),
        WrongSolution(
            "a volume is never detached",
            START
            + CONDITION.format("shop")
            + 'text = text.replace(", ec2:DetachVolume", "")\n'
            + END,
            "too-little",
            "the workers may not ec2:DetachVolume a volume of the namespace shop",
        ),
        WrongSolution(
            "a denial for the one namespace that is known",
            START
            + f"""text += '''  - Effect: Deny
    Action: ec2:AttachVolume
    Resource: "*"
    Condition:
      StringEquals: {{{TAG}: payments}}
'''
"""
            + END,
            "others",
            "the workers may still attach a volume of the namespace hr",
        ),
        WrongSolution(
            "another tag for the volume of somebody else",
            START
            + CONDITION.format("shop")
            + """_ = insecure.exec(
    "cloud", ["sed", "-i", "s/namespace: payments/namespace: hr/", "/etc/cloud/account.yaml"]
)
"""
            + END,
            "other-file",
            "/etc/cloud/account.yaml was edited as well",
        ),
        WrongSolution(
            "no volume at all",
            START + 'text = text.replace("volume/*", "volume/none")\n' + END,
            "unclear",
            "the role cannot read shop-data either",
        ),
        WrongSolution(
            "the condition on the machines",
            START
            + f'tag = "{TAG}"\n'
            + 'wanted = f"instance/*\\n    Condition:\\n      StringEquals: {{{tag}: shop}}\\n"\n'
            + 'text = text.replace("instance/*\\n", wanted)\n'
            + END,
            "unclear",
            "the role cannot read shop-data either",
        ),
    ),
    techniques=("cloud-volume",),
)
