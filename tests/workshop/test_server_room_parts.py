"""What JupyterHub needs for a room, tested without an engine."""

from __future__ import annotations

import asyncio
import io
import stat
import tarfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from labkit.errors import ConfigError
from labkit.resources import server_room_dir
from labkit.workshop import server_room
from labkit.workshop.server_room import passwords_file, passwords_of


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    return tmp_path


def test_passwords_are_random_kept_and_nobody_elses(state: Path) -> None:
    first = passwords_of("p", ["p01", "p02"])
    assert first["p01"] != first["p02"]
    assert all(len(word) >= 12 for word in first.values())
    more = passwords_of("p", ["p01", "p02", "p03"])
    assert more | first == more
    assert passwords_of("q", ["q01"])["q01"] not in more.values()
    assert stat.S_IMODE(passwords_file("p").stat().st_mode) == 0o600


def test_passwords_that_cannot_be_read_are_said(state: Path) -> None:
    passwords_of("p", ["p01"])
    passwords_file("p").write_text("{")
    with pytest.raises(ConfigError, match="cannot be used"):
        passwords_of("p", ["p01"])


class Config(dict[str, Any]):
    """As traitlets' configuration: an attribute that is not there is a new part."""

    def __getattr__(self, name: str) -> Any:
        return self.setdefault(name, SimpleNamespace())


@pytest.fixture
def config(state: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Config, dict[str, Any]]:
    monkeypatch.setenv("LABKIT_PARTICIPANTS", "2")
    found = Config()
    names: dict[str, Any] = {"get_config": lambda: found}
    exec(compile((server_room_dir() / "jupyterhub_config.py").read_text(), "config", "exec"), names)
    return found, names


def test_hub_listens_on_the_loopback_address(config: tuple[Config, dict[str, Any]]) -> None:
    found, _ = config
    addresses = [
        found["JupyterHub"].bind_url,
        found["JupyterHub"].hub_bind_url,
        found["ConfigurableHTTPProxy"].api_url,
    ]
    assert all(it.startswith("http://127.0.0.1:") for it in addresses)
    assert len(set(addresses)) == 3


def test_participant_logs_in_with_their_own_password_only(
    config: tuple[Config, dict[str, Any]],
) -> None:
    _, names = config
    known = names["PASSWORDS"]
    room = names["RoomAuthenticator"]()

    def logged_in(name: str, password: str) -> str | None:
        data = {"username": name, "password": password}
        found: str | None = pool.submit(asyncio.run, room.authenticate(None, data)).result()
        return found

    with ThreadPoolExecutor(1) as pool:  # a browser's tests keep this thread's own loop running
        assert logged_in("p01", known["p01"]) == "p01"
        for name, password in [
            ("p01", known["p02"]),
            ("p01", ""),
            ("p01", "ä"),
            ("p03", ""),
            ("", ""),
            ("admin", ""),
            ("p01", known["p01"] + " "),
        ]:
            assert logged_in(name, password) is None


def test_jupyter_gets_its_own_sockets_and_no_rights(config: tuple[Config, dict[str, Any]]) -> None:
    found, _ = config
    spawner = found["DockerSpawner"]
    [sockets] = [bind for bind in spawner.volumes.values() if isinstance(bind, dict)]
    assert sockets == {"bind": "/run/labkit", "mode": "ro"}
    assert "/var/run/docker.sock" not in str(spawner.volumes)
    assert spawner.environment["DOCKER_HOST"] == "unix:///run/labkit/docker.sock"
    assert spawner.extra_host_config["cap_drop"] == ["ALL"]
    [service] = found["JupyterHub"].services
    assert service["command"][2:5] == ["labkit", "workshop", "guard"]


def test_build_context_holds_wheels_and_notebooks_without_solutions(tmp_path: Path) -> None:
    (tmp_path / "labkit-1-py3-none-any.whl").write_bytes(b"wheel")
    with tarfile.open(fileobj=io.BytesIO(server_room._context(tmp_path))) as tar:
        names = tar.getnames()
        assert {"Dockerfile", "wheels/labkit-1-py3-none-any.whl"} <= set(names)
        notebook = tar.extractfile("notebooks/02-etcd.ipynb")
        assert notebook is not None
        assert b"BEGIN SOLUTION" not in notebook.read()
