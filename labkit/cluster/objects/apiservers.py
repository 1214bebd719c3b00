"""What the pods of apiservers in a dump say of them: their versions and their flags."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from labkit.cluster.defaults import FILES_OF_FLAGS
from labkit.cluster.feature_gates import Features, gates_in
from labkit.cluster.launch import Launch, launched, may_be_any_flag, with_variables
from labkit.cluster.syntax.flags import parse_flags
from labkit.cluster.syntax.source import bool_of
from labkit.cluster.syntax.systemd import Word
from labkit.cluster.syntax.values import mapping, sequence, text_of, words
from labkit.cluster.versions import Version, version_in_tag

__all__ = ["Apiserver", "any_of", "apiserver_of", "is_apiserver", "started", "variables"]

KIND = "kube-apiserver"
#: Where the pods of apiservers are: those of kubeadm and its like, and those of OpenShift.
NAMESPACES = frozenset({"kube-system", "openshift-kube-apiserver"})
ANONYMOUS, TOKENS = "anonymous-auth", "enable-bootstrap-token-auth"
#: The authorizers that allow nothing but what RBAC and the pods of a node say.
OF_OBJECTS = frozenset({"Node", "RBAC", "AlwaysDeny"})
ITS_FLAGS = "an apiserver whose flags could not be read"
UNREAD = "labkit cannot read with which flags it starts the apiserver"


@dataclass(frozen=True, slots=True)
class Apiserver:
    """One of a cluster's apiservers.

    Attributes
    ----------
    features : Features
        Without a version if only the kubelets say something about it.
    anonymous : bool or None
        Whether it lets anonymous callers in; None if its flags were not read, or a file says it.
    bootstrap_tokens : bool or None
        Whether it takes bootstrap tokens, which is off by default; None if that is not known.
    disabled : frozenset of str
        The admission plugins that are switched off.
    allows_all : bool
        Every authenticated caller may do everything.
    decides : str
        What allows requests by rules that no object has; empty if nothing does.
    configured : bool
        A file configures its admission plugins.
    audiences : frozenset of str or None
        Whose tokens it takes; None if that is not known.
    """

    features: Features = field(default_factory=Features)
    anonymous: bool | None = None
    bootstrap_tokens: bool | None = None
    disabled: frozenset[str] = frozenset()
    allows_all: bool = False
    decides: str = ""
    configured: bool = False
    audiences: frozenset[str] | None = None


def is_apiserver(namespace: str, pod: str) -> bool:
    """Say whether a pod is an apiserver's, by its name.

    Examples
    --------
    >>> is_apiserver("kube-system", "kube-apiserver-cp1"), is_apiserver("shop", "kube-apiserver-x")
    (True, False)
    """
    return namespace in NAMESPACES and pod.startswith(KIND)


def apiserver_of(spec: Mapping[str, Any], unknowns: list[tuple[str, str]]) -> Apiserver:
    """Return what the specification of an apiserver's pod says of it.

    Parameters
    ----------
    spec : mapping
        As the API has it.
    unknowns : list of (str, str)
        The function adds what it does not understand, and why.

    Returns
    -------
    Apiserver
        Incomplete if no container starts an apiserver in a way that labkit can read.

    Examples
    --------
    >>> command = ["kube-apiserver", "--disable-admission-plugins", "PodSecurity"]
    >>> image = "registry.k8s.io/kube-apiserver:v1.34.2"
    >>> found = apiserver_of({"containers": [{"image": image, "command": command}]}, [])
    >>> found.features.versions, sorted(found.disabled), found.bootstrap_tokens
    (((1, 34),), ['PodSecurity'], False)
    """
    for container in sequence(spec, "containers"):
        image, kind, found, line = started(container)
        if kind != KIND:
            continue
        version = version_in_tag(image)
        versions = (version,) if version else ()
        if found is None or not found.complete:
            unknowns.append((" ".join(it.text for it in line[:3]), UNREAD))
        if found is None:
            return Apiserver(Features(versions, complete=False), decides=ITS_FLAGS)
        flags = [(flag, it.value) for flag, it in parse_flags(KIND, found.arguments, "")[0]]
        files = [flag for flag, _ in flags if flag in FILES_OF_FLAGS]
        unknowns += [(f"--{flag}", "its flags are in a file that no object has") for flag in files]
        return _with_flags(versions, flags, unknowns, complete=found.complete and not files)
    unknowns.append((KIND, UNREAD))
    return Apiserver(Features(complete=False), decides=ITS_FLAGS)


def started(container: Any) -> tuple[str, str, Launch | None, list[Word]]:
    """Return what a container starts.

    Parameters
    ----------
    container : mapping

    Returns
    -------
    image : str
    kind : str
        The component, or the name of the image.
    found : Launch or None
        None if the command cannot be read.
    line : list of Word

    Raises
    ------
    ValueError
        The container is malformed.

    Examples
    --------
    >>> started({"image": "registry.k8s.io/etcd:3.6.6-0", "command": ["etcd"]})[1]
    'etcd'
    """
    image = text_of(container, "image")
    values = variables(container)
    texts = (*words(container, "command"), *words(container, "args"))
    line = [Word(with_variables(it, values), 1) for it in texts]
    name = image.rpartition("/")[2].partition(":")[0].partition("@")[0]
    if not words(container, "command"):
        line.insert(0, Word(name, 1))
    found = launched(line, values, {})
    if found and any(map(may_be_any_flag, found.arguments)):
        found = replace(found, complete=False)
    return image, found.kind if found else name, found, line


def variables(container: Mapping[str, Any]) -> dict[str, str]:
    """Return the values of a container's variables that its specification has.

    Examples
    --------
    >>> variables({"env": [{"name": "ETCD_NAME", "value": "cp1"}]})
    {'ETCD_NAME': 'cp1'}
    """
    found = (it for it in sequence(container, "env") if "value" in mapping(it))
    return {text_of(it, "name"): text_of(it, "value") for it in found}


def _with_flags(
    versions: tuple[Version, ...],
    flags: list[tuple[str, str]],
    unknowns: list[tuple[str, str]],
    *,
    complete: bool,
) -> Apiserver:
    given = dict(flags)  # of a flag that is there twice, the last counts
    switches = {name: bool_of(given[name]) for name in (ANONYMOUS, TOKENS) if name in given}
    if not complete:
        # of a flag that is there twice, the last counts
        switches = dict.fromkeys(switches)
    for name, value in switches.items():
        if value is None:
            unknowns.append((f"--{name}={given[name]}", "neither true nor false"))
    if complete:
        # as the apiserver has them by default
        switches = {ANONYMOUS: True, TOKENS: False, **switches}
    allows_all, decides = _authorization(flags) if complete else (False, ITS_FLAGS)
    anonymous = None if "authentication-config" in given else switches.get(ANONYMOUS)
    return Apiserver(
        Features(versions, tuple(gates_in(_listed(flags, "feature-gates")).items()), complete),
        # pkg/kubeapiserver/options/authentication.go switches them off beside AlwaysAllow
        False if allows_all else anonymous,
        switches.get(TOKENS),
        frozenset(_listed(flags, "disable-admission-plugins")),
        allows_all,
        decides,
        bool(given.get("admission-control-config-file")),
        _audiences(flags) if complete else None,
    )


def _audiences(flags: list[tuple[str, str]]) -> frozenset[str] | None:
    """Return whose tokens an apiserver takes: by default, those for its issuers."""
    found = frozenset(_listed(flags, "api-audiences"))
    issuers = frozenset(value for flag, value in flags if flag == "service-account-issuer")
    return found or issuers or None


def _authorization(flags: list[tuple[str, str]]) -> tuple[bool, str]:
    """Return whether every caller may do everything, and what decides by rules of its own."""
    if dict(flags).get("authorization-config"):
        return False, "the file of --authorization-config"
    modes = [*_listed(flags, "authorization-mode")] or ["AlwaysAllow"]
    for mode in modes:
        if mode == "AlwaysAllow":
            return True, ""
        if mode not in {*OF_OBJECTS, "ABAC"}:
            # it may deny what a later one allows
            return False, f"the authorizer {mode}"
    others = [mode for mode in modes if mode not in OF_OBJECTS]
    return False, f"the authorizer {others[0]}" if others else ""


def _listed(flags: Iterable[tuple[str, str]], name: str) -> Iterator[str]:
    """Yield the values of a list, which may be given several times."""
    for flag, value in flags:
        if flag == name:
            yield from filter(None, map(str.strip, value.split(",")))


def any_of(values: Iterable[bool | None]) -> bool | None:
    """Return whether one is true; None if one is not known and none is true.

    Examples
    --------
    >>> any_of([False, None]), any_of([None, True]), any_of([False])
    (None, True, False)
    """
    found = set(values)
    return True if True in found else None if None in found else False
