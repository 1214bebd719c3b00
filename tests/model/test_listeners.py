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
