"""Find how many mistakes make the token of a pod worth something in `hardened`."""

from __future__ import annotations

from functools import cache

from labkit import controls, techniques
from labkit.cluster import read_environment
from labkit.model import read_model
from labkit.model.footholds import POD
from labkit.workshop.checks import fewest_of, smallest_set
from labkit.workshop.definition import Exercise, Hint, Outcome, WrongSolution
from labkit.workshop.edited import EditedLab

__all__ = ["EXERCISE"]

CONTROLS = (
    "apiserver-anonymous",
    "apiserver-authorization",
    "bound-tokens",
    "default-account-unbound",
    "nodes-proxy",
    "pod-security",
    "service-account-automount",
    "token-audience",
)


def still_refused(taken_out: frozenset[str]) -> str:
    """Say why the technique is refused with controls taken out; "" if it succeeds."""
    # with_controls reads the model before and after each control; a search asks for many sets
    edits = [edit for name in sorted(taken_out) for edit in controls[name].edits(on=False)]
    env = read_environment("hardened", edits)
    said = techniques["pod-token"].predict(read_model(env), POD)
    return "" if said.succeeds else f"pod-token is still {said.word}"


@cache
def fewest() -> int:
    """Return the size of the smallest set of controls without which it succeeds."""
    return fewest_of(CONTROLS, still_refused)


def check(lab: EditedLab, answer: object) -> Outcome:
    """Ask the model what a pod's token gives without the controls of the answer."""
    return smallest_set(answer, CONTROLS, still_refused, fewest)


EXERCISE = Exercise(
    name="tokens-2",
    title="How many mistakes does it take?",
    notebook="09-service-account-tokens",
    kind="predict",
    mode="hardened",
    task=f"""
In `hardened`, `pod-token` is refused from inside a pod, and the notebook named three settings that
have a part in it. Find the smallest set of controls without which it succeeds: if they are taken
out of `hardened`, an attacker in the pod reads a secret with its token. Set `answer` to the set of
their names.

Choose from {", ".join(f"`{name}`" for name in CONTROLS)}.
""",
    hints=(
        Hint(
            "Ask the reasons of the refusal: labkit.techniques['pod-token'].predict(model, POD), "
            "with the model that labkit.controls.with_controls gives you.",
            "not-enough",
        ),
        Hint("Leave one of yours out, and ask again.", "too-many"),
        Hint("Without a token in the pod, no authorizer is asked."),
        Hint("An authorizer that allows everybody everything does not look at bindings."),
    ),
    check=check,
    solution="""
answer = {"apiserver-authorization", "service-account-automount"}
""",
    wrong=(
        WrongSolution(
            "the mount alone",
            'answer = {"service-account-automount"}',
            "not-enough",
            "pod-token is still refused",
        ),
        WrongSolution(
            "the mount, and a binding of the default account",
            'answer = {"default-account-unbound", "service-account-automount"}',
            "not-enough",
            "pod-token is still refused",
        ),
        WrongSolution(
            "one control for each of the three settings",
            """
answer = {
    "apiserver-authorization",
    "default-account-unbound",
    "service-account-automount",
}
""",
            "too-many",
            "these 3 are enough, and fewer are as well",
        ),
    ),
    techniques=("pod-token",),
)
