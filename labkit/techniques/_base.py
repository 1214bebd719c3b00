"""What a technique is: where from, what it needs in the model, how it is carried out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from labkit.errors import ConfigError
from labkit.model import PROPERTIES, Channel, View, build_model, channels
from labkit.model.threat_model import ADMIN, SECRETS
from labkit.techniques._verdict import Setting, Settings, Verdict

if TYPE_CHECKING:
    from labkit.cluster import Environment
    from labkit.lab import Lab

__all__ = [
    "ADMIN",
    "FOOTHOLDS",
    "GOALS",
    "NETWORK",
    "OUTSIDE",
    "POD",
    "ROOT_ON_ETCD",
    "ROOT_ON_WORKER",
    "SECRETS",
    "USER_ON_MASTER",
    "USER_ON_WORKER",
    "Prediction",
    "Technique",
]

NETWORK = "on the cluster network"
USER_ON_MASTER = "unprivileged user on the master"
USER_ON_WORKER = "unprivileged user on a worker"
POD = "inside a pod"
ROOT_ON_WORKER = "root on a worker"
ROOT_ON_ETCD = "root on an etcd machine"
OUTSIDE = "outside, with a copied credential"
#: Where an attacker may start.
FOOTHOLDS = (
    NETWORK,
    USER_ON_MASTER,
    USER_ON_WORKER,
    POD,
    ROOT_ON_WORKER,
    ROOT_ON_ETCD,
    OUTSIDE,
)
#: What an attacker may be after; some footholds are goals as well.
GOALS = (SECRETS, ADMIN, ROOT_ON_WORKER)


@dataclass(frozen=True, slots=True)
class Prediction:
    """What the model says of a technique at a foothold, and why.

    Examples
    --------
    >>> Prediction(False, ("required: kubelet.yaml:4",))
    refused, because required: kubelet.yaml:4
    """

    succeeds: bool
    because: tuple[str, ...] = ()

    def __repr__(self) -> str:
        word = "succeeds" if self.succeeds else "refused"
        return f"{word}, because {'; '.join(self.because)}" if self.because else word


@dataclass(frozen=True, slots=True)
class Technique:
    """One thing that an attacker can do.

    Parameters
    ----------
    name, title : str
    footholds : tuple of str
        Where it can be tried from, each one of :data:`FOOTHOLDS`; the first is the usual one.
    grants : tuple of str
        What the attacker has when it succeeds: further footholds, or :data:`GOALS`.
    about : str
        The ids of the channels that it abuses, as a shell's pattern.
    properties : tuple of str
        The properties of these channels that it stands or falls with.
    attack, stride, cwe : tuple of str
        Its names in MITRE ATT&CK, in STRIDE and in the Common Weakness Enumeration.
    sources : tuple of str
        Where it is described.
    predict : callable
        Takes a :class:`~labkit.model.View` and a foothold, and says what the model says.
    execute : callable
        Takes a lab and a foothold, carries it out, undoes it, and returns the verdict.
    settings : callable, optional
        What an environment says about it beside the channels' properties.
    """

    name: str
    title: str
    footholds: tuple[str, ...]
    grants: tuple[str, ...]
    about: str
    properties: tuple[str, ...]
    attack: tuple[str, ...]
    stride: tuple[str, ...]
    cwe: tuple[str, ...]
    sources: tuple[str, ...]
    predict: Callable[[View, str], Prediction] = field(repr=False)
    execute: Callable[[Lab, str], Verdict] = field(repr=False)
    settings: Callable[[Environment], Sequence[Setting]] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        for foothold in self.footholds:
            if foothold not in FOOTHOLDS:
                raise ValueError(f"{self.name}: no foothold {foothold!r}")
        if not set(self.grants) <= {*FOOTHOLDS, *GOALS}:
            raise ValueError(f"{self.name}: no such grants {self.grants}")
        if not set(self.properties) <= set(PROPERTIES):
            raise ValueError(f"{self.name}: no such properties {self.properties}")

    def run(self, lab: Lab, foothold: str = "") -> Verdict:
        """Carry it out in a lab, from a foothold, and undo it.

        Parameters
        ----------
        lab : Lab
        foothold : str
            One of its own; without it, the usual one.

        Returns
        -------
        Verdict

        Raises
        ------
        ProbeError
            What happened says neither that it succeeded nor that it was refused.
        ConfigError
            It cannot be tried from there.
        """
        foothold = foothold or self.footholds[0]
        if foothold not in self.footholds:
            raise ConfigError(
                f"{self.name} cannot be tried {foothold}",
                hint=f"choose one of: {', '.join(self.footholds)}",
            )
        return self.execute(lab, foothold)

    def channels(self, graph: Any) -> list[Channel]:
        """Return the channels of a model that the technique abuses."""
        return [c for c in channels(graph) if fnmatchcase(c.id, self.about)]

    def difference(self, *environments: Environment) -> Settings:
        """Return what environments say about the settings that it stands or falls with.

        Examples
        --------
        >>> from labkit.cluster import read_environment
        >>> from labkit.techniques import find
        >>> for mode, (what, value, read_in) in find("eavesdrop").difference(
        ...     read_environment("hardened")
        ... ):
        ...     print(mode, what, value, read_in.split(" ")[0].rpartition("/")[2])
        hardened encryption tls1.3 kube-apiserver.service:15
        hardened whom the kubelet calls https://master:6443 kubelet.conf:7
        """
        return Settings((env.name, setting) for env in environments for setting in self._of(env))

    def _of(self, env: Environment) -> Iterable[Setting]:
        found: dict[Setting, None] = {}
        for channel in self.channels(build_model(env)):
            for name in self.properties:
                claim = getattr(channel, name)
                found[name.replace("_", " "), claim.value, str(claim.source)] = None
        if self.settings is not None:
            found |= dict.fromkeys(self.settings(env))
        return found
