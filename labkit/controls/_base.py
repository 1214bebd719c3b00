"""The Control class: one mitigation, as a change of configuration files."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from labkit.cluster.edits import Edit
from labkit.errors import ConfigError
from labkit.model import Model, read_model

if TYPE_CHECKING:
    from labkit.cluster import Environment

__all__ = ["Control", "Edits"]

Edits: TypeAlias = tuple[Edit, ...] | Callable[[], tuple[Edit, ...]]


@dataclass(frozen=True, slots=True)
class Control:
    """One mitigation.

    Parameters
    ----------
    name, title : str
    why : str
        Its purpose, in one sentence.
    on : tuple of Edit, or callable
        The edits that put it in place. A function if it reads files, because importing a
        module must not read files; :meth:`edits` calls it.
    off : tuple of Edit, or callable
        The edits that take it out.
    holds : callable
        Takes a :class:`~labkit.model.Model`; returns True if the control is in place.
    changes : str
        The channels and claims of the model that it changes.
    stops : tuple of str
        The names of the techniques that it stops without any other control.
    references : tuple of str
        CIS benchmarks, the NSA/CISA guide and pages of the Kubernetes documentation, by name.
    leaves : tuple of str
        The kinds of traces (:data:`labkit.lab.traces.KINDS`) that an interrupted flip leaves.
    machines : tuple of str
        The machines without which it does not apply, by their names.
    modes : tuple of str
        The environment that lacks it, and the one that has it.

    Examples
    --------
    >>> from labkit import controls
    >>> controls["kubelet-anonymous"].stops
    ('kubelet-exec',)
    """

    name: str
    title: str
    why: str
    on: Edits = field(repr=False)
    off: Edits = field(repr=False)
    holds: Callable[[Model], bool] = field(repr=False)
    changes: str
    stops: tuple[str, ...]
    references: tuple[str, ...]
    leaves: tuple[str, ...] = ("configuration",)
    machines: tuple[str, ...] = ()
    modes: tuple[str, str] = ("insecure", "hardened")

    def why_not(self, env: Environment) -> str:
        """Say why the control does not apply to an environment.

        Parameters
        ----------
        env : Environment

        Returns
        -------
        str
            Empty if it applies.

        Examples
        --------
        >>> from labkit import controls, read_environment
        >>> controls["oidc-prefix"].why_not(read_environment("insecure"))
        'there is no idp'
        """
        return env.lacks(self.machines)

    def edits(self, on: bool) -> tuple[Edit, ...]:
        """Return the edits that put the control in place, or take it out.

        Parameters
        ----------
        on : bool
            True puts the control in place, False takes it out.

        Returns
        -------
        tuple of Edit

        Examples
        --------
        >>> from labkit import controls
        >>> [edit.path for edit in controls["bound-tokens"].edits(on=False)]
        ['manifests/reporter-token.yaml']
        """
        edits = self.on if on else self.off
        return edits() if callable(edits) else edits

    def flip(self, env: Environment, on: bool) -> tuple[Edit, ...]:
        """Return all edits of an environment after the control is put in place, or taken out.

        Parameters
        ----------
        env : Environment
            Its own edits stay, except those that did the opposite.
        on : bool
            True puts the control in place, False takes it out.

        Returns
        -------
        tuple of Edit
            The edits of `env` itself if the control already is as wanted.

        Raises
        ------
        ConfigError
            The control does not fit this environment.

        Examples
        --------
        >>> from labkit import controls, read_environment
        >>> env = read_environment("hardened")
        >>> control = controls["apiserver-anonymous"]
        >>> edits = control.flip(env, on=False)
        >>> control.holds(read_model(read_environment("hardened", edits)))
        False
        """
        return self.flipped(env, on).edits

    def flipped(self, env: Environment, on: bool) -> Environment:
        """Return the environment after the control is put in place, or taken out.

        Parameters
        ----------
        env : Environment
            Its own edits stay, except those that did the opposite.
        on : bool
            True puts the control in place, False takes it out.

        Returns
        -------
        Environment
            `env` itself if the control already is as wanted.

        Raises
        ------
        ConfigError
            The control does not fit this environment.

        Examples
        --------
        >>> from labkit import controls, read_environment
        >>> env = controls["kubelet-anonymous"].flipped(read_environment("hardened"), on=False)
        >>> [edit.path for edit in env.edits]
        ['/etc/kubernetes/kubelet.yaml']
        """
        return self.flipped_model(read_model(env), on).environment

    def flipped_model(self, model: Model, on: bool) -> Model:
        """Return the model after the control is put in place, or taken out.

        For several flips in turn: the model after one is the model before the next.

        Parameters
        ----------
        model : Model
            As it was read from an environment.
        on : bool
            True puts the control in place, False takes it out.

        Returns
        -------
        Model
            `model` itself if the control already is as wanted.

        Raises
        ------
        ConfigError
            The control does not fit this environment.

        Examples
        --------
        >>> from labkit import controls
        >>> changed = controls["kubelet-anonymous"].flipped_model(read_model("hardened"), on=False)
        >>> changed.environment.edits[0].path
        '/etc/kubernetes/kubelet.yaml'
        """
        env = model.environment
        if why := self.why_not(env):
            raise ConfigError(
                f"control {self.name} does not apply to {env.name}: {why}",
                hint=f"choose an environment with it: {', '.join(self.modes)}",
            )
        if self.holds(model) == on:
            return model
        from labkit.cluster import read_environment

        wanted, opposite = self.edits(on), self.edits(not on)
        undone = tuple(edit for edit in env.edits if edit not in opposite)
        for edits in (undone, (*env.edits, *wanted)):
            if edits != env.edits:
                changed = read_model(read_environment(env.folder, edits))
                if self.holds(changed) == on:
                    return changed
        word = "put in place" if on else "taken out"
        raise ConfigError(
            f"control {self.name} cannot be {word} in {env.name}: its files do not fit",
            hint="labkit control list, or labkit reset first",
        )
