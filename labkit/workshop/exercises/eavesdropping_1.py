"""Predict which channels an eavesdropper reads, from the model alone."""

from __future__ import annotations

from labkit.loading import load_model
from labkit.workshop.checks import compare, predictions, sets_of_names
from labkit.workshop.definition import Exercise, Hint, Outcome, WrongSolution
from labkit.workshop.edited import EditedLab

__all__ = ["EXERCISE"]

TECHNIQUES = (
    "eavesdrop-controller-manager",
    "eavesdrop-docker",
    "eavesdrop-etcd",
    "eavesdrop-etcd-peer",
    "eavesdrop-exec",
    "eavesdrop-flannel",
    "eavesdrop-kube-proxy",
    "eavesdrop-scheduler",
    "eavesdrop-vxlan",
)


def check(lab: EditedLab, answer: object) -> Outcome:
    """Compare the answer with the predictions of both models."""
    expected = {}
    for mode in ("insecure", "hardened"):
        said = predictions(load_model(mode), TECHNIQUES)
        expected[mode] = {name for name, word in said.items() if word == "succeeded"}
    return compare(expected, sets_of_names(answer))


EXERCISE = Exercise(
    name="eavesdropping-1",
    title="Which other channels can be read?",
    notebook="01-eavesdropping",
    kind="predict",
    mode="insecure",
    task=f"""
The notebook read one channel. These techniques listen to others, from the cluster network:

{chr(10).join(f"- `{name}`" for name in TECHNIQUES)}

Which of them succeed in `insecure`, and which in `hardened`? Look at the model: `labkit.load_model`
gives each channel with its encryption. Set `answer` to a dict with the keys `insecure` and
`hardened`; each value is the set of the names that succeed.
""",
    hints=(
        Hint("Each technique has channels(model): the channels that it listens to."),
        Hint(
            "A packet that never leaves its machine is on no wire. Look at the machines of the "
            "client and the server of each channel."
        ),
        Hint("One technique listens to what pods say to each other. VXLAN encrypts nothing."),
    ),
    check=check,
    solution="""
both = {"eavesdrop-vxlan"}
answer = {
    "insecure": both
    | {
        "eavesdrop-docker",
        "eavesdrop-etcd",
        "eavesdrop-etcd-peer",
        "eavesdrop-flannel",
        "eavesdrop-kube-proxy",
    },
    "hardened": both,
}
""",
    wrong=(
        WrongSolution(
            "everything in insecure",
            f'answer = {{"insecure": set({TECHNIQUES!r}), "hardened": {{"eavesdrop-vxlan"}}}}',
            "wrong-answer",
            "1 of 2 is as the model says",
        ),
        WrongSolution(
            "hardened has no open channel",
            'answer = {"insecure": {"eavesdrop-etcd"}, "hardened": set()}',
            "wrong-answer",
            "0 of 2 are as the model says",
        ),
        WrongSolution(
            "one mode only", 'answer = {"insecure": set()}', "incomplete", "no answer for hardened"
        ),
    ),
    techniques=TECHNIQUES,
)
