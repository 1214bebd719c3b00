"""Versions of Kubernetes, in the tags of images and in what kubelets report."""

from __future__ import annotations

import re
from typing import TypeAlias

__all__ = ["Version", "version_in_tag", "version_reported"]

#: Major and minor version.
Version: TypeAlias = tuple[int, int]

TAG = re.compile(r":v?([0-9]{1,4})\.([0-9]{1,4})")
REPORTED = re.compile(r"v?([0-9]{1,4})\.([0-9]{1,4})(?![0-9])")


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


def _version(found: re.Match[str] | None) -> Version | None:
    return (int(found[1]), int(found[2])) if found else None
