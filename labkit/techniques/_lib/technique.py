"""The technique: its footholds, what it needs in the model, and how it is carried out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from labkit.errors import ConfigError, ProbeError
from labkit.lab.parallel import checkpoint
from labkit.lab.traces import KINDS, undertaking
from labkit.model import PROPERTIES, Channel, Claim, Model, read_model
from labkit.model.decision import Action, Caller
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
    "SentRequest",
    "Technique",
    "all_of",
    "any_of",
    "holds",
    "then",
]

#: The footholds at which a technique may start.
FOOTHOLDS = (
    NETWORK,
    USER_ON_MASTER,
    USER_ON_WORKER,
    POD,
    ROOT_ON_WORKER,
    ROOT_ON_ETCD,
    COPIED_CREDENTIAL,
)
#: What a technique may grant.
GRANTS = (*FOOTHOLDS, SECRETS, ADMIN)


@dataclass(frozen=True, slots=True)
class Prediction:
    """What the model predicts for a technique at a foothold, and why.

    Parameters
    ----------
    succeeds : bool or None
        False means that something refuses it, None that the model does not know: something that
        decides could not be read.
    because : tuple of str
        The claims that decide, each with the file and the line where it was read.

    Examples
    --------
    >>> Prediction(False, ("required: kubelet.yaml:4",))
    refused, because required: kubelet.yaml:4
    >>> Prediction(None, ("unknown: webhook.conf:2",)).word
    'unknown'
    """

    succeeds: bool | None
    because: tuple[str, ...] = ()

    @property
    def word(self) -> str:
        """Return "succeeded", "refused" or "unknown", as verdicts and the matrix say it."""
        return {True: "succeeded", False: "refused", None: "unknown"}[self.succeeds]

    def __repr__(self) -> str:
        word = "succeeds" if self.succeeds else self.word
        return f"{word}, because {'; '.join(self.because)}" if self.because else word


def holds(claim: Claim, *wanted: str) -> Prediction:
    """Predict from one claim: whether it has one of the values that let an attack through.

    Parameters
    ----------
    claim : Claim
    *wanted : str
        These values; an unknown claim predicts nothing.

    Returns
    -------
    Prediction

    Examples
    --------
    >>> from labkit.cluster import Source
    >>> claim = Claim("unknown", "a plugin decides", Source("docker.service", 4, ""))
    >>> holds(claim, "none").word, holds(claim, "none", "unknown").word
    ('unknown', 'succeeded')
    """
    said = (str(claim),)
    if claim.value in wanted:
        return Prediction(True, said)
    return Prediction(None if claim.value == "unknown" else False, said)


def any_of(*parts: Prediction) -> Prediction:
    """Predict an attack of which one part has to succeed.

    Parameters
    ----------
    *parts : Prediction
        At least one.

    Returns
    -------
    Prediction
        The first success, or else the first part that is unknown, or the first refusal.

    Examples
    --------
    >>> yes, no, maybe = Prediction(True, ("a",)), Prediction(False, ("b",)), Prediction(None)
    >>> any_of(maybe, no, yes), any_of(no, maybe).word
    (succeeds, because a, 'unknown')
    """
    for wanted in (True, None):
        for part in parts:
            if part.succeeds is wanted:
                return part
    return parts[0]


def all_of(*parts: Prediction) -> Prediction:
    """Predict an attack of which every part has to succeed.

    Parameters
    ----------
    *parts : Prediction

    Returns
    -------
    Prediction
        The first refusal, whatever else is unknown; or else what is unknown; or a success
        because of all parts.

    Examples
    --------
    >>> yes, no, maybe = Prediction(True, ("a",)), Prediction(False, ("b",)), Prediction(None)
    >>> all_of(maybe, no), all_of(yes, maybe).word
    (refused, because b, 'unknown')
    """
    for part in parts:
        if part.succeeds is False:
            return part
    unknown = [part for part in parts if part.succeeds is None]
    because = dict.fromkeys(it for part in unknown or parts for it in part.because)
    return Prediction(None if unknown else True, tuple(because))


def then(first: Prediction, second: Prediction) -> Prediction:
    """Predict an attack in two parts, of which the second gives the reasons.

    Parameters
    ----------
    first, second : Prediction

    Returns
    -------
    Prediction
        As :func:`all_of`, but once the first part succeeds, with the reasons of the second alone.

    Examples
    --------
    >>> then(Prediction(True, ("a",)), Prediction(True, ("b",)))
    succeeds, because b
    """
    return second if first.succeeds else all_of(first, second)


@dataclass(frozen=True, slots=True)
class SentRequest:
    """A request that an attacker sends to the apiserver, whatever it answers.

    Parameters
    ----------
    caller : labkit.model.decision.Caller
        As whom the apiserver knows the attacker; without a user, it refuses them.
    action : labkit.model.decision.Action
    sent : Prediction
        Whether the attacker gets to send it. The default is that they do.

    Examples
    --------
    >>> from labkit.model.decision import member_of
    >>> mallory = member_of("system:authenticated", user="mallory")
    >>> SentRequest(mallory, Action("get", "secrets")).sent.succeeds
    True
    """

    caller: Caller
    action: Action
    sent: Prediction = Prediction(True)


def sends_nothing(model: Model, foothold: Foothold) -> Sequence[SentRequest]:
    """Return no request: the technique passes the apiserver by."""
    return ()


@dataclass(frozen=True, slots=True)
class Technique:
    """One thing that an attacker can do.

    Parameters
    ----------
    name, title : str
    footholds : tuple of Foothold
        Where it can start, each one of :data:`FOOTHOLDS`. The first is the default.
    grants : tuple of Foothold
        What the attacker gains if it succeeds, each one of :data:`GRANTS`.
    about : str
        A shell pattern for the ids of the channels that it abuses.
    properties : tuple of str
        The properties of these channels that decide whether it succeeds.
    attack, stride, cwe : tuple of str
        Its ids in MITRE ATT&CK and CWE, and its categories in STRIDE.
    sources : tuple of str
        Where it is described: the article, documentation or ATT&CK.
    predict : callable
        Takes a :class:`~labkit.model.Model` and a foothold, and returns a :class:`Prediction`.
    execute : callable
        Takes a lab and a foothold, carries the technique out, undoes it, and returns a
        :class:`Verdict`.
    settings : callable, optional
        Takes an environment, and returns settings that matter beside the channels' properties.
    requests : callable
        Takes a model and a foothold, and returns what the attacker sends to the apiserver, each a
        :class:`SentRequest`. By default nothing: the technique passes the apiserver by.
    cost : float
        How hard it is: 1 for a request, 2 for eavesdropping, 3 for interception.
    leaves : tuple of str
        The kinds of traces (:data:`labkit.lab.traces.KINDS`) that it leaves until it has undone
        them. It can leave no other.
    machines : tuple of str
        The machines without which it does not apply, by their names: it is neither predicted nor
        carried out there. Those that every lab has need not be among them.
    modes : tuple of str
        The two environments in which it is shown, as opposed to each other.

    Raises
    ------
    ValueError
        A foothold, a grant, a property or a kind of trace is unknown.

    Examples
    --------
    >>> from labkit import read_environment, techniques
    >>> from labkit.model import read_model
    >>> technique = techniques["etcd-read"]
    >>> technique.title
    'Read a secret out of etcd'
    >>> technique.predict(read_model(read_environment("insecure")), technique.footholds[0]).succeeds
    True
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
    requests: Callable[[Model, Foothold], Sequence[SentRequest]] = field(
        default=sends_nothing, repr=False
    )
    cost: float = 1.0
    leaves: tuple[str, ...] = ()
    machines: tuple[str, ...] = ()
    modes: tuple[str, str] = ("insecure", "hardened")

    def __post_init__(self) -> None:
        for foothold in self.footholds:
            if foothold not in FOOTHOLDS:
                raise ValueError(f"{self.name}: no foothold {foothold!r}")
        if not set(self.grants) <= set(GRANTS):
            raise ValueError(f"{self.name}: no such grants {self.grants}")
        if not set(self.properties) <= set(PROPERTIES):
            raise ValueError(f"{self.name}: no such properties {self.properties}")
        if not set(self.leaves) <= set(KINDS):
            raise ValueError(f"{self.name}: no such traces {self.leaves}")

    def run(self, lab: Lab, foothold: Foothold | None = None) -> Verdict:
        """Carry the technique out in a lab, and undo it.

        What was interrupted before is undone first.

        Parameters
        ----------
        lab : Lab
        foothold : Foothold, optional
            One of the technique's footholds. The default is the first one.

        Returns
        -------
        Verdict

        Raises
        ------
        ProbeError
            The result shows neither a success nor a refusal, or no positive control stands beside
            the refusal.
        ProbeTimeout
            No answer came in time; it is a :class:`ProbeError`.
        ConfigError
            The technique cannot start at this foothold, or does not apply to this lab.
        LabBusy
            Another process changes the lab.
        """
        checkpoint()
        foothold = foothold or self.footholds[0]
        if foothold not in self.footholds:
            raise ConfigError(
                f"{self.name} cannot be tried {foothold}",
                hint=f"choose one of: {', '.join(it.word for it in self.footholds)}",
            )
        self.require_machines(lab.environment)
        title = f"attack {self.name}"
        with lab.exclusive(title), undertaking(title, self.leaves):
            lab.recover()
            verdict = self.execute(lab, foothold)
        if not (verdict.succeeded or verdict.control):
            raise ProbeError(
                f"{self.name} was refused ({verdict.reason}), and nothing shows that the same "
                "request succeeds where it is allowed"
            )
        return verdict

    def why_not(self, env: Environment) -> str:
        """Say why the technique does not apply to an environment.

        Parameters
        ----------
        env : Environment

        Returns
        -------
        str
            Empty if it applies.

        Examples
        --------
        >>> from labkit import read_environment, techniques
        >>> techniques["eavesdrop-vxlan"].why_not(read_environment("light-insecure"))
        'there is no worker2'
        """
        return env.lacks(self.machines)

    def require_machines(self, env: Environment) -> None:
        """Refuse an environment to which the technique does not apply.

        Parameters
        ----------
        env : Environment

        Raises
        ------
        ConfigError
            It lacks a machine.

        Examples
        --------
        >>> from labkit import read_environment, techniques
        >>> light = read_environment("light-insecure")
        >>> techniques["eavesdrop-vxlan"].require_machines(light)  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        labkit.errors.ConfigError: eavesdrop-vxlan does not apply to light-insecure: there is no...
        """
        if why := self.why_not(env):
            raise ConfigError(
                f"{self.name} does not apply to {env.name}: {why}",
                hint=f"choose an environment with it: {', '.join(self.modes)}",
            )

    def foothold_like(self, wanted: Foothold, model: Model) -> Foothold:
        """Return the technique's own foothold that matches a foothold of a model.

        A technique starts on any machine of a role, a model's foothold on a named one:
        ``user:worker1`` is a user on a worker.

        Parameters
        ----------
        wanted : Foothold
        model : Model

        Returns
        -------
        Foothold
            `wanted` itself if no foothold of the technique matches.

        Examples
        --------
        >>> from labkit import read_environment, techniques
        >>> from labkit.model import read_model
        >>> from labkit.model.footholds import parse_foothold
        >>> model = read_model(read_environment("insecure"))
        >>> print(techniques["docker-group"].foothold_like(parse_foothold("user:worker1"), model))
        user on a worker
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
        """Return the channels of a model that the technique abuses.

        Parameters
        ----------
        model : Model

        Returns
        -------
        list of Channel

        Examples
        --------
        >>> from labkit import read_environment, techniques
        >>> from labkit.model import read_model
        >>> found = techniques["eavesdrop"].channels(read_model(read_environment("insecure")))
        >>> [channel.id for channel in found]
        ['kubelet@worker1 -> kubectl-proxy@master:8080']
        """
        return [c for c in model.channels if fnmatchcase(c.id, self.about)]

    def difference(self, *environments: Environment) -> Settings:
        """Return the settings that decide whether it succeeds, as each environment has them.

        Parameters
        ----------
        *environments : Environment

        Returns
        -------
        Settings
            A table of (environment, (what, value, where it was read)).

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
