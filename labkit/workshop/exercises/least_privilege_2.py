"""Write an ABAC policy that gives kube-proxy what it needs, and nobody else anything."""

from __future__ import annotations

from labkit.workshop.checks import Attempt, hardened_state
from labkit.workshop.definition import Exercise, Hint, Outcome, WrongSolution
from labkit.workshop.edited import EditedLab

__all__ = ["EXERCISE"]

WRITE = """insecure.write_file("master", "/etc/kubernetes/abac.jsonl", policy.encode())
"""
RESTART = """_ = insecure.exec("master", ["systemctl", "restart", "kube-apiserver"], timeout=90)
"""
POLICY = """
import json

version = "abac.authorization.kubernetes.io/v1beta1"
policy = ""
for group, resource in (
    ("", "services"),
    ("", "endpoints"),
    ("", "nodes"),
    ("discovery.k8s.io", "endpointslices"),
):
    spec = {"user": "system:kube-proxy", "readonly": True, "namespace": "*"}
    spec |= {"apiGroup": group, "resource": resource}
    policy += json.dumps({"apiVersion": version, "kind": "Policy", "spec": spec}) + "\\n"
"""
BROAD = """
policy = insecure.read_file("master", "/etc/kubernetes/abac.jsonl").decode()
policy = "".join(line for line in policy.splitlines(True) if "system:unauth" not in line)
"""


def check(lab: EditedLab, answer: object) -> Outcome:
    """Try the kube-proxy's certificate and no credential; then verify the kubelets' channel."""
    return hardened_state(
        lab,
        [
            Attempt("apiserver-anonymous", "HTTP 403"),
            Attempt("proxy-reads-secrets", "HTTP 403"),
        ],
        ["kubelet@* -> *@master:*"],
    )


EXERCISE = Exercise(
    name="least-privilege-2",
    title="A policy for kube-proxy",
    notebook="08-least-privilege",
    kind="harden",
    mode="insecure",
    task="""
On its TLS port, the apiserver of `insecure` allows everybody everything: see
`/etc/kubernetes/abac.jsonl` on the master. Write a policy with which kube-proxy's certificate still
reads services, endpoints and nodes, and with which it reads no secret. A caller without a
credential gets HTTP 403.

The format is described in the documentation of Kubernetes, "Using ABAC Authorization": one JSON
object a line. The `spec` of a line for one user who reads one kind of object everywhere:
`{"user": "ann", "namespace": "*", "apiGroup": "", "resource": "pods", "readonly": true}`.
""",
    hints=(
        Hint("The apiserver reads its policy when it starts.", "not-restarted"),
        Hint("The positive control is kube-proxy's own work: it reads the services.", "unclear"),
        Hint("labkit logs master kube-apiserver --mode insecure", "does-not-run"),
        Hint("The policy has two lines, each for a group to which nearly everybody belongs."),
        Hint("kube-proxy is the user system:kube-proxy. endpointslices are in discovery.k8s.io."),
        Hint("A line with readonly allows get, list and watch, and nothing else."),
    ),
    check=check,
    solution=POLICY + WRITE + RESTART,
    wrong=(
        WrongSolution(
            "only anonymous callers are refused",
            BROAD + WRITE + RESTART,
            "open",
            "proxy-reads-secrets (root on a worker) still succeeds",
        ),
        WrongSolution(
            "kube-proxy is refused its own work",
            POLICY.replace("system:kube-proxy", "kube-proxy") + WRITE + RESTART,
            "unclear",
            "positive control",
        ),
    ),
    techniques=("apiserver-anonymous", "proxy-reads-secrets"),
)
