"""Find the components' command lines in the systemd units of a machine."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from labkit.cluster.defaults import DEFAULTS, ENVIRONMENT_PREFIXES
from labkit.cluster.facts import Node, Socket
from labkit.cluster.syntax.source import Setting, Source, Unknown, broken, trying
from labkit.cluster.syntax.systemd import (
    Unit,
    Word,
    expand,
    merge,
    parse_environment,
    parse_unit,
    specifiers,
    split,
)

__all__ = ["HELPERS", "Command", "read_units", "unit_commands"]

UNIT_FOLDERS = (
    "/etc/systemd/system",
    "/run/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
)
# The lab writes into it the values that differ between the machines of a role
NODE_ENVIRONMENT = "/etc/labkit/node.env"
PREFIXES = "@-:+!|"
#: What a service without ExecStart= has (systemd's src/core/service.c, service_verify).
WITHOUT_START = (("Service", "ExecStop"), ("Unit", "SuccessAction"))
HELPERS = frozenset({"sh", "bash", "dash", "env", "nice", "sudo", "chrt", "taskset", "systemd-run"})


@dataclass(frozen=True, slots=True)
class Command:
    """A component's command line.

    Attributes
    ----------
    kind : str
        The component, for example "etcd".
    name : str
        Distinguishes two components of one kind.
    arguments : tuple of Word
    source : Source
    user : str
        The account.
    settings : tuple of (str, Setting)
        The flags that environment variables set.
    sockets : tuple of Socket
    """

    kind: str
    name: str
    arguments: tuple[Word, ...]
    source: Source
    user: str
    settings: tuple[tuple[str, Setting], ...] = ()
    sockets: tuple[Socket, ...] = ()


def read_units(node: Node, unknowns: list[Unknown]) -> dict[str, Unit]:
    """Read the service and socket units of a machine, with their drop-ins.

    Parameters
    ----------
    node : Node
    unknowns : list of Unknown
        Takes errors if it collects them.

    Returns
    -------
    dict of str to Unit

    Raises
    ------
    ConfigError
        A unit is malformed, unless `unknowns` collects errors.
    """
    units: dict[str, Unit] = {}
    for folder in UNIT_FOLDERS:
        for path in sorted(node.files):
            pure = PurePosixPath(path)
            if str(pure.parent) != folder or pure.suffix not in {".service", ".socket"}:
                continue
            if pure.name in units:
                continue
            file = node.files[path]
            with trying(unknowns):
                text = file.read_text()
                parts = [parse_unit(text, file.source)]
                # an empty unit file masks the unit, whatever its drop-ins say
                for extra in _drop_ins(node, pure.name) if text.strip() else ():
                    drop = node.files[extra]
                    with trying(unknowns):
                        parts.append(parse_unit(drop.read_text(), drop.source))
                units[pure.name] = merge(pure.name, file.source, parts)
    return units


def _drop_ins(node: Node, name: str) -> list[str]:
    """Return the drop-ins of a unit, sorted by name; the first folder wins."""
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
    """Return the variables of a service; an environment file wins over the unit."""
    values: dict[str, str] = {}
    sources: dict[str, Source] = {}
    for item in unit.all("Service", "Environment"):
        for word in split(item):
            text, _ = specifiers(word.text, unit.name, node.name)
            key, equals, value = text.partition("=")
            if not equals:
                raise broken(item.path, word.line, f"Environment={word.text}: not VARIABLE=value")
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
    """Return the component that a service starts, its arguments and its source."""
    item = unit.last("Service", "ExecStart")
    if item is None:
        if not any(unit.all(*other) for other in WITHOUT_START):
            what = f"{unit.name} has no ExecStart=: systemd refuses it"
            raise broken(unit.path, None, what, "write ExecStart=, or remove the unit")
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
    why = "labkit knows no component of this name"
    if kind in HELPERS:
        why = "labkit does not read what a shell or helper starts"
    unknowns.append(Unknown(item.path, line, f"ExecStart={executable}", why))
    return None


def unit_commands(node: Node, unknowns: list[Unknown]) -> Iterator[Command]:
    """Yield the command lines of the components that a machine's services start.

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
        A unit is malformed, unless `unknowns` collects errors.
    """
    units = read_units(node, unknowns)
    for name, unit in sorted(units.items()):
        if not name.endswith(".service") or not unit.assignments:
            continue
        if "@." in name:
            unknowns.append(Unknown(unit.path, None, name, "a template: its instances are unknown"))
            continue
        with trying(unknowns):
            command = _command(node, unit, unknowns)
            if command is None:
                continue
            kind, arguments, source = command
            user = unit.last("Service", "User")
            values, sources = _environment(node, unit, unknowns)
            stem = name.removesuffix(".service")
            yield Command(
                kind=kind,
                name=stem,
                arguments=tuple(arguments),
                source=source,
                user=user.value if user else "root",
                settings=tuple(_from_environment(kind, values, sources)),
                sockets=tuple(_sockets(node, units, stem)),
            )


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


def _sockets(node: Node, units: Mapping[str, Unit], stem: str) -> Iterable[Socket]:
    """Yield the addresses on which the .socket units of a service listen."""
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
                mode.source.path, mode.source.line, f"{mode.source.text}: not an octal mode", "0660"
            )
        for item in unit.all("Socket", "ListenStream"):
            text, _ = specifiers(item.value, name, node.name)
            address = Setting(text, Source(item.path, item.line, f"ListenStream={item.value}"))
            yield Socket(
                address, mode, setting("SocketUser", "root"), setting("SocketGroup", "root")
            )
