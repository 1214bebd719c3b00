"""The steps of callers without a credential, by the rights that are bound to them.

An apiserver with anonymous authentication, which is the default, takes them for the user
``system:anonymous`` of the group ``system:unauthenticated``:
https://kubernetes.io/docs/reference/access-authn-authz/authentication/#anonymous-requests
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from labkit.analysis.attack_graph.from_abac import as_rbac
from labkit.analysis.attack_graph.from_objects import object_steps
from labkit.analysis.attack_graph.from_rights import as_dump
from labkit.analysis.attack_graph.steps import Step
from labkit.cluster.objects.facts import Dump
from labkit.cluster.policies import Binding, Rbac
from labkit.model import Foothold
from labkit.model.authorization import apiserver_authorization
from labkit.model.decision import (
    ALLOWED,
    ANONYMOUS,
    AUTHENTICATED,
    UNAUTHENTICATED,
    authorizers,
)
from labkit.model.footholds import CALLS, OUTSIDE, POD, SECRETS
from labkit.model.rights import authenticated_as
from labkit.model.secret_readers import secrets_read

if TYPE_CHECKING:
    from labkit.cluster.facts import Component, Environment
    from labkit.model import Model

__all__ = ["anonymous_bindings", "anonymous_object_steps", "anonymous_steps", "open_apiservers"]

ANONYMOUS_CALLER = (Foothold("is", ANONYMOUS), Foothold("group", UNAUTHENTICATED))
TECHNIQUE = "apiserver-anonymous"
#: In the version of each kubelet that GKE starts.
GKE = "-gke."


def anonymous_steps(model: Model) -> tuple[Step, ...]:
    """Return the steps of a caller without a credential through a model of configuration.

    The result is empty for an apiserver that allows everything to everyone: the claims of its
    channels say so already.

    Parameters
    ----------
    model : Model

    Returns
    -------
    tuple of Step

    Examples
    --------
    >>> from labkit.model import read_model
    >>> anonymous_steps(read_model("hardened"))
    ()
    """
    found: list[Step] = []
    if model.env is not None:
        for apiserver in open_apiservers(model.env):
            found += _steps_at(model.env, apiserver)
    return tuple(found)


def anonymous_object_steps(dump: Dump) -> tuple[Step, ...]:
    """Return the steps to the identity of an anonymous caller, from inside and outside.

    Examples
    --------
    >>> anonymous_object_steps(Dump("shop"))
    ()
    """
    return (*_without_credential(dump), *_of_google(dump))


def _of_google(dump: Dump) -> tuple[Step, ...]:
    """Return the steps of strangers into GKE, which takes every account of Google for a user.

    https://cloud.google.com/kubernetes-engine/docs/best-practices/rbac#default-roles-groups
    """
    nodes = [it for it in dump.nodes if it.cloud == "gce" and GKE in it.version]
    if not nodes:
        return ()
    because = (f"Node {nodes[0].name} is GKE's: any account of Google is authenticated there",)
    members = (Foothold("group", AUTHENTICATED),)
    return (Step("call-unauthenticated", OUTSIDE, members, because),)


def _without_credential(dump: Dump) -> tuple[Step, ...]:
    bindings = anonymous_bindings(dump.rbac)
    missing = [f"no {kind} in the dump" for kind in dump.bindings_missing]
    gives = next(
        filter(None, (*(str(it.source) for it in bindings), dump.authorizer, *missing)), ""
    )
    if not gives or dump.anonymous is False:
        return ()
    said = "no flag of an apiserver in the dump says otherwise"
    because = (f"anonymous authentication is on: {said}", gives)
    unread = dump.apiservers and dump.anonymous is None
    unknown = "whether an apiserver lets anonymous callers in" if unread else ""
    return tuple(
        Step(
            "call-unauthenticated",
            place,
            ANONYMOUS_CALLER,
            because,
            technique=TECHNIQUE,
            unknown=unknown,
        )
        for place in (CALLS, OUTSIDE)
    )


def anonymous_bindings(rbac: Rbac) -> list[Binding]:
    """Return the bindings that give rights to callers without a credential."""
    anonymous = {("User", ANONYMOUS), ("Group", UNAUTHENTICATED)}
    return [
        binding
        for binding in rbac.bindings
        if any((kind, name) in anonymous for kind, _, name in binding.subjects)
    ]


def open_apiservers(env: Environment) -> Iterator[Component]:
    """Yield the apiservers that admit anonymous callers, but do not allow them everything."""
    for it in env.components:
        if (
            it.kind == "kube-apiserver"
            and authenticated_as(it, env, None).user == ANONYMOUS
            and apiserver_authorization(env, it).value != "allow-all"
        ):
            yield it


def _steps_at(env: Environment, it: Component) -> Iterator[Step]:
    anonymous = authenticated_as(it, env, None)
    for home, found in secrets_read(env, it, anonymous):
        if found.value == ALLOWED:
            grants = (Foothold("secrets", home),)
            yield Step(TECHNIQUE, CALLS, grants, found.because, technique=TECHNIQUE)
    asked = {each.kind for each in authorizers(env, it)}
    bindings = anonymous_bindings(env.rbac) if "RBAC" in asked else []
    if "ABAC" in asked:
        lines = env.abac.get(it.id, ())
        bindings += anonymous_bindings(as_rbac(lines, with_rbac="RBAC" in asked))
    if not bindings:
        return
    why = (anonymous.claim, str(bindings[0].source))
    yield Step("call-unauthenticated", CALLS, ANONYMOUS_CALLER, why, technique=TECHNIQUE)
    dump = as_dump(env, it)
    yield from object_steps(dump)
    for home in ("", *(it.name for it in dump.namespaces)):
        # a container's environment lies open to a caller who runs commands in it
        unknown = ("which pods there are is not among the files",)
        yield Step("exec", Foothold("enters", home), (POD, SECRETS), unknown)
