"""Helpers of the techniques against a kubelet's ports."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from labkit.cluster.facts import Component
from labkit.cluster.syntax.source import bool_of
from labkit.errors import ProbeError
from labkit.model import read_model
from labkit.model.credentials import client_credential
from labkit.techniques._lib.api.ask import url_of
from labkit.techniques._lib.machines.reach import Answer, request_as
from labkit.techniques._lib.machines.waiting import wait_for
from labkit.techniques._lib.technique import Prediction
from labkit.techniques._lib.verdict import Verdict

if TYPE_CHECKING:
    from labkit.lab import Lab

__all__ = [
    "CHANNEL",
    "DISABLED",
    "as_apiserver",
    "kubelet_url",
    "retry_unknown_pod",
    "runs_commands",
    "serves_apiserver",
]

#: The kubelet of the worker that the pod shop/web runs on.
CHANNEL = "kube-apiserver@* -> kubelet@worker1:*"
#: What a kubelet answers at its endpoints for debugging if they are disabled. It authenticates and
#: authorizes the caller before.
DISABLED = "HTTP 405"
#: Seconds for a restarted kubelet to learn about its pods.
PATIENCE = 15.0


def kubelet_url(lab: Lab, path: str, channel: str = CHANNEL) -> str:
    """Return the URL of a path on the kubelet's main port."""
    return url_of(read_model(lab.environment).open_channels(channel)[0], path)


def runs_commands(kubelet: Component) -> Prediction:
    """Predict whether a kubelet runs commands in containers for the callers that it authorizes.

    References
    ----------
    https://kubernetes.io/docs/reference/config-api/kubelet-config.v1beta1/
    (enableDebuggingHandlers)

    Examples
    --------
    >>> from labkit import read_environment
    >>> runs_commands(read_environment("insecure").component("kubelet@worker1")).succeeds
    True
    """
    handlers = kubelet.setting("enableDebuggingHandlers")
    return Prediction(bool_of(handlers.value), (str(handlers.source),))


def serves_apiserver(lab: Lab, command: Callable[[], object], pattern: str = CHANNEL) -> str:
    """Show that a kubelet serves the apiserver: it runs the command, or else lists its pods.

    Raises
    ------
    ProbeError
        The kubelet refuses the apiserver too.
    """
    try:
        command()
    except ProbeError as error:
        if DISABLED not in error.message:
            raise
        as_apiserver(lab, "GET", "/pods", pattern)
        return "with the apiserver's certificate, it lists its pods; it runs commands for nobody"
    return "with the apiserver's certificate, the same request runs the command"


def retry_unknown_pod(lab: Lab, attempt: Callable[[], Verdict]) -> Verdict:
    """Repeat an attempt while the kubelet answers 404, because it does not know the pod yet."""

    def unless_unknown() -> Verdict | None:
        try:
            return attempt()
        except ProbeError as error:
            if "HTTP 404" not in error.message:
                raise
            return None

    return wait_for(lab, unless_unknown, PATIENCE, "the kubelet did not get to know the pod")


def as_apiserver(lab: Lab, method: str, path: str, pattern: str = CHANNEL) -> Answer:
    """Send a request to a kubelet from the master, with the apiserver's certificate.

    Raises
    ------
    ProbeTimeout
        The kubelet did not answer in time.
    ProbeError
        The apiserver has no certificate for kubelets, or the kubelet refuses it too.
    """
    model = read_model(lab.environment)
    channel = model.open_channels(pattern)[0]
    credential = client_credential(model, channel)
    if credential is None:
        raise ProbeError("the apiserver has no client certificate for the kubelets")
    url = kubelet_url(lab, path, pattern)
    node, options = channel.client_node, ("--request", method)
    found = request_as(lab, credential, node, url, *options, seconds=PATIENCE)
    if found.refusal:
        raise ProbeError(
            f"positive control: the kubelet refuses the apiserver, too: {found.refusal}"
        )
    return found
