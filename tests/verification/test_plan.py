"""The plan of a verification: which machine makes which request, with which credential."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.x509.oid import NameOID

from labkit.cluster import read_environment
from labkit.errors import LabError
from labkit.lab import Lab
from labkit.lab.files import machine_files
from labkit.lab.machine import FileSpec
from labkit.model import read_model
from labkit.verification.plan import ProbePlan, authority_of, make_plan, may_do_everything

MODES = ("insecure", "hardened", "light-insecure", "light-hardened")
CHANNELS = {mode: {c.id: c for c in read_model(mode).channels} for mode in MODES}
KUBELET = "kube-apiserver@master -> kubelet@worker1:10250"
FLANNELD = "flanneld@worker1 -> etcd@etcd1:2379"
Files = dict[str, dict[str, FileSpec]]


@pytest.fixture(scope="module")
def files() -> dict[str, Files]:
    """Return the files of every machine of a new lab, by mode, machine and path."""
    made = {}
    for mode in MODES:
        env = read_environment(mode)
        machines = machine_files(env, {node.name: f"10.0.0.{node.host}" for node in env.nodes})
        made[mode] = {node: {file.path: file for file in machines[node]} for node in machines}
    return made


@pytest.fixture(scope="module")
def planned(files: dict[str, Files]) -> Callable[..., ProbePlan]:
    """Return a function that plans the probes of some channels of a mode."""

    def make(mode: str, *ids: str) -> ProbePlan:
        channels = CHANNELS[mode]
        return make_plan(lab(mode, files), [channels[it] for it in ids], channels.values())

    return make


@pytest.fixture(scope="module")
def whole(planned: Callable[..., ProbePlan]) -> dict[str, ProbePlan]:
    """Return the plan of all channels, by mode."""
    return {mode: planned(mode, *CHANNELS[mode]) for mode in MODES}


def lab(mode: str, files: dict[str, Files]) -> Lab:
    """Return what a plan takes from a lab: its environment and the files on its machines."""

    def read(node: str, path: str) -> bytes:
        return files[mode][node][path].data

    return cast(Lab, SimpleNamespace(environment=read_environment(mode), mode=mode, read_file=read))


def jobs(plan: ProbePlan) -> list[tuple[str, str, dict[str, Any]]]:
    return [(node, name, job) for node, each in plan.looks.items() for name, job in each.items()]


def certificate(job: dict[str, Any]) -> x509.Certificate:
    return x509.load_pem_x509_certificate(job["certificate_pem"].encode())


def subject(cert: x509.Certificate) -> dict[x509.ObjectIdentifier, Any]:
    return {it.oid: it.value for it in cert.subject}


def signed_by(cert: x509.Certificate, pem: bytes) -> bool:
    try:
        cert.verify_directly_issued_by(x509.load_pem_x509_certificate(pem))
    except (ValueError, InvalidSignature):
        return False
    return True


@pytest.mark.parametrize("mode", MODES)
def test_every_open_network_channel_is_probed_from_outside_and_by_its_client(
    whole: dict[str, ProbePlan], mode: str
) -> None:
    found = {(node, name) for node, name, _ in jobs(whole[mode])}
    channels = [c for c in CHANNELS[mode].values() if c.open and c.protocol != "unix"]
    assert len(channels) > 10
    for channel in channels:
        client, node = channel.client.split("@")
        listener = f"{channel.server.split('@')[1]}:{channel.port}"
        for probe in ("look", "nobody", "guess"):
            assert ("attacker", f"{probe} {listener}") in found
        if client != "anyone":
            assert (node, f"own {channel.id}") in found
        assert any(name == f"power {channel.id}" for _, name in found)


@pytest.mark.parametrize("mode", MODES)
def test_files_of_a_job_are_on_the_machine_that_runs_it(
    whole: dict[str, ProbePlan], files: dict[str, Files], mode: str
) -> None:
    named = 0
    for node, name, job in jobs(whole[mode]):
        paths = [job[key] for key in ("certificate", "key") if key in job]
        words = job.get("argv", ())
        options = ("--cert=", "--key=", "--cacert=")
        paths += [it.partition("=")[2] for it in words if it.startswith(options)]
        named += len(paths)
        assert set(paths) <= set(files[mode][node]), name
    assert named, "no job names a file"


@pytest.mark.parametrize("mode", MODES)
def test_plan_can_be_sent_as_json(whole: dict[str, ProbePlan], mode: str) -> None:
    for by_machine in (whole[mode].looks, whole[mode].intercepts):
        assert json.loads(json.dumps(by_machine)) == by_machine


@pytest.mark.parametrize("mode", MODES)
def test_requests_change_nothing(whole: dict[str, ProbePlan], mode: str) -> None:
    posted = {job["path"] for _, _, job in jobs(whole[mode]) if job.get("method") == "POST"}
    assert posted
    assert posted <= {
        "/v3/kv/range",  # etcd reads keys with POST
        "/containers/create",  # of an image that does not exist
        "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings?dryRun=All",
    }
    commands = [job["argv"] for _, _, job in jobs(whole[mode]) if job["op"] == "run"]
    assert all("get" in argv or "list" in argv for argv in commands)


def test_guessed_credential_claims_every_right_and_no_authority_signed_it(
    whole: dict[str, ProbePlan], files: dict[str, Files]
) -> None:
    guess = certificate(whole["hardened"].looks["attacker"]["guess master:6443"])
    assert subject(guess)[NameOID.ORGANIZATION_NAME] == "system:masters"
    authorities = [plan.certificate for plan in read_environment("hardened").authorities]
    known = {
        file.data
        for machine in files["hardened"].values()
        for path, file in machine.items()
        if path in authorities
    }
    assert len(known) > 1
    assert not any(signed_by(guess, pem) for pem in known)


def test_guess_at_a_plaintext_listener_is_a_token(whole: dict[str, ProbePlan]) -> None:
    guess = whole["insecure"].looks["attacker"]["guess master:8080"]
    assert guess["headers"]["Authorization"].startswith("Bearer ")
    assert "certificate_pem" not in guess


def test_client_with_every_right_is_replaced_by_another_identity(
    planned: Callable[..., ProbePlan], files: dict[str, Files]
) -> None:
    plan = planned("hardened", KUBELET)
    power = certificate(plan.looks["master"][f"power {KUBELET}"])
    env = read_environment("hardened")
    held = env.credential("kube-apiserver-kubelet-client", "master")
    assert held
    authority = next(plan for plan in env.authorities if plan.name == held.signed_by)
    assert signed_by(power, files["hardened"]["master"][authority.certificate].data)
    assert NameOID.ORGANIZATION_NAME not in subject(power), "a group may have rights"
    own = plan.looks["master"][f"own {KUBELET}"]
    assert own["certificate"] == held.certificate


def test_client_with_few_rights_asks_beyond_them_as_itself(
    planned: Callable[..., ProbePlan],
) -> None:
    name = "kubelet@worker1 -> kube-apiserver@master:6443"
    plan = planned("hardened", name)
    own, power = (plan.looks["worker1"][f"{kind} {name}"] for kind in ("own", "power"))
    assert (own["certificate"], own["key"]) == (power["certificate"], power["key"])
    assert own["path"] == "/api/v1/nodes/worker1"
    assert (power["method"], "dryRun=All" in power["path"]) == ("POST", True)


def test_etcd_clients_ask_for_their_own_keys_and_for_those_of_another(
    planned: Callable[..., ProbePlan],
) -> None:
    plan = planned("hardened", FLANNELD)
    own, power = (plan.looks["worker1"][f"{kind} {FLANNELD}"]["argv"] for kind in ("own", "power"))
    assert "/coreos.com/network/" in own
    assert "/registry/secrets/" in power
    assert "--endpoints=https://etcd1:2379" in own


@pytest.mark.parametrize("mode", ["light-insecure", "light-hardened"])
def test_single_member_of_etcd_is_asked_on_its_machine_as_its_peers_would_ask(
    whole: dict[str, ProbePlan], mode: str
) -> None:
    channel = "anyone@network -> etcd@etcd1:2380"
    own, power = (whole[mode].looks["etcd1"][f"{which} {channel}"] for which in ("own", "power"))
    assert (own["op"], own["host"], own["path"]) == ("http", "etcd1", "/members")
    if mode == "light-hardened":
        assert own["certificate"] == "/etc/etcd/pki/peer.crt"
        other = x509.load_pem_x509_certificate(power["certificate_pem"].encode())
        [name] = other.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        assert name.value == "labkit-other-client"
        assert "certificate" not in power
    else:
        assert own == power
    # not by etcdctl, which knows nothing of this port
    assert not [
        it
        for jobs in whole[mode].looks.values()
        for it in jobs.values()
        if it["op"] == "run" and "2380" in " ".join(it["argv"])
    ]


def test_closed_port_is_probed_with_an_open_port_of_the_same_machine(
    planned: Callable[..., ProbePlan],
) -> None:
    plan = planned("hardened", "anyone@network -> kubelet@worker1:10255")
    assert set(plan.looks) == {"attacker"}
    found = plan.looks["attacker"]
    assert set(found) == {"look worker1:10255", "alive worker1"}
    assert found["look worker1:10255"]["port"] == 10255
    alive = found["alive worker1"]
    assert (alive["host"], alive["port"]) == ("worker1", 2376)
    assert not plan.intercepts


def test_machine_without_an_open_port_is_asked_at_the_closed_one(files: dict[str, Files]) -> None:
    closed = CHANNELS["hardened"]["anyone@network -> kubelet@worker1:10255"]
    plan = make_plan(lab("hardened", files), [closed])
    alive = plan.looks["attacker"]["alive worker1"]
    assert alive["port"] == 10255, "then nothing proves that the machine is alive"


def test_clients_of_one_listener_on_one_machine_share_an_interception(
    planned: Callable[..., ProbePlan],
) -> None:
    kinds = ("kube-controller-manager", "kube-scheduler")
    ids = [f"{kind}@master -> kube-apiserver@master:6443" for kind in kinds]
    plan = planned("hardened", *ids)
    assert set(plan.intercepts) == {"master"}
    ((name, job),) = plan.intercepts["master"].items()
    assert name == "intercept master:6443"
    assert job["clients"] == [f"{kind}.service" for kind in kinds]
    assert job["hosts"] == ["master", "127.0.0.1"], "these clients may use loopback"
    assert subject(certificate(job))[NameOID.COMMON_NAME] == "master"


def test_clients_that_connect_on_request_are_triggered(planned: Callable[..., ProbePlan]) -> None:
    admin = "kubectl/admin@master -> kube-apiserver@master:6443"
    docker = "docker@master -> dockerd@worker1:2376"
    found = planned("hardened", admin, docker, KUBELET).intercepts["master"]
    [kubectl] = found["intercept master:6443"]["triggers"]
    assert "--kubeconfig=/etc/kubernetes/admin.conf" in kubectl
    assert found["intercept master:6443"]["clients"] == ["--kubeconfig=/etc/kubernetes/admin.conf"]
    assert found["intercept worker1:2376"]["clients"] == ["--host=tcp://worker1:2376"]
    assert len(found["intercept worker1:2376"]["triggers"]) == 1
    [errand] = found["intercept worker1:10250"]["errands"]
    assert errand[-1] == "--raw=/api/v1/nodes/worker1/proxy/pods"


def test_caller_without_a_machine_is_not_intercepted(planned: Callable[..., ProbePlan]) -> None:
    plan = planned("insecure", "anyone@network -> dockerd@worker1:2375")
    assert not plan.intercepts
    assert "own anyone@network -> dockerd@worker1:2375" in plan.looks["attacker"]


def test_socket_is_probed_on_its_machine_by_root_and_by_a_user(
    planned: Callable[..., ProbePlan],
) -> None:
    name = "local-users@worker1 -> dockerd@worker1:/run/docker.sock"
    plan = planned("hardened", name)
    assert set(plan.looks) == {"worker1"}
    found = plan.looks["worker1"]
    assert found["unix /run/docker.sock"]["users"] == ["root", "alice"]
    assert found[f"power {name}"]["unix"] == "/run/docker.sock"


def test_listener_on_loopback_is_not_probed_from_another_machine(files: dict[str, Files]) -> None:
    channel = CHANNELS["insecure"]["anyone@network -> kubectl-proxy@master:8080"]
    local = replace(channel, client="local-users@master")
    assert not make_plan(lab("insecure", files), [local]).looks


def test_authority_whose_key_is_on_no_machine_is_an_error(files: dict[str, Files]) -> None:
    with pytest.raises(LabError, match="the key of authority 'nobody' is on no machine"):
        authority_of(lab("hardened", files), "nobody")


@pytest.mark.parametrize(
    ("client", "everything"),
    [
        ("kubectl/admin", True),
        ("kubectl-proxy", True),
        ("kube-apiserver", True),
        ("etcd", True),
        ("kubelet", False),
        ("flanneld", False),
        ("docker", False),
    ],
)
def test_clients_that_need_every_right_are_known(client: str, everything: bool) -> None:
    assert may_do_everything(client) is everything
