"""Find command lines in static pods, and the components that kubeadm starts without a unit."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath

from labkit.cluster.componentconfig import read_kubelet_config
from labkit.cluster.defaults import DEFAULTS
from labkit.cluster.facts import File, Node
from labkit.cluster.syntax.flags import parse_flags
from labkit.cluster.syntax.source import Setting, Source, Unknown, trying
from labkit.cluster.syntax.systemd import Word, parse_environment
from labkit.cluster.syntax.yamldoc import Document, as_text, read_documents
from labkit.cluster.units import HELPERS, Command
from labkit.errors import ConfigError

__all__ = ["kube_proxy_command", "kube_proxy_files", "kubeadm_kubelet", "static_commands"]

Keys = tuple[str | int, ...]

MANIFESTS = "/etc/kubernetes/manifests"
KUBELET_CONFIG, KUBELET_ENV = "/var/lib/kubelet/config.yaml", "/var/lib/kubelet/kubeadm-flags.env"
KUBELET_CONF = "/etc/kubernetes/kubelet.conf"
VARIABLE = re.compile(r"\$\(([A-Za-z_][A-Za-z0-9_]*)\)")
PROXY_FOLDER = "/var/lib/kube-proxy"


def static_commands(node: Node, unknowns: list[Unknown]) -> Iterator[Command]:
    """Yield the command lines of a machine's static pods.

    Parameters
    ----------
    node : Node
    unknowns : list of Unknown
        The function adds what it does not understand.

    Yields
    ------
    Command

    Raises
    ------
    ConfigError
        A manifest is malformed, unless `unknowns` collects errors.

    References
    ----------
    https://kubernetes.io/docs/tasks/configure-pod-container/static-pod/
    """
    folder = _folder(node)
    for path, file in sorted(node.files.items()):
        pure = PurePosixPath(path)
        if str(pure.parent) != folder or pure.suffix not in {".yaml", ".yml", ".json"}:
            continue
        with trying(unknowns):
            for document in read_documents(file.read_text(), file.source):
                if not isinstance(document.value, dict) or document.get("kind") != "Pod":
                    why = "not a Pod: the kubelet starts nothing"
                    unknowns.append(Unknown(file.source, document.line(), pure.name, why))
                    continue
                yield from _containers(document, pure.stem, unknowns)


def _folder(node: Node) -> str:
    file = node.files.get(KUBELET_CONFIG)
    if file is None:
        return MANIFESTS
    try:
        settings, _ = read_kubelet_config(file.read_text(), file.source)
    except ConfigError:
        # the reader of the kubelet's settings reports what is wrong with the file
        return MANIFESTS
    said = dict(settings).get("staticPodPath")
    return said.value.rstrip("/") if said else MANIFESTS


def _containers(document: Document, stem: str, unknowns: list[Unknown]) -> Iterator[Command]:
    for index, item in enumerate(document.sequence("spec", "containers")):
        at = ("spec", "containers", index)
        if not isinstance(item, dict):
            raise document.broken("expected a container", *at)
        words = [
            Word(as_text(word), document.line(*at, key, position) or 1)
            for key in ("command", "args")
            for position, word in enumerate(document.sequence(*at, key))
        ]
        words = [_with_variables(document, at, word, unknowns) for word in words]
        image = document.text(*at, "image", default="").rpartition("/")[2].partition(":")[0]
        kind = PurePosixPath(words[0].text).name if item.get("command") and words else image
        line = document.line(*at, "command")
        source = Source(document.path, line, f"command: {kind}")
        if kind not in DEFAULTS:
            why = "labkit knows no component of this name"
            if kind in HELPERS:
                why = "labkit does not read what a shell or helper starts"
            unknowns.append(Unknown(document.path, line, f"command: {kind}", why))
            continue
        arguments = words[1:] if item.get("command") else words
        moved = _mounted_folders(document, at)
        user = document.get(*at, "securityContext", "runAsUser")
        user = document.get("spec", "securityContext", "runAsUser") if user is None else user
        yield Command(
            kind=kind,
            name=stem,
            arguments=tuple(_on_node(word, moved) for word in arguments),
            source=source,
            user="root" if user in (None, 0) else as_text(user),
        )


def _with_variables(document: Document, at: Keys, word: Word, unknowns: list[Unknown]) -> Word:
    """Replace ``$(NAME)`` with the container's environment variable, as the kubelet does."""
    values = {}
    for index, item in enumerate(document.sequence(*at, "env")):
        if isinstance(item, dict) and item.get("value") is not None:
            name = document.text(*at, "env", index, "name", default="")
            values[name] = as_text(item["value"])
    for name in VARIABLE.findall(word.text):
        if name not in values:
            why = "its value is known only in the running pod"
            unknowns.append(Unknown(document.path, word.line, f"$({name}) in {word.text}", why))
    return Word(VARIABLE.sub(lambda m: values.get(m[1], m[0]), word.text), word.line, word.text)


def _mounted_folders(document: Document, at: Keys) -> tuple[tuple[str, str], ...]:
    """Return the mounted folders whose path in the container differs from that on the node."""
    paths = {}
    for index, item in enumerate(document.sequence("spec", "volumes")):
        if isinstance(item, dict):
            here = ("spec", "volumes", index)
            name = document.text(*here, "name", default="")
            paths[name] = document.text(*here, "hostPath", "path", default="")
    found = []
    for index, item in enumerate(document.sequence(*at, "volumeMounts")):
        if not isinstance(item, dict):
            continue
        mount: Keys = (*at, "volumeMounts", index)
        inside = document.text(*mount, "mountPath", default="").rstrip("/")
        outside = paths.get(document.text(*mount, "name", default=""), "").rstrip("/")
        if inside and outside and inside != outside:
            found.append((inside, outside))
    return tuple(sorted(found, key=lambda pair: -len(pair[0])))


def _on_node(word: Word, moved: tuple[tuple[str, str], ...]) -> Word:
    name, equals, value = word.text.partition("=")
    for inside, outside in moved:
        if value == inside or value.startswith(f"{inside}/"):
            value = outside + value.removeprefix(inside)
            return Word(f"{name}{equals}{value}", word.line, word.raw or word.text)
    return word


def kubeadm_kubelet(node: Node, unknowns: list[Unknown]) -> Iterator[Command]:
    """Yield the kubelet of a machine without a copied unit, as kubeadm's package starts it.

    Parameters
    ----------
    node : Node
    unknowns : list of Unknown
        The function adds this assumption.

    Yields
    ------
    Command
    """
    given = [path for path in (KUBELET_CONFIG, KUBELET_CONF) if path in node.files]
    if not given:
        return
    source = Source(node.files[given[0]].source, None, "kubelet.service absent", default=True)
    why = "labkit assumes that the kubelet starts as kubeadm's package starts it"
    unknowns.append(Unknown(source.path, None, source.text, why))
    settings: list[tuple[str, Setting]] = []
    if file := node.files.get(KUBELET_ENV):
        with trying(unknowns):
            for value, line in parse_environment(file.read_text(), file.source).values():
                words = [Word(word, line) for word in value.split()]
                flags, _, odd = parse_flags("kubelet", words, file.source)
                settings += flags
                unknowns += odd
    default = Source(source.path, None, "10-kubeadm.conf", default=True)
    settings = [
        ("config", Setting(KUBELET_CONFIG, Source(source.path, None, KUBELET_CONFIG))),
        ("kubeconfig", Setting(KUBELET_CONF, default)),
        *settings,
    ]
    yield Command("kubelet", "kubelet", (), source, "root", tuple(settings))


def kube_proxy_files(documents: Iterable[Document]) -> dict[str, File]:
    """Return the files in the ConfigMap of kubeadm's kube-proxy, by their paths in the pod.

    Empty lines before each text give it the line numbers of the manifest.

    Parameters
    ----------
    documents : iterable of Document

    Returns
    -------
    dict of str to File
    """
    found = {}
    for document in documents:
        for at in _objects(document):
            about = document.get(*at, "kind"), document.get(*at, "metadata", "name")
            data = document.get(*at, "data")
            if about != ("ConfigMap", "kube-proxy") or not isinstance(data, dict):
                continue
            for name in ("config.conf", "kubeconfig.conf"):
                if isinstance(data.get(name), str):
                    line = document.line(*at, "data", name) or 0
                    text = "\n" * line + data[name]
                    path = PurePosixPath(PROXY_FOLDER, name)
                    file = File(Path(path), "manifests", document.path, text.encode())
                    found[str(path)] = file
    return found


def kube_proxy_command(files: Mapping[str, File]) -> Command:
    """Return the command line of kube-proxy in kubeadm's daemon set.

    Parameters
    ----------
    files : mapping of str to File
        As from :func:`kube_proxy_files`.

    Returns
    -------
    Command
    """
    path = f"{PROXY_FOLDER}/config.conf"
    source = Source(files[path].source, None, "ConfigMap kube-proxy")
    setting = Setting(path, source)
    return Command("kube-proxy", "kube-proxy", (), source, "root", (("config", setting),))


def _objects(document: Document) -> Iterator[Keys]:
    if not isinstance(document.value, dict):
        return
    items = document.get("items")
    if isinstance(items, list):
        yield from (("items", n) for n, item in enumerate(items) if isinstance(item, dict))
    else:
        yield ()
