"""Find command lines in static pods, and the components that kubeadm starts without a unit."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath

from labkit.cluster.components import read_components
from labkit.cluster.defaults import ENVIRONMENT_PREFIXES
from labkit.cluster.facts import File, Node
from labkit.cluster.launch import (
    HELPERS,
    POD_VARIABLE,
    launched,
    may_be_any_flag,
    with_variables,
)
from labkit.cluster.syntax.flags import parse_flags
from labkit.cluster.syntax.source import Collected, Setting, Source, Unknown, trying
from labkit.cluster.syntax.systemd import Word, parse_environment
from labkit.cluster.syntax.yamldoc import Document, as_text, read_documents
from labkit.cluster.units import Command, from_environment
from labkit.cluster.versions import version_in_tag

__all__ = [
    "MANIFESTS",
    "kube_proxy_command",
    "kube_proxy_files",
    "kubeadm_kubelet",
    "static_commands",
]

Keys = tuple[str | int, ...]

MANIFESTS = "/etc/kubernetes/manifests"
KUBELET_CONFIG, KUBELET_ENV = "/var/lib/kubelet/config.yaml", "/var/lib/kubelet/kubeadm-flags.env"
KUBELET_CONF = "/etc/kubernetes/kubelet.conf"
#: Where users add flags of their own, as the packages for Debian and for RPM have it.
KUBELET_EXTRA = ("/etc/default/kubelet", "/etc/sysconfig/kubelet")
PROXY_FOLDER = "/var/lib/kube-proxy"


def static_commands(
    node: Node, kubelets: Iterable[Command], unknowns: list[Unknown]
) -> Iterator[Command]:
    """Yield the command lines of a machine's static pods.

    The kubelet runs every file of its folder whose name begins with no dot, whatever its ending
    (pkg/kubelet/config/file.go).

    Parameters
    ----------
    node : Node
    kubelets : iterable of Command
        Those of the machine: their configuration names the folder.
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
    pods: dict[tuple[str, str], str] = {}
    for path, file in _manifests(node, kubelets, unknowns):
        name = PurePosixPath(path).name
        with trying(unknowns):
            for document in read_documents(file.read_text(), file.source):
                if not isinstance(document.value, dict) or document.get("kind") != "Pod":
                    why = "not a Pod: the kubelet starts nothing"
                    unknowns.append(Unknown(file.source, document.line(), name, why))
                    continue
                pod = (
                    document.text("metadata", "namespace", default="default"),
                    document.text("metadata", "name", default=""),
                )
                if pods.setdefault(pod, file.source) != file.source:
                    why = f"the same pod as in {pods[pod]}: which of the two runs is not known"
                    unknowns.append(Unknown(file.source, document.line(), "/".join(pod), why))
                yield from _containers(node, document, PurePosixPath(path).stem, unknowns)


def _manifests(
    node: Node, kubelets: Iterable[Command], unknowns: list[Unknown]
) -> Iterator[tuple[str, File]]:
    """Yield the files that a machine's kubelets run as static pods."""
    found = [it for command in kubelets for it in read_components(node, [command], Collected())]
    for it in found:
        url = it.given("staticPodURL")
        if url and url.value:
            source, why = url.source, f"which pods {node.name} runs from there is not known"
            unknowns.append(Unknown(source.path, source.line, source.text, why))
    settings = [it.setting("staticPodPath") for it in found]
    folders = dict.fromkeys(it.value.rstrip("/") for it in settings if it.value)
    for path, file in sorted(node.files.items()):
        pure = PurePosixPath(path)
        if path in folders:  # a file instead of a folder
            yield path, file
        elif str(pure.parent) in folders or (not folders and str(pure.parent) == MANIFESTS):
            if pure.name.startswith("."):
                continue
            if not folders and settings:
                why = "the kubelet's files name no staticPodPath: whether this runs is not known"
                unknowns.append(Unknown(file.source, None, pure.name, why))
            yield path, file


def _containers(
    node: Node, document: Document, stem: str, unknowns: list[Unknown]
) -> Iterator[Command]:
    for index, item in enumerate(document.sequence("spec", "containers")):
        at = ("spec", "containers", index)
        if not isinstance(item, dict):
            raise document.broken("expected a container", *at)
        values, sources = _variables(document, at)
        words = [
            Word(as_text(word), document.line(*at, key, position) or 1)
            for key in ("command", "args")
            for position, word in enumerate(document.sequence(*at, key))
        ]
        words = [_with_variables(document, values, word, unknowns) for word in words]
        lost = max((n for n, word in enumerate(words) if may_be_any_flag(word)), default=-1)
        image = document.text(*at, "image", default="").rpartition("/")[2]
        line = document.line(*at, "command") or document.line(*at)
        if not item.get("command"):
            words = [Word(image.partition(":")[0].partition("@")[0], line or 1), *words]
        name = PurePosixPath(words[0].text).name if words else ""
        source = Source(document.path, line, f"command: {name}")
        found = launched(words, values, node.files)
        if found is None or not found.complete:
            why = "labkit knows no component of this name"
            if name in HELPERS:
                why = "labkit does not read what a shell or helper starts"
            if found:
                why = f"it starts {found.kind}, but labkit cannot read with which flags"
            unknowns.append(Unknown(document.path, line, source.text, why))
        if found is None:
            continue
        moved = _mounted_folders(document, at)
        after = words[lost + 1 :]
        read = lost >= 0 and bool(after) and list(found.arguments[-len(after) :]) == after
        user = document.get(*at, "securityContext", "runAsUser")
        user = document.get("spec", "securityContext", "runAsUser") if user is None else user
        yield Command(
            kind=found.kind,
            name=stem,
            arguments=tuple(_on_node(word, moved) for word in found.arguments),
            source=source,
            user="root" if user in (None, 0) else as_text(user),
            settings=tuple(
                (flag, _moved_setting(setting, moved))
                for flag, setting in from_environment(found.kind, values, sources)
            ),
            version=version_in_tag(image),
            complete=found.complete
            and lost < 0
            and not _more_variables(document, at, found.kind, unknowns),
            overridden=not found.complete or lost >= 0,
            last=len(after) if read else 0,
        )


def _variables(document: Document, at: Keys) -> tuple[dict[str, str], dict[str, Source]]:
    values: dict[str, str] = {}
    sources: dict[str, Source] = {}
    for index, item in enumerate(document.sequence(*at, "env")):
        if isinstance(item, dict) and item.get("value") is not None:
            here = (*at, "env", index)
            name = document.text(*here, "name", default="")
            values[name] = as_text(item["value"])
            sources[name] = Source(
                document.path, document.line(*here, "value"), f"{name}={values[name]}"
            )
    return values, sources


def _more_variables(document: Document, at: Keys, kind: str, unknowns: list[Unknown]) -> bool:
    """Say whether a component may read flags from variables that the manifest only refers to."""
    prefix = ENVIRONMENT_PREFIXES.get(kind)
    if not prefix:
        return False
    why, more = "its value is known only in the running pod", False
    for index, item in enumerate(document.sequence(*at, "env")):
        name = str(item.get("name", "")) if isinstance(item, dict) else ""
        if name.startswith(prefix) and item.get("value") is None:
            line = document.line(*at, "env", index)
            unknowns.append(Unknown(document.path, line, name, why))
            more = True
    if document.sequence(*at, "envFrom"):
        unknowns.append(Unknown(document.path, document.line(*at, "envFrom"), "envFrom", why))
        more = True
    return more


def _moved_setting(setting: Setting, moved: tuple[tuple[str, str], ...]) -> Setting:
    word = _on_node(Word(f"={setting.value}", 1), moved)
    return Setting(word.text[1:], setting.source)


def _with_variables(
    document: Document, values: Mapping[str, str], word: Word, unknowns: list[Unknown]
) -> Word:
    """Replace ``$(NAME)`` with the container's environment variable, as the kubelet does."""
    for name in POD_VARIABLE.findall(word.text):
        if name not in values:
            why = "its value is known only in the running pod"
            unknowns.append(Unknown(document.path, word.line, f"$({name}) in {word.text}", why))
    return Word(with_variables(word.text, values), word.line, word.text)


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
    variables: dict[str, tuple[str, File, int]] = {}
    for path in (KUBELET_ENV, *KUBELET_EXTRA):
        if file := node.files.get(path):
            with trying(unknowns):
                found = parse_environment(file.read_text(), file.source, unknowns)
                variables |= {name: (value, file, line) for name, (value, line) in found.items()}
    settings: list[tuple[str, Setting]] = []
    for name in ("KUBELET_KUBEADM_ARGS", "KUBELET_EXTRA_ARGS"):
        if name in variables:
            value, file, line = variables[name]
            words = [Word(word, line) for word in value.split()]
            flags, _, odd = parse_flags("kubelet", words, file.source)
            settings += flags
            unknowns += odd
    complete = KUBELET_ENV in node.files
    if not complete or not any(path in node.files for path in KUBELET_EXTRA):
        why = f"its flags are in {KUBELET_ENV} and in {' or '.join(KUBELET_EXTRA)}: not all copied"
        unknowns.append(Unknown(source.path, None, source.text, why))
    default = Source(source.path, None, "10-kubeadm.conf", default=True)
    settings = [
        ("config", Setting(KUBELET_CONFIG, Source(source.path, None, KUBELET_CONFIG))),
        ("kubeconfig", Setting(KUBELET_CONF, default)),
        *settings,
    ]
    yield Command(
        "kubelet",
        "kubelet",
        (),
        source,
        "root",
        tuple(settings),
        complete=complete,
        overridden=not complete,
    )


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
