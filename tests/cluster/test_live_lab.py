"""Read the labs like a user's cluster: from the apiserver with kubectl, and from a dump."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from labkit.analysis import find_threats
from labkit.cluster import read_dump, read_live
from labkit.cluster.objects.reader import DUMP_COMMAND
from labkit.model import model_of_dump

pytestmark = pytest.mark.lab

#: Runs kubectl inside the lab, because this machine cannot reach the lab's network.
KUBECTL = """\
#!/bin/sh
for word; do
  shift
  case $word in --kubeconfig=*|--cache-dir=*) ;; *) set -- "$@" "$word" ;; esac
done
exec {python} -m labkit kubectl --mode {mode} --name {name} -- "$@"
"""


@pytest.fixture(params=["insecure", "hardened"])
def lab(request: Any, labs: dict[str, Any]) -> Any:
    return labs[request.param]


def test_live_reader_and_dump_agree(lab: Any, tmp_path: Path) -> None:
    program, config = tmp_path / "kubectl", tmp_path / "config"
    program.write_text(KUBECTL.format(python=sys.executable, mode=lab.mode, name=lab.name))
    program.chmod(0o755)
    config.touch()
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
