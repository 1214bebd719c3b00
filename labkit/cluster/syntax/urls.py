"""Ports and URLs of the configuration."""

from __future__ import annotations

from functools import lru_cache
from ipaddress import ip_address
from urllib.parse import SplitResult, urlsplit

from labkit.cluster.syntax.source import Setting, broken

__all__ = ["is_loopback", "port_of", "url_of"]


@lru_cache(maxsize=1024)
def is_loopback(host: str) -> bool:
    """Say whether a host is a loopback address, which only its own machine can reach.

    Parameters
    ----------
    host : str
        An IP address or a name; of the names, only ``localhost`` is loopback (RFC 6761, 6.3).

    Returns
    -------
    bool

    Examples
    --------
    >>> is_loopback("127.0.0.1"), is_loopback("0.0.0.0"), is_loopback("127.example.com")
    (True, False, False)
    """
    try:
        address = ip_address(host)
    except ValueError:
        return host == "localhost"
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback


def port_of(setting: Setting) -> int:
    """Return the port that a setting names.

    Parameters
    ----------
    setting : Setting

    Returns
    -------
    int

    Raises
    ------
    ConfigError
        The value is not a port, 0 to 65535.

    Examples
    --------
    >>> from labkit.cluster import Source
    >>> port_of(Setting("6443", Source("a.service", 3, "--secure-port=6443")))
    6443
    """
    value = setting.value
    if not value.isascii() or not value.isdigit() or len(value) > 5 or int(value) > 65535:
        raise broken(setting.source.path, setting.source.line, f"not a port: {setting.source.text}")
    return int(setting.value)


def url_of(setting: Setting) -> tuple[SplitResult, str, int]:
    """Return the parts of the URL that a setting names.

    Parameters
    ----------
    setting : Setting

    Returns
    -------
    url : SplitResult
    host : str
        Empty for a Unix socket.
    port : int
        The scheme's default if the URL has none; 0 if the scheme has none.

    Raises
    ------
    ConfigError
        The value is not a URL.

    Examples
    --------
    >>> from labkit.cluster import Source
    >>> url_of(Setting("https://etcd1:2379", Source("a.service", 3, "")))[1:]
    ('etcd1', 2379)
    """
    try:
        url = urlsplit(setting.value)
        host = url.hostname or ""
        port = url.port or {"https": 443, "http": 80}.get(url.scheme, 0)
    except ValueError as error:
        what = f"{setting.value!r} is not a URL: {error}"
        raise broken(setting.source.path, setting.source.line, what) from error
    if not url.scheme or (not host and url.scheme not in {"unix", "fd", "unixs"}):
        raise broken(setting.source.path, setting.source.line, f"{setting.value!r} is not a URL")
    return url, host, port
