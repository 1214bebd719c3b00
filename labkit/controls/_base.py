"""What a control is: one mitigation, as the change of configuration that it consists of."""

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
        What it is good for, in a sentence.
    on : tuple of Edit, or callable
        What brings it into an environment that lacks it; a function, if it reads files, since
        nothing is read when a module is imported. :meth:`edits` calls it.
    off : tuple of Edit, or callable
        What takes it out of one that has it.
    holds : callable
        Says of a :class:`~labkit.model.Model` whether it is in place.
    changes : str
        What it changes in the model, in the model's words.
    stops : tuple of str
        The techniques that it is claimed to stop by itself, by name.
    references : tuple of str
        CIS benchmark, NSA/CISA guide, a page of the Kubernetes documentation: by name.
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

    def edits(self, on: bool) -> tuple[Edit, ...]:
        """Return the edits that put the control in place, or take it out.

        Parameters
        ----------
        on : bool

        Examples
        --------
        >>> from labkit import controls
        >>> [edit.path for edit in controls["bound-tokens"].edits(on=False)]
        ['manifests/reporter-token.yaml']
        """
        edits = self.on if on else self.off
        return edits() if callable(edits) else edits

    def flip(self, env: Environment, on: bool) -> tuple[Edit, ...]:
        """Return the edits of an environment with the control put in place, or taken out.

        Parameters
        ----------
        env : Environment
            Its own edits are kept, but for those that did the opposite.
        on : bool

        Returns
        -------
        tuple of Edit
            All edits that are to hold then; those of `env` where it is so already.

        Raises
        ------
        ConfigError
            It cannot be done in this environment.

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
        """Return an environment with the control put in place, or taken out, as read anew.

        Parameters, and what is raised, are those of :meth:`flip`.
        """
        if self.holds(read_model(env)) == on:
            return env
        from labkit.cluster import read_environment

        wanted, opposite = self.edits(on), self.edits(not on)
        undone = tuple(edit for edit in env.edits if edit not in opposite)
        for edits in (undone, (*env.edits, *wanted)):
            if edits != env.edits:
                changed = read_environment(env.folder, edits)
                if self.holds(read_model(changed)) == on:
                    return changed
        word = "put in place" if on else "taken out"
        raise ConfigError(
            f"control {self.name} cannot be {word} in {env.name} as it is",
            hint="labkit control list, or labkit reset first",
        )
