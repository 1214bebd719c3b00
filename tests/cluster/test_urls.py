"""Read ports, URLs and loopback addresses of the configuration."""

from __future__ import annotations

import pytest

from labkit.cluster import Source
from labkit.cluster.syntax.source import Setting
from labkit.cluster.syntax.urls import is_loopback, port_of, url_of
from labkit.errors import ConfigError


def setting(value: str) -> Setting:
    return Setting(value, Source("a.service", 3, f"--flag={value}"))


@pytest.mark.parametrize(("text", "port"), [("0", 0), ("22", 22), ("65535", 65535)])
def test_port_is_a_number_up_to_65535(text: str, port: int) -> None:
    assert port_of(setting(text)) == port


@pytest.mark.parametrize("text", ["", "65536", "-1", "+1", "1e3", "0x16", " 22", "٣", "1" * 5000])
def test_malformed_port_is_refused_with_its_line(text: str) -> None:
    with pytest.raises(ConfigError, match=r"^a\.service:3: not a port"):
        port_of(setting(text))


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("https://etcd1:2379", "etcd1", 2379),
        ("https://Etcd1", "etcd1", 443),
        ("http://10.0.0.1", "10.0.0.1", 80),
        ("https://[fd00::1]:6443/path", "fd00::1", 6443),
        ("tcp://0.0.0.0:2375", "0.0.0.0", 2375),
        ("unix:///run/docker.sock", "", 0),
        ("fd://", "", 0),
    ],
)
def test_url_has_a_host_and_a_port(text: str, host: str, port: int) -> None:
    assert url_of(setting(text))[1:] == (host, port)


@pytest.mark.parametrize(
    "text", ["", "etcd1", "//etcd1:2379", "https://", "https://[", "http://a:b"]
)
def test_malformed_url_is_refused_with_its_line(text: str) -> None:
    with pytest.raises(ConfigError, match=r"^a\.service:3: .*is not a URL"):
        url_of(setting(text))


@pytest.mark.parametrize(
    ("host", "local"),
    [
        ("127.0.0.1", True),
        ("127.1.2.3", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("10.127.0.1", False),
        ("127.example.com", False),
        ("::ffff:127.0.0.1", True),
        ("::ffff:10.0.0.1", False),
        ("localhost.example.org", False),
    ],
)
def test_loopback_addresses_are_recognized(host: str, local: bool) -> None:
    assert is_loopback(host) is local
