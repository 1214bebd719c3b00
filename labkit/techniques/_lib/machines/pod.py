"""Standing in a pod of a worker: in its network, as its user, with its files at hand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from labkit import agents
from labkit.errors import ProbeError
from labkit.model.workloads import user_of
from labkit.techniques._lib.machines.reach import run

if TYPE_CHECKING:
    from labkit.lab import Lab, Output

__all__ = ["TOKEN", "Pod", "find_pod", "run_in_pod", "token_of"]

TOKEN = "/var/run/secrets/kubernetes.io/serviceaccount/token"  # noqa: S105 - a path
#: What every pod of the lab has; who cannot read it does not stand in the pod at all.
PROGRAM = "/bin/busybox"


@dataclass(frozen=True, slots=True)
class Pod:
    """A pod that runs: its machine, one of its processes, the number of its user.

    Examples
    --------
    >>> Pod("worker1", 4711, "1000").path("/tmp")
    '/proc/4711/root/tmp'
    """

    node: str
    pid: int
    user: str

    @property
    def prefix(self) -> list[str]:
        """What stands before a command, for it to run with no more rights than the pod's."""
        setpriv = ["setpriv", "--reuid", self.user, "--regid", self.user, "--clear-groups"]
        setpriv += ["--no-new-privs", "--bounding-set=-all", "--inh-caps=-all", "--"]
        return ["nsenter", f"--net=/proc/{self.pid}/ns/net", *setpriv]

    def path(self, path: str) -> str:
        """Return where the pod's own file is for a command that runs with the prefix.

        The kernel lets those look there who are the same user and can do no more.
        """
        return f"/proc/{self.pid}/root{path}"


def find_pod(lab: Lab, namespace: str, name: str) -> Pod:
    """Find a pod of the first worker, by the name that its only container has as well.

    Raises
    ------
    ProbeError
        It does not run, or its files cannot be looked at.
    """
    node = next(node.name for node in lab.environment.nodes if node.role == "worker")
    pid = run(lab, node, agents.argv("in_pod", name), check=True).text.strip()
    if not pid.isdigit():  # the engine lost what was written
        raise ProbeError(f"{node} did not say where {namespace}/{name} runs")
    pod = Pod(node, int(pid), user_of(lab.environment, namespace, name).value)
    run(lab, node, [*pod.prefix, "test", "-r", pod.path(PROGRAM)], check=True)
    return pod


def run_in_pod(lab: Lab, pod: Pod, argv: list[str], stdin: bytes | None = None) -> Output:
    """Run a command with the machine's tools, as if the attacker had brought them along."""
    return run(lab, pod.node, [*pod.prefix, *argv], stdin=stdin)


def token_of(lab: Lab, pod: Pod) -> str | None:
    """Return the token that a pod was given; None where it was given none."""
    output = run_in_pod(lab, pod, ["cat", pod.path(TOKEN)])
    if not output.exit_code:
        return output.text.strip()
    if "No such file" not in output.error:
        raise ProbeError(f"the token cannot be read: {output.error.strip()[-200:]}")
    return None
