"""Give kube-proxy a channel that nobody can read, and that it verifies."""

from __future__ import annotations

import base64

import yaml

from labkit.cluster import Environment, read_environment
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
PROXY = "/etc/kubernetes/kube-proxy.yaml"
IDENTITY, AUTHORITY = "system:kube-proxy", "/etc/kubernetes/pki/ca.crt"
END = "-----END CERTIFICATE-----"


def another_client(env: Environment) -> Outcome | None:
    """Return an outcome if kube-proxy calls as somebody else, or is set otherwise beside that."""
    plain = read_environment(env.folder)
    for proxy in (it for it in env.components if it.kind == "kube-proxy"):
        if _settings(env, proxy.node) != _settings(plain, proxy.node):
            line = f"{PROXY} of {proxy.node} differs in more than the kubeconfig that it names"
            return Outcome("other-file", (line, "the rest of it is no part of this task"))
        config = proxy.kubeconfig
        if config is None or config.server.value.startswith("http:"):
            continue  # the attack reads it
        held = [it for it in env.credentials if it.node == proxy.node and it.kind == "certificate"]
        paths = {config.path, config.certificate} - {""}
        own = [it for it in held if paths & {it.kubeconfig, it.certificate}]
        names = {it.common_name for it in own} or {config.method or "nobody"}
        if names != {IDENTITY} or config.acts_as:
            who = config.acts_as or sorted(names)[0]
            line = f"kube-proxy of {proxy.node} calls as {who}, and not as {IDENTITY}"
            return Outcome("other-identity", (line,))
    return None


def _settings(env: Environment, node: str) -> object:
    """Return what kube-proxy's file on a machine says, but for the path of its kubeconfig."""
    file = env.node(node).files.get(PROXY)
    said = yaml.safe_load(file.read_text()) if file else {}
    connection = said.get("clientConnection") or {}
    return {**said, "clientConnection": {**connection, "kubeconfig": ""}}


def believes_others(lab: EditedLab) -> Outcome | None:
    """Return an outcome if kube-proxy takes a server for the apiserver that another CA vouches for.

    A file of authorities may have several of them.
    """
    for proxy in (it for it in lab.environment.components if it.kind == "kube-proxy"):
        config, machine = proxy.kubeconfig, proxy.node
        if config is None or config.authority is None:
            continue
        ours = _certificates(lab.read_file(machine, AUTHORITY).decode())
        if config.authority.value == "inline":
            said = yaml.safe_load(lab.read_file(machine, config.path))
            data = [it["cluster"].get("certificate-authority-data", "") for it in said["clusters"]]
            text = "\n".join(base64.b64decode(it).decode() for it in data)
        else:
            text = lab.read_file(machine, config.authority.value).decode()
        if _certificates(text) - ours:
            line = f"kube-proxy of {machine} believes another authority as well as the cluster's"
            return Outcome("weak", (line, f"{config.authority.value}, in {config.path}"))
    return None


def _certificates(text: str) -> set[str]:
    """Return the certificates of a PEM file without white space."""
    return {"".join(it.split()) for it in text.split(END) if it.strip()}


def check(lab: EditedLab, answer: object) -> Outcome:
    """Listen to kube-proxy; then verify its channel."""
    return hardened_state(
        lab,
        [Attempt("eavesdrop-kube-proxy", "every payload is a TLS record")],
        ["kube-proxy@* -> kube-apiserver@*"],
        {"server_authentication": "verified"},
        files=another_client,
        works=believes_others,
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
server that only pretends to be the apiserver. kube-proxy must still work, as `system:kube-proxy`
and with the rest of its settings. Its certificate is on the machine already: look below
`/etc/kubernetes/pki`. The other clients of the plaintext port stay as they are.
""",
    hints=(
        Hint("Is it the same on every worker?", "uneven"),
        Hint("kube-proxy reads its kubeconfig when it starts.", "not-restarted"),
        Hint("TLS without verification: any server with any certificate would do.", "weak"),
        Hint("One kube-proxy on each worker is enough.", "moved"),
        Hint("Whose certificate is it? Look at its subject: openssl x509.", "other-identity"),
        Hint("Only the kubeconfig has to change.", "other-file"),
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
            "the plaintext port is closed to the others as well",
            VERIFIED
            + WRITE.format(ALL)
            + RESTART
            + """_ = insecure.exec("master", ["systemctl", "disable", "--now", "kubectl-proxy"])
""",
            "does-not-run",
            "kubectl-proxy.service of master does not run any more, and",
        ),
        WrongSolution(
            "a second authority beside the cluster's",
            VERIFIED.replace("pki/ca.crt", "pki/both.crt")
            + """make = '''cd /etc/kubernetes/pki
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=other \\
    -keyout /dev/null -out other.crt
cat ca.crt other.crt >both.crt'''
for worker in insecure.machines("worker"):
    insecure.exec(worker, ["sh", "-ec", make])
"""
            + WRITE.format(ALL)
            + RESTART,
            "weak",
            "believes another authority as well as the cluster's",
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
