"""Make the kubelet ask its callers for a credential, on every port."""

from __future__ import annotations

from labkit.workshop.checks import Attempt, hardened_state
from labkit.workshop.definition import Exercise, Hint, Outcome, WrongSolution
from labkit.workshop.edited import EditedLab

__all__ = ["EXERCISE"]

START = """config = "/etc/kubernetes/kubelet.yaml"
for worker in {}:
"""
SED = """    insecure.exec(worker, ["sed", "-i", "{}", config])
"""
ANONYMOUS = SED.format("s/anonymous: .*/anonymous: {enabled: false}/")
READ_ONLY = SED.format("s/readOnlyPort: .*/readOnlyPort: 0/")
RESTART = """    insecure.exec(worker, ["systemctl", "restart", "kubelet"])
"""
ALL = 'insecure.machines("worker")'


def check(lab: EditedLab, answer: object) -> Outcome:
    """Try both ports without a credential; then verify the apiserver's channel to the kubelet."""
    return hardened_state(
        lab,
        [
            Attempt("kubelet-exec", "HTTP 401"),
            Attempt("kubelet-read-only", "connection refused"),
        ],
        ["kube-apiserver@master -> kubelet@*"],
    )


EXERCISE = Exercise(
    name="worker-2",
    title="The kubelet asks who calls",
    notebook="04-worker",
    kind="harden",
    mode="insecure",
    task="""
Anybody on the network can run commands in the pods of a worker, and read which pods it has. Edit
the workers' files until the kubelet refuses callers without a credential (HTTP 401), and its
read-only port is closed. `kubectl exec` and `kubectl logs` must still work: the apiserver has a
certificate for its calls to the kubelet.
""",
    hints=(
        Hint("Is it the same on every worker?", "uneven"),
        Hint("The kubelet reads its configuration when it starts.", "not-restarted"),
        Hint(
            "labkit logs worker1 kubelet --mode insecure says why it does not run.", "does-not-run"
        ),
        Hint("Both ports are set in /etc/kubernetes/kubelet.yaml."),
        Hint(
            "authentication.anonymous.enabled and readOnlyPort: the documentation of "
            "KubeletConfiguration has both."
        ),
    ),
    check=check,
    solution=START.format(ALL) + ANONYMOUS + READ_ONLY + RESTART,
    wrong=(
        WrongSolution(
            "only one worker",
            START.format('("worker1",)') + ANONYMOUS + READ_ONLY + RESTART,
            "uneven",
            "kubelet.yaml of worker2 is not that of worker1",
        ),
        WrongSolution(
            "only the read-only port",
            START.format(ALL) + READ_ONLY + RESTART,
            "open",
            "kubelet-exec (on the cluster network) still succeeds",
        ),
        WrongSolution(
            "a value that is not YAML",
            START.format(ALL) + SED.format("s/anonymous: .*/anonymous: {/"),
            "unreadable",
            "a file cannot be understood",
        ),
    ),
    techniques=("kubelet-exec", "kubelet-read-only"),
)
