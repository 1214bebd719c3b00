"""What a machine may not do to the host that it runs on."""

from __future__ import annotations

from pathlib import Path

import pytest

from labkit.lab import Lab
from labkit.lab.nodes import LIMITS

pytestmark = pytest.mark.lab

#: One setting of the host's kernel in each of the folders that are read-only, if the kernel has it.
SETTINGS = (
    "/proc/sys/kernel/core_pattern",
    "/proc/sys/kernel/panic",
    "/proc/sys/kernel/modprobe",
    "/proc/sys/fs/file-max",
    "/proc/sys/vm/overcommit_memory",
    "/proc/sysrq-trigger",
    "/sys/kernel/uevent_helper",
    "/sys/kernel/mm/transparent_hugepage/enabled",
    "/sys/module/kernel/parameters/panic",
    "/sys/power/state",
)
PROGRAMS = Path(__file__).parent / "programs"


@pytest.mark.parametrize("node", ["etcd1", "master", "worker1", "attacker"])
def test_kernel_settings_of_the_host_cannot_be_written(lab_insecure: Lab, node: str) -> None:
    control = "/proc/sys/net/ipv4/ip_forward"
    argv = ["sh", "-c", (PROGRAMS / "writable.sh").read_text(), "sh", control, *SETTINGS]
    tried = dict(line.split() for line in lab_insecure.exec(node, argv).text.splitlines())
    if node != "attacker":  # Docker's defaults refuse all of /proc/sys there
        assert tried.pop(control) == "writable"
    assert "/proc/sys/kernel/core_pattern" in tried
    assert set(tried.values()) == {"refused"}


def test_every_machine_has_limits(lab_insecure: Lab) -> None:
    for node in lab_insecure.environment.nodes:
        config = lab_insecure.container(node.name).attrs["HostConfig"]
        assert (config["Memory"], config["PidsLimit"]) == LIMITS[node.role]


def test_fork_bomb_ends_at_the_limit_and_other_machines_go_on(lab_insecure: Lab) -> None:
    output = lab_insecure.exec(
        "attacker", ["python3", "-c", (PROGRAMS / "fork_bomb.py").read_text()]
    )
    limit = LIMITS["attacker"][1]
    assert limit / 2 < int(output.text) < limit
    assert lab_insecure.exec("etcd1", ["true"]).exit_code == 0
    assert lab_insecure.exec("attacker", ["true"]).exit_code == 0
