"""The simplest kind of technique: one HTTP request that is answered or refused."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from labkit.errors import ProbeError
from labkit.model import Channel, Claim, Foothold
from labkit.techniques._lib.machines.reach import Answer, legitimate, request
from labkit.techniques._lib.technique import Prediction, all_of, holds
from labkit.techniques._lib.verdict import Verdict

if TYPE_CHECKING:
    from labkit.lab import Lab

__all__ = ["ask", "first_refusal", "url_of"]

#: Refusals that only a listener that authenticates, authorizes or is closed can give.
REFUSALS = ("HTTP 401", "HTTP 403", "TLS alert", "connection refused", "permission denied")


def url_of(channel: Channel, path: str, host: str = "") -> str:
    """Return the URL of a path on a channel's server.

    Parameters
    ----------
    channel : Channel
    path : str
    host : str
        Another host than the channel's own.

    Returns
    -------
    str

    Examples
    --------
    >>> from labkit import read_environment
    >>> from labkit.model import read_model
    >>> channel = read_model(read_environment("insecure")).open_channels("kubelet@* -> *")[0]
    >>> url_of(channel, "/api")
    'http://master:8080/api'
    """
    where = host or channel.server_node
    return f"{channel.protocol}://{where}:{channel.port}{path}"


def first_refusal(*demands: tuple[Claim, Sequence[str]]) -> Prediction:
    """Predict from claims, each with the values that refuse nobody.

    Parameters
    ----------
    *demands : tuple of (Claim, sequence of str)

    Returns
    -------
    Prediction
        Refused by the first claim with another value; unknown if a claim is; or a success because
        of all of them.

    Examples
    --------
    >>> from labkit.cluster import Source
    >>> claim = Claim("required", "", Source("kubelet.yaml", 4, "enabled: false"))
    >>> first_refusal((claim, ("none", "anonymous")))
    refused, because required: kubelet.yaml:4 enabled: false
    """
    return all_of(*(holds(claim, *harmless) for claim, harmless in demands))


def ask(
    lab: Lab,
    technique: str,
    foothold: Foothold,
    url: str,
    *,
    control: Callable[[], str],
    proof: Callable[[Answer], str],
    method: str = "",
    body: bytes | None = None,
    options: Sequence[str] = (),
    token: str = "",
    more_refusals: Sequence[str] = (),
    description: str = "",
) -> Verdict:
    """Send one request from a foothold, and return the verdict.

    Parameters
    ----------
    lab : Lab
    technique : str
    foothold : Foothold
    url : str
    control : callable
        Called after a refusal. It shows that the legitimate client is served and returns the
        evidence, or raises :class:`ProbeError`.
    proof : callable
        Called with a successful answer. It returns the evidence of what the attacker gained, or
        raises :class:`ProbeError` if the answer is not the expected one.
    method : str
        The HTTP method. The default is GET, or POST with a body.
    body : bytes, optional
    options : sequence of str
        More options of curl.
    token : str
        A bearer token.
    more_refusals : sequence of str
        More answers that count as a refusal.
    description : str
        The request in words, if the URL differs from run to run.

    Returns
    -------
    Verdict

    Raises
    ------
    ProbeTimeout
        No answer came in time.
    ProbeError
        The answer is neither the expected one nor a known refusal.
    """
    more = ["--request", method] if method else []
    answer = request(lab, url, foothold=foothold, body=body, options=[*more, *options], token=token)
    path = url.partition("://")[2].partition("/")[2]
    verb = method or ("GET" if body is None else "POST")
    asked = (
        description
        or f"{verb} /{path.partition('?')[0]} at {url.partition('://')[2].partition('/')[0]}"
    )
    if not answer.refusal:
        return Verdict(
            technique, lab.mode, foothold, True, f"HTTP {answer.status}", (asked, proof(answer))
        )
    if not answer.refusal.startswith((*REFUSALS, *more_refusals)):
        raise ProbeError(
            f"{technique}: {answer.refusal} is neither a success nor a known refusal",
            evidence=[asked, answer.body[:200].decode(errors="replace")],
        )
    with legitimate():
        shown = control()
    return Verdict(technique, lab.mode, foothold, False, answer.refusal, (asked,), shown)
