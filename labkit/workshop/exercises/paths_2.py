"""Find a smallest set of controls that keeps an attacker in a pod from being root on a node."""

from __future__ import annotations

from functools import cache

from labkit.analysis import attack_paths, minimal_cut
from labkit.analysis.what_if import missing_controls, with_missing
from labkit.loading import load_model
from labkit.workshop.checks import smallest_set
from labkit.workshop.definition import Exercise, Hint, Outcome, WrongSolution
from labkit.workshop.edited import EditedLab

__all__ = ["EXERCISE"]

START, GOAL = "pod", "node"
SOLUTION = """
answer = {
    "abac-least-privilege",
    "docker-socket-mount",
    "docker-tcp",
    "etcd-users",
    "insecure-port",
}
"""


def path_left(chosen: frozenset[str]) -> str:
    """Name the cheapest path that is left with controls in place; "" if all are cut."""
    model = with_missing(load_model("insecure"), chosen)
    found = attack_paths(model, START, GOAL, 1, "techniques")
    ways = found.paths or found.possible
    return f"a path is left: {' -> '.join(step.name for step in ways[0])}" if ways else ""


@cache
def fewest() -> int:
    """Return the size of a smallest set of controls that cuts every path."""
    cut = minimal_cut(load_model("insecure"), START, GOAL, "techniques")
    if cut is None:
        raise ValueError(f"no controls cut every path from {START} to {GOAL}")
    return len(cut)


def check(lab: EditedLab, answer: object) -> Outcome:
    """Look in the model for a path that the controls of the answer leave."""
    return smallest_set(answer, missing_controls(load_model("insecure")), path_left, fewest)


EXERCISE = Exercise(
    name="paths-2",
    title="A cut of your own",
    notebook="10-attack-paths",
    kind="predict",
    mode="insecure",
    task="""
Choose controls that, put in place together in `insecure`, cut every path from inside a pod to root
on a node: as few as possible. Paths are those of the techniques (`derivation="techniques"`). Set
`answer` to the set of their names. Any set of the smallest size is right, so take the controls that
you would rather have.

Find it by asking for one path after the other, and not with `minimal_cut`: `labkit.attack_paths`
gives the cheapest path, and `labkit.with_control` a model with controls in place.
""",
    hints=(
        Hint("The check named a path that is left. Which control closes it?", "not-enough"),
        Hint("Do two of your controls close the same door?", "too-many"),
        Hint("A pod is on the cluster network: it reaches every port that the network reaches."),
        Hint("Who may create a pod that mounts the machine's files is root there."),
        Hint(
            "A cluster-admin labels a namespace, and Pod Security admits everything there. So each "
            "way to cluster-admin has to be cut as well.",
            "not-enough",
        ),
        Hint(
            "Five doors: Docker's port and its socket, the apiserver's rights, its insecure port, "
            "and etcd."
        ),
    ),
    check=check,
    solution=SOLUTION,
    wrong=(
        WrongSolution(
            "the doors of the worker alone",
            'answer = {"docker-socket-mount", "docker-tcp"}',
            "not-enough",
            "a path is left: host-path-pod",
        ),
        WrongSolution(
            "the port with TLS, and the kubelet",
            'answer = {"docker-client-auth", "kubelet-anonymous", "pod-security"}',
            "not-enough",
            "a path is left: docker-socket-in-pod",
        ),
        WrongSolution(
            "Pod Security, which a cluster-admin labels away",
            'answer = {"docker-socket-mount", "docker-tcp", "pod-security"}',
            "not-enough",
            "a path is left: agent-token",
        ),
        WrongSolution(
            "TLS for etcd's port, where nobody has to show a certificate",
            SOLUTION.replace("etcd-users", "etcd-client-tls"),
            "not-enough",
            "a path is left: etcd-forge",
        ),
        WrongSolution(
            "everything that helps",
            SOLUTION + 'answer.add("pod-security")\n',
            "too-many",
            "these 6 are enough, and fewer are as well",
        ),
    ),
    techniques=("agent-token", "docker-socket-in-pod", "docker-tcp", "etcd-forge"),
)
