"""The folders of nodes that pods mount by way of claims: persistent volumes and their kinds.

Pod Security looks at the volumes of a pod, and not at what is behind a claim.
https://kubernetes.io/docs/concepts/storage/persistent-volumes/
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from labkit.cluster.objects.facts import HostPath
from labkit.cluster.syntax.values import at, mapping, sequence, text_of

__all__ = ["Claims", "has_claims"]

#: The kinds of volumes that are no folder of a node, beside those of CSI drivers.
ELSEWHERE = frozenset(
    [
        *("awsElasticBlockStore", "azureDisk", "azureFile", "cephfs", "cinder", "fc"),
        *("gcePersistentDisk", "glusterfs", "iscsi", "nfs", "photonPersistentDisk"),
        *("portworxVolume", "quobyte", "rbd", "scaleIO", "storageos", "vsphereVolume"),
    ]
)
#: CSI drivers that mount storage of their own: https://kubernetes-csi.github.io/docs/drivers.html
DRIVERS = frozenset(
    [
        *("blob.csi.azure.com", "disk.csi.azure.com", "file.csi.azure.com"),
        *("cinder.csi.openstack.org", "csi.hetzner.cloud", "csi.vsphere.vmware.com"),
        *("diskplugin.csi.alibabacloud.com", "dobs.csi.digitalocean.com"),
        *("driver.longhorn.io", "ebs.csi.aws.com", "efs.csi.aws.com", "fsx.csi.aws.com"),
        *("filestore.csi.storage.gke.io", "pd.csi.storage.gke.io", "linodebs.csi.linode.com"),
        *("manila.csi.openstack.org", "nfs.csi.k8s.io", "smb.csi.k8s.io", "topolvm.io"),
        *("local.csi.openebs.io", "hostpath.csi.k8s.io", "secrets-store.csi.k8s.io"),
        *("csi.cert-manager.io", "csi.spiffe.io"),
    ]
)
#: The volumes of a pod of which something else says what they are.
BEHIND = frozenset({"csi", "ephemeral", "flexVolume", "persistentVolumeClaim"})
#: Rook names the drivers of Ceph with its own namespace first.
CEPH = ("rbd.csi.ceph.com", "cephfs.csi.ceph.com", "nfs.csi.ceph.com")


def has_claims(spec: Mapping[str, Any]) -> bool:
    """Say whether a pod has a volume that is more than its own specification says.

    Examples
    --------
    >>> has_claims({"volumes": [{"name": "a", "persistentVolumeClaim": {"claimName": "a"}}]})
    True
    """
    volumes = spec.get("volumes")
    if isinstance(volumes, list):
        for item in volumes:
            if isinstance(item, dict) and not BEHIND.isdisjoint(item):
                return True
    return False


@dataclass
class Claims:
    """The claims and the persistent volumes of a cluster.

    Attributes
    ----------
    volume_of : dict of (str, str) to str
        The volume that each claim is bound to, by the claim's namespace and name; empty if none.
    volumes : dict of str to HostPath or None
        What each volume is of a node; None for storage elsewhere.
    """

    volume_of: dict[tuple[str, str], str] = field(default_factory=dict)
    volumes: dict[str, HostPath | None] = field(default_factory=dict)

    def add_volume(self, name: str, item: Mapping[str, Any]) -> None:
        """Add a PersistentVolume."""
        self.volumes[name] = _folder(f"PersistentVolume {name}", mapping(item, "spec"))

    def add_claim(self, namespace: str, name: str, item: Mapping[str, Any]) -> None:
        """Add a PersistentVolumeClaim."""
        self.volume_of[namespace, name] = text_of(item, "spec", "volumeName")

    def of_pod(self, pod: Mapping[str, Any], namespace: str) -> dict[str, HostPath]:
        """Return what a pod's claims are of its node, by the names of its volumes.

        Parameters
        ----------
        pod : mapping
            The object.
        namespace : str

        Returns
        -------
        dict of str to HostPath
            With what has to be found out where the claim or the volume was not read.
        """
        return dict(self._of_pod(pod, namespace))

    def _of_pod(self, pod: Mapping[str, Any], namespace: str) -> Iterator[tuple[str, HostPath]]:
        for item in sequence(pod, "spec", "volumes"):
            name = text_of(item, "name")
            if at(item, "csi") is not None or at(item, "flexVolume") is not None:
                if found := _folder(f"volume {name}", item):
                    yield name, found
                continue
            if at(item, "ephemeral") is not None:
                claim = f"{text_of(pod, 'metadata', 'name')}-{name}"
            elif not (claim := text_of(item, "persistentVolumeClaim", "claimName")):
                continue
            volume = self.volume_of.get((namespace, claim), "")
            if volume not in self.volumes:
                about = f"PersistentVolumeClaim {namespace}/{claim}"
                yield (
                    name,
                    HostPath("", False, f"which folder of the node is behind {about}", about),
                )
            elif found := self.volumes[volume]:
                yield name, found


def _folder(about: str, spec: Mapping[str, Any]) -> HostPath | None:
    """Return what a volume is of a node; its path may be the node's disk, if it is a device."""
    for kind in ("hostPath", "local"):
        if path := text_of(spec, kind, "path"):
            device = text_of(spec, "volumeMode") == "Block" or path.startswith("/dev/")
            unknown = f"whether {path} is a disk of the node" if device else ""
            return HostPath(path, False, unknown, about)
    driver = text_of(spec, "csi", "driver")
    if driver in DRIVERS or driver.endswith(CEPH) or not ELSEWHERE.isdisjoint(spec):
        return None
    by = f"the driver {driver} mounts" if driver else "it mounts"
    return HostPath("", False, f"which folder of the node {by} for {about}", about)
