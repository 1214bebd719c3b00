"""Turn the results of probes into observations, in the vocabulary of the model.

There is one function for each property. It returns the observed value, the reason, and the
answer that the legitimate client got (the positive control); or it raises :class:`Unprobed` with
the cause. A timeout, a missing answer or a dead legitimate client is a cause, never an observation.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cryptography import x509

from labkit.model import Channel

__all__ = ["Observed", "Results", "Unprobed", "observe"]

Result = Mapping[str, Any]

#: The TLS alerts that refuse a certificate, or its absence (RFC 8446, section 6.2).
CERTIFICATE_ALERTS = (
    "bad certificate",
    "certificate expired",
    "certificate required",
    "certificate revoked",
    "certificate unknown",
    "unknown ca",
    "decrypt error",
    "access denied",
    "unsupported certificate",
)
#: The alerts that refuse a version of TLS, or everything that is offered with it.
VERSION_ALERTS = (
    "handshake failure",
    "inappropriate fallback",
    "insufficient security",
    "protocol version",
)
#: Servers that close the connection in place of an alert about the version: asyncio, of which
#: Canaille's server is made, does not send it. TLS 1.3 proves that they live.
WITHOUT_ALERT = frozenset({"canaille"})
#: Servers that refuse what a caller may not do with 401: they know them by a certificate, a
#: signature or a token.
REFUSES_WITH_401 = frozenset({"opa", "cloud-stand-in"})
#: How a server answers its legitimate client; a collector of journals accepts what it gets.
ANSWERED = (200, 202)
VERSIONS = {"TLSv1_1": "tls1.1", "TLSv1_2": "tls1.2", "TLSv1_3": "tls1.3"}
HTTPS_ONLY = "HTTP request to an HTTPS server"


class Unprobed(Exception):
    """A property could not be observed; the message is the cause."""


@dataclass(frozen=True, slots=True)
class Observed:
    """The observed value of a property.

    Attributes
    ----------
    value : str
        The value, in the vocabulary of the model.
    reason : str
        The evidence: an HTTP status, a TLS alert, bytes on the wire.
    control : str
        The answer that the legitimate client got; "" if the property needs no positive control.
    """

    value: str
    reason: str
    control: str = ""


@dataclass(frozen=True, slots=True)
class Results:
    """The results of all probes of one channel.

    Attributes
    ----------
    look, nobody, guess, own, power, alive, socket : mapping or None
        The results of the jobs with these names; see :mod:`labkit.verification.plan`.
    met : tuple of mapping
        What the channel's real client did when it met the server of an unknown authority.
    """

    look: Result | None
    nobody: Result | None
    guess: Result | None
    own: Result | None
    power: Result | None
    alive: Result | None
    socket: Result | None
    met: tuple[Result, ...]


def observe(channel: Channel, name: str, results: Results) -> Observed:
    """Return the observed value of a property of a channel.

    Parameters
    ----------
    channel : Channel
        The channel.
    name : str
        The property: one of ``labkit.model.PROPERTIES``.
    results : Results
        The results of the channel's probes.

    Returns
    -------
    Observed

    Raises
    ------
    Unprobed
        The results are not conclusive.
    """
    if channel.protocol == "unix":
        return SOCKET[name](channel, results)
    shut = _closed(results)
    if shut:
        return shut
    if (
        results.nobody is None
    ):  # the model claims "closed", so nothing else was probed, but the port is open
        return _unexpected(name, results)
    return NETWORK[name](channel, results)


# -- listeners on the network ------------------------------------------------------------------


def _closed(results: Results) -> Observed | None:
    """Return "closed" for a refused connection, but only if the machine is alive."""
    look = _needed(results.look, "listener")
    if look.get("error") != "refused":
        _answered(look, "connect")
        return None
    if results.alive is None:  # the model claims "open": the refusal proves a living machine
        return Observed("closed", "connection refused")
    if "error" in results.alive:
        raise Unprobed("connection refused, and nothing else on the machine answers")
    return Observed("closed", "connection refused", "another port of the machine answers")


def _unexpected(name: str, results: Results) -> Observed:
    plaintext = _needed(results.look, "listener")["plaintext"]
    if "status" in plaintext and HTTPS_ONLY not in plaintext["body"]:
        value = "allow-all" if name == "authorization" else "none"
        return Observed(value, f"open: plaintext HTTP is answered with {plaintext['status']}")
    return Observed("unknown", "open: the port takes connections")


def _encryption(channel: Channel, results: Results) -> Observed:
    look = _needed(results.look, "listener")
    spoken = [met for met in results.met if met["spoke"] == "plaintext"]
    if spoken:
        return Observed("none", f"the client sent in plaintext: {spoken[0]['sent']!r}")
    plaintext = look["plaintext"]
    if "status" in plaintext and HTTPS_ONLY not in plaintext["body"]:
        return Observed("none", f"plaintext HTTP is answered with {plaintext['status']}")
    silent = channel.server_name in WITHOUT_ALERT and _takes(look["TLSv1_3"])
    accepted = [name for name in VERSIONS if _takes(look[name], closes=silent)]
    if not accepted:
        raise Unprobed(f"neither plaintext nor TLS: {look['TLSv1_3']}")
    refused = [f"{VERSIONS[name]} refused" for name in VERSIONS if name < accepted[0]]
    certificate = next((look[name]["der"] for name in accepted if look[name].get("der")), "")
    reason = ", ".join([*refused, f"{VERSIONS[accepted[0]]} taken", *_named(certificate)])
    control = "the client's own bytes are TLS" if results.met else ""
    return Observed(VERSIONS[accepted[0]], reason, control)


def _takes(result: Result, *, closes: bool = False) -> bool:
    """Say whether a TLS version was accepted: the handshake reached the certificates.

    `closes` says that a closed connection is a refusal too.
    """
    if "version" in result:
        return True
    if closes and result.get("error") == "closed":
        return False
    said = result["text"] if result.get("error") == "alert" else ""
    if said not in CERTIFICATE_ALERTS + VERSION_ALERTS:
        raise Unprobed(f"a TLS handshake was neither taken nor refused: {_said(result)}")
    return said in CERTIFICATE_ALERTS


def _named(der: str) -> list[str]:
    if not der:
        return []
    certificate = x509.load_der_x509_certificate(base64.b64decode(der))
    return [f"certificate {certificate.subject.rfc4514_string().split(',')[0]}"]


def _server_authentication(channel: Channel, results: Results) -> Observed:
    if channel.client.endswith("@network"):
        encryption = _encryption(channel, results)
        if encryption.value == "none":
            return Observed("none", "plaintext: the server shows no certificate")
        return Observed("unverified", "anybody may connect without verifying")
    if not results.met:
        raise Unprobed(
            "the client made no connection while it was redirected to a server with an unknown CA"
        )
    if any(met["spoke"] == "plaintext" for met in results.met):
        return Observed("none", "the client spoke plaintext to a server that is not its own")
    taken = [met for met in results.met if met["accepted"]]
    if taken:
        return Observed(
            "unverified",
            f"the client accepted a certificate of an unknown CA: {taken[0]['sent']!r}",
        )
    ends = {met["text"] for met in results.met if met["error"] == "alert"}
    alerts = ends.intersection(CERTIFICATE_ALERTS)
    if not alerts:
        said = results.met[0]["text"]
        raise Unprobed(f"the client broke off without an alert about the certificate: {said}")
    reason = f"the client refused a certificate of an unknown CA: {', '.join(sorted(alerts))}"
    return Observed("verified", reason, _control(results))


def _client_authentication(channel: Channel, results: Results) -> Observed:
    nobody = _needed(results.nobody, "request without a credential")
    refusal = _refused_identity(nobody)
    if refusal:
        return Observed("required", f"without a credential: {refusal}", _control(results))
    _answered(nobody, "request without a credential")
    if "status" not in nobody:
        raise Unprobed(f"without a credential: {_said(nobody)}")
    guess = _needed(results.guess, "request with an unknown credential")
    refusal = _refused_identity(guess)
    if refusal:
        reason = f"without a credential: {nobody['status']}; with an unknown one: {refusal}"
        return Observed("anonymous", reason)
    if "status" not in guess:
        raise Unprobed(f"with an unknown credential: {_said(guess)}")
    reason = f"without a credential: {nobody['status']}; with an unknown one: {guess['status']}"
    return Observed("none", reason)


def _refused_identity(result: Result) -> str:
    """Return how a listener refused an unauthenticated caller, or "" if it did not."""
    if result.get("status") == 401:
        return "401 Unauthorized"
    if "user name is empty" in result.get("body", ""):
        return "etcd: user name is empty"
    if result.get("error") == "alert" and result["text"] in CERTIFICATE_ALERTS:
        return f"TLS alert {result['text']}"
    return ""


def _authorization(channel: Channel, results: Results) -> Observed:
    power = _needed(results.power, "request beyond the client's rights")
    if power.get("status") == 403:
        return Observed("enforced", "beyond its rights: 403 Forbidden", _control(results))
    if channel.server_name in REFUSES_WITH_401 and power.get("status") == 401:
        return Observed("enforced", "beyond its rights: 401 Unauthorized", _control(results))
    for words in ("permission denied", "user name is empty"):
        if words in power.get("stderr", ""):
            return Observed("enforced", f"beyond its rights: etcd {words}", _control(results))
    if power.get("error") == "alert" and power["text"] in CERTIFICATE_ALERTS:
        reason = f"another name of the same CA: TLS alert {power['text']}"
        return Observed("enforced", reason, _control(results))
    if power.get("code") == 0 and power["stdout"].strip():
        return Observed("allow-all", "beyond its rights: answered")
    # 404: the request was authorized, and the object that it names does not exist
    if power.get("status") in (200, 201, 202, 404):
        return Observed("allow-all", f"beyond its rights: {power['status']}")
    raise Unprobed(f"beyond its rights: {_said(power)}")


def _control(results: Results) -> str:
    """Return the answer that the legitimate client got; a refusal proves nothing without it."""
    own = _needed(results.own, "request of the legitimate client")
    if own.get("status") in ANSWERED:
        return f"the legitimate client: {own['status']}"
    if own.get("code") == 0 and own["stdout"].strip():
        return "the legitimate client: answered"
    raise Unprobed(f"the legitimate client is refused as well: {_said(own)}")


# -- sockets of a machine ----------------------------------------------------------------------


def _socket(results: Results) -> Result:
    socket = _needed(results.socket, "socket")
    if socket.get("error") == "missing":
        raise Unprobed("there is no such socket")
    _answered(socket, "socket")
    return socket


def _socket_encryption(channel: Channel, results: Results) -> Observed:
    if not _socket(results)["socket"]:
        raise Unprobed(f"{channel.path} is not a socket")
    return Observed("local", "a Unix socket: nothing crosses a network")


def _socket_server(channel: Channel, results: Results) -> Observed:
    socket = _socket(results)
    if not socket["server"]:
        raise Unprobed("nobody listens on the socket")
    if socket["owner"] != "root":
        return Observed("none", f"the socket belongs to {socket['owner']}")
    return Observed("local", f"root's socket, served by {socket['server']}")


def _socket_client(channel: Channel, results: Results) -> Observed:
    socket = _socket(results)
    file = f"{socket['mode']} {socket['owner']}:{socket['group']}"
    if "error" in socket["root"]:
        raise Unprobed(f"{file}: root cannot connect: {_said(socket['root'])}")
    if socket["alice"].get("connected"):
        return Observed("none", f"{file}: an ordinary user connects")
    if socket["alice"].get("error") == "permission":
        return Observed("file-mode", f"{file}: permission denied to a user", "root connects")
    raise Unprobed(f"{file}: {_said(socket['alice'])}")


def _socket_authorization(channel: Channel, results: Results) -> Observed:
    return _authorization(channel, results)


NETWORK = {
    "encryption": _encryption,
    "server_authentication": _server_authentication,
    "client_authentication": _client_authentication,
    "authorization": _authorization,
}
SOCKET = {
    "encryption": _socket_encryption,
    "server_authentication": _socket_server,
    "client_authentication": _socket_client,
    "authorization": _socket_authorization,
}


def _needed(result: Result | None, what: str) -> Result:
    if result is None:
        raise Unprobed(f"no probe: {what}")
    return result


def _answered(result: Result, what: str) -> None:
    if result.get("error") in ("timeout", "failed", "missing"):
        raise Unprobed(f"{what}: {_said(result)}")


def _said(result: Result) -> str:
    if "status" in result:
        return f"{result['status']} {result['body'][:120]}"
    if "code" in result:
        return f"exit {result['code']}: {result['stderr'].strip()[-160:] or 'no output'}"
    return f"{result.get('error', 'nothing')}: {result.get('text', '')}"
