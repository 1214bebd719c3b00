"""No key, token or secret of a lab stands in a process list, an output, a label or a file.

The share for CI is eight techniques; ``make secrets`` carries out all of them, in both modes.
"""

from __future__ import annotations

import base64
import json
import os
import runpy
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from labkit import techniques
from labkit.cli import app
from labkit.lab.connection import Connection
from labkit.lab.engine import lab_filter
from labkit.techniques._lib.api.tokens import new_token

pytestmark = pytest.mark.lab
WATCH = Path(__file__).with_name("process_watch.py")
pattern = runpy.run_path(str(WATCH))["pattern"]
#: Techniques that handle tokens, keys, secrets in etcd, and pods.
SHARE: tuple[str, ...] = (
    "pod-token",
    "agent-token",
    "kubelet-log-symlink",
    "ca-key-theft",
    "etcd-read",
    "at-rest",
    "controller-manager-token",
    "nodes-proxy-exec",
)
EVERYTHING = bool(os.environ.get("LABKIT_ALL_SECRETS"))
#: Keys of machines and pods, and secrets in files.
COLLECT = r"""
find /etc /var/lib/kubelet /root /home -xdev -type f \
  \( -name '*.key' -o -name '*.pem' -o -name '*.conf' -o -name 'encryption*' -o -name '*.csv' \) \
  -size -100k -exec cat {} +
find /var/lib/kubelet/pods -type f -o -type l 2>/dev/null | grep -E '/(token|key)$' | xargs -r cat
"""


def secrets_of(lab: Any) -> list[str]:
    """Return the keys, tokens and secrets of a lab, as they would stand in a text."""
    found: set[str] = set()
    for node in lab.environment.nodes:
        text = lab.exec(node.name, ["sh", "-c", COLLECT], check=False).text
        inside = False
        for line in text.splitlines():
            if "PRIVATE KEY-----" in line:
                inside = "BEGIN" in line
            elif inside and len(line) > 40:
                # the first line of a PKCS#8 key says only what kind it is
                found.add(line.strip()[-32:])
            for word in line.split():
                if word.startswith("eyJ") and word.count(".") == 2:
                    found.add(word)
            if line.strip().startswith(("secret:", "token:", "client-key-data:")):
                found.add(line.split(":", 1)[1].strip())
    for item in json.loads(lab.kubectl("get", "secrets", "-A", "-o", "json").stdout)["items"]:
        for name, value in item.get("data", {}).items():
            if name not in ("namespace", "ca.crt"):
                found |= {value, base64.b64decode(value).decode()}
    # a user name such as "admin" is no secret, and stands in many texts
    return sorted(text for text in found if len(text) >= 12)


@contextmanager
def watched(lab: Any, texts: list[str]) -> Iterator[Callable[[], dict[str, Any]]]:
    """Watch the process list of this host; yield a function that ends it and returns the result."""
    child = subprocess.Popen(
        [sys.executable, str(WATCH)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert child.stdin is not None
    assert child.stdout is not None
    machines = lab.client.containers.list(filters=lab_filter(lab.name, lab.mode))
    asked = {"texts": texts, "ids": [machine.id for machine in machines]}
    child.stdin.write(json.dumps(asked) + "\n")
    child.stdin.flush()
    assert child.stdout.readline() == "ready\n"

    def result() -> dict[str, Any]:
        said: dict[str, Any] = json.loads(child.communicate(timeout=60)[0])
        return said

    try:
        yield result
    finally:
        child.kill()
        child.wait()


def names() -> list[str]:
    applies = [it.name for it in techniques.values() if it.modes == ("insecure", "hardened")]
    return applies if EVERYTHING else list(SHARE)


@pytest.mark.parametrize("mode", ["insecure", "hardened"] if EVERYTHING else ["insecure"])
def test_no_secret_leaves_a_lab(
    labs: Any, mode: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    lab = labs[mode]
    texts = secrets_of(lab)
    assert len(texts) > 20
    wanted = pattern(texts)
    leaks: list[str] = []
    run = Connection.run

    def look(self: Connection, argv: Any, *rest: Any) -> Any:
        if wanted.search("\0".join(argv).encode(errors="replace")):
            leaks.append(f"arguments of {argv[:6]}")
        return run(self, argv, *rest)

    monkeypatch.setattr(Connection, "run", look)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    since = [path for path in _written() if path.exists()]
    with watched(lab, texts) as result:
        for name in names():
            done = CliRunner().invoke(app, ["attack", name, "--mode", mode, "--name", lab.name])
            assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
            if wanted.search(done.output.encode()):
                leaks.append(f"output of attack {name}")
        for command in ("status", "logs", "verify", "reset") if EVERYTHING else ("status",):
            words = [] if command == "status" else ["--mode", mode]
            words += ["master"] if command == "logs" else []
            done = CliRunner().invoke(app, [command, *words, "--name", lab.name])
            assert not done.exit_code, done.output
            if wanted.search(done.output.encode()):
                leaks.append(f"output of {command}")
        seen = result()
    leaks += seen["found"]
    for container in lab.client.containers.list(all=True, filters=lab_filter(lab.name, mode)):
        if wanted.search(json.dumps(container.attrs).encode()):
            leaks.append(f"labels or variables of {container.name}")
        if wanted.search(container.logs(tail=2000)):
            leaks.append(f"log of {container.name}")
    for path in {*_written(), *tmp_path.rglob("*")} - set(since):
        if path.is_file() and wanted.search(path.read_bytes()):
            leaks.append(f"file {path}")
    print(f"{mode}: {len(names())} techniques, {len(texts)} secrets, {seen['rounds']} rounds")
    assert not leaks
    # a watcher that had no time to look proves nothing
    assert seen["rounds"] > 50
    assert seen["a second"] > 2


def _written() -> list[Path]:
    """Return the files of this host where the kit may write."""
    from labkit.resources import state_dir

    return [*state_dir().rglob("*")]


@pytest.mark.parametrize("kind", ["a known secret", "a new token", "a variable", "nothing"])
def test_watcher_finds_what_is_planted(labs: Any, kind: str) -> None:
    lab = labs["insecure"]
    texts = secrets_of(lab)
    planted = new_token(lab, "shop", "default") if kind == "a new token" else texts[0]
    pause = ["sleep", str(0.5 * lab.stretch())]
    with watched(lab, texts) as result:
        if kind == "a variable":
            subprocess.run(pause, env={**os.environ, "TOKEN": planted}, check=True)
        else:
            words = [] if kind == "nothing" else [planted]
            lab.exec("worker1", ["sh", "-c", f"{' '.join(pause)}; :", *words])
        assert bool(result()["found"]) == (kind != "nothing")
