"""Give kube-proxy a channel that nobody can read, and that it verifies."""

from __future__ import annotations

from labkit.workshop.checks import Attempt, hardened_state
from labkit.workshop.definition import Exercise, Hint, Outcome, WrongSolution
from labkit.workshop.edited import EditedLab

__all__ = ["EXERCISE"]

KUBECONFIG = """kubeconfig = \"\"\"\\
apiVersion: v1
kind: Config
current-context: workshop
clusters:
  - name: workshop
    cluster:
      server: https://master:6443
      {}
contexts:
  - name: workshop
    context: {{cluster: workshop, user: kube-proxy}}
users:
  - name: kube-proxy
    user:
      client-certificate: /etc/kubernetes/pki/kube-proxy.crt
      client-key: /etc/kubernetes/pki/kube-proxy.key
\"\"\"
"""
VERIFIED = KUBECONFIG.format("certificate-authority: /etc/kubernetes/pki/ca.crt")
WRITE = """for worker in {}:
    insecure.write_file(worker, "/etc/kubernetes/kube-proxy.conf", kubeconfig.encode())
"""
RESTART = """    insecure.exec(worker, ["systemctl", "restart", "kube-proxy"])
"""
ALL = 'insecure.machines("worker")'


def check(lab: EditedLab, answer: object) -> Outcome:
    """Listen to kube-proxy; then verify its channel."""
    return hardened_state(
        lab,
        [Attempt("eavesdrop-kube-proxy", "every payload is a TLS record")],
        ["kube-proxy@* -> kube-apiserver@*"],
        {"server_authentication": "verified"},
        came=[("processes", "kube")],
    )


EXERCISE = Exercise(
    name="eavesdropping-2",
    title="A private channel for kube-proxy",
    notebook="01-eavesdropping",
    kind="harden",
    mode="insecure",
    task="""
kube-proxy on the workers calls the apiserver in plaintext, and its traffic is a map of the cluster.
Edit the workers' files until an eavesdropper reads nothing, and until kube-proxy would notice a
server that only pretends to be the apiserver. kube-proxy must still work. Its certificate is on the
machine already: look below `/etc/kubernetes/pki`.
""",
    hints=(
        Hint("Is it the same on every worker?", "uneven"),
        Hint("kube-proxy reads its kubeconfig when it starts.", "not-restarted"),
        Hint("TLS without verification: any server with any certificate would do.", "weak"),
        Hint("One kube-proxy on each worker is enough.", "moved"),
        Hint("labkit logs worker1 kube-proxy --mode insecure", "does-not-run"),
        Hint("/etc/kubernetes/kube-proxy.conf names the server. The apiserver offers TLS on 6443."),
        Hint("A kubeconfig has certificate-authority, client-certificate and client-key."),
    ),
    check=check,
    solution=VERIFIED + WRITE.format(ALL) + RESTART,
    wrong=(
        WrongSolution(
            "only one worker",
            VERIFIED + WRITE.format('("worker1",)') + RESTART,
            "uneven",
            "kube-proxy.conf of worker2 is not that of worker1",
        ),
        WrongSolution(
            "the files without a restart",
            VERIFIED + WRITE.format(ALL),
            "not-restarted",
            "kube-proxy.service of worker1 has not read /etc/kubernetes/kube-proxy.conf",
        ),
        WrongSolution(
            "a restart on one worker alone",
            VERIFIED
            + WRITE.format(ALL)
            + """import time
time.sleep(1.1)
insecure.exec("worker1", ["systemctl", "restart", "kube-proxy"])
""",
            "not-restarted",
            "kube-proxy.service of worker2 has not read /etc/kubernetes/kube-proxy.conf",
        ),
        WrongSolution(
            "it does not start with the machine",
            VERIFIED
            + WRITE.format(ALL)
            + RESTART
            + """    insecure.exec(worker, ["systemctl", "disable", "kube-proxy"])
""",
            "does-not-run",
            "kube-proxy.service of worker1 runs, but will not after the machine's next start",
        ),
        WrongSolution(
            "the key can be read by everybody",
            VERIFIED
            + WRITE.format(ALL)
            + RESTART
            + """    insecure.exec(worker, ["chmod", "0644", "/etc/kubernetes/pki/kube-proxy.key"])
""",
            "opened",
            "kube-proxy.key of worker1 can be read by the users of the machine",
        ),
        WrongSolution(
            "the old program runs beside the new one",
            "old = insecure.read_file('worker2', '/etc/kubernetes/kube-proxy.conf')\n"
            + VERIFIED
            + WRITE.format(ALL)
            + RESTART
            + """text = insecure.read_file("worker2", "/etc/kubernetes/kube-proxy.yaml").decode()
text = text.replace("/etc/kubernetes/kube-proxy.conf", "/root/old.conf")
insecure.write_file("worker2", "/root/old.conf", old, 0o600)
insecure.write_file("worker2", "/root/old.yaml", text.encode())
command = ["kube-proxy", "--config=/root/old.yaml", "--hostname-override=worker2"]
_ = insecure.exec("worker2", ["systemd-run", "--unit=old", *command])
import time
time.sleep(4)  # a younger program does not count
""",
            "moved",
            "worker2: kube-proxy of old.service",
        ),
        WrongSolution(
            "TLS without verification",
            KUBECONFIG.format("insecure-skip-tls-verify: true") + WRITE.format(ALL) + RESTART,
            "weak",
            "server_authentication is unverified",
        ),
    ),
    techniques=("eavesdrop-kube-proxy",),
)
