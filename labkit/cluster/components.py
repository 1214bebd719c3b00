"""Which components run on a machine, from its systemd units."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import PurePosixPath

from labkit.cluster.componentconfig import (
    Settings,
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
    KUBELET_FLAG_DEFAULTS,
    KUBELET_FLAGS,
)
from labkit.cluster.facts import Component, Node, Socket
from labkit.cluster.flags import parse_flags
from labkit.cluster.kubeconfig import read_kubeconfig
from labkit.cluster.source import Setting, Source, Unknown, broken
from labkit.cluster.systemd import (
    Unit,
    Word,
    expand,
    merge,
    parse_environment,
    parse_unit,
    specifiers,
    split,
)

__all__ = ["read_components", "read_units"]

UNIT_FOLDERS = ("/etc/systemd/system", "/run/systemd/system", "/usr/lib/systemd/system")
# Where the lab writes what differs between the machines of a role
NODE_ENVIRONMENT = "/etc/labkit/node.env"
PREFIXES = "@-:+!|"
HELPERS = frozenset({"sh", "bash", "dash", "env", "nice", "sudo", "chrt", "taskset", "systemd-run"})


def read_units(node: Node) -> dict[str, Unit]:
    """Read the service and socket units of a machine, drop-ins included."""
    units: dict[str, Unit] = {}
    for folder in UNIT_FOLDERS:
        for path in sorted(node.files):
            pure = PurePosixPath(path)
            if str(pure.parent) != folder or pure.suffix not in {".service", ".socket"}:
                continue
            if pure.name in units:
                continue
            file = node.files[path]
            text = file.read_text()
            parts = [parse_unit(text, file.source)]
            # an empty unit file masks the unit, whatever its drop-ins say
            for extra in _drop_ins(node, pure.name) if text.strip() else ():
                parts.append(parse_unit(node.files[extra].read_text(), node.files[extra].source))
            units[pure.name] = merge(pure.name, file.source, parts)
    return units


def _drop_ins(node: Node, name: str) -> list[str]:
    """Return the drop-ins of a unit: by name, and of two with one name the first folder's."""
    stem, _, suffix = name.rpartition(".")
    pieces = stem.split("-")
    folders = [suffix, *("-".join(pieces[:n]) + f"-.{suffix}" for n in range(1, len(pieces))), name]
    found: dict[str, str] = {}
    for drop in reversed(folders):
        for base in UNIT_FOLDERS:
            start = f"{base}/{drop}.d/"
            for path in node.files:
                if (
                    path.startswith(start)
                    and path.endswith(".conf")
                    and "/" not in path[len(start) :]
                ):
                    found.setdefault(path[len(start) :], path)
    return [found[key] for key in sorted(found)]


def _environment(
    node: Node, unit: Unit, unknowns: list[Unknown]
) -> tuple[dict[str, str], dict[str, Source]]:
    """Return the variables of a service; a file's win over the unit's own."""
    values: dict[str, str] = {}
    sources: dict[str, Source] = {}
    for item in unit.all("Service", "Environment"):
        for word in split(item):
            text, _ = specifiers(word.text, unit.name, node.name)
            key, equals, value = text.partition("=")
            if not equals:
                raise broken(item.path, word.line, f"Environment={word.text}: no VARIABLE=value")
            values[key] = value
            sources[key] = Source(item.path, word.line, word.raw)
    for item in unit.all("Service", "EnvironmentFile"):
        path, _ = specifiers(item.value.lstrip("-"), unit.name, node.name)
        if path in node.files:
            file = node.files[path]
            for key, (value, line) in parse_environment(file.read_text(), file.source).items():
                values[key] = value
                sources[key] = Source(file.source, line, f"{key}={value}")
        elif path == NODE_ENVIRONMENT:
            values.update({"NODE": node.name, "NODE_IP": node.name})
        elif not item.value.startswith("-"):
            text = f"EnvironmentFile={item.value}"
            unknowns.append(Unknown(item.path, item.line, text, f"not among {node.name}'s files"))
    return values, sources


def _command(
    node: Node, unit: Unit, unknowns: list[Unknown]
) -> tuple[str, list[Word], Source] | None:
    """Return the component that a service starts, its arguments and where that stands."""
    item = unit.last("Service", "ExecStart")
    if item is None:
        return None
    environment, _ = _environment(node, unit, [])
    words, missing = expand(split(item), unit.name, node.name, environment)
    for word, name in missing:
        why = "not set in any file of this machine"
        unknowns.append(Unknown(item.path, word.line, f"{name} in {word.raw or word.text}", why))
    if not words:
        raise broken(item.path, item.line, "ExecStart= without a command")
    executable = words[0].text.lstrip(PREFIXES)
    kind = PurePosixPath(executable).name
    arguments = words[1:]
    if words[0].text.startswith("@"):
        arguments = words[2:]
    line = words[0].line
    if kind == "kubectl" and any(word.text == "proxy" for word in arguments[:3]):
        kind = "kubectl-proxy"
        arguments = [word for word in arguments if word.text != "proxy"]
        return kind, arguments, Source(item.path, line, f"ExecStart={executable} proxy")
    if kind in DEFAULTS:
        return kind, arguments, Source(item.path, line, f"ExecStart={executable}")
    why = "runs no component that labkit knows"
    if kind in HELPERS:
        why = "what a shell or helper starts is not read"
    unknowns.append(Unknown(item.path, line, f"ExecStart={executable}", why))
    return None


def read_components(node: Node) -> tuple[list[Component], list[Unknown]]:
    """Read the components of a machine from its units and their configuration files.

    Raises
    ------
    ConfigError
        A unit or a configuration file that it names cannot be understood.
    """
    units = read_units(node)
    components: list[Component] = []
    unknowns: list[Unknown] = []
    for name, unit in sorted(units.items()):
        if not name.endswith(".service") or not unit.assignments:
            continue
        if "@." in name:
            unknowns.append(Unknown(unit.path, None, name, "a template: its instances are unknown"))
            continue
        command = _command(node, unit, unknowns)
        if command is None:
            continue
        kind, arguments, source = command
        flags, rest, odd = parse_flags(kind, arguments, source.path)
        unknowns += odd
        for word in rest:
            if not (kind == "containerd" and word.text == "config"):
                why = f"no flag; what {kind} makes of it is not known"
                unknowns.append(Unknown(source.path, word.line, word.text, why))
        user = unit.last("Service", "User")
        values, sources = _environment(node, unit, unknowns)
        flags = [*_from_environment(kind, values, sources), *flags]
        taken = {component.id for component in components}
        stem = name.removesuffix(".service")
        component_id = f"{kind}@{node.name}"
        if component_id in taken:
            component_id = f"{kind}.{stem}@{node.name}"
        component = Component(
            id=component_id,
            kind=kind,
            node=node.name,
            zone=node.zone,
            user=user.value if user else "root",
            source=source,
            settings=_group(flags),
            defaults=DEFAULTS[kind],
            sockets=tuple(_sockets(node, units, stem)),
        )
        component = _with_files(node, component, unknowns)
        components.append(_with_kubeconfig(node, component, unknowns))
    return components, unknowns


def _from_environment(
    kind: str, values: Mapping[str, str], sources: Mapping[str, Source]
) -> Iterable[tuple[str, Setting]]:
    prefix = ENVIRONMENT_PREFIXES.get(kind)
    if prefix:
        for key, source in sources.items():
            if key.startswith(prefix):
                yield (
                    key.removeprefix(prefix).lower().replace("_", "-"),
                    Setting(values[key], source),
                )


def _group(settings: Iterable[tuple[str, Setting]]) -> dict[str, tuple[Setting, ...]]:
    result: dict[str, tuple[Setting, ...]] = {}
    for name, setting in settings:
        result[name] = (*result.get(name, ()), setting)
    return result


def _sockets(node: Node, units: Mapping[str, Unit], stem: str) -> Iterable[Socket]:
    """Yield what the .socket units of a service listen on."""
    for name, unit in sorted(units.items()):
        service = unit.last("Socket", "Service")
        owner = service.value if service else name.removesuffix(".socket") + ".service"
        if not name.endswith(".socket") or owner != f"{stem}.service":
            continue

        def setting(key: str, default: str, unit: Unit = unit) -> Setting:
            item = unit.last("Socket", key)
            if item is None:
                return Setting(default, Source(unit.path, None, f"{key}= absent", default=True))
            return Setting(item.value, Source(item.path, item.line, f"{key}={item.value}"))

        mode = setting("SocketMode", "0666")
        if not mode.value or set(mode.value) - set("01234567"):
            raise broken(
                mode.source.path, mode.source.line, f"{mode.source.text}: no octal mode", "0660"
            )
        for item in unit.all("Socket", "ListenStream"):
            text, _ = specifiers(item.value, name, node.name)
            address = Setting(text, Source(item.path, item.line, f"ListenStream={item.value}"))
            yield Socket(
                address, mode, setting("SocketUser", "root"), setting("SocketGroup", "root")
            )


def _file(node: Node, component: Component, name: str) -> tuple[str, str] | None:
    """Return text and name of the file that a flag names; it must be there if given."""
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
    """Add what the component's configuration file says."""
    kind, odd = component.kind, list[Unknown]()
    name = {"etcd": "config-file", "dockerd": "config-file"}.get(kind, "config")
    if kind == "kubelet":
        return _kubelet(node, component, unknowns)
    if kind not in {"kube-proxy", "kube-scheduler", "etcd", "dockerd", "containerd"}:
        return component
    found = _file(node, component, name)
    if found is None:
        return component
    settings: Settings
    if kind == "kube-proxy":
        settings, odd = read_kube_proxy_config(*found)
    elif kind == "kube-scheduler":
        settings, odd = read_scheduler_config(*found)
    elif kind == "etcd":
        # with --config-file etcd ignores all other flags (etcdmain/config.go)
        settings = read_etcd_config(*found)
        component = replace(component, settings={name: component.settings[name]})
    elif kind == "dockerd":
        settings = read_docker_config(*found)
        for key in sorted({key for key, _ in settings} & set(component.settings)):
            why = "both a flag and in the configuration file: dockerd refuses to start"
            unknowns.append(Unknown(found[1], None, key, why))
    else:
        settings = read_containerd_config(*found)
    unknowns += odd
    merged = _group([*settings, *((k, s) for k, many in component.settings.items() for s in many)])
    config = found[1] if kind in {"kube-proxy", "containerd"} else ""
    return replace(component, settings=merged, config=config)


def _kubelet(node: Node, component: Component, unknowns: list[Unknown]) -> Component:
    """Read a kubelet's configuration: the file, its drop-ins, then flags, which win."""
    settings: Settings = []
    found = _file(node, component, "config")
    if found:
        settings, odd = read_kubelet_config(*found)
        unknowns += odd
    folder = component.setting("config-dir").value.rstrip("/") + "/"
    for path in sorted(node.files):
        if len(folder) > 1 and path.startswith(folder) and path.endswith(".conf"):
            more, odd = read_kubelet_config(node.files[path].read_text(), node.files[path].source)
            settings += more
            unknowns += odd
    for flag, many in component.settings.items():
        settings += [(KUBELET_FLAGS.get(flag, flag), setting) for setting in many]
    defaults = dict(component.defaults)
    if not found:
        defaults |= KUBELET_FLAG_DEFAULTS
    return replace(
        component,
        settings=_group(settings),
        defaults=defaults,
        config=found[1] if found else "",
    )


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
        # made by the kubelet itself, with the bootstrap credential
        bootstrap = component.given("bootstrap-kubeconfig")
        setting = bootstrap or setting
    source = setting.source
    if not setting.value or (source.default and setting.value not in node.files):
        why = "no kubeconfig: whom it calls, and as whom, is not known"
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
