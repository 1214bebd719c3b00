"""The parts of a pod's specification that matter to an attacker inside the pod."""

from __future__ import annotations

import marshal
import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import lru_cache
from hashlib import blake2b
from types import MappingProxyType
from typing import Any

from labkit.cluster.objects.contents import credentials_in
from labkit.cluster.objects.facts import Container, HostPath, PodSpec, StoredSecret
from labkit.cluster.syntax.values import at, mapping, sequence, text_of, truth

__all__ = ["account_of", "clean_path", "owner_of", "spec_of"]

TOKEN_PATH = "/run/secrets/kubernetes.io/serviceaccount"  # noqa: S105 - a path
#: The ConfigMaps with certificates of authorities that are in every namespace.
OF_EVERY_NAMESPACE = frozenset({"kube-root-ca.crt", "openshift-service-ca.crt"})
LOOPBACK = frozenset({"127.0.0.1", "::1"})
LISTS = ("containers", "initContainers", "ephemeralContainers")
DIGITS = re.compile(r"-[0-9]+\Z")
#: What is read of a specification: the pods of a workload have it in common.
READ = (
    *(*LISTS, "volumes", "securityContext", "hostPID", "hostNetwork", "hostUsers"),
    "automountServiceAccountToken",
)
#: The volume that the apiserver adds to each pod, by a name of its own. Before a name, marshal
#: writes its length.
OWN_VOLUME = re.compile(rb"\x15kube-api-access-[a-z0-9]{5}")
OWN_VOLUMES = b"\x15kube-api-access-....."


@lru_cache(maxsize=4096)
def clean_path(path: str) -> str:
    """Return a path of a node in its normal form; ``/var/run`` is a link to ``/run``.

    Parameters
    ----------
    path : str

    Returns
    -------
    str

    Examples
    --------
    >>> clean_path("/var/run/../run//docker.sock"), clean_path("/")
    ('/run/docker.sock', '/')
    """
    found = posixpath.normpath("/" + path.lstrip("/"))
    if found == "/var/run" or found.startswith("/var/run/"):
        found = found.removeprefix("/var")
    return found


def account_of(spec: Mapping[str, Any]) -> str:
    """Return the service account of a pod, also by the old name of the field.

    pkg/apis/core/v1/conversion.go: the old name counts where the new one is absent.

    Examples
    --------
    >>> account_of({"serviceAccount": "web"}), account_of({})
    ('web', 'default')
    """
    found = text_of(spec, "serviceAccountName") or text_of(spec, "serviceAccount")
    return found or "default"


def owner_of(pod: Mapping[str, Any], node: str) -> tuple[str, str]:
    """Return kind and name of the object that made a pod: its deployment, not its replica set.

    Parameters
    ----------
    pod : mapping
        The object.
    node : str
        The pod's node; a static pod's name ends with it.

    Returns
    -------
    kind : str
        Empty if it has no owner.
    name : str
        The pod's own name if it has no owner.

    Raises
    ------
    ValueError
        The object is malformed.

    Examples
    --------
    >>> owner_of({"metadata": {"name": "web-5d9c7-x2x7k", "labels": {"pod-template-hash": "5d9c7"},
    ...     "ownerReferences": [{"kind": "ReplicaSet", "name": "web-5d9c7"}]}}, "worker1")
    ('Deployment', 'web')
    """
    name = text_of(pod, "metadata", "name")
    for owner in sequence(pod, "metadata", "ownerReferences"):
        kind, made_by = text_of(owner, "kind"), text_of(owner, "name")
        if kind == "ReplicaSet":
            template = text_of(pod, "metadata", "labels", "pod-template-hash")
            if template:
                return "Deployment", made_by.removesuffix(f"-{template}")
        if kind == "Job":
            schedule = DIGITS.sub("", made_by)
            return ("CronJob" if schedule != made_by else kind), schedule
        if kind == "Node":
            return kind, name.removesuffix(f"-{node}")
        return kind, made_by
    return "", name


def spec_of(
    pod: Mapping[str, Any],
    automount: bool | None,
    claimed: Mapping[str, HostPath] = MappingProxyType({}),
    equal: dict[tuple[bytes, bool, bool | None], PodSpec] | None = None,
) -> PodSpec:
    """Return the parts of a pod's specification that matter to an attacker inside it.

    Parameters
    ----------
    pod : mapping
        The object. If the pod runs, its volumes show whether it has a token, because the apiserver
        added them. For a manifest, labkit decides as the apiserver would.
    automount : bool or None
        ``automountServiceAccountToken`` of its service account.
    claimed : mapping of str to HostPath
        What is behind its claims, by the names of its volumes.
    equal : dict, optional
        The results so far: most pods of a cluster have many equals, so each is read once.

    Returns
    -------
    PodSpec

    Raises
    ------
    ValueError
        The object is malformed.

    References
    ----------
    https://kubernetes.io/docs/tasks/configure-pod-container/configure-service-account/

    Examples
    --------
    >>> spec_of({"spec": {"containers": [{"name": "web"}]}}, None).token
    True
    """
    spec, runs = mapping(pod, "spec"), at(pod, "metadata", "uid") is not None
    if claimed or equal is None or (key := _key(spec)) is None:
        return _read(spec, runs, automount, claimed)
    if (key, runs, automount) not in equal:
        equal[key, runs, automount] = _read(spec, runs, automount, {})
    return equal[key, runs, automount]


def _key(spec: Mapping[str, Any]) -> bytes | None:
    """Return a digest that is the same for specifications that are the same to :func:`_read`.

    None for one that cannot be written: YAML has values that JSON does not have.
    """
    try:
        text = marshal.dumps({key: spec[key] for key in READ if key in spec})
    except ValueError:
        return None
    if len({*OWN_VOLUME.findall(text)}) == 1:
        text = OWN_VOLUME.sub(OWN_VOLUMES, text)
    return blake2b(text, digest_size=16).digest()


def _read(
    spec: Mapping[str, Any],
    runs: bool,
    automount: bool | None,
    claimed: Mapping[str, HostPath],
) -> PodSpec:
    volumes = {text_of(item, "name"): item for item in sequence(spec, "volumes")}
    containers: list[Container] = []
    secrets: dict[str, None] = {}
    configs: dict[str, None] = {}
    holds: dict[StoredSecret, None] = {}
    token = False
    audiences: dict[str, None] = {}
    ports: dict[int, None] = {}
    for name in LISTS:
        for item in sequence(spec, name):
            ports.update(dict.fromkeys(_host_ports(item)))
            found = _container(spec, item, volumes, claimed)
            if found is not None:
                containers.append(found)
            for mount in sequence(item, "volumeMounts"):
                volume = volumes.get(text_of(mount, "name"))
                if volume is not None and "projected" in volume:
                    for audience in _audiences(volume):
                        if audience:
                            audiences[audience] = None
                        else:
                            token = True
                token = token or _is_token(mount, volume)
                _note_volume(volume, secrets, configs)
            _note_environment(item, secrets, configs)
            holds.update(dict.fromkeys(_in_plain_sight(_literals(item))))
    if not token and not runs:
        said = truth(spec, "automountServiceAccountToken")
        token = (automount if said is None else said) is not False
    return PodSpec(
        host_pid=bool(truth(spec, "hostPID")),
        host_network=bool(truth(spec, "hostNetwork")),
        host_users=truth(spec, "hostUsers") is not False,
        token=token,
        audiences=tuple(sorted(audiences)) if audiences else (),
        containers=tuple(containers),
        secrets=tuple(secrets),
        configs=tuple(configs),
        holds=tuple(holds),
        host_ports=tuple(ports),
        listens=_listens(spec) if truth(spec, "hostNetwork") else False,
    )


def _container(
    spec: Mapping[str, Any],
    item: Any,
    volumes: Mapping[str, Any],
    claimed: Mapping[str, HostPath],
) -> Container | None:
    security = mapping(item, "securityContext")
    of_pod = mapping(spec, "securityContext")
    added = tuple(sorted(_capabilities(security, "add")))
    windows = {**mapping(of_pod, "windowsOptions"), **mapping(security, "windowsOptions")}
    root = _root(of_pod, security)
    mounted = list(_host_paths(item, volumes))
    if claimed:
        mounted += _claimed_paths(item, claimed)
    paths = tuple(sorted(mounted, key=lambda path: path.path))
    found = Container(
        name=text_of(item, "name"),
        privileged=bool(truth(security, "privileged")),
        host_process=bool(truth(windows, "hostProcess")),
        root=root,
        capabilities=added,
        host_paths=paths,
        groups=_groups(of_pod, security) if paths and not root else (),
        no_new_privileges=bool(added)
        and not root
        and truth(security, "allowPrivilegeEscalation") is False,
    )
    near = found.privileged or found.host_process or added or found.host_paths
    return found if near or truth(spec, "hostPID") else None


def _listens(spec: Mapping[str, Any]) -> bool | None:
    """Say whether a container in the network of its node makes packets by hand.

    containerd gives NET_RAW by default, CRI-O does not. An ordinary user needs a program that is
    setuid, or whose file has the capability.
    """
    found: bool | None = False
    for name in LISTS:
        for item in sequence(spec, name):
            security = mapping(item, "securityContext")
            added = _capabilities(security, "add")
            if truth(security, "privileged") or not added.isdisjoint(("ALL", "NET_RAW")):
                return True
            dropped = not _capabilities(security, "drop").isdisjoint(("ALL", "NET_RAW"))
            stays = truth(security, "allowPrivilegeEscalation") is False
            if not dropped and (_root(mapping(spec, "securityContext"), security) or not stays):
                found = None
    return found


def _capabilities(security: Mapping[str, Any], key: str) -> set[str]:
    names = (text_of({"": it}, "") for it in sequence(security, "capabilities", key))
    return {name.upper().removeprefix("CAP_") for name in names}


def _root(of_pod: Mapping[str, Any], of_container: Mapping[str, Any]) -> bool:
    """Say whether a container may run as root; if the object is silent, the image decides."""
    user = of_container.get("runAsUser", of_pod.get("runAsUser"))
    if user is not None:
        return bool(user == 0)
    other = of_container.get("runAsNonRoot", of_pod.get("runAsNonRoot"))
    return other is not True


def _groups(of_pod: Mapping[str, Any], of_container: Mapping[str, Any]) -> tuple[int, ...]:
    """Return the groups of a container; without runAsGroup, its main one is 0 or the image's."""
    main = of_container.get("runAsGroup", of_pod.get("runAsGroup"))
    named = [*sequence(of_pod, "supplementalGroups"), of_pod.get("fsGroup")]
    found = (it for it in (*named, 0 if main is None else main) if isinstance(it, int))
    return tuple(dict.fromkeys(found))


def _host_ports(item: Any) -> Iterator[int]:
    """Yield the ports of the node that lead to a container from other machines."""
    for port in sequence(item, "ports"):
        number = at(port, "hostPort")
        if isinstance(number, int) and number and text_of(port, "hostIP") not in LOOPBACK:
            yield number


def _is_token(mount: Any, volume: Any) -> bool:
    """Say whether a secret stands where clients look for their service account's token.

    Before Kubernetes 1.21, the apiserver mounted the token's secret there.
    """
    if not text_of(volume, "secret", "secretName"):
        return False
    return clean_path(text_of(mount, "mountPath")) == TOKEN_PATH


def _host_paths(item: Any, volumes: Mapping[str, Any]) -> Iterator[HostPath]:
    for mount in sequence(item, "volumeMounts"):
        path = text_of(volumes.get(text_of(mount, "name")), "hostPath", "path")
        if path:
            inside = text_of(mount, "subPath")
            yield HostPath(clean_path(f"{path}/{inside}"), bool(truth(mount, "readOnly")))


def _claimed_paths(item: Any, claimed: Mapping[str, HostPath]) -> Iterator[HostPath]:
    for mount in (*sequence(item, "volumeMounts"), *sequence(item, "volumeDevices")):
        found = claimed.get(text_of(mount, "name"))
        if found is not None:
            inside = text_of(mount, "subPath")
            path = clean_path(f"{found.path}/{inside}") if found.path else ""
            yield replace(found, path=path, read_only=bool(truth(mount, "readOnly")))


def _audiences(volume: Any) -> Iterator[str]:
    """Yield the audiences of a volume's tokens; without one, a token is for the apiserver."""
    for source in sequence(volume, "projected", "sources"):
        token = at(source, "serviceAccountToken")
        if token is not None:
            yield text_of(token, "audience")


def _note_volume(volume: Any, secrets: dict[str, None], configs: dict[str, None]) -> None:
    """Note the secrets and the ConfigMaps that are in a volume."""
    if name := text_of(volume, "secret", "secretName"):
        secrets[name] = None
    if name := text_of(volume, "configMap", "name"):
        configs[name] = None
    for source in sequence(volume, "projected", "sources"):
        if name := text_of(source, "secret", "name"):
            secrets[name] = None
        if (name := text_of(source, "configMap", "name")) and name not in OF_EVERY_NAMESPACE:
            configs[name] = None


def _literals(item: Any) -> Iterator[tuple[str, str]]:
    """Return the variables of a container that have a value, and its command, by their names."""
    for variable in sequence(item, "env"):
        if value := text_of(variable, "value"):
            yield text_of(variable, "name"), value
    for key in ("command", "args"):
        if words := sequence(item, key):
            yield key, "\n".join(word for word in words if isinstance(word, str))


def _in_plain_sight(texts: Iterable[tuple[str, str]]) -> tuple[StoredSecret, ...]:
    """Return the credentials among the literals of a container."""
    joined: dict[str, str] = {}
    for name, text in texts:  # who reads the pod reads each, also of two variables of one name
        joined[name] = f"{joined[name]}\n{text}" if name in joined else text
    return credentials_in(joined)


def _note_environment(item: Any, secrets: dict[str, None], configs: dict[str, None]) -> None:
    """Note the secrets and the ConfigMaps that are in the environment of a container."""
    for source in sequence(item, "envFrom"):
        if name := text_of(source, "secretRef", "name"):
            secrets[name] = None
        if name := text_of(source, "configMapRef", "name"):
            configs[name] = None
    for variable in sequence(item, "env"):
        source = at(variable, "valueFrom")
        if name := text_of(source, "secretKeyRef", "name"):
            secrets[name] = None
        if name := text_of(source, "configMapKeyRef", "name"):
            configs[name] = None
