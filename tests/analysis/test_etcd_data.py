"""Where etcd keeps its data, and who reads it: pods with a folder of the node, users of a machine.

https://etcd.io/docs/v3.6/op-guide/configuration/: ``--data-dir``, or ``ETCD_DATA_DIR``, or a
configuration file; by default NAME.etcd in the folder that etcd starts in.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from labkit.analysis import attack_paths, object_steps
from labkit.analysis.attack_graph.from_objects.escapes import reads_folder
from labkit.cluster import Dump, read_cluster
from labkit.cluster.objects.facts import Container, HostPath, PodGroup, PodSpec
from labkit.cluster.objects.reader import Builder
from labkit.model import read_model
from labkit.model.footholds import SECRETS

#: The kinds of which a test has every object that there is.
WHOLE = {"ClusterRoleBinding", "Namespace", "Node", "Pod", "RoleBinding", "Service"}
Object = dict[str, Any]
AGENT = "shop/agent on cp1"
KUBEADM = Path(__file__).parents[1] / "cluster/data/kubeadm"


def pod(name: str, node: str, home: str = "shop", **spec: Any) -> Object:
    about = {"name": name, "namespace": home, "uid": name}
    return {"kind": "Pod", "metadata": about, "spec": {"nodeName": node, **spec}}


def with_folder(path: str, node: str = "cp1", user: int = 0) -> Object:
    container: Object = {"name": "c", "volumeMounts": [{"name": "d", "readOnly": True}]}
    container |= {"securityContext": {"runAsUser": user}}
    volumes = [{"name": "d", "hostPath": {"path": path}}]
    return pod("agent", node, containers=[container], volumes=volumes)


def etcd(
    *flags: str,
    name: str = "etcd-cp1",
    home: str = "kube-system",
    image: str = "registry.k8s.io/etcd:3.6.5-0",
    command: list[str] | None = None,
    folder: str = "/srv/store",
    kind: str = "Node",
    **env: str,
) -> Object:
    variables = [{"name": key, "value": value} for key, value in env.items()]
    mounts = [{"name": "data", "mountPath": "/data"}]
    container: Object = {"name": "etcd", "image": image, "env": variables, "volumeMounts": mounts}
    container |= {"command": command or ["etcd", *flags]}
    volumes = [{"name": "data", "hostPath": {"path": folder}}]
    made = pod(name, "cp1", home, containers=[container], volumes=volumes)
    made["metadata"]["ownerReferences"] = [{"kind": kind, "name": "cp1"}]
    return made


def dump_of(*objects: Object) -> Dump:
    builder = Builder("test")
    labels = {"node-role.kubernetes.io/control-plane": ""}
    nodes = ({"kind": "Node", "metadata": {"name": "cp1", "labels": labels}},)
    for item in (*nodes, *objects):
        builder.add(item, item["kind"], "dump.json")
    # without a binding that a test does not name
    builder.every_namespace = True
    builder.kinds |= WHOLE
    return builder.finish()


def value(*objects: Object) -> str:
    """Say whether the agent reads the secrets from a folder: "known", "possible" or "none"."""
    steps = [it for it in object_steps(dump_of(*objects)) if it.name == "read-host-path"]
    found = [it.unknown for it in steps if it.foothold.where == AGENT and SECRETS in it.grants]
    return "none" if not found else "possible" if all(found) else "known"


OF_OPENSHIFT = ["/bin/sh", "-c", "#!/bin/sh\nset -euo pipefail\nexec etcd --data-dir=/data\n"]


def beside(store: Object, *more: Object) -> Object:
    """Return a pod of etcd with more containers."""
    store["spec"]["containers"] += more
    return store


METRICS: Object = {"name": "etcd-metrics", "image": "a@sha256:1"}
METRICS |= {"command": ["etcd", "grpc-proxy", "start", "--endpoints=https://1.2.3.4:9978"]}
GUARD = pod("etcd-guard-cp1", "cp1", "openshift-etcd", containers=[{"name": "guard", "image": "g"}])
GUARD["metadata"]["ownerReferences"] = [{"kind": "Node", "name": "cp1"}]


@pytest.mark.parametrize(
    ("store", "agent", "found"),
    [
        (etcd("--data-dir=/data"), with_folder("/srv/store"), "known"),
        (etcd("--data-dir=/data"), with_folder("/srv"), "known"),
        (etcd("--data-dir", "/data/etcd"), with_folder("/srv/store/etcd/member"), "known"),
        (etcd("--data-dir=/data/etcd"), with_folder("/srv/store/other"), "none"),
        (etcd("--data-dir=/data"), with_folder("/srv/other"), "none"),
        (etcd("--data-dir=/data"), with_folder("/data"), "none"),
        (etcd("--data-dir=/data"), with_folder("/srv/store", node="w1"), "none"),
        (etcd("--data-dir=/data"), with_folder("/srv/store", user=1000), "none"),
        (etcd(ETCD_DATA_DIR="/data"), with_folder("/srv/store"), "known"),
        (etcd("--data-dir=/x", "--wal-dir=/data"), with_folder("/srv/store"), "known"),
        # the file is not in the dump, and it counts instead of flags
        (etcd("--config-file=/etc/etcd.yaml"), with_folder("/srv/store"), "possible"),
        (etcd("--config-file=/etc/etcd.yaml"), with_folder("/usr/share/zoneinfo"), "none"),
        (etcd("--config-file=/etc/etcd.yaml"), with_folder("/srv/store", node="w1"), "none"),
        (
            etcd("--data-dir=/data", "--config-file=/etc/etcd.yaml"),
            with_folder("/srv/store"),
            "possible",
        ),
        (etcd(), with_folder("/srv/store"), "possible"),
        # a volume that is no folder of the node by its specification
        (etcd("--data-dir=/elsewhere"), with_folder("/mnt/disk"), "possible"),
        # kops: etcd-manager mounts a volume of its own on the node, and starts etcd
        (
            etcd(name="etcd-manager-main-cp1", image="etcd-manager-slim:v3", command=["/m"]),
            with_folder("/mnt"),
            "possible",
        ),
        (
            etcd(name="etcd-backup-1", image="backup:1", command=["/m"], kind="Job"),
            with_folder("/mnt"),
            "none",
        ),
        # OpenShift: a script starts it
        (
            etcd(home="openshift-etcd", command=OF_OPENSHIFT, folder="/var/lib/etcd"),
            with_folder("/var/lib/etcd"),
            "known",
        ),
        (
            etcd(home="openshift-etcd", command=OF_OPENSHIFT, folder="/data/store"),
            with_folder("/data"),
            "known",
        ),
        (
            beside(etcd(home="openshift-etcd", command=OF_OPENSHIFT, folder="/data"), METRICS),
            with_folder("/mnt"),
            "none",
        ),
        (GUARD, with_folder("/mnt"), "none"),
    ],
)
def test_pods_with_the_folder_of_etcd_s_data_read_the_secrets(
    store: Object, agent: Object, found: str
) -> None:
    assert value(store, agent) == found


def test_data_of_which_nobody_knows_where_it_is_is_named() -> None:
    manager = etcd(name="etcd-manager-main-cp1", image="etcd-manager-slim:v3", command=["/m"])
    [said] = [it.why for it in dump_of(manager).unknowns if "etcd-manager-main" in it.text]
    assert "where it keeps its data on cp1" in said
    assert not [it for it in dump_of(etcd("--data-dir=/data")).unknowns if "keeps" in it.why]


FOLDERS = "d\t0755\troot\troot\t/\t\nd\t0755\troot\troot\t/srv\t\n"
OPEN = "d\t0755\tetcd\tetcd\t/srv/etcd\t\nd\t0755\tetcd\tetcd\t/srv/etcd/member\t\n"
SNAP = "d\t0755\tetcd\tetcd\t/srv/etcd/member/snap\t\n"
FILE = "f\t{}\tetcd\tetcd\t/srv/etcd/member/snap/db\t\n"
CLOSED = OPEN.replace("0755", "0700", 1)


@pytest.mark.parametrize(
    ("flags", "modes", "found"),
    [
        ("--data-dir=/srv/etcd", "", "possible"),
        # etcd makes the folder with 0700, and its file with 0600
        ("--data-dir=/srv/etcd", FOLDERS + CLOSED + SNAP, "none"),
        ("--data-dir=/srv/etcd", FOLDERS + OPEN + SNAP + FILE.format("0600"), "none"),
        ("--data-dir=/srv/etcd", FOLDERS + OPEN + SNAP + FILE.format("0644"), "known"),
        ("--data-dir=/srv/etcd", FOLDERS + OPEN + SNAP + FILE.format("0640"), "none"),
        ("--data-dir=/srv/etcd", FOLDERS + OPEN + SNAP, "possible"),
        ("", FOLDERS + CLOSED + SNAP, "possible"),
        ("--data-dir=etcd", FOLDERS + CLOSED + SNAP, "possible"),
        ("--config-file=/etc/etcd.yaml", FOLDERS + CLOSED + SNAP, "possible"),
    ],
)
@pytest.mark.parametrize("by_environment", [False, True])
def test_users_of_a_machine_read_etcd_s_files(
    tmp_path: Path, flags: str, modes: str, found: str, by_environment: bool
) -> None:
    folder = tmp_path / "c"
    shutil.copytree(KUBEADM, folder)
    unit = folder / "store/etc/systemd/system/etcd.service"
    unit.parent.mkdir(parents=True)
    more = ""
    if by_environment and flags:
        name, _, said = flags.removeprefix("--").partition("=")
        more, flags = f"Environment=ETCD_{name.upper().replace('-', '_')}={said}\n", ""
    unit.write_text(
        f"[Service]\nUser=etcd\n{more}ExecStart=/usr/bin/etcd "
        "--listen-client-urls=https://127.0.0.1:2379 "
        "--client-cert-auth=true --trusted-ca-file=/ca.crt --peer-client-cert-auth=true "
        f"--listen-peer-urls=https://127.0.0.1:2380 --peer-trusted-ca-file=/ca.crt {flags}\n"
    )
    (folder / "store/etc/passwd").write_text(
        "root:x:0:0::/root:/bin/sh\nann:x:1000:1000::/home/ann:/bin/sh\n"
        "etcd:x:999:999::/var/lib/etcd:/usr/sbin/nologin\n"
    )
    (folder / "store/etc/group").write_text("root:x:0:\nann:x:1000:\netcd:x:999:\n")
    if modes:
        (folder / "store/modes.txt").write_text(modes)
    paths = attack_paths(read_model(read_cluster(folder)), "user:store", "secrets")
    assert ("known" if paths.paths else "possible" if paths.possible else "none") == found


@pytest.mark.parametrize("servers", ["https://127.0.0.1:2379", "https://[::1]:4001"])
@pytest.mark.parametrize("manifest", ["kops", ""])
def test_etcd_that_was_not_read_may_listen_everywhere(
    tmp_path: Path, servers: str, manifest: str
) -> None:
    """kops' etcd-manager starts an etcd that the members of the cluster call as well."""
    folder = tmp_path / "c"
    shutil.copytree(KUBEADM, folder)
    store = folder / "cp1/etc/kubernetes/manifests/etcd.yaml"
    before = read_model(read_cluster(folder))
    assert not attack_paths(before, "network", "secrets")
    store.unlink()
    if manifest:
        made = etcd(name="etcd-manager-main", image="etcd-manager-slim:v3", command=["/m"])
        made["spec"]["containers"][0]["name"] = "etcd-manager"
        store.write_text(json.dumps({"apiVersion": "v1", **made}))
    file = folder / "cp1/etc/kubernetes/manifests/kube-apiserver.yaml"
    file.write_text(file.read_text().replace("https://127.0.0.1:2379", servers))
    assert servers in file.read_text()
    after = attack_paths(read_model(read_cluster(folder)), "network", "secrets")
    assert after.possible
    assert not after.paths


@pytest.mark.parametrize(
    ("path", "perhaps"),
    [
        *((path, True) for path in ("/etcd", "/etcd-data", "/runner", "/library")),
        *((path, False) for path in ("/etc", "/etc/ssl", "/run/x", "/var/log/pods")),
    ],
)
def test_folder_whose_name_begins_like_one_of_the_system_may_hold_the_data(
    path: str, perhaps: bool
) -> None:
    spec = PodSpec(containers=(Container("agent", host_paths=(HostPath(path, True),)),))
    group = PodGroup("ops", "agent", "default", spec, ("worker1",), ("agent-1",))
    assert bool(reads_folder(group, "")) == perhaps
