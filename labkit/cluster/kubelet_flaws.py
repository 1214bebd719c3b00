"""Known flaws of kubelets by which a new pod that is not privileged gets its node."""

from __future__ import annotations

from dataclasses import dataclass

from labkit.cluster.versions import OLDEST, Patch, Version, patch_reported

__all__ = ["KUBELET_FLAWS", "KubeletFlaw"]


@dataclass(frozen=True, slots=True)
class KubeletFlaw:
    """A flaw that the level "baseline" of Pod Security does not keep a pod from.

    Attributes
    ----------
    name : str
    what : str
        What such a pod has.
    mended : tuple of (int, int, int)
        The first versions without it, one for each minor version that was mended. Every older
        minor version has it, and no newer one.
    unknown : str
        What has to be found out on a node that has the flaw; empty for nothing.
    restricted : str or None
        What has to be found out where Pod Security enforces "restricted"; None if that keeps such
        a pod out.

    Examples
    --------
    >>> git = next(it for it in KUBELET_FLAWS if it.name == "CVE-2024-10220")
    >>> git.affects("v1.28.11-eks-1"), git.affects("v1.28.12"), git.affects("v1.17.0")
    (True, False, True)
    >>> print(git.affects("unknown", oldest=(1, 29)), git.affects("unknown", oldest=(1, 31)))
    None False
    """

    name: str
    what: str
    mended: tuple[Patch, ...]
    unknown: str = ""
    restricted: str | None = None

    def affects(self, reported: str, oldest: Version = (1, OLDEST)) -> bool | None:
        """Say whether a kubelet has the flaw, by the version that it reports; None if unknown.

        Where it reports none, it may have any version from the `oldest` one on.
        """
        version = patch_reported(reported)
        if version is None:
            return None if oldest <= max(self.mended)[:2] else False
        line = [it for it in self.mended if it[:2] == version[:2]]
        return version < (line[0] if line else min(self.mended))


KUBELET_FLAWS = (
    # https://github.com/kubernetes/kubernetes/issues/128885
    KubeletFlaw(
        "CVE-2024-10220",
        "a gitRepo volume, whose repository has hooks",
        mended=((1, 28, 12), (1, 29, 7), (1, 30, 3)),
        unknown="whether git is installed there",
    ),
    # https://github.com/kubernetes/kubernetes/issues/104980
    KubeletFlaw(
        "CVE-2021-25741",
        "a mount with a subPath that becomes a link",
        mended=((1, 19, 15), (1, 20, 11), (1, 21, 5), (1, 22, 2)),
        restricted="whether a group may open the socket of a node's container runtime",
    ),
)
