"""The fingerprint of a lab: its whole state, without what changes by itself.

It is taken when the lab comes up, and kept on the master. What a lab differs in later is named
machine by machine. ``labkit.agents.fingerprint`` and ``labkit.agents.etcd_keys`` say what is left
out, by rules.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeAlias

from docker.models.containers import Container

from labkit import agents
from labkit.agents._services import destinations, name_of
from labkit.agents.health import FINGERPRINT
from labkit.cluster import Environment
from labkit.errors import CommandFailed, LabError
from labkit.lab import bootstrap
from labkit.lab.machine import call, execute

__all__ = [
    "KEPT",
    "Difference",
    "Fingerprint",
    "differences",
    "keep_fingerprint",
    "kept_fingerprint",
    "take_fingerprint",
    "take_machines",
]

#: By machine (or "etcd", "objects"), section and item.
Fingerprint: TypeAlias = dict[str, dict[str, dict[str, str]]]
#: The fingerprint of a lab on its master; it is written at the end of the start.
KEPT = f"/{FINGERPRINT}"
#: Sections in which a missing item is no difference: units and pods say what must run.
ONLY_NEW = ("processes",)
#: The item that stands for a whole section; its value is the reason.
UNREAD = "cannot be read"
#: Annotations and labels that a component writes by itself.
OWN_MARKS = (
    "node.alpha.kubernetes.io/ttl",
    "volumes.kubernetes.io/controller-managed-attach-detach",
)
#: Taints that the node lifecycle controller sets and takes away by itself: of the taints that it
#: knows only "unschedulable" is set by people (Kubernetes, "Taints and Tolerations").
OWN_TAINT = re.compile(
    r"node\.kubernetes\.io/(not-ready|unreachable|network-unavailable|\w+-pressure)"
)
#: What can be changed of a pod that runs, beside images and resources of its containers, which may
#: have become more (Kubernetes, "Pods", "Pod update and replacement").
CHANGEABLE = ("activeDeadlineSeconds", "terminationGracePeriodSeconds", "tolerations")
CONTAINERS = ("initContainers", "containers", "ephemeralContainers")


def take_fingerprint(machines: Mapping[str, Container], env: Environment) -> Fingerprint:
    """Read the state of a lab.

    Parameters
    ----------
    machines : mapping of str to docker.models.containers.Container
        The running machines by name.
    env : Environment
        The environment of the lab.

    Returns
    -------
    dict
        Values by machine, section and item; "etcd" and "objects" stand beside the machines.

    Raises
    ------
    LabkitError
        A machine, etcd or the apiserver does not answer.
    """
    etcd = machines[next(node.name for node in env.nodes if node.role == "etcd")]
    master = machines[next(node.name for node in env.nodes if node.role == "master")]
    with ThreadPoolExecutor(max_workers=len(env.nodes) + 2) as pool:
        shared = {"etcd": pool.submit(_etcd, etcd), "objects": pool.submit(_objects, master, env)}
        own = {node.name: pool.submit(_machine, machines[node.name]) for node in env.nodes}
        return {name: future.result() for name, future in (own | shared).items()}


def take_machines(machines: Mapping[str, Container]) -> Fingerprint:
    """Read the state of machines, without etcd's keys and the objects of the API.

    Parameters
    ----------
    machines : mapping of str to docker.models.containers.Container
        The running machines by name.

    Returns
    -------
    dict
        As :func:`take_fingerprint` returns it.

    Raises
    ------
    LabkitError
        A machine does not answer.
    """
    with ThreadPoolExecutor(max_workers=len(machines)) as pool:
        return dict(zip(machines, pool.map(_machine, machines.values()), strict=True))


def keep_fingerprint(machines: Mapping[str, Container], env: Environment) -> None:
    """Write the fingerprint of a new lab to its master.

    Parameters
    ----------
    machines : mapping of str to docker.models.containers.Container
        The running machines by name.
    env : Environment
        The environment of the lab.

    Raises
    ------
    LabkitError
        A machine, etcd or the apiserver does not answer, or the Secrets cannot be read.
    """
    master = machines[next(node.name for node in env.nodes if node.role == "master")]
    found = take_fingerprint(machines, env)
    if reason := found["objects"]["Secret"].get(UNREAD):
        raise LabError("the apiserver does not show the Secrets", evidence=[reason])
    text = json.dumps(found)
    # a process that is killed here leaves no part of a fingerprint
    execute(master, agents.argv("replace_file", KEPT), stdin=text.encode())


def kept_fingerprint(master: Container) -> Fingerprint:
    """Return the fingerprint that a lab had when it came up.

    Parameters
    ----------
    master : docker.models.containers.Container
        The lab's master.

    Returns
    -------
    dict

    Raises
    ------
    LabError
        The lab has no fingerprint.
    """
    try:
        # the engine would take ten times as long to copy it out of the machine
        found: Fingerprint = json.loads(execute(master, ["cat", KEPT]).stdout)
    except CommandFailed as error:
        raise LabError(
            "this lab has no fingerprint: it came up with an older version of labkit",
            hint="labkit down, then labkit up",
        ) from error
    return found


@dataclass(frozen=True, slots=True)
class Difference:
    """An item of a lab's state that is not as it was.

    Attributes
    ----------
    place : str
        The machine, "etcd" or "objects".
    section, item : str
    was, now : str or None
        None if there is no such item.

    Examples
    --------
    >>> print(Difference("attacker", "files", "/tmp", "1777", "0777"))
    attacker: files: /tmp is 0777, was 1777
    """

    place: str
    section: str
    item: str
    was: str | None
    now: str | None

    def __str__(self) -> str:
        where = f"{self.place}: {self.section}: {self.item}"
        if self.item == UNREAD:
            return f"{where}: {self.now}"
        if self.was is None:
            return f"{where} is new"
        return f"{where} is gone" if self.now is None else f"{where} is {self.now}, was {self.was}"


def differences(before: Fingerprint, after: Fingerprint) -> list[Difference]:
    """Return what two fingerprints differ in.

    Parameters
    ----------
    before, after : dict
        The results of :func:`take_fingerprint`. Places that the second one does not have are left
        out.

    Returns
    -------
    list of Difference
        Sorted by their text.

    Examples
    --------
    >>> old = {"attacker": {"processes": {}, "files": {"/tmp": "1777"}}}
    >>> new = {"attacker": {"processes": {"etcd": "runs"}, "files": {"/tmp": "0777"}}}
    >>> list(map(str, differences(old, new)))
    ['attacker: files: /tmp is 0777, was 1777', 'attacker: processes: etcd is new']
    """
    first, second = _flat(before), _flat(after)
    unread = {key[:2]: reason for key, reason in second.items() if key[2] == UNREAD}
    found = [Difference(*where, UNREAD, None, reason) for where, reason in unread.items()]
    for key in first.keys() | second.keys():
        place, section, _ = key
        was, now = first.get(key), second.get(key)
        stays_away = now is None and (section in ONLY_NEW or place not in after)
        if was != now and not stays_away and (place, section) not in unread:
            found.append(Difference(*key, was, now))
    return sorted(found, key=str)


def _flat(fingerprint: Fingerprint) -> dict[tuple[str, str, str], str]:
    return {
        (place, section, item): value
        for place, sections in fingerprint.items()
        for section, items in sections.items()
        for item, value in items.items()
    }


def _machine(machine: Container) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = json.loads(call(machine, "fingerprint", timeout=60))
    return found


def _etcd(etcd: Container) -> dict[str, dict[str, str]]:
    listing = ("member", "list", "--write-out=json")
    with ThreadPoolExecutor(max_workers=3) as pool:
        hashes = pool.submit(call, etcd, "etcd_keys", "hash", timeout=60)
        members = pool.submit(bootstrap.etcdctl, etcd, *listing)
        users = pool.submit(bootstrap.etcd_users, etcd)
    return {
        "keys": json.loads(hashes.result()),
        "members": {
            " ".join(it["peerURLs"]): "a learner" if it.get("isLearner") else it.get("name", "")
            for it in json.loads(members.result().stdout)["members"]
        },
        "users": users.result(),
    }


def _objects(master: Container, env: Environment) -> dict[str, dict[str, str]]:
    """Return what a person may set of nodes, pods and secrets, and what each service leads to."""
    argv = agents.argv("objects", env.bootstrap_kubeconfig, "nodes,pods,endpointslices")
    with ThreadPoolExecutor(max_workers=2) as pool:
        secrets = pool.submit(_secrets, master, env)
        items = json.loads(execute(master, argv, timeout=60).stdout)
    found: dict[str, dict[str, str]] = {"Node": {}, "Pod": {}}
    for item in items:
        if item["kind"] in found:
            found[item["kind"]][name_of(item)] = set_by_people(item)
    return {**found, "Secret": secrets.result(), "services": destinations(items)}


def _secrets(master: Container, env: Environment) -> dict[str, str]:
    argv = agents.argv("secret_hashes", env.bootstrap_kubeconfig)
    answer = execute(master, argv, timeout=60, check=False)
    if answer.exit_code:  # one Secret that the apiserver cannot decrypt is enough
        return {UNREAD: answer.error.strip().rpartition("\n")[2]}
    found: dict[str, str] = json.loads(answer.stdout)
    return found


def set_by_people(item: dict[str, Any]) -> str:
    """Return what a person may set of a node or pod, without what the cluster sets by itself."""
    about, spec = item["metadata"], item["spec"]
    marks = {**about.get("labels", {}), **about.get("annotations", {})}
    taints = [it for it in spec.get("taints") or () if not OWN_TAINT.fullmatch(it["key"])]
    containers = [it for kind in CONTAINERS for it in spec.get(kind) or ()]
    said = {
        "marks": {key: value for key, value in marks.items() if key not in OWN_MARKS},
        "taints": taints,
        "node": spec.get("nodeName"),
        "images": [it["image"] for it in containers],
        "resources": [it.get("resources") or {} for it in containers],
        **{key: spec[key] for key in CHANGEABLE if key in spec},
        **{key: about[key] for key in ("finalizers", "ownerReferences") if key in about},
    }
    return json.dumps(said, sort_keys=True)
