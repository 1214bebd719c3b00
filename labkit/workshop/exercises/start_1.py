"""Predict which claims change when a setting is deleted."""

from __future__ import annotations

from labkit.cluster.edits import Edit, Flag, Key
from labkit.workshop.checks import Mistake, compare, sets_of_names
from labkit.workshop.definition import Exercise, Hint, Outcome, WrongSolution
from labkit.workshop.edited import EditedLab
from labkit.workshop.exercises._lines import NAMES, UNITS, changed_claims

__all__ = ["EXERCISE"]

API, ETCD, KUBELET = UNITS["kube-apiserver"], UNITS["etcd"], UNITS["kubelet"]
#: What the task calls a setting, and the edit that deletes it.
SETTINGS: dict[str, Edit] = {
    "etcd --peer-cert-allowed-cn": Flag("etcd", ETCD, "peer-cert-allowed-cn", None),
    "kube-apiserver --anonymous-auth": Flag("master", API, "anonymous-auth", None),
    "kube-apiserver --kubelet-certificate-authority": Flag(
        "master", API, "kubelet-certificate-authority", None
    ),
    "kube-apiserver --tls-min-version": Flag("master", API, "tls-min-version", None),
    "kubelet authentication.anonymous": Key("worker", KUBELET, "authentication.anonymous", None),
    "kubelet authorization": Key("worker", KUBELET, "authorization", None),
}
SAME_DEFAULT = Mistake(
    "same-default",
    "you gave a flag and the same setting in a file the same default: look at both",
    {"kubelet authentication.anonymous": {"client_authentication"}},
)


def check(lab: EditedLab, answer: object) -> Outcome:
    """Compare the answer with the properties that change in the model."""
    expected = {name: {it for _, it in changed_claims(edit)} for name, edit in SETTINGS.items()}
    return compare(expected, sets_of_names(answer), [SAME_DEFAULT])


EXERCISE = Exercise(
    name="start-1",
    title="What is a setting worth?",
    notebook="00-start",
    kind="predict",
    mode="hardened",
    task=f"""
Somebody deletes one setting of the configuration of `hardened`, and restarts what reads it. The
default of the component takes its place. Which of the properties {NAMES}
change, on any channel? It may be none. Answer for each of the settings

{chr(10).join(f"- `{name}`" for name in SETTINGS)}

The flags are those of the units of etcd and the kube-apiserver. The settings of the kubelet are in
its configuration file, `/etc/kubernetes/kubelet.yaml`. Set `answer` to a dict: the setting as it
is written above, and the set of the properties (`set()` for none).
""",
    hints=(
        Hint(
            "The kubelet's flag --anonymous-auth has the default true. What is the default of the "
            "same setting in a KubeletConfiguration?",
            "same-default",
        ),
        Hint(
            "A property of a channel belongs to one end: does the client decide it, or the server?"
        ),
        Hint(
            "The documentation of Kubernetes lists the defaults: the reference of kube-apiserver, "
            "and KubeletConfiguration (v1beta1)."
        ),
        Hint("With --peer-cert-allowed-cn, etcd takes a valid certificate and still looks at it."),
    ),
    check=check,
    solution="""
answer = {
    "etcd --peer-cert-allowed-cn": {"authorization"},
    "kube-apiserver --anonymous-auth": {"client_authentication"},
    "kube-apiserver --kubelet-certificate-authority": {"server_authentication"},
    "kube-apiserver --tls-min-version": {"encryption"},
    "kubelet authentication.anonymous": set(),
    "kubelet authorization": set(),
}
""",
    wrong=(
        WrongSolution(
            "the kubelet's file has the defaults of its flags",
            """
answer = {
    "etcd --peer-cert-allowed-cn": {"authorization"},
    "kube-apiserver --anonymous-auth": {"client_authentication"},
    "kube-apiserver --kubelet-certificate-authority": {"server_authentication"},
    "kube-apiserver --tls-min-version": {"encryption"},
    "kubelet authentication.anonymous": {"client_authentication"},
    "kubelet authorization": {"authorization"},
}
""",
            "same-default",
            "you gave a flag and the same setting in a file the same default",
        ),
        WrongSolution(
            "every default is safe",
            f"answer = {{name: set() for name in {tuple(SETTINGS)!r}}}",
            "wrong-answer",
            "2 of 6 are as the model says",
        ),
    ),
    techniques=(),
)
