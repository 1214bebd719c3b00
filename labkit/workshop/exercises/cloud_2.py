"""Let the role of a machine attach the volumes of its own workload, and no others."""

from __future__ import annotations

from labkit.workshop.checks import Attempt, hardened_state
from labkit.workshop.definition import Exercise, Hint, Outcome, WrongSolution
from labkit.workshop.edited import EditedLab

__all__ = ["EXERCISE"]

FILE = "/etc/cloud/node-policy.yaml"
TAG = "aws:ResourceTag/kubernetes.io/created-for/pvc/namespace"
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


def check(lab: EditedLab, answer: object) -> Outcome:
    """Attach the volume of another workload, and the machine's own."""
    return hardened_state(
        lab,
        [Attempt("cloud-volume", "HTTP 403 UnauthorizedOperation")],
        ["anyone@network -> cloud-stand-in@cloud:5000"],
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
        Hint("labkit logs cloud cloud --mode cloud-insecure", "does-not-run"),
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
