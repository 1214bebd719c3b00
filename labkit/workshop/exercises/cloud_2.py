"""Let the role of a machine attach the volumes of its own workload, and no others."""

from __future__ import annotations

from dataclasses import replace

from labkit.cluster import Environment, Source
from labkit.model.clouds import Volume, cloud_of
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


def other_volumes(env: Environment) -> Outcome | None:
    """Say what the role may do with volumes that the account does not have yet, and with tags."""
    cloud = cloud_of(env)
    account = cloud.account if cloud else None
    if account is None:
        return None
    role, said = f"role/{account.role}", Source("not in the account", None, "")
    volumes = {
        f"of the namespace {name}": Volume(f"{name}-data", {NAMESPACE: name}, said)
        for name in ("hr", "shop-old", "old-shop", "s", "staging")
    }
    volumes["without a tag"] = Volume("old-data", {}, said)
    more = replace(account, volumes=(*account.volumes, *volumes.values()))
    for words, volume in volumes.items():
        found = more.may(role, "ec2:AttachVolume", volume.name)
        if found.value != DENIED:
            may = "may" if found.value == ALLOWED else "perhaps may"
            return Outcome("others", (f"the workers {may} still attach a volume {words}",))
    if more.may(role, "ec2:CreateTags", "payments-data").value != DENIED:
        line = "the workers may give a volume of somebody else the tag of their own"
        return Outcome("tags", (line,))
    return None


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
        or other_volumes(lab.environment)
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
no others. They must still attach and read `shop-data`.

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
