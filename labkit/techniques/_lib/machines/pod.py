"""A foothold in a pod of a worker: its network, its user and its files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from labkit import agents
from labkit.errors import ProbeError
from labkit.model import Foothold
from labkit.model.workloads import node_of_pod, user_of
from labkit.techniques._lib.machines.reach import run
from labkit.techniques._lib.verdict import Verdict

if TYPE_CHECKING:
    from labkit.lab import Lab, Output

__all__ = ["TOKEN", "Pod", "find_pod", "run_in_pod", "token_of", "without_token"]

TOKEN = "/var/run/secrets/kubernetes.io/serviceaccount/token"  # noqa: S105 - a path
#: Every pod of the lab has this file. If it cannot be read, the foothold is not in the pod.
PROGRAM = "/bin/busybox"


@dataclass(frozen=True, slots=True)
class Pod:
    """A running pod: its machine, the id of one of its processes, and its user ID.

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
        """Return the start of a command line that gives a command only the pod's rights."""
        setpriv = ["setpriv", "--reuid", self.user, "--regid", self.user, "--clear-groups"]
        setpriv += ["--no-new-privs", "--bounding-set=-all", "--inh-caps=-all", "--"]
        return ["nsenter", f"--net=/proc/{self.pid}/ns/net", *setpriv]

    def path(self, path: str) -> str:
        """Return where the machine sees a file of the pod.

        The kernel lets a command with :attr:`prefix` open it, because it has the pod's user and
        no more rights.
        """
        return f"/proc/{self.pid}/root{path}"


def find_pod(lab: Lab, namespace: str, name: str) -> Pod:
    """Find a running pod; its only container has the same name.

    Raises
    ------
    ProbeError
        The pod does not run, or its files cannot be read.
    """
    workers = [node.name for node in lab.environment.nodes if node.role == "worker"]
    node = node_of_pod(lab.environment, namespace, name) or workers[0]
    pid = run(lab, node, agents.argv("in_pod", name), check=True).text.strip()
    if not pid.isdigit():  # the engine lost the output
        raise ProbeError(f"{node} returned no process id of {namespace}/{name}")
    pod = Pod(node, int(pid), user_of(lab.environment, namespace, name).value)
    run(lab, node, [*pod.prefix, "test", "-r", pod.path(PROGRAM)], check=True)
    return pod


def run_in_pod(lab: Lab, pod: Pod, argv: list[str], stdin: bytes | None = None) -> Output:
    """Run a command in a pod with the machine's tools, as if the attacker had brought them."""
    return run(lab, pod.node, [*pod.prefix, *argv], stdin=stdin)


def token_of(lab: Lab, pod: Pod) -> str | None:
    """Return the service account token that is mounted in a pod, or None without one.

    Raises
    ------
    ProbeError
        The token exists but cannot be read.
    """
    output = run_in_pod(lab, pod, ["cat", pod.path(TOKEN)])
    if not output.exit_code:
        return output.text.strip()
    if "No such file" not in output.error:
        raise ProbeError(f"the token cannot be read: {output.error.strip()[-200:]}")
    return None


def without_token(
    lab: Lab, technique: str, foothold: Foothold, namespace: str, name: str
) -> Verdict:
    """Return the verdict of a technique that found no token in a pod.

    That other files of the pod can be read, :func:`find_pod` has checked.
    """
    return Verdict(
        technique,
        lab.mode,
        foothold,
        False,
        "no token in the pod",
        (f"looked for {TOKEN} in {namespace}/{name}",),
        f"{PROGRAM} of the same pod can be read",
    )
