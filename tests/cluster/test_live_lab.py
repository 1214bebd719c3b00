"""Read the labs like a user's cluster: from the apiserver with kubectl, and from a dump."""

from __future__ import annotations

import contextlib
import json
import socketserver
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from labkit.analysis import find_threats
from labkit.cluster import read_dump, read_live
from labkit.cluster.objects.reader import DUMP_COMMAND
from labkit.model import model_of_dump

pytestmark = pytest.mark.lab

#: Has kubectl run inside the lab, because this machine cannot reach the lab's network. It asks the
#: test's own process: some thirty commands of labkit would take minutes.
KUBECTL = """\
#!{python} -IS
import json, socket, sys
words = [it for it in sys.argv[1:] if not it.startswith(("--kubeconfig=", "--cache-dir="))]
with socket.socket(socket.AF_UNIX) as asked, asked.makefile("rw") as stream:
    asked.connect({path!r})
    print(json.dumps(words), file=stream, flush=True)
    code, out, err = json.loads(stream.readline())
print(out, end="")
print(err, end="", file=sys.stderr)
sys.exit(code)
"""


@contextlib.contextmanager
def kubectl_of(lab: Any, folder: Path) -> Iterator[Path]:
    """Serve kubectl in a lab, and return the path of the program that asks for it."""

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            found = lab.kubectl(*json.loads(self.rfile.readline()), check=False)
            answer = json.dumps([found.exit_code, found.text, found.error])
            self.wfile.write(f"{answer}\n".encode())

    path, program = str(folder / "socket"), folder / "kubectl"
    program.write_text(KUBECTL.format(python=sys.executable, path=path))
    program.chmod(0o755)
    with socketserver.ThreadingUnixStreamServer(path, Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield program
        server.shutdown()


@pytest.fixture(params=["insecure", "hardened"])
def lab(request: Any, labs: dict[str, Any]) -> Any:
    return labs[request.param]


def test_live_reader_and_dump_agree(lab: Any, tmp_path: Path) -> None:
    config = tmp_path / "config"
    config.touch()
    with kubectl_of(lab, tmp_path) as program:
        live = read_live(config, kubectl=str(program))

    output = lab.kubectl(*DUMP_COMMAND.split()[1:])
    (tmp_path / "dump.json").write_bytes(output.stdout)
    dump = read_dump(tmp_path / "dump.json")

    assert {node.name for node in live.nodes} == {"worker1", "worker2"}
    assert ("shop", "web") in {(pods.namespace, pods.name) for pods in live.pods}
    assert (live.nodes, live.pods) == (dump.nodes, dump.pods)
    roles, listed = ({(r.namespace, r.name, r.rules) for r in it.rbac.roles} for it in (live, dump))
    assert roles == listed
    # without the RBAC authorizer the apiserver does not create its default roles
    assert ("", "system:node-proxier") in {role[:2] for role in roles} or lab.mode == "insecure"
    assert [it.why for it in live.unknowns] == [it.why for it in dump.unknowns]
    threats = [find_threats(model_of_dump(found)).open for found in (live, dump)]
    assert {item.id for item in threats[0]} == {item.id for item in threats[1]}
