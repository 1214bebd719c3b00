"""Predict which clients encrypt to a server that they do not verify."""

from __future__ import annotations

from labkit.cluster import read_environment
from labkit.controls import with_controls
from labkit.model import Model, read_model
from labkit.workshop.checks import Mistake, compare, sets_of_names
from labkit.workshop.definition import Exercise, Hint, Outcome, WrongSolution
from labkit.workshop.edited import EditedLab

__all__ = ["EXERCISE"]

#: The controls that are put in place together, by the name of the question.
QUESTIONS = {
    "none": (),
    "etcd-client-tls": ("etcd-client-tls",),
    "kubelet-apiserver-tls": ("kubelet-apiserver-tls",),
    "kubelet-apiserver-tls and apiserver-ca-pinned": (
        "kubelet-apiserver-tls",
        "apiserver-ca-pinned",
    ),
    "kubelet-ca-pinned": ("kubelet-ca-pinned",),
}
TLS_IS_TRUST = Mistake(
    "tls-is-trust",
    "you took a client for safe because it uses TLS: does it know whose certificate it gets?",
    {"kubelet-apiserver-tls": {"kube-apiserver"}},
)


def encrypt_to_anybody(model: Model) -> set[str]:
    """Return the clients that encrypt, over the network, to a server that they do not verify."""
    return {
        it.client_name
        for it in model.open_channels()
        if it.port
        and not it.from_anyone
        and it.client_node != it.server_node
        and it.encryption.value != "none"
        and it.server_authentication.value != "verified"
    }


def check(lab: EditedLab, answer: object) -> Outcome:
    """Compare the answer with the model, once for each set of controls."""
    env = read_environment("insecure")
    expected = {
        name: encrypt_to_anybody(read_model(with_controls(env, dict.fromkeys(chosen, True))))
        for name, chosen in QUESTIONS.items()
    }
    return compare(expected, sets_of_names(answer), [TLS_IS_TRUST])


EXERCISE = Exercise(
    name="middle-2",
    title="Encrypted, but to whom?",
    notebook="05-machine-in-the-middle",
    kind="predict",
    mode="insecure",
    task=f"""
An eavesdropper cannot read a client that encrypts. A machine in the middle can, if the client does
not verify its server. Which clients of `insecure` are in this state, on a channel between two
machines? Answer for `insecure` as it is (`none`), and with controls put in place:

{chr(10).join(f"- `{name}`" for name in QUESTIONS)}

Set `answer` to a dict: the name as it is written above, and the set of the clients (`set()` for no
client). The clients are `etcd`, `flanneld`, `kube-apiserver`, `kube-proxy` and `kubelet`.
`labkit.controls[NAME].changes` says which channels a control changes.
""",
    hints=(
        Hint(
            "kubelet-apiserver-tls changes the address in a kubeconfig. What else has to stand in "
            "it, so that the client can verify the server?",
            "tls-is-trust",
        ),
        Hint("A client in plaintext is not in this state: every eavesdropper reads it."),
        Hint("Which client calls the kubelet, and which flag makes it verify the kubelet?"),
    ),
    check=check,
    solution="""
answer = {
    "none": {"kube-apiserver"},
    "etcd-client-tls": {"kube-apiserver"},
    "kubelet-apiserver-tls": {"kube-apiserver", "kube-proxy", "kubelet"},
    "kubelet-apiserver-tls and apiserver-ca-pinned": {"kube-apiserver"},
    "kubelet-ca-pinned": set(),
}
""",
    wrong=(
        WrongSolution(
            "TLS to the apiserver is enough",
            """
answer = {
    "none": {"kube-apiserver"},
    "etcd-client-tls": {"kube-apiserver"},
    "kubelet-apiserver-tls": {"kube-apiserver"},
    "kubelet-apiserver-tls and apiserver-ca-pinned": {"kube-apiserver"},
    "kubelet-ca-pinned": set(),
}
""",
            "tls-is-trust",
            "you took a client for safe because it uses TLS",
        ),
        WrongSolution(
            "clients in plaintext are counted as well",
            """
plain = {"etcd", "flanneld", "kube-apiserver", "kube-proxy", "kubelet"}
answer = {
    "none": plain,
    "etcd-client-tls": plain - {"flanneld"},
    "kubelet-apiserver-tls": plain,
    "kubelet-apiserver-tls and apiserver-ca-pinned": {"etcd", "flanneld", "kube-apiserver"},
    "kubelet-ca-pinned": plain,
}
""",
            "wrong-answer",
            "0 of 5 are as the model says",
        ),
    ),
    techniques=(),
)
