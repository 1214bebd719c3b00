"""The server of an environment that says whose a bearer token is, and the people whom it knows."""

from __future__ import annotations

import json
from dataclasses import dataclass

from labkit.cluster.facts import Component, Environment
from labkit.cluster.syntax.source import Source
from labkit.model.claims import Claim
from labkit.model.decision import AUTHENTICATED, Caller

__all__ = ["PEOPLE", "Reviewer", "reviewer_of"]

#: The people with their tokens, in the form of labkit's own policy.
PEOPLE = "/etc/opa/people.json"


@dataclass(frozen=True, slots=True)
class Reviewer:
    """A server that answers reviews of tokens and of access.

    Attributes
    ----------
    component : labkit.cluster.Component
    people : tuple of Caller
        As whom its tokens make their holders known.
    """

    component: Component
    people: tuple[Caller, ...]

    def person(self, name: str) -> Caller | None:
        """Return the person with a name, or None.

        Parameters
        ----------
        name : str

        Returns
        -------
        Caller or None
        """
        return next((it for it in self.people if it.user == name), None)


def reviewer_of(env: Environment) -> Reviewer | None:
    """Return the server of an environment that answers its apiserver's reviews, or None.

    Parameters
    ----------
    env : Environment

    Returns
    -------
    Reviewer or None

    Examples
    --------
    >>> from labkit.cluster import read_environment
    >>> found = reviewer_of(read_environment("hook-hardened"))
    >>> [it.user for it in found.people], sorted(found.person("mallory").groups)
    (['alice', 'mallory'], ['contractors', 'system:authenticated'])
    >>> reviewer_of(read_environment("hardened"))
    """
    for it in env.components:
        if it.kind == "opa":
            return Reviewer(it, _people(env, it))
    return None


def _people(env: Environment, it: Component) -> tuple[Caller, ...]:
    """Return the people of the reviewer's file; none if it has another form."""
    file = env.node(it.node).files.get(PEOPLE)
    if file is None:
        return ()
    try:
        listed = json.loads(file.read_text())["people"]
        named = [(str(one["name"]), frozenset(map(str, one["groups"]))) for one in listed]
    except (ValueError, LookupError, TypeError):
        return ()
    source = Source(file.source, None, "people")
    return tuple(
        Caller(name, groups | {AUTHENTICATED}, Claim("required", f"token of {name}", source))
        for name, groups in named
    )
