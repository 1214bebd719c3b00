"""Make the kubelet ask its callers for a credential, on every port."""

from __future__ import annotations

import json

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


def exec_and_logs(lab: EditedLab) -> Outcome | None:
    """Say whether ``kubectl exec`` or ``kubectl logs`` fails in a pod of a worker."""
    listed = lab.kubectl("get", "pods", "--all-namespaces", "--output=json").stdout
    pods: dict[str, dict[str, str]] = {}
    for item in json.loads(listed)["items"]:
        if item["status"].get("phase") == "Running":
            pods.setdefault(item["spec"].get("nodeName"), item["metadata"])
    for worker in lab.machines("worker"):
        if worker not in pods:
            return Outcome("unclear", (f"no pod runs on {worker}, so exec cannot be tried there",))
        where = (f"--namespace={pods[worker]['namespace']}", pods[worker]["name"])
        for words in (("exec", *where, "--", "true"), ("logs", "--tail=1", *where)):
            output = lab.kubectl(*words, check=False)
            if output.exit_code:
                line = f"kubectl {words[0]} does not work in a pod of {worker}:"
                return Outcome("client-broken", (line, *output.error.strip().splitlines()[-2:]))
    return None


def check(lab: EditedLab, answer: object) -> Outcome:
    """Try both ports without a credential; then the apiserver's channel, exec and logs."""
    return hardened_state(
        lab,
        [
            Attempt("kubelet-exec", "HTTP 401"),
            Attempt("kubelet-read-only", "connection refused"),
        ],
        ["kube-apiserver@master -> kubelet@*"],
        works=exec_and_logs,
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
        Hint("Which key opened that address? The kubelet needs no new one.", "moved"),
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
            "another port for everybody",
            START.format(ALL)
            + ANONYMOUS
            + READ_ONLY
            + SED.format("$ahealthzBindAddress: 0.0.0.0")
            + RESTART,
            "moved",
            "worker1: tcp *:10248",
        ),
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
            "no exec for anybody",
            START.format(ALL)
            + ANONYMOUS
            + READ_ONLY
            + SED.format("$ a enableDebuggingHandlers: false")
            + RESTART,
            "client-broken",
            "kubectl exec does not work in a pod of worker1",
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
