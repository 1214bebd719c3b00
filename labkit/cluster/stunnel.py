"""Read the services of stunnel: TLS before a server that speaks none, or does not ask its callers.

https://www.stunnel.org/static/stunnel.html
"""

from __future__ import annotations

from dataclasses import dataclass

from labkit.cluster.syntax.source import Setting, Source, Unknown, broken
from labkit.cluster.syntax.urls import port_of

__all__ = ["TunnelService", "read_tunnels"]

#: The keys that decide claims.
READ = frozenset(
    [
        *("accept", "connect", "cert", "key", "CAfile", "CApath", "verify", "verifyChain"),
        *("verifyPeer", "requireCert", "sslVersion", "sslVersionMin"),
    ]
)
#: Keys that decide no claim: what is logged, how long is waited, which of the certificates that are
#: demanded are refused as well.
OTHERS = frozenset(
    [
        *("CRLfile", "CRLpath", "TIMEOUTbusy", "TIMEOUTclose", "TIMEOUTconnect", "TIMEOUTidle"),
        *("checkEmail", "checkHost", "checkIP", "chroot", "ciphers", "ciphersuites", "curves"),
        *("debug", "delay", "failover", "foreground", "libwrap", "local", "log", "logId"),
        *("options", "output", "pid", "renegotiation", "reset", "retry", "service", "setgid"),
        *("setuid", "socket", "sslVersionMax", "syslog"),
    ]
)


@dataclass(frozen=True, slots=True)
class TunnelService:
    """One service of stunnel.

    Attributes
    ----------
    name : str
    settings : dict of str to Setting
        The global ones too, which every service inherits.
    source : Source
    """

    name: str
    settings: dict[str, Setting]
    source: Source


def read_tunnels(text: str, path: str) -> tuple[tuple[TunnelService, ...], tuple[Unknown, ...]]:
    r"""Read the services of a stunnel.conf that listen.

    Parameters
    ----------
    text, path : str
        The file's content, and its name for messages.

    Returns
    -------
    services : tuple of TunnelService
    unknowns : tuple of Unknown
        Keys that make a service something that labkit does not read.

    Raises
    ------
    ConfigError
        A line is no section, assignment or comment, or a port is no number.

    Examples
    --------
    >>> text = "cert = /a.crt\n[logs]\naccept = 19532\nverifyChain = yes\n"
    >>> [service], _ = read_tunnels(text, "stunnel.conf")
    >>> service.name, service.settings["accept"].value, service.settings["cert"].source.line
    ('logs', '19532', 1)
    """
    shared: dict[str, Setting] = {}
    found: list[TunnelService] = []
    unknowns: list[Unknown] = []
    here = shared
    for number, raw in enumerate(text.splitlines(), start=1):
        line = raw.strip()
        if not line or line.startswith((";", "#")):
            continue
        source = Source(path, number, line)
        if line.startswith("[") and line.endswith("]"):
            here = dict(shared)
            found.append(TunnelService(line[1:-1], here, source))
            continue
        key, equals, value = (it.strip() for it in line.partition("="))
        if not equals or not key:
            raise broken(path, number, f"neither a section nor key = value: {line[:60]}")
        if key in READ:
            here[key] = Setting(value, source)
            if key in ("accept", "connect") and not value.startswith("/"):
                port_of(Setting(value.rpartition(":")[2], source))
        elif key not in OTHERS:
            why = "labkit does not read what stunnel does with it"
            unknowns.append(Unknown(path, number, line, why))
    return tuple(it for it in found if "accept" in it.settings), tuple(unknowns)
