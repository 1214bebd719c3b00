"""What a technique is: where from, what it needs in the model, how it is carried out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from labkit.errors import ConfigError
from labkit.model import PROPERTIES, Channel, Model, read_model
from labkit.model.footholds import (
    ADMIN,
    COPIED_CREDENTIAL,
    NETWORK,
    POD,
    ROOT_ON_ETCD,
    ROOT_ON_WORKER,
    SECRETS,
    USER_ON_MASTER,
    USER_ON_WORKER,
    Foothold,
    Role,
)
from labkit.techniques._lib.verdict import Setting, Settings, Verdict

if TYPE_CHECKING:
    from labkit.cluster import Environment
    from labkit.lab import Lab

__all__ = [
    "ADMIN",
    "COPIED_CREDENTIAL",
    "FOOTHOLDS",
    "GRANTS",
    "NETWORK",
    "POD",
    "ROOT_ON_ETCD",
    "ROOT_ON_WORKER",
    "SECRETS",
    "USER_ON_MASTER",
    "USER_ON_WORKER",
    "Prediction",
    "Technique",
]

#: Where an attacker may start.
FOOTHOLDS = (
    NETWORK,
    USER_ON_MASTER,
    USER_ON_WORKER,
    POD,
    ROOT_ON_WORKER,
    ROOT_ON_ETCD,
    COPIED_CREDENTIAL,
)
#: What a technique may give.
GRANTS = (*FOOTHOLDS, SECRETS, ADMIN)


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
    footholds : tuple of Foothold
        Where it can be tried from, each one of :data:`FOOTHOLDS`; the first is the usual one.
    grants : tuple of Foothold
        What the attacker has when it succeeds, each one of :data:`GRANTS`.
    about : str
        The ids of the channels that it abuses, as a shell's pattern.
    properties : tuple of str
        The properties of these channels that it stands or falls with.
    attack, stride, cwe : tuple of str
        Its names in MITRE ATT&CK, in STRIDE and in the Common Weakness Enumeration.
    sources : tuple of str
        Where it is described.
    predict : callable
        Takes a :class:`~labkit.model.Model` and a foothold, and says what the model says.
    execute : callable
        Takes a lab and a foothold, carries it out, undoes it, and returns the verdict.
    settings : callable, optional
        What an environment says about it beside the channels' properties.
    cost : float
        How hard it is: 1 for a request, 2 for listening, 3 for getting between two machines.
    """

    name: str
    title: str
    footholds: tuple[Foothold, ...]
    grants: tuple[Foothold, ...]
    about: str
    properties: tuple[str, ...]
    attack: tuple[str, ...]
    stride: tuple[str, ...]
    cwe: tuple[str, ...]
    sources: tuple[str, ...]
    predict: Callable[[Model, Foothold], Prediction] = field(repr=False)
    execute: Callable[[Lab, Foothold], Verdict] = field(repr=False)
    settings: Callable[[Environment], Sequence[Setting]] | None = field(default=None, repr=False)
    cost: float = 1.0

    def __post_init__(self) -> None:
        for foothold in self.footholds:
            if foothold not in FOOTHOLDS:
                raise ValueError(f"{self.name}: no foothold {foothold!r}")
        if not set(self.grants) <= set(GRANTS):
            raise ValueError(f"{self.name}: no such grants {self.grants}")
        if not set(self.properties) <= set(PROPERTIES):
            raise ValueError(f"{self.name}: no such properties {self.properties}")

    def run(self, lab: Lab, foothold: Foothold | None = None) -> Verdict:
        """Carry it out in a lab, from a foothold, and undo it.

        Parameters
        ----------
        lab : Lab
        foothold : Foothold, optional
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
                hint=f"choose one of: {', '.join(it.word for it in self.footholds)}",
            )
        return self.execute(lab, foothold)

    def foothold_like(self, wanted: Foothold, model: Model) -> Foothold:
        """Return the technique's own foothold that a place of a model stands for.

        A technique is tried from a machine of a role: ``user:worker1`` is a user on a worker.
        """
        if wanted in self.footholds:
            return wanted
        for own in self.footholds:
            if own.kind == wanted.kind and isinstance(own.where, Role):
                nodes = model.environment.nodes
                if any(it.name == wanted.where and it.role == own.where.value for it in nodes):
                    return own
        return wanted

    def channels(self, model: Model) -> list[Channel]:
        """Return the channels of a model that the technique abuses."""
        return [c for c in model.channels if fnmatchcase(c.id, self.about)]

    def difference(self, *environments: Environment) -> Settings:
        """Return what environments say about the settings that it stands or falls with.

        Examples
        --------
        >>> from labkit.cluster import read_environment
        >>> from labkit import techniques
        >>> for mode, (what, value, read_in) in techniques["eavesdrop"].difference(
        ...     read_environment("hardened")
        ... ):
        ...     print(mode, what, value, read_in.split(" ")[0].rpartition("/")[2])
        hardened encryption tls1.3 kube-apiserver.service:15
        hardened whom the kubelet calls https://master:6443 kubelet.conf:7
        """
        return Settings((env.name, setting) for env in environments for setting in self._of(env))

    def _of(self, env: Environment) -> Iterable[Setting]:
        found: dict[Setting, None] = {}
        for channel in self.channels(read_model(env)):
            for name in self.properties:
                claim = getattr(channel, name)
                found[name.replace("_", " "), claim.value, str(claim.source)] = None
        if self.settings is not None:
            found |= dict.fromkeys(self.settings(env))
        return found
