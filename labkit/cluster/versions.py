"""Versions of Kubernetes: in the tags of images, in what kubelets report, and of an apiserver."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TypeAlias

__all__ = [
    "LATEST",
    "OLDEST",
    "Patch",
    "Version",
    "apiserver_versions",
    "oldest_kubelet",
    "patch_reported",
    "version_in_tag",
    "version_reported",
]

#: Major and minor version.
Version: TypeAlias = tuple[int, int]
#: And the patch.
Patch: TypeAlias = tuple[int, int, int]
#: The minor versions of Kubernetes 1 between which answers are compared where the version is not
#: known; the newest is that of the lab.
OLDEST, LATEST = 25, 37
#: How many minor versions an apiserver may be ahead of a kubelet
#: (https://kubernetes.io/releases/version-skew-policy/).
SKEW = 3

TAG = re.compile(r":v?([0-9]{1,4})\.([0-9]{1,4})")
REPORTED = re.compile(r"v?([0-9]{1,4})\.([0-9]{1,4})(?![0-9])")
WITH_PATCH = re.compile(r"v?([0-9]{1,4})\.([0-9]{1,4})\.([0-9]{1,4})(?![0-9])")


def version_in_tag(image: str) -> Version | None:
    """Return the version in an image's tag, or None.

    Examples
    --------
    >>> version_in_tag("registry.k8s.io/kube-apiserver:v1.35.0")
    (1, 35)
    """
    return _version(TAG.search(image))


def version_reported(text: str) -> Version | None:
    """Return the version that a kubelet reports, or None.

    Examples
    --------
    >>> version_reported("v1.34.2-eks-1"), version_reported("unknown")
    ((1, 34), None)
    """
    return _version(REPORTED.match(text))


def patch_reported(text: str) -> Patch | None:
    """Return the version with its patch that a kubelet reports, or None.

    Examples
    --------
    >>> patch_reported("v1.34.2-eks-1"), patch_reported("v1.34")
    ((1, 34, 2), None)
    """
    found = WITH_PATCH.match(text)
    return (int(found[1]), int(found[2]), int(found[3])) if found else None


def apiserver_versions(kubelets: Iterable[str]) -> tuple[Version, ...]:
    """Return the versions that an apiserver may have, by those of its kubelets.

    Parameters
    ----------
    kubelets : iterable of str
        As the kubelets report them; what is no version says nothing.

    Returns
    -------
    tuple of (int, int)
        From that of the newest kubelet to three minor versions more; without a kubelet, all from
        `OLDEST` to `LATEST`.

    References
    ----------
    https://kubernetes.io/releases/version-skew-policy/: a kubelet is not newer than the apiserver,
    and up to three minor versions older.

    Examples
    --------
    >>> apiserver_versions(["v1.32.4", "v1.30.1"]), len(apiserver_versions(["unknown"]))
    (((1, 32), (1, 33), (1, 34), (1, 35)), 13)
    """
    newest = max(filter(None, map(version_reported, kubelets)), default=None)
    if newest is None:
        return tuple((1, minor) for minor in range(OLDEST, LATEST + 1))
    major, minor = newest
    last = max(minor, min(minor + SKEW, LATEST))
    return tuple((major, it) for it in range(minor, last + 1))


def oldest_kubelet(apiserver: Version) -> Version:
    """Return the oldest version that a kubelet of an apiserver may have.

    Examples
    --------
    >>> oldest_kubelet((1, 37))
    (1, 34)
    """
    major, minor = apiserver
    return major, minor - SKEW


def _version(found: re.Match[str] | None) -> Version | None:
    return (int(found[1]), int(found[2])) if found else None
