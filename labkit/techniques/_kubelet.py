"""What the techniques against a kubelet's ports have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING

from labkit.errors import ProbeError
from labkit.model import View
from labkit.model.graph import credential
from labkit.techniques._ask import url_of
from labkit.techniques._reach import DEADLINE, Answer, answer, inside, run

if TYPE_CHECKING:
    from labkit.lab import Lab

__all__ = ["CHANNEL", "as_apiserver", "kubelet_url"]

#: The kubelet of the worker that the pod shop/web runs on.
CHANNEL = "kube-apiserver@* -> kubelet@worker1:*"
OUTPUT = "\n%{http_code}"


def kubelet_url(lab: Lab, path: str) -> str:
    """Return the URL of a path at the kubelet's own port."""
    return url_of(View(lab.environment).channels(CHANNEL)[0], path)


def as_apiserver(lab: Lab, method: str, path: str) -> Answer:
    """Ask the kubelet something from the master, with what the apiserver proves itself with.

    Raises
    ------
    ProbeError
        The apiserver has no certificate for it, or it is refused as well.
    """
    view = View(lab.environment)
    channel = view.channels(CHANNEL)[0]
    held = credential(view.graph, channel)
    if held is None:
        raise ProbeError("the apiserver has no certificate for the kubelets")
    url = kubelet_url(lab, path)
    inside(lab, channel.server.partition("@")[2])
    argv = ["curl", "--silent", "--show-error", "--insecure", "--noproxy", "*", "--max-time", "5"]
    argv += ["--cert", held.certificate, "--key", held.key, "--request", method]
    node = channel.client.partition("@")[2]
    output = run(lab, node, [*argv, "--write-out", OUTPUT, url], timeout=DEADLINE)
    content, _, status = output.stdout.rpartition(b"\n")
    found = answer(output.exit_code, output.error, int(status or b"0"), content, url)
    if found.refusal:
        raise ProbeError(f"the kubelet does not serve the apiserver either: {found.refusal}")
    return found
