"""Which component a command line starts, and with which arguments: shells, helpers, scripts.

What each form does is in the manuals: systemd.service(5), sh(1), env(1), nice(1).
"""

from __future__ import annotations

from pathlib import Path

import pytest

from labkit.cluster.facts import File
from labkit.cluster.launch import launched
from labkit.cluster.syntax.systemd import Word


def words(*texts: str) -> list[Word]:
    return [Word(text, 1) for text in texts]


def script(text: str) -> File:
    return File(Path("start"), "node", "node/start", text.encode())


READ = [
    (("/usr/bin/kubelet", "--port=1"), {}, ["--port=1"]),
    (("/bin/sh", "-c", "exec /usr/bin/kubelet --port=1"), {}, ["--port=1"]),
    (("bash", "-ec", "/usr/bin/kubelet --port=1 >>/var/log/k 2>&1"), {}, ["--port=1"]),
    (("bash", "-c", "ulimit -n 1; exec kubelet '--port=1' | tee /log"), {}, ["--port=1"]),
    (("sh", "-c", "kubelet --port=$PORT"), {"PORT": "1"}, ["--port=1"]),
    (("sh", "-c", "kubelet ${ARGS}"), {"ARGS": "--port=1 --v=2"}, ["--port=1", "--v=2"]),
    (("/usr/bin/env", "A=b", "kubelet", "--port=1"), {}, ["--port=1"]),
    (("nice", "-n", "-5", "kubelet", "--port=1"), {}, ["--port=1"]),
    (("/go-runner", "--log-file=/l", "/bin/kubelet", "--port=1"), {}, ["--port=1"]),
    (("sh", "-c", "exec nice kubelet --port=1"), {}, ["--port=1"]),
    (("/hyperkube", "kubelet", "--port=1"), {}, ["--port=1"]),
    (("/opt/start",), {}, ["--port=1"]),
    (("/bin/bash", "/opt/start"), {}, ["--port=1"]),
]


@pytest.mark.parametrize(("line", "variables", "arguments"), READ, ids=lambda it: str(it))
def test_what_a_helper_starts_is_read(
    line: tuple[str, ...], variables: dict[str, str], arguments: list[str]
) -> None:
    start = script("#!/bin/bash\nset -e\nmodprobe br_netfilter\nexec kubelet \\\n  --port=1\n")
    found = launched(words(*line), variables, {"/opt/start": start})
    assert found is not None
    assert (found.kind, found.complete) == ("kubelet", True)
    assert [word.text for word in found.arguments] == arguments


@pytest.mark.parametrize(
    "line",
    [
        ("sh", "-c", "kubelet --port=$(cat /port)"),
        ("sh", "-c", "kubelet $ARGS"),
        ("sh", "-c", "kubelet `cat /args`"),
        ("sh", "-c", "if a; then kubelet --port=1; else kubelet --port=2; fi"),
        ("/opt/start",),
    ],
)
def test_arguments_that_only_a_shell_knows_are_not_made_up(line: tuple[str, ...]) -> None:
    start = script('. /etc/kubelet.env\nexec kubelet "$@" $MORE\n')
    found = launched(words(*line), {}, {"/opt/start": start})
    assert found is not None
    assert (found.kind, found.complete, found.arguments) == ("kubelet", False, ())


@pytest.mark.parametrize(
    "line",
    [
        ("/usr/bin/node_exporter", "--kubelet"),
        ("sh", "-c", "systemctl restart kubelet"),
        ("sh", "-c", "echo kubelet"),
        ("sh", "-c", "'"),
        ("sh",),
        ("env", "A=b"),
        ("/opt/loop",),
        ("/opt/two",),
    ],
)
def test_nothing_is_taken_for_a_component(line: tuple[str, ...]) -> None:
    files = {
        "/opt/loop": script("exec /opt/loop\n"),
        # two components of one script are not one
        "/opt/two": script("etcd &\nkubelet\n"),
    }
    assert launched(words(*line), {}, files) is None
