"""Predict whose channels claim something else after a line has changed."""

from __future__ import annotations

from labkit.cluster.edits import Edit, Flag, Key
from labkit.workshop.checks import Mistake, compare, sets_of_names
from labkit.workshop.definition import Exercise, Hint, Outcome, WrongSolution
from labkit.workshop.edited import EditedLab
from labkit.workshop.exercises._lines import UNITS, changed_claims

__all__ = ["EXERCISE"]

API = UNITS["kube-apiserver"]
TRUSTING = {"server": "https://master:6443", "insecure-skip-tls-verify": True}
#: What is set on which component, and the edit that sets it.
CHANGES: dict[str, tuple[str, Edit]] = {
    "etcd": (
        "`--tls-min-version` is deleted from etcd's unit",
        Flag("etcd", UNITS["etcd"], "tls-min-version", None),
    ),
    "kube-apiserver": (
        "`--anonymous-auth=true` in the unit of the kube-apiserver",
        Flag("master", API, "anonymous-auth", "true"),
    ),
    "kube-apiserver as a client": (
        "`--kubelet-certificate-authority` is deleted from the unit of the kube-apiserver",
        Flag("master", API, "kubelet-certificate-authority", None),
    ),
    "kube-proxy": (
        "`insecure-skip-tls-verify: true` in place of the CA in the kubeconfig of kube-proxy",
        Key("worker", UNITS["kube-proxy"], "clusters.0.cluster", TRUSTING),
    ),
    "kubelet": (
        "`anonymous: {enabled: true}` in the configuration file of the kubelet",
        Key("worker", UNITS["kubelet"], "authentication.anonymous.enabled", True),
    ),
}
EDITED_COMPONENT = Mistake(
    "edited-component",
    "you named a component that was edited, and no channel of which it is the client changed",
    {"kubelet": {"kubelet"}},
)


def check(lab: EditedLab, answer: object) -> Outcome:
    """Compare the answer with the clients of the channels that change in the model."""
    expected = {
        name: {channel.client_name for channel, _ in changed_claims(edit)}
        for name, (_, edit) in CHANGES.items()
    }
    return compare(expected, sets_of_names(answer), [EDITED_COMPONENT])


EXERCISE = Exercise(
    name="start-2",
    title="Which rows would disagree?",
    notebook="00-start",
    kind="predict",
    mode="hardened",
    task=f"""
Somebody edits `hardened` on all machines that have the file, and restarts what reads it. The model
still claims what the old files said. On the channels of which clients is a claim now false, so that
`verify` would show a row that disagrees? One edit at a time:

{chr(10).join(f"- `{name}`: {what}" for name, (what, _) in CHANGES.items())}

Set `answer` to a dict: the name of the edit, and the set of the clients. A client is written as in
the id of a channel, without its machine: `etcd`, `flanneld`, `kube-apiserver`,
`kube-controller-manager`, `kube-proxy`, `kube-scheduler`, `kubectl/admin`, `kubectl/super-admin`,
`kubelet`.
""",
    hints=(
        Hint(
            "Who calls the kubelet? The row of a channel has the client's name before the arrow.",
            "edited-component",
        ),
        Hint("A listener's setting is in the claims of all clients that call it."),
        Hint(
            "Whether a client verifies its server is decided on the client's machine, for it alone."
        ),
        Hint(
            "labkit.load_model('hardened').open_channels('* -> etcd@*') lists the clients of etcd."
        ),
    ),
    check=check,
    solution="""
clients = {"kube-controller-manager", "kube-proxy", "kube-scheduler", "kubelet"}
answer = {
    "etcd": {"etcd", "flanneld", "kube-apiserver"},
    "kube-apiserver": clients | {"kubectl/admin", "kubectl/super-admin"},
    "kube-apiserver as a client": {"kube-apiserver"},
    "kube-proxy": {"kube-proxy"},
    "kubelet": {"kube-apiserver"},
}
""",
    wrong=(
        WrongSolution(
            "the rows of the edited component",
            """
answer = {
    "etcd": {"etcd"},
    "kube-apiserver": {"kube-apiserver"},
    "kube-apiserver as a client": {"kube-apiserver"},
    "kube-proxy": {"kube-proxy"},
    "kubelet": {"kubelet"},
}
""",
            "edited-component",
            "you named a component that was edited",
        ),
        WrongSolution(
            "the administrators' kubeconfigs and etcd's peers are forgotten",
            """
answer = {
    "etcd": {"flanneld", "kube-apiserver"},
    "kube-apiserver": {"kube-controller-manager", "kube-proxy", "kube-scheduler", "kubelet"},
    "kube-apiserver as a client": {"kube-apiserver"},
    "kube-proxy": {"kube-proxy"},
    "kubelet": {"kube-apiserver"},
}
""",
            "wrong-answer",
            "3 of 5 are as the model says",
        ),
    ),
    techniques=(),
)
