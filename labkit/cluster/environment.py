"""Read an environment's folder into facts."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from labkit.cluster.accounts import (
    Group,
    Permission,
    UserAccount,
    read_sysusers,
    read_tmpfiles,
)
from labkit.cluster.certificates import Pki, read_pki
from labkit.cluster.cloud_keys import read_cloud_keys
from labkit.cluster.components import read_components
from labkit.cluster.copied.machine_files import (
    certificates_of,
    personal_kubeconfigs,
    rbac_of,
    read_apiserver_files,
)
from labkit.cluster.credentials import read_credentials
from labkit.cluster.docker_client import read_docker_clients
from labkit.cluster.edits import NEW_FILE, PLAN, Edit
from labkit.cluster.facts import Component, Environment, File, Node
from labkit.cluster.left_out import without_files
from labkit.cluster.policies import read_etcd_auth
from labkit.cluster.startable import obstacles, refuse_unstartable
from labkit.cluster.syntax.disk import (
    files_below,
    inside,
    is_file,
    leaves,
    printable,
    read_bytes,
)
from labkit.cluster.syntax.source import Source, Unknown, broken, decode
from labkit.cluster.syntax.yamldoc import Document, read_one
from labkit.cluster.topology import Topology, extended, read_topology, whole_of
from labkit.cluster.units import unit_commands
from labkit.errors import ConfigError
from labkit.resources import environments_dir

__all__ = ["read_environment"]

KEYS = frozenset({"name", "description", "extends", "topology", "bootstrap_kubeconfig"})
#: Valid as a label of Kubernetes, and as the name of a container:
#: https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/
NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?")
# Folders beside the roles' without files of a machine
#: The folders whose files add to each other: objects, and plans of keys beside pki.yaml.
MANIFESTS, MORE_KEYS = "manifests", "pki.d"
OTHER_FOLDERS = frozenset({MANIFESTS, MORE_KEYS})
PKI = "pki.yaml"
PLANS = (PKI, "etcd-auth.yaml")


def read_environment(folder: Path | str, edits: Iterable[Edit] = ()) -> Environment:
    """Read the facts of one cluster's configuration.

    Parameters
    ----------
    folder : path or str
        The environment's folder, or the name of one of the kit's environments.
    edits : iterable of Edit
        Changes of its files, in this order; no file on disk changes.

    Returns
    -------
    Environment
        Its ``unknowns`` list what labkit did not understand.

    Raises
    ------
    ConfigError
        A file is missing or malformed, or contradicts another.

    Examples
    --------
    >>> environment = read_environment("insecure")
    >>> [node.name for node in environment.nodes][:3]
    ['etcd1', 'etcd2', 'etcd3']
    """
    path = _find(folder)
    edits = tuple(edits)
    base = path.parent
    unknowns: list[Unknown] = []
    main = _text(path / "environment.yaml", base, "every environment has one")
    document = read_one(main, _shown(path / "environment.yaml", base))
    unknowns += document.unknown_keys(KEYS, "not a key of an environment")
    layers = _layers(path, base, ())
    topology = _topology(*_given("topology", layers, base, "topology.yaml"), base)
    unknowns += topology.unknowns
    roles = dict(topology.roles)
    for layer in layers:
        unknowns += _unknown_folders(layer, base, frozenset(roles))
    for edit in edits:
        if edit.role not in roles and edit.role != PLAN:
            raise ConfigError(
                f"cannot change files of {edit.role}: no such role",
                hint=f"choose one of: {', '.join(roles)}",
            )
    nodes = _nodes(topology, layers, base, unknowns, edits)
    plan = without_files(_plan(layers, base, edits), topology)

    components: list[Component] = []
    for node in nodes:
        components += read_components(node, unit_commands(node, unknowns), unknowns)
    pki = Pki()
    for name in [PKI, *(it for it in plan if it.startswith(f"{MORE_KEYS}/"))]:
        if file := plan.get(name):
            pki = read_pki(file.read_text(), file.source, pki)
    unknowns += pki.unknowns
    certificates = certificates_of(nodes, unknowns)
    named = read_apiserver_files(nodes, components, unknowns)
    webhooks = named.webhook_configs
    kubeconfigs = tuple(personal_kubeconfigs(nodes, components, webhooks, unknowns))
    clients = [item.kubeconfig for item in components if item.kubeconfig]
    configs = [*clients, *webhooks, *kubeconfigs]
    credentials = read_credentials(nodes, pki, certificates, configs, components, named.tokens)
    manifests = tuple(file for name, file in plan.items() if name.startswith(MANIFESTS))
    auth_file = plan.get("etcd-auth.yaml")
    auth = read_etcd_auth(auth_file.read_text(), auth_file.source) if auth_file else None
    absent = Source(_shown(path / "etcd-auth.yaml", base), None, "etcd-auth.yaml absent", True)
    env = Environment(
        name=_name(document, path.name),
        description=document.text("description", default=""),
        folder=path,
        layers=layers,
        roles=roles,
        nodes=nodes,
        components=tuple(components),
        credentials=credentials,
        pki=pki,
        certificate_files=tuple(item for read in certificates.values() for item in read),
        kubeconfigs=kubeconfigs,
        docker_clients=tuple(item for node in nodes for item in read_docker_clients(node)),
        apiserver_files=named,
        cloud_keys=read_cloud_keys(nodes, components, unknowns),
        rbac=rbac_of(manifests, unknowns),
        etcd_auth=auth,
        etcd_auth_source=auth.source if auth else absent,
        manifests=manifests,
        secrets=topology.secrets,
        bootstrap_kubeconfig=_given("bootstrap_kubeconfig", layers, base, "")[1],
        unknowns=tuple(dict.fromkeys(unknowns)),
        edits=edits,
    )
    refuse_unstartable(env)
    return replace(env, unknowns=(*env.unknowns, *obstacles(env)))


def _name(document: Document, folder: str) -> str:
    """Return an environment's name, with which its labs are labelled and named."""
    given = "name" in document.mapping()
    found = document.get("name") if given else folder
    if not isinstance(found, str) or not NAME.fullmatch(found):
        hint = "use up to 63 letters, digits, '-', '_' and '.', as in name: my-cluster"
        line = document.line("name") if given else None
        what = "name" if given else "no name is given, so the folder's name counts"
        raise broken(document.path, line, f"{what}: {found!r} cannot name an environment", hint)
    return found


def _find(folder: Path | str) -> Path:
    path = Path(folder)
    if not path.is_dir() and isinstance(folder, str) and len(path.parts) == 1:
        path = environments_dir() / folder
    if not path.is_dir():
        known: list[str] = []
        if len(Path(folder).parts) == 1:
            known = sorted(p.parent.name for p in environments_dir().glob("*/environment.yaml"))
        hint = f"one of {', '.join(known)}, or a folder" if known else "give the folder's path"
        raise ConfigError(f"no environment at {folder}", hint=hint)
    return path.resolve()


def _given(key: str, layers: tuple[Path, ...], base: Path, default: str) -> tuple[Path, str]:
    """Return a key of the environment, or else of the last one of those that it extends."""
    for layer in reversed(layers):
        file = layer / "environment.yaml"
        if is_file(file, _shown(file, base), layer):
            document = read_one(_text(file, base, "chmod +r"), _shown(file, base))
            if document.get(key) is not None:
                return layer, document.text(key)
    return layers[-1], default


def _topology(layer: Path, name: str, base: Path) -> Topology:
    where = _shown(layer, base)
    hint = f"name the file of nodes as topology in {where}/environment.yaml"
    return _topology_of(layer / name, base, hint, ())


def _topology_of(path: Path, base: Path, hint: str, parts: tuple[Path, ...]) -> Topology:
    """Read a topology file, and those that it extends; `parts` are the files that extend it."""
    text, shown = _text(path, base, hint), _shown(path, base)
    whole = whole_of(text, shown)
    if not whole:
        return read_topology(text, shown)
    if path.resolve() in parts:
        raise ConfigError(f"{shown} extends itself", hint="name another topology file as extends")
    hint = f"name another topology file as extends in {shown}"
    read = _topology_of(path.parent / whole, base, hint, (*parts, path.resolve()))
    return extended(text, shown, read)


def _shown(path: Path, base: Path) -> str:
    return Path(os.path.relpath(path, base)).as_posix()


def _text(path: Path, base: Path, hint: str) -> str:
    """Return the text of a file that stands beside the environment, or is one of the kit's."""
    if not any(inside(path, folder) for folder in (base, environments_dir())):
        raise leaves(_shown(path, base))
    return decode(read_bytes(path, _shown(path, base), hint=hint), _shown(path, base))


def _layers(path: Path, base: Path, seen: tuple[Path, ...]) -> tuple[Path, ...]:
    """Return an environment's layers; the environments that it extends come first."""
    if path in seen:
        raise ConfigError(f"{_shown(path, base)}: extends itself", hint="break the circle")
    file = path / "environment.yaml"
    result: list[Path] = []
    if is_file(file, _shown(file, base), path):
        document = read_one(_text(file, base, "chmod +r"), _shown(file, base))
        for name in document.words("extends"):
            other = Path(os.path.realpath(path / name))
            if not other.is_dir():
                raise document.broken(f"extends {name!r}: no such folder", "extends")
            if not any(inside(other, folder) for folder in (base, environments_dir())):
                what = f"extends {name!r}: not a folder beside the environment, nor the kit's"
                raise document.broken(what, "extends")
            result += _layers(other, base, (*seen, path))
    return tuple(dict.fromkeys([*result, path]))


def _unknown_folders(layer: Path, base: Path, roles: frozenset[str]) -> Iterable[Unknown]:
    """Report folders that are not a role's, because a misspelt one would be lost silently."""
    for folder in sorted(layer.iterdir()):
        if folder.is_dir() and folder.name not in roles | OTHER_FOLDERS:
            why = "no role of the topology has this name: its files are on no machine"
            yield Unknown(printable(_shown(folder, base)), None, printable(folder.name), why)


def _files(folder: Path, layer: Path, base: Path) -> dict[str, Path]:
    """Return the files below a folder of a layer, by their paths in it; refuse odd ones.

    The lab copies them to machines, so each must be a file, and none may be a link out of the
    layer.
    """
    if os.path.lexists(folder) and not inside(folder, layer):
        raise leaves(_shown(folder, base))
    files = {}
    for found in files_below(folder):
        if found.problem:
            shown = f"{_shown(folder, base)}/{found.name}".rstrip("/")
            raise broken(shown, None, found.problem, f"replace {shown} with a file")
        files[found.name] = found.path
    return dict(sorted(files.items()))


def _plan(layers: tuple[Path, ...], base: Path, edits: tuple[Edit, ...]) -> dict[str, File]:
    """Return the files that are on no machine; a later layer's file wins."""
    files: dict[str, File] = {}
    for layer in layers:
        places = {name: layer / name for name in PLANS}
        for folder in (MANIFESTS, MORE_KEYS):
            for name, path in _files(layer / folder, layer, base).items():
                if "/" not in name and path.suffix in {".yaml", ".yml", ".json"}:
                    places[f"{folder}/{name}"] = path
        for name, path in places.items():
            if is_file(path, _shown(path, base), layer):
                files[name] = File(path, layer.name, _shown(path, base))
    return dict(sorted(_edited(files, PLAN, edits).items()))


def _edited(files: dict[str, File], role: str, edits: tuple[Edit, ...]) -> dict[str, File]:
    """Return a role's files after the edits."""
    result = dict(files)
    for edit in edits:
        if edit.role != role:
            continue
        old = result.get(edit.path)
        text = edit.apply(old.read_text() if old else None)
        if text is None:
            result.pop(edit.path, None)
        else:
            new = File(Path(edit.path), "edits", f"{NEW_FILE}{role}/{edit.path.lstrip('/')}")
            result[edit.path] = replace(old or new, changed=text.encode())
    return result


def _nodes(
    topology: Topology,
    layers: tuple[Path, ...],
    base: Path,
    unknowns: list[Unknown],
    edits: tuple[Edit, ...],
) -> tuple[Node, ...]:
    files: dict[str, dict[str, File]] = {}
    zones = dict(topology.roles)
    for role in zones:
        files[role] = {}
        for layer in layers:
            for name, path in _files(layer / role, layer, base).items():
                files[role][f"/{name}"] = File(path, layer.name, _shown(path, base))
        files[role] = without_files(_edited(files[role], role, edits), topology)
    nodes = []
    for machine in topology.machines:
        accounts: list[UserAccount] = []
        groups: list[Group] = []
        permissions: list[Permission] = []
        for name, file in sorted(files[machine.role].items()):
            if not name.endswith(".conf"):
                continue
            if "/sysusers.d/" in name:
                some, more, odd = read_sysusers(file.read_text(), file.source)
                accounts += some
                groups += more
                unknowns += odd
            elif "/tmpfiles.d/" in name:  # noqa: S108
                lines, odd = read_tmpfiles(file.read_text(), file.source)
                permissions += lines
                unknowns += odd
        nodes.append(
            Node(
                name=machine.name,
                role=machine.role,
                zone=zones[machine.role],
                host=machine.host,
                address=machine.address,
                files=files[machine.role],
                accounts=tuple(accounts),
                groups=tuple(groups),
                permissions=tuple(permissions),
                image=topology.images.get(machine.role, ""),
            )
        )
    return tuple(nodes)
