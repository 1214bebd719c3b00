"""Each technique in both labs: its verdict and reason, and that it leaves nothing behind."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from labkit import techniques
from labkit.agents.fingerprint import SERVER
from labkit.errors import LabError, LabkitError, ProbeError
from labkit.lab.parallel import in_parallel
from labkit.model import Foothold, read_model
from labkit.techniques._lib.api.breakout import MOUNT, plain_pod, with_host_path
from labkit.techniques._lib.machines.reach import address_in_lab
from labkit.techniques._lib.stores.secret import true_secret
from labkit.techniques._lib.technique import NETWORK, ROOT_ON_WORKER
from labkit.techniques._lib.wire.capture import capture
from labkit.techniques.token_replay import _received

pytestmark = pytest.mark.lab
WANTED = (("shop", "db-credentials", "password"), ("payments", "card-processor", "api-key"))
#: The programs that techniques start: the capture, key making, and Python that poisons or serves.
STARTED = {"openssl", "python3", "tcpdump"}
# tests/matrix/test_flips_live.py tries the other footholds
MODES = ("insecure", "hardened")
Reason = Callable[..., str]
USUAL = [(it.name, it.footholds[0]) for it in techniques.values() if it.modes == MODES]


def programs(lab: Any, node: str) -> list[str]:
    """Return the command lines of the programs that techniques start on a machine.

    Without the server of a client's commands, which ends some time after its client.
    """
    lines = lab.exec(node, ["ps", "-eo", "comm=,args="]).text.splitlines()
    started = (line for line in lines if STARTED & set(line.split()[:1]))
    return sorted(line for line in started if SERVER.decode() not in line)


def beside_the_fingerprint(lab: Any) -> dict[str, Any]:
    """Return what a technique could leave changed that a fingerprint leaves out.

    A fingerprint does not count programs that run for less than three seconds, and of neighbours
    only addresses that are claimed twice.
    """
    neighbours = {}
    for node in ("worker1", "master"):
        shown = lab.exec(node, ["ip", "-json", "neigh", "show", "dev", "eth0"]).stdout
        owner = {entry["dst"]: entry.get("lladdr") for entry in json.loads(shown)}
        neighbours[node] = owner.get(lab.addresses[{"worker1": "master"}.get(node, "worker1")])
    return {
        "programs": {node: programs(lab, node) for node in ("attacker", "worker1")},
        "neighbours": neighbours,
    }


@pytest.mark.parametrize(
    ("foothold", "node", "pair"),
    [
        (NETWORK, "attacker", ("master", "worker1")),
        (ROOT_ON_WORKER, "worker1", ("master", "worker2")),
    ],
)
def test_running_capture_is_part_of_the_state(
    foothold: Foothold, node: str, pair: tuple[str, str], lab_insecure: Any
) -> None:
    before = programs(lab_insecure, node)
    with capture(lab_insecure, foothold, [pair], "arp") as stop:
        during = programs(lab_insecure, node)
        stop()
    left = [line for line in during if line not in before]
    # the capture, the ARP poisoning that it runs, and tcpdump
    assert [line.split()[0] for line in left] == ["python3", "python3", "tcpdump"]
    assert any("socket.AF_PACKET" in line for line in left)
    assert programs(lab_insecure, node) == before


@pytest.fixture(scope="module")
def before(labs: dict[str, Any]) -> dict[str, tuple[dict[str, Any], list[str]]]:
    """Return what each technique has to leave as it is, for each mode.

    Each technique is compared with the same state, so what one leaves is not what the next finds.
    """

    def look(lab: Any) -> tuple[str, tuple[dict[str, Any], list[str]]]:
        _exchange_packets(lab)
        return lab.mode, (beside_the_fingerprint(lab), lab.drift())

    return dict(in_parallel([*labs.values()], look))


@pytest.mark.parametrize(("name", "foothold"), USUAL)
def test_technique_matches_the_prediction_and_leaves_nothing(
    name: str,
    foothold: Foothold,
    labs: dict[str, Any],
    before: dict[str, tuple[dict[str, Any], list[str]]],
    settled: Any,
    reason_in: Reason,
) -> None:
    """Try it in both labs at once: half of the time is waiting."""

    def hold(lab: Any) -> None:
        beside, known = before[lab.mode]
        carry_out(lab, name, foothold, reason_in(name, lab.mode, str(foothold)))
        _exchange_packets(lab)
        assert beside_the_fingerprint(lab) == beside, lab.mode
        assert settled(lab, known) == [], lab.mode

    in_parallel([*labs.values()], hold)


def carry_out(lab: Any, name: str, foothold: Foothold, reason: str) -> None:
    """Carry a technique out, and compare it with the model and the expected reason."""
    secrets = [true_secret(lab, *wanted) for wanted in WANTED]
    technique = techniques[name]
    predicted = technique.predict(read_model(lab.environment), foothold)
    for attempt in range(3):  # an inconclusive answer is tried again, a refusal never
        try:
            verdict = technique.run(lab, foothold)
            break
        except LabkitError:
            if attempt == 2:
                raise
    assert verdict.succeeded == predicted.succeeds, (predicted, verdict)
    assert verdict.reason == reason, lab.mode
    assert bool(verdict.control) == (not verdict.succeeded)
    assert (verdict.technique, verdict.mode, verdict.foothold) == (name, lab.mode, foothold)
    said = f"{verdict} {verdict._repr_html_()} {verdict.details}".encode()
    for secret in secrets:
        assert not secret.found_in(said)


def _exchange_packets(lab: Any) -> None:
    """Let master and worker1 exchange packets, so that both ARP caches are correct."""
    for node, other in (("worker1", "master"), ("master", "worker1")):
        code = (
            "import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'', (%r, 9))"
        )
        lab.exec(node, ["python3", "-c", code % other])
    time.sleep(0.3)


def test_gateway_of_the_lab_is_out_of_reach(lab_insecure: Any) -> None:
    first = lab_insecure.addresses["master"].rpartition(".")[0]
    with pytest.raises(ProbeError, match="nothing is sent there"):
        address_in_lab(lab_insecure, f"{first}.1")


def test_stopped_etcd_is_not_a_refusal(lab_hardened: Any) -> None:
    # a lab that breaks before the attack is refused; here it breaks after that look
    with lab_hardened.exclusive("a test"):
        lab_hardened.exec("etcd1", ["systemctl", "stop", "etcd"])
        try:
            # etcd is down: the connection is refused, but the positive control fails too
            with pytest.raises(ProbeError):
                techniques["etcd-read"].run(lab_hardened)
        finally:
            start_etcd(lab_hardened)


def test_attack_on_a_lab_with_a_stopped_etcd_does_not_begin(lab_hardened: Any) -> None:
    lab_hardened.exec("etcd1", ["systemctl", "stop", "etcd"])
    try:
        with pytest.raises(LabError, match="is broken") as error:
            techniques["etcd-read"].run(lab_hardened)
        assert error.value.hint.startswith("labkit reset")
    finally:
        start_etcd(lab_hardened)


def start_etcd(lab: Any) -> None:
    lab.exec("etcd1", ["systemctl", "start", "etcd"], timeout=60)
    # the apiserver reconnects after a growing delay; the next test needs the connection
    back = 'until ss -tnpH dst "$1" dport = :2379 | grep -q kube-apiserver; do sleep 0.3; done'
    argv = ["sh", "-c", back, "-", lab.addresses["etcd1"]]
    lab.exec("master", argv, timeout=150)


def test_earlier_kept_connection_does_not_bypass_the_attacker(lab_hardened: Any) -> None:
    """The firewall exempts a connection that it saw before from new rules."""
    lab = lab_hardened
    read = ["logs", "--namespace=payments", "card-processor", "--tail=1"]
    lab.kubectl(*read)
    with capture(lab, ROOT_ON_WORKER, [("master", "worker2")], "tcp port 10250") as stop:
        lab.kubectl(*read)
        assert stop()
    assert techniques["mitm-kubelet"].run(lab).reason.startswith("TLS alert")


def test_request_that_was_cut_off_is_no_request(lab_insecure: Any) -> None:
    cut = "printf 'GET / HTTP/1.0\\r\\nAuthorization: Bearer cut' > /dev/tcp/10.96.0.90/80"
    with lab_insecure.exclusive("test"), ThreadPoolExecutor(max_workers=1) as aside:
        whole = aside.submit(_received, lab_insecure)
        while not whole.done():
            lab_insecure.exec("worker1", ["bash", "-c", cut])
        assert len(whole.result().split(".")) == 3


def test_cluster_admin_is_root_on_a_worker(lab_hardened: Any) -> None:
    """What every path takes for granted, also where Pod Security refuses pods with host paths."""
    lab, space = lab_hardened, "labelled"
    command = f"sha256sum {MOUNT}/etc/shadow >/dev/termination-log"
    pod = with_host_path(plain_pod("worker1", command, user=0))
    name = pod["metadata"]["name"]

    def create(namespace: str, *, check: bool = True) -> Any:
        pod["metadata"]["namespace"] = namespace
        return lab.kubectl("create", "-f-", stdin=json.dumps(pod).encode(), check=check)

    refused = create("default", check=False)
    assert "violates PodSecurity" in refused.error
    expected = lab.exec("worker1", ["sha256sum", "/etc/shadow"]).text.split()[0]
    lab.kubectl("create", "namespace", space)
    try:
        lab.kubectl("label", "namespace", space, "pod-security.kubernetes.io/enforce=privileged")
        create(space)
        ended = "--for=jsonpath={.status.phase}=Succeeded"
        lab.kubectl("wait", f"--namespace={space}", ended, "pod", name, "--timeout=60s", timeout=70)
        path = "jsonpath={.status.containerStatuses[0].state.terminated.message}"
        said = lab.kubectl("get", f"--namespace={space}", "pod", name, "-o", path).text
    finally:
        lab.kubectl("delete", "namespace", space, "--wait=true", timeout=90)
    assert said.split()[0] == expected
