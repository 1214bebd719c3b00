"""Folders of nodes behind claims: a pod mounts them whatever Pod Security says.

https://kubernetes.io/docs/concepts/storage/persistent-volumes/ and
https://kubernetes.io/docs/concepts/security/pod-security-standards/: "baseline" forbids hostPath
volumes of pods, and restricts no claims.
"""

from __future__ import annotations

from typing import Any

import pytest

from labkit.analysis import attack_paths
from labkit.cluster import Dump
from labkit.cluster.objects.reader import DUMP_COMMAND, Builder
from labkit.model import model_of_dump

#: The kinds of which a test has every object that there is.
WHOLE = {"ClusterRoleBinding", "Namespace", "Node", "Pod", "RoleBinding", "Service"}
Object = dict[str, Any]
CLAIM = {"name": "v", "persistentVolumeClaim": {"claimName": "data"}}
EPHEMERAL = {"name": "v", "ephemeral": {"volumeClaimTemplate": {}}}
MOUNT = {"name": "v", "mountPath": "/data"}


def pod(volume: Object, mount: Object = MOUNT, devices: bool = False, uid: bool = True) -> Object:
    container = {"name": "web", "volumeDevices" if devices else "volumeMounts": [mount]}
    about = {"name": "web", "namespace": "shop", **({"uid": "1"} if uid else {})}
    spec = {"nodeName": "worker1", "containers": [container], "volumes": [volume]}
    return {"kind": "Pod", "metadata": about, "spec": spec}


def claim(name: str = "data", volume: str = "pv1") -> Object:
    about = {"name": name, "namespace": "shop"}
    return {"kind": "PersistentVolumeClaim", "metadata": about, "spec": {"volumeName": volume}}


def volume(**spec: Any) -> Object:
    return {"kind": "PersistentVolume", "metadata": {"name": "pv1"}, "spec": spec}


def baseline() -> Object:
    labels = {"pod-security.kubernetes.io/enforce": "baseline"}
    return {"kind": "Namespace", "metadata": {"name": "shop", "labels": labels}}


def dump_of(*objects: Object) -> Dump:
    builder = Builder("test")
    for item in (baseline(), *objects):
        builder.add(item, item["kind"], "dump.json")
    # without a binding that a test does not name
    builder.every_namespace = True
    builder.kinds |= WHOLE
    return builder.finish()


def root(*objects: Object) -> str:
    """Say whether a pod gives root on a node: "known", "possible" or "none"."""
    model = model_of_dump(dump_of({"kind": "Node", "metadata": {"name": "worker1"}}, *objects))
    assert model.dump is not None
    found = attack_paths(model, f"pod:{model.dump.pods[0].id}", "node")
    return "known" if found.paths else "possible" if found.possible else "none"


@pytest.mark.parametrize(
    ("spec", "found"),
    [
        ({"hostPath": {"path": "/"}}, "known"),
        ({"hostPath": {"path": "/var/run/docker.sock"}}, "known"),
        ({"local": {"path": "/etc"}}, "known"),
        # as local-path-provisioner of k3s and kind makes them
        ({"hostPath": {"path": "/opt/local-path-provisioner/pvc-1"}}, "none"),
        ({"local": {"path": "/mnt/disks/ssd1"}}, "none"),
        ({"csi": {"driver": "ebs.csi.aws.com"}}, "none"),
        ({"csi": {"driver": "rook-ceph.rbd.csi.ceph.com"}}, "none"),
        ({"nfs": {"server": "nfs", "path": "/"}}, "none"),
        ({"csi": {"driver": "our.own.driver"}}, "possible"),
        ({"flexVolume": {"driver": "our/own"}}, "possible"),
        ({}, "possible"),
    ],
)
@pytest.mark.parametrize("first", [True, False])
def test_what_is_behind_a_claim_counts(spec: Object, found: str, first: bool) -> None:
    objects = [claim(), volume(**spec)]
    web = pod(CLAIM)
    assert root(*([web, *objects] if first else [*objects, web])) == found


def test_a_claim_or_a_volume_that_was_not_read_may_be_any_folder() -> None:
    assert root(pod(CLAIM)) == "possible"
    assert root(pod(CLAIM), claim()) == "possible"
    assert root(pod(CLAIM), claim("other"), volume(hostPath={"path": "/"})) == "possible"
    assert root(pod(CLAIM, {"name": "other"})) == "none"
    # nothing says what a manifest's claim is bound to
    assert root(pod(CLAIM, uid=False), claim(volume="")) == "possible"


def test_an_ephemeral_volume_has_a_claim_of_the_pods_name() -> None:
    """Kubernetes, "Ephemeral Volumes": the name is that of the pod, a hyphen and the volume's."""
    host = volume(hostPath={"path": "/"})
    assert root(pod(EPHEMERAL), claim("web-v"), host) == "known"
    assert root(pod(EPHEMERAL), claim("v"), host) == "possible"


@pytest.mark.parametrize(
    ("mount", "found"),
    [
        ({"subPath": "mnt/data"}, "none"),
        ({"subPath": "etc/cron.d"}, "known"),
        ({"readOnly": True, "subPath": "run/containerd"}, "known"),
        ({"readOnly": True, "subPath": "etc/cron.d"}, "none"),
    ],
)
def test_mounts_of_a_claim_count_as_those_of_a_host_path(mount: Object, found: str) -> None:
    objects = (claim(), volume(hostPath={"path": "/"}))
    assert root(pod(CLAIM, {**MOUNT, **mount}), *objects) == found


@pytest.mark.parametrize(
    ("spec", "found"),
    [
        ({"local": {"path": "/dev/sda"}, "volumeMode": "Block"}, "possible"),
        ({"csi": {"driver": "ebs.csi.aws.com"}, "volumeMode": "Block"}, "none"),
    ],
)
def test_a_device_of_the_node_may_be_its_disk(spec: Object, found: str) -> None:
    web = pod(CLAIM, {"name": "v", "devicePath": "/dev/xvda"}, devices=True)
    assert root(web, claim(), volume(**spec)) == found


def test_the_step_names_the_volume() -> None:
    model = model_of_dump(dump_of(pod(CLAIM), claim(), volume(hostPath={"path": "/"})))
    [path, *_] = attack_paths(model, "pod:shop/web on worker1", "node").paths
    assert "PersistentVolume pv1: hostPath /" in str(path[0].because[0])
    assert "persistentvolumes,persistentvolumeclaims" in DUMP_COMMAND


@pytest.mark.parametrize(
    ("inline", "found"),
    [
        ({"csi": {"driver": "our.own.driver"}}, "possible"),
        ({"csi": {"driver": "secrets-store.csi.k8s.io"}}, "none"),
        ({"flexVolume": {"driver": "our/own"}}, "possible"),
        ({"nfs": {"server": "nfs", "path": "/"}}, "none"),
    ],
)
def test_drivers_of_a_pods_own_volumes_count_as_those_of_claims(inline: Object, found: str) -> None:
    """Kubernetes, "Ephemeral Volumes" (CSI), and "Volumes" (flexVolume): a driver mounts them."""
    assert root(pod({"name": "v", **inline})) == found
