"""systemd-journal-remote: where the machines' journals are collected.

https://www.freedesktop.org/software/systemd/man/latest/systemd-journal-remote.service.html
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from labkit.cluster.syntax.source import Setting
from labkit.cluster.syntax.urls import port_of
from labkit.model.claims import Claim
from labkit.model.listener import Anyone, Listener
from labkit.model.listeners._base import Gap, ListenerKind, Server

if TYPE_CHECKING:
    from labkit.cluster.facts import Component, Environment

__all__ = ["COLLECTS", "ENTRIES", "SERVER", "UNCHECKED", "address_of"]

#: What machines send there.
ENTRIES = ("journal entries",)
#: The values of --trust, and of TrustedCertificateFile=, that turn the check off.
UNCHECKED = frozenset({"all", "-"})
#: The number of a socket that systemd opened: -3 is the first one (sd_listen_fds).
PASSED, FIRST = re.compile(r"-(\d+)"), 3
COLLECTS = "who may send entries may send entries of any machine: nothing looks into them"
#: systemd built without GnuTLS, as Debian's is, ignores TrustedCertificateFile= and checks nobody.
#: It does not start with the option --trust (src/journal-remote/journal-remote-main.c).
BUILT = "a systemd built without GnuTLS, as Debian's, ignores it and checks nobody"
DOCUMENTED = ("systemd documentation: systemd-journal-remote.service",)


def address_of(setting: Setting) -> tuple[str, int]:
    """Return the address and the port of a socket as systemd writes them; "" is every address.

    Examples
    --------
    >>> from labkit.cluster import Source
    >>> place = Source("journal.socket", 4, "")
    >>> [address_of(Setting(text, place)) for text in ("19532", "[::1]:19532")]
    [('', 19532), ('::1', 19532)]
    """
    host, _, port = setting.value.rpartition(":")
    return host.strip("[]"), port_of(Setting(port, setting.source))


def _read(env: Environment, it: Component) -> Iterator[Listener]:
    for scheme in ("http", "https"):
        option = it.given(f"listen-{scheme}")
        if option is None or not option.value:
            continue
        place = option
        if passed := PASSED.fullmatch(option.value):
            number = int(passed[1]) - FIRST
            if not 0 <= number < len(it.sockets):
                yield _listener(it, scheme, option, "", None)
                continue
            place = it.sockets[number].address
        if place.value.startswith("/"):
            continue  # a Unix socket: no port of the network
        yield _listener(it, scheme, option, *address_of(place))


def _listener(it: Component, scheme: str, option: Setting, bind: str, port: int | None) -> Listener:
    secure = scheme == "https"
    trust = it.setting("trust")
    encryption = clients = Claim("none", "plain http", option.source)
    if secure:
        # GnuTLS' default, which libmicrohttpd keeps
        encryption = Claim("tls1.1", "TLS 1.1 or later", option.source)
        clients = Claim("unknown", BUILT, trust.source)
        if trust.source.text.startswith("--trust") and not trust.source.default:
            clients = Claim("required", f"a certificate signed by {trust.value}", trust.source)
        if trust.value in UNCHECKED:
            clients = Claim("none", "certificates are not checked", trust.source)
    if port is None:
        why = "systemd opens its socket, and no unit says which one"
        encryption = clients = Claim("unknown", why, option.source)
    return Listener(
        server=it.id,
        role="collector",
        node=it.node,
        zone=it.zone,
        protocol=scheme,
        bind=bind,
        port=port,
        path=None,
        open=True,
        encryption=encryption,
        client_authentication=clients,
        authorization=Claim("allow-all", "entries of any machine are stored", option.source),
        bind_source=option.source,
        anyone=Anyone.UNUSED_OR_UNPROVEN,
        data=ENTRIES,
    )


SERVER = Server(
    "systemd-journal-remote",
    _read,
    (
        ListenerKind(
            "journal collector",
            gives=(),
            impact=3,
            gaps={
                "encryption": Gap("journal-tls", "eavesdrop-journal-upload", DOCUMENTED),
                "server_authentication": Gap("journal-tls", "", DOCUMENTED),
                "client_authentication": Gap("journal-tls", "forge-journal-entries", DOCUMENTED),
            },
            by_design=COLLECTS,
        ),
    ),
)
