"""Predict what the copy of one private key gives an attacker in `hardened`."""

from __future__ import annotations

from labkit.analysis import reach
from labkit.loading import load_model
from labkit.workshop.checks import Mistake, compare, sets_of_names
from labkit.workshop.definition import Exercise, Hint, Outcome, WrongSolution
from labkit.workshop.edited import EditedLab

__all__ = ["EXERCISE"]

#: The credential of each question, and where its key lies.
KEYS = {
    "docker-client@master": "the key with which the administrator calls the Docker Engines",
    "etcd-server@etcd1": "the key with which etcd1 answers its clients",
    "kube-apiserver-etcd-client@master": "the key with which the apiserver calls etcd",
    "kube-apiserver-kubelet-client@master": "the key with which the apiserver calls the kubelets",
    "kube-proxy@worker1": "the key with which worker1's kube-proxy calls the apiserver",
    "kube-scheduler@master": "the key in the scheduler's kubeconfig",
}
ANY_NAME = Mistake(
    "any-name",
    "a trusted CA is not enough: one of the names in these certificates has no rights",
    {"etcd-server@etcd1": {"admin", "node", "secrets"}},
)


def check(lab: EditedLab, answer: object) -> Outcome:
    """Compare the answer with the goals that the holder of each key reaches in the model."""
    found = reach(load_model("hardened"), [f"holds:{name}" for name in KEYS])
    expected = {
        start.word.removeprefix("holds:"): {goal.word for goal in paths}
        for start, paths in found.paths.items()
    }
    return compare(expected, sets_of_names(answer), [ANY_NAME])


EXERCISE = Exercise(
    name="pki-2",
    title="The price of one copied key",
    notebook="06-pki",
    kind="predict",
    mode="hardened",
    task=f"""
An attacker has copied one private key of `hardened`, with its certificate, and holds nothing else.
They can call every listener on the cluster network. What do they reach? Answer for each of

{chr(10).join(f"- `{name}`: {what}" for name, what in KEYS.items())}

Set `answer` to a dict: the name, and the set of the goals, out of `secrets` (reads secrets of the
cluster), `admin` (cluster-admin) and `node` (root on a node). It may be none: `set()`. A goal that
is reached over another one counts as well. Who runs a command in a pod has the secrets that the
pod holds, which counts as `secrets`; of root on a node the same is part of `node`.
""",
    hints=(
        Hint(
            "etcd takes the user's name from the certificate. Which users has etcd-auth.yaml?",
            "any-name",
        ),
        Hint("Take each key to the listener that trusts its CA. What may the name do there?"),
        Hint("Who writes to the store of all objects needs no authorizer."),
        Hint("The kubelet runs commands in pods, and a pod has the secrets that it mounts."),
    ),
    check=check,
    solution="""
answer = {
    "docker-client@master": {"node"},
    "etcd-server@etcd1": set(),
    "kube-apiserver-etcd-client@master": {"admin", "node", "secrets"},
    "kube-apiserver-kubelet-client@master": {"secrets"},
    "kube-proxy@worker1": set(),
    "kube-scheduler@master": set(),
}
""",
    wrong=(
        WrongSolution(
            "every certificate of etcd's CA opens etcd",
            """
everything = {"admin", "node", "secrets"}
answer = {
    "docker-client@master": {"node"},
    "etcd-server@etcd1": everything,
    "kube-apiserver-etcd-client@master": everything,
    "kube-apiserver-kubelet-client@master": {"secrets"},
    "kube-proxy@worker1": set(),
    "kube-scheduler@master": set(),
}
""",
            "any-name",
            "one of the names in these certificates has no rights",
        ),
        WrongSolution(
            "the apiserver's keys do what the apiserver does",
            """
everything = {"admin", "node", "secrets"}
answer = {
    "docker-client@master": {"node"},
    "etcd-server@etcd1": set(),
    "kube-apiserver-etcd-client@master": {"secrets"},
    "kube-apiserver-kubelet-client@master": everything,
    "kube-proxy@worker1": set(),
    "kube-scheduler@master": {"node"},
}
""",
            "wrong-answer",
            "3 of 6 are as the model says",
        ),
    ),
    techniques=(),
)
