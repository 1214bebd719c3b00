"""What a command tries in the lab of a profile if nothing is named."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from labkit.cluster import Environment

__all__ = ["flipped", "own"]


class _Shown(Protocol):
    @property
    def modes(self) -> tuple[str, str]: ...

    def why_not(self, env: Environment) -> str: ...


T = TypeVar("T", bound=_Shown)


def own(items: Iterable[T], env: Environment) -> list[T]:
    """Return the techniques or controls that are shown in an environment.

    Parameters
    ----------
    items : iterable of Technique or Control
    env : Environment

    Returns
    -------
    list of Technique or Control
        In an environment of a profile, what the profile adds; the rest is shown without it.
        In any other environment, also a user's own, all that apply.

    Examples
    --------
    >>> from labkit import read_environment, techniques
    >>> [it.name for it in own(techniques.values(), read_environment("oidc-insecure"))]
    ['oidc-access-token', 'oidc-group-collision', 'oidc-shared-audience', 'oidc-user-collision']
    """
    fit = [it for it in items if not it.why_not(env)]
    return [it for it in fit if env.name in it.modes] or fit


def flipped(env: Environment) -> list[str]:
    """Return the names of the controls that are flipped if none is named.

    Parameters
    ----------
    env : Environment

    Returns
    -------
    list of str

    Examples
    --------
    >>> from labkit import read_environment
    >>> flipped(read_environment("oidc-insecure"))
    ['oidc-audience', 'oidc-prefix', 'oidc-registration', 'oidc-token-lifetime']
    """
    from labkit import controls

    return [it.name for it in own(controls.values(), env)]
