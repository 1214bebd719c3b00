"""Read the components of a machine from command lines and configuration files."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from fnmatch import fnmatchcase

from labkit.cluster.componentconfig import (
    Settings,
    read_canaille_config,
    read_containerd_config,
    read_docker_config,
    read_etcd_config,
    read_kube_proxy_config,
    read_kubelet_config,
    read_scheduler_config,
)
from labkit.cluster.defaults import (
    DEFAULTS,
    ENVIRONMENT_PREFIXES,
    FILES_OF_FLAGS,
    KUBELET_FLAG_DEFAULTS,
    KUBELET_FLAGS,
    PROXY_FLAGS,
)
from labkit.cluster.facts import Component, Node
from labkit.cluster.journal_config import CONFIGS, read_journal_config
from labkit.cluster.known_flags import known_flags
from labkit.cluster.kubeconfig import read_kubeconfig
from labkit.cluster.prometheus import read_scrapes, read_web_config
from labkit.cluster.stunnel import read_tunnels
from labkit.cluster.syntax.flags import parse_flags
from labkit.cluster.syntax.source import Collected, Setting, Source, Unknown, broken, trying
from labkit.cluster.units import Command, is_left_out

__all__ = ["read_components"]

#: Keys of a kubelet's configuration that name files
#: (pkg/kubelet/apis/config/helpers.go, KubeletConfigurationPathRefs).
KUBELET_PATHS = frozenset(
    ["authentication.x509.clientCAFile", "staticPodPath", "tlsCertFile", "tlsPrivateKeyFile"]
)
#: Words of a command line that are no flags: what the program is to do.
COMMANDS = frozenset({("containerd", "config"), ("canaille", "run"), ("opa", "run")})
#: Programs whose arguments name files that they serve or evaluate.
TAKES_FILES = frozenset({"opa", "stunnel"})
#: The types of flags of which the last counts, and not all.
ONE_VALUE = frozenset({"bool", "duration", "float", "int", "int32", "string", "uint"})


def read_components(
    node: Node, commands: Iterable[Command], unknowns: list[Unknown]
) -> list[Component]:
    """Read the components of a machine from their command lines and configuration files.

    Parameters
    ----------
    node : Node
    commands : iterable of Command
    unknowns : list of Unknown
        The function adds what it does not understand.

    Returns
    -------
    list of Component

    Raises
    ------
    ConfigError
        A configuration file is malformed, unless `unknowns` collects errors.
    """
    components: list[Component] = []
    for command in commands:
        with trying(unknowns):
            components.append(_component(node, command, components, unknowns))
    return components


def _component(
    node: Node, command: Command, others: Iterable[Component], unknowns: list[Unknown]
) -> Component:
    kind, source = command.kind, command.source
    flags, rest, odd = parse_flags(kind, command.arguments, source.path)
    unknowns += odd
    for word in rest:
        files = kind in TAKES_FILES and word.text.startswith("/")
        if (kind, word.text) not in COMMANDS and not files:
            why = f"not a flag; labkit does not know how {kind} treats it"
            unknowns.append(Unknown(source.path, word.line, word.text, why))
    if kind == "stunnel":
        flags = [("config", Setting(it.text, Source(source.path, it.line, it.text))) for it in rest]
    if kind == "kube-proxy":
        flags = [(PROXY_FLAGS.get(name, name), setting) for name, setting in flags]
    if any(name in FILES_OF_FLAGS for name, _ in flags):
        # labkit does not read the file, whose flags come first
        command = replace(command, complete=False)
    component_id = f"{kind}@{node.name}"
    if component_id in {other.id for other in others}:
        component_id = f"{kind}.{command.name}@{node.name}"
    component = Component(
        id=component_id,
        kind=kind,
        node=node.name,
        zone=node.zone,
        user=command.user,
        source=source,
        settings=_group(_absolute(node, command.folder, [*command.settings, *flags])),
        defaults=DEFAULTS[kind],
        sockets=command.sockets,
        complete=command.complete,
        version=command.version,
        doubtful=_overridden(command, flags),
    )
    read = None
    with trying(unknowns):
        read = _with_files(node, component, unknowns)
    component = read or replace(_beside_a_file(component), complete=False)
    if kind == "dockerd":
        component = replace(component, settings=_with_hosts(component.settings))
    client = None
    with trying(unknowns):
        client = _with_kubeconfig(node, component, unknowns)
    return client or component


def _overridden(command: Command, flags: Iterable[tuple[str, Setting]]) -> frozenset[str]:
    """Return the settings that flags or variables may override which were not read.

    Of a flag that is there twice, the last counts; a list is that of all (pflag's Set).
    """
    kind, found = command.kind, set[str]()
    if kind in ENVIRONMENT_PREFIXES and not command.complete:
        found = {name for name, _ in command.settings}
    if command.overridden:
        names = {*(name for name, _ in flags), *(name for name, _ in command.settings)}
        last = command.arguments[len(command.arguments) - command.last :]
        table = known_flags(kind)
        sure = {
            PROXY_FLAGS.get(name, name) if kind == "kube-proxy" else name
            for name, _ in parse_flags(kind, last, "")[0]
            if name in table and table[name].type in ONE_VALUE
        }
        found |= names - sure
        if kind == "kubelet":
            found = {KUBELET_FLAGS.get(name, name) for name in found}
            found |= set(KUBELET_FLAGS.values()) - {KUBELET_FLAGS.get(it, it) for it in sure}
    return frozenset(found)


def _absolute(
    node: Node, folder: str, settings: Iterable[tuple[str, Setting]]
) -> Iterator[tuple[str, Setting]]:
    """Yield settings; a relative path of a file of the machine starts in a folder."""
    for name, setting in settings:
        path = posixpath.normpath(posixpath.join(folder, setting.value))
        relative = setting.value and not setting.value.startswith("/")
        if relative and path in node.files:
            setting = replace(setting, value=path)
        yield name, setting


def _group(settings: Iterable[tuple[str, Setting]]) -> dict[str, tuple[Setting, ...]]:
    result: dict[str, tuple[Setting, ...]] = {}
    for name, setting in settings:
        result[name] = (*result.get(name, ()), setting)
    return result


def _file(node: Node, component: Component, name: str) -> tuple[str, str] | None:
    """Return content and name of the file that a flag names; a file that is named must exist."""
    setting = component.setting(name)
    file = node.files.get(setting.value)
    if file is not None:
        return file.read_text(), file.source
    if setting.value and not setting.source.default:
        raise broken(
            setting.source.path,
            setting.source.line,
            f"{setting.source.text}: {node.name} has no such file",
            f"add {setting.value} to the files of {node.name}, or correct the path",
        )
    return None


def _with_files(node: Node, component: Component, unknowns: list[Unknown]) -> Component:
    """Add the settings of the component's configuration file."""
    kind, odd = component.kind, list[Unknown]()
    name = {"etcd": "config-file", "dockerd": "config-file"}.get(kind, "config")
    if kind == "kubelet":
        return _kubelet(node, component, unknowns)
    if kind in CONFIGS:
        return _journal(node, component, unknowns)
    if kind == "prometheus":
        return _prometheus(node, component, unknowns)
    if kind == "stunnel":
        return _stunnel(node, component, unknowns)
    if kind not in {"kube-proxy", "kube-scheduler", "etcd", "dockerd", "containerd", "canaille"}:
        return component
    found = _file(node, component, name)
    if found is None:
        setting, copied = component.setting(name), isinstance(unknowns, Collected)
        if not setting.value or not is_left_out(node, setting.value, copied=copied):
            return component
        why = f"whether {node.name} has it is not known: no file of its folder was copied"
        unknowns.append(Unknown(component.source.path, None, setting.value, why))
        return replace(component, complete=False)
    settings: Settings
    if kind == "kube-proxy":
        settings, odd = read_kube_proxy_config(*found)
    elif kind == "kube-scheduler":
        settings, odd = read_scheduler_config(*found)
    elif kind == "etcd":
        settings, odd = read_etcd_config(*found)
    elif kind == "canaille":
        settings = read_canaille_config(*found)
    elif kind == "dockerd":
        settings = read_docker_config(*found)
        for key in sorted({key for key, _ in settings} & set(component.settings)):
            why = "both a flag and in the configuration file: dockerd refuses to start"
            unknowns.append(Unknown(found[1], None, key, why))
    else:
        settings, lost = _containerd_settings(node, component, found, unknowns)
        if lost:
            component = replace(
                component,
                complete=False,
                doubtful=component.doubtful | {key for key, _ in settings},
            )
    unknowns += odd
    component = _beside_a_file(component)
    merged = _group([*settings, *((k, s) for k, many in component.settings.items() for s in many)])
    config = found[1] if kind in {"kube-proxy", "containerd"} else ""
    return replace(component, settings=merged, config=config)


def _journal(node: Node, component: Component, unknowns: list[Unknown]) -> Component:
    """Add the settings of journal-upload.conf or journal-remote.conf; an option wins."""
    settings, found = read_journal_config(node, component.kind, unknowns)
    merged = _group([*settings, *_given(component)])
    if not found:
        name = f"/etc/systemd/{CONFIGS[component.kind][0]}"
        why = f"not among {node.name}'s files: what it sets is unknown"
        unknowns.append(Unknown(component.source.path, component.source.line, name, why))
    return replace(component, settings=merged, complete=component.complete and found)


def _stunnel(node: Node, component: Component, unknowns: list[Unknown]) -> Component:
    """Report the services of stunnel that cannot be read; the model reads the others."""
    if found := _file(node, component, "config"):
        _, odd = read_tunnels(*found)
        unknowns += odd
    else:
        place, source = component.setting("config").value, component.source
        why = f"not among {node.name}'s files: where it listens is unknown"
        unknowns.append(Unknown(source.path, source.line, place, why))
    return component


def _prometheus(node: Node, component: Component, unknowns: list[Unknown]) -> Component:
    """Add the settings of Prometheus' web configuration; report targets that cannot be read."""
    if found := _file(node, component, "config.file"):
        _, odd = read_scrapes(*found)
        unknowns += odd
    else:
        place = component.setting("config.file")
        why = f"not among {node.name}'s files: what it scrapes is unknown"
        unknowns.append(Unknown(component.source.path, component.source.line, place.value, why))
    web = _file(node, component, "web.config.file")
    if web is None:
        return component
    return replace(component, settings=_group([*_given(component), *read_web_config(*web)]))


def _given(component: Component) -> list[tuple[str, Setting]]:
    """Return the settings of a command line, one by one."""
    return [(key, it) for key, many in component.settings.items() for it in many]


def _containerd_settings(
    node: Node, component: Component, file: tuple[str, str], unknowns: list[Unknown]
) -> tuple[Settings, bool]:
    """Return the settings of a file and of those that it imports; the later ones win.

    The second value says that an import may be missing. A pattern without a file imports nothing
    (containerd's cmd/containerd/server/config).
    """
    settings, lost = read_containerd_config(*file), False
    home = posixpath.dirname(component.setting("config").value)
    read = {component.setting("config").value}
    waiting = [it for key, it in settings if key == "imports"]
    while waiting:
        pattern = waiting.pop(0)
        path = posixpath.normpath(posixpath.join(home, pattern.value))
        found = sorted(it for it in node.files if fnmatchcase(it, path))
        source, why = pattern.source, f"not among {node.name}'s files"
        if not found and (
            not set(path) & set("*?[")
            or is_left_out(node, path, copied=isinstance(unknowns, Collected))
        ):
            unknowns.append(Unknown(source.path, source.line, source.text, why))
            lost = True
        for name in found:
            if name not in read:
                read.add(name)
                more = read_containerd_config(node.files[name].read_text(), node.files[name].source)
                settings += more
                waiting += [it for key, it in more if key == "imports"]
    return [(key, it) for key, it in settings if key != "imports"], lost


def _with_hosts(settings: Mapping[str, tuple[Setting, ...]]) -> dict[str, tuple[Setting, ...]]:
    """Return settings of dockerd with its addresses as URLs (docker's opts/hosts.go)."""
    found = dict(settings)
    if "host" in found:
        found["host"] = tuple(replace(it, value=_docker_url(it.value)) for it in found["host"])
    return found


def _docker_url(text: str) -> str:
    scheme, separator, rest = text.strip().rpartition("://")
    if not separator and rest:
        scheme, separator = "tcp", "://"
    if scheme == "tcp" and (not rest or rest.startswith(":")):
        rest = f"localhost{rest}"
    return f"{scheme}{separator}{rest}"


def _beside_a_file(component: Component) -> Component:
    """Return a component without the flags that it ignores beside its configuration file."""
    kept = dict(component.settings)
    if component.kind == "etcd" and "config-file" in kept:
        # etcd then ignores all other flags, and its variables (etcdmain/config.go)
        kept = {"config-file": kept["config-file"]}
    elif component.kind == "kube-proxy":
        kept = {name: many for name, many in kept.items() if name not in PROXY_FLAGS.values()}
    return replace(component, settings=kept)


def _kubelet(node: Node, component: Component, unknowns: list[Unknown]) -> Component:
    """Read a kubelet's configuration: the file, its drop-ins, then the flags, which win."""
    settings: Settings = []
    found, complete = None, False
    with trying(unknowns):
        found = _file(node, component, "config")
        if found:
            settings, odd = read_kubelet_config(*found)
            unknowns += odd
        complete = True
    drop_ins = component.setting("config-dir")
    folder = drop_ins.value.rstrip("/") + "/"
    named = [path for path in sorted(node.files) if len(folder) > 1 and path.startswith(folder)]
    for path in named:
        if path.endswith(".conf"):
            more, odd = read_kubelet_config(node.files[path].read_text(), node.files[path].source)
            settings += more
            unknowns += odd
    given = {KUBELET_FLAGS.get(name, name) for name in component.settings}
    doubtful = component.doubtful & {*(key for key, _ in settings), *given}
    if len(folder) > 1 and not named:
        # the kubelet wants the folder, and copied files do not show an empty one
        complete = False
        doubtful |= frozenset(key for key, _ in settings) - given
        why = f"nothing of this folder is among {node.name}'s files"
        place = drop_ins.source
        unknowns.append(Unknown(place.path, place.line, place.text, why))
    if found:
        # the kubelet resolves the paths in its file from the file's folder
        home = posixpath.dirname(component.setting("config").value)
        settings = [
            (key, _from_folder(home, setting) if key in KUBELET_PATHS else setting)
            for key, setting in settings
        ]
    for flag, many in component.settings.items():
        settings += [(KUBELET_FLAGS.get(flag, flag), setting) for setting in many]
    defaults = dict(component.defaults)
    if complete and not found:
        defaults |= KUBELET_FLAG_DEFAULTS
    return replace(
        component,
        settings=_group(settings),
        defaults=defaults,
        config=found[1] if found else "",
        complete=complete and component.complete,
        doubtful=doubtful,
    )


def _from_folder(folder: str, setting: Setting) -> Setting:
    path = posixpath.normpath(posixpath.join(folder, setting.value))
    return replace(setting, value=path) if setting.value else setting


def _with_kubeconfig(node: Node, component: Component, unknowns: list[Unknown]) -> Component:
    """Add the kubeconfig that a client of the apiserver uses."""
    kind = component.kind
    setting = component.setting("kubeconfig")
    if kind in {"kube-proxy", "kube-scheduler"} and component.given("clientConnection.kubeconfig"):
        setting = component.setting("clientConnection.kubeconfig")
    if kind not in {
        "kubelet",
        "kube-proxy",
        "kube-scheduler",
        "kube-controller-manager",
        "kubectl-proxy",
    }:
        return component
    if kind == "kubectl-proxy" and not setting.value:
        home = "/root" if component.user == "root" else f"/home/{component.user}"
        setting = Setting(f"{home}/.kube/config", setting.source)
    if kind == "kubelet" and setting.value and setting.value not in node.files:
        # the kubelet itself makes this file, with the bootstrap credential
        bootstrap = component.given("bootstrap-kubeconfig")
        setting = bootstrap or setting
    source = setting.source
    if not setting.value or (source.default and setting.value not in node.files):
        why = "no kubeconfig: its server and its identity are not known"
        unknowns.append(Unknown(source.path, source.line, source.text, why))
        return component
    file = node.files.get(setting.value)
    if file is None:
        raise broken(
            source.path,
            source.line,
            f"{source.text}: {node.name} has no file {setting.value}",
            f"add {setting.value} to the files of {node.name}, or correct the path",
        )
    config = read_kubeconfig(
        file.read_text(), file.source, machine_path=setting.value, node=node.name
    )
    unknowns += config.unknowns
    master = component.given("master")
    if master and master.value:
        config = replace(config, server=master)
    return replace(component, kubeconfig=config)
