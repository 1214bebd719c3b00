"""Each file of labkit.model.listeners is one component that listens, and nothing else knows it."""

from __future__ import annotations

import importlib
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from labkit import controls, techniques
from labkit.cluster import read_environment
from labkit.loading import load_model
from labkit.model import PROPERTIES, read_model
from labkit.model.listeners import Server, find_listeners, kind_of_listener, listener_kinds
from labkit.registry import Registry

listeners: Registry[Server] = sys.modules["labkit.model.listeners"]  # type: ignore[assignment]
BILLING = """
from labkit.model.claims import Claim
from labkit.model.listener import Listener
from labkit.model.listeners._base import ListenerKind, Server


def _read(env, it):
    claim = Claim("none", "plain http", it.source)
    yield Listener(
        it.id, "api", it.node, it.zone, "http", "", 8088, None, True, claim, claim, claim
    )


SERVER = Server("billing", _read, (ListenerKind("billing port", ("commands",), 2),))
"""


@pytest.mark.parametrize("name", sorted(listener_kinds()))
def test_gaps_name_properties_controls_and_techniques_that_exist(name: str) -> None:
    kind = listener_kinds()[name]
    assert set(kind.gaps) <= set(PROPERTIES)
    for gap in kind.gaps.values():
        assert not gap.control or gap.control in controls
        for technique in (gap.technique, *gap.by_client.values()):
            assert not technique or technique in techniques
    assert not kind.with_credential or kind.with_credential in techniques


@pytest.mark.parametrize("name", sorted(listeners))
def test_last_kind_of_a_server_fits_every_channel(name: str) -> None:
    *special, last = listeners[name].kinds
    assert all(kind.protocol or kind.client or kind.data for kind in special)
    # kubectl proxy has one kind, which it shares with the apiserver
    assert not special or not (last.protocol or last.client or last.data)


def test_a_new_file_is_a_new_listener(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "billing.py").write_text(BILLING)
    monkeypatch.setattr(listeners, "__path__", [*listeners.__path__, str(tmp_path)])
    monkeypatch.delitem(vars(listeners), "_found", raising=False)
    importlib.invalidate_caches()
    env = read_environment("insecure")
    flannel = env.component("flanneld@worker1")
    billing = replace(flannel, id="billing@worker1", kind="billing")
    found = find_listeners(replace(env, components=(billing,)))
    assert [(it.server, it.port) for it in found] == [("billing@worker1", 8088)]
    channel = replace(read_model("insecure").channels[0], server="billing@worker1")
    assert kind_of_listener(channel).name == "billing port"


def test_a_server_without_a_file_is_a_service() -> None:
    channel = replace(read_model("insecure").channels[0], server="billing@worker1")
    assert kind_of_listener(channel).name == "service"


def test_one_entry_imports_one_module() -> None:
    code = (
        "import sys; from labkit import techniques; assert len(techniques) > 50;"
        "assert techniques['etcd-read'].name == 'etcd-read';"
        "print(sum(it.startswith('labkit.techniques.etcd_') for it in sys.modules))"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "1\n"


@pytest.mark.parametrize("registry", [techniques, controls, listeners])
def test_an_entry_has_the_name_of_its_module(registry: Registry[Any]) -> None:
    assert [it.name for it in registry.values()] == list(registry)


def test_sockets_that_systemd_hands_over_are_unknown_without_their_unit(tmp_path: Path) -> None:
    """systemd.socket(5): a .socket unit listens where it says, on paths as well as on ports."""
    unit = tmp_path / "worker1/etc/systemd/system/docker.service"
    unit.parent.mkdir(parents=True)
    unit.write_text("[Service]\nExecStart=/usr/bin/dockerd --host=fd://\n")
    model = load_model(tmp_path)
    found = {it.id: it for it in model.channels if "dockerd@worker1" in it.id}
    port = found["anyone@network -> dockerd@worker1:2375"]
    assert (port.open, port.client_authentication.value) == (True, "unknown")
    [socket] = [it for it in found.values() if it.protocol == "unix"]
    assert (socket.open, socket.client_authentication.value) == (True, "unknown")
    (unit.parent / "docker.socket").write_text(
        "[Socket]\nListenStream=/run/docker.sock\nSocketMode=0660\nSocketGroup=docker\n"
    )
    [port] = [it for it in load_model(tmp_path).channels if it.id.endswith("dockerd@worker1:2375")]
    assert not port.open
