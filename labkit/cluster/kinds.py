"""The API groups of Kubernetes' own kinds.

Other projects have kinds of the same names: a ``Node`` of Longhorn, a ``Service`` of Knative, a
``NetworkPolicy`` of Calico, a ``Role`` of Crossplane's AWS provider. Only the group tells them
apart: https://kubernetes.io/docs/reference/using-api/#api-groups
"""

from __future__ import annotations

from functools import lru_cache

__all__ = ["is_foreign"]

#: Kubernetes' own groups of these kinds; without one, an object is of the core.
GROUPS = frozenset(
    [
        *("", "admissionregistration.k8s.io", "apiextensions.k8s.io"),
        *("apiregistration.k8s.io", "apps", "batch", "discovery.k8s.io"),
        *("networking.k8s.io", "rbac.authorization.k8s.io"),
        # where workloads and network objects were before they had groups of their own
        "extensions",
        # OpenShift serves the same roles and bindings in a group of its own as well
        "authorization.openshift.io",
    ]
)
#: The names of the kinds that labkit reads.
KINDS = frozenset(
    [
        *("APIService", "ClusterRole", "ClusterRoleBinding", "ConfigMap"),
        *("CronJob", "CustomResourceDefinition", "DaemonSet", "Deployment"),
        *("EndpointSlice", "Endpoints", "Ingress", "Job", "Namespace", "NetworkPolicy", "Node"),
        *("PersistentVolume", "PersistentVolumeClaim", "Pod", "ReplicaSet"),
        *("ReplicationController", "Role", "RoleBinding", "Secret", "Service", "ServiceAccount"),
        "StatefulSet",
    ]
)


def is_foreign(api_version: object, kind: object) -> bool:
    """Say whether an object has only the name of its kind in common with one of Kubernetes.

    Parameters
    ----------
    api_version, kind : object
        As the object has them. An item of a list may be without a version.

    Returns
    -------
    bool
        False for a kind that labkit does not read.

    Examples
    --------
    >>> is_foreign("longhorn.io/v1beta2", "Node"), is_foreign("v1", "Node")
    (True, False)
    >>> is_foreign(None, "Node"), is_foreign("argoproj.io/v1alpha1", "Application")
    (False, False)
    """
    if not (isinstance(api_version, str) and isinstance(kind, str)):
        return False
    return _is_foreign(api_version, kind)


@lru_cache(maxsize=1024)
def _is_foreign(api_version: str, kind: str) -> bool:
    group, slash, _ = api_version.partition("/")
    return kind in KINDS and bool(slash) and group not in GROUPS
