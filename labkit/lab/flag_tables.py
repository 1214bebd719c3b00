"""Write the tables of known flags from the help of the node image's own programs.

``make flags`` runs this module after a component of the image has changed its version. Each
program prints its help in a container of the image without a network. The help hides most
deprecated flags; they are kept from the previous table if the program still accepts them.

The tables of configuration keys are written by hand. :func:`unknown_to` checks them: the programs
decode their configuration strictly, and report the keys that they do not know.
"""

from __future__ import annotations

import json
import re
import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from docker.models.containers import Container

from labkit.cluster import known_flags, known_keys
from labkit.cluster.known_flags import KnownFlag
from labkit.errors import LabError
from labkit.lab.engine import connect
from labkit.lab.images import ensure_image
from labkit.lab.progress import make_reporter

__all__ = ["HELP", "KINDS", "ask_flags", "ask_keys", "parse_help", "programs", "unknown_to"]

#: The commands that list a component's flags, each with the format of its help.
HELP: dict[str, tuple[tuple[str, str], ...]] = {
    "containerd": (("containerd --help", "urfave"),),
    "dockerd": (("dockerd --help", "pflag"),),
    "etcd": (("etcd --help", "etcd"),),
    "flanneld": (("flanneld --help", "go"),),
    "kube-apiserver": (("kube-apiserver --help", "pflag"),),
    "kube-controller-manager": (("kube-controller-manager --help", "pflag"),),
    "kube-proxy": (("kube-proxy --help", "pflag"),),
    "kube-scheduler": (("kube-scheduler --help", "pflag"),),
    "kubectl-proxy": (("kubectl proxy --help", "kubectl"), ("kubectl options", "kubectl")),
    "kubelet": (("kubelet --help", "pflag"),),
}
STYLES = {
    "pflag": r" {2,6}(?:-\w, )?--(?P<name>[\w-]+)(?: (?P<type>\S+(?: \S+)*))?(?:  +(?P<text>.*))?",
    "go": r"  -(?P<name>[\w-]+)(?: (?P<type>\S+))?(?P<text>)",
    "etcd": r"  --(?P<name>[\w-]+)(?: '(?P<default>.*)')?(?P<text>)",
    "urfave": r"   --(?P<name>[\w-]+)(?: (?P<type>\w+))?(?:, -\w(?: \w+)?)?  +(?P<text>.*)",
    "kubectl": r" {4}(?:-\w, )?--(?P<name>[\w-]+)=(?P<default>.*):(?P<text>)",
}
DEFAULT = re.compile(r"\(default:? ((?:(?!\(default).)*?)\)(?: \(DEPRECATED: .*\))?\s*$")
#: The types that a help text names. Any other word may be the name of a value.
TYPES = frozenset(
    {"bool", "duration", "float", "int", "int32", "list", "string"}
    | {"stringArray", "stringToString", "strings", "uint"}
)
#: The lab's servers are one binary (environments/images/kubernetes/main.go). kube-proxy adopts
#: Go's global flags, so here it also lists the flags of the kubelet's cAdvisor. The official
#: kube-proxy does not have them.
LEAKED = """
    allow-dynamic-housekeeping application-metrics-count-limit boot-id-file container-hints
    containerd containerd-env-metadata-whitelist containerd-namespace crio-client-timeout
    disable-root-cgroup-stats docker-only enable-load-reader event-storage-age-limit
    event-storage-event-limit global-housekeeping-interval housekeeping-interval
    initial-splay-factor jitter-factor log-cadvisor-usage machine-id-file
    max-housekeeping-interval referenced-reset-interval storage-driver-buffer-duration
    storage-driver-db storage-driver-host storage-driver-password storage-driver-secure
    storage-driver-table storage-driver-user update-machine-info-interval
"""
#: The kinds of configuration file, each with the command that decodes it and its apiVersion.
KINDS = {
    "KubeletConfiguration": ("kubelet --config", "kubelet.config.k8s.io/v1beta1"),
    "KubeProxyConfiguration": ("kube-proxy --config", "kubeproxy.config.k8s.io/v1alpha1"),
}
#: The home folder of the container's user, which some defaults contain.
HOME = "/root"
UNKNOWN_KEY = "labkitHasNoSuchKey"
#: The keys that every configuration of Kubernetes has.
TYPE_META = ("apiVersion", "kind")
#: How a program names the key of a structure's field (Go's struct tags).
JSON_NAME = 'json:"[A-Za-z0-9_-]+'
#: Keys in one configuration. After 100 errors, the decoder reports no more (sigs.k8s.io/json).
AT_ONCE = 90
#: The names of most keys whose value is a duration; every other type takes null.
DURATION = re.compile(r"([Dd]uration|[Ff]requency|[Pp]eriod|[Tt]imeout|TTL|Age|Interval)$")


def parse_help(text: str, style: str) -> dict[str, KnownFlag]:
    r"""Return the flags that a help text lists.

    Parameters
    ----------
    text : str
        The help text.
    style : {"pflag", "go", "etcd", "urfave", "kubectl"}
        Its format.

    Returns
    -------
    dict of str to KnownFlag
        The flags by name, in the order of the text.

    Raises
    ------
    KeyError
        There is no such format.

    Examples
    --------
    >>> found = parse_help("  -v, --v Level   verbosity (default 2)\n      --tls   on\n", "pflag")
    >>> found["v"].type, found["v"].default, found["tls"].type, found["tls"].default
    ('Level', '2', 'bool', 'false')
    """
    pattern = re.compile(STYLES[style])
    found: list[tuple[re.Match[str], list[str]]] = []
    for line in text.splitlines():
        if match := pattern.fullmatch(line):
            found.append((match, [match["text"] or ""]))
        elif found:
            found[-1][1].append(line.strip())
    return {match["name"]: _flag(match.groupdict(), " ".join(said)) for match, said in found}


def _flag(given: Mapping[str, str | None], said: str) -> KnownFlag:
    default, kind = given.get("default"), given.get("type")
    if default is None:
        match = DEFAULT.search(said)
        default = match[1] if match else ""
        kind = kind or ("value" if "type" not in given else "bool")
    else:
        kind = "bool" if default in {"true", "false"} else "value"
    default = default.strip("'\"") or ("false" if kind == "bool" else "")
    default = default.replace(f"{HOME}/", "~/")  # the default is the home folder of any user
    return KnownFlag(kind, default)


@contextmanager
def programs() -> Iterator[Container]:
    """Run an idle container of the node image, in which its programs can be called.

    Yields
    ------
    docker.models.containers.Container
        It has no network, and is removed at the end of the block.

    Raises
    ------
    EngineError
        Docker Engine does not answer.
    ImageError
        The node image is missing, and cannot be built here.
    """
    client = connect()
    image = ensure_image(client, "node", make_reporter())
    container = client.containers.run(
        image,
        ["3600"],
        entrypoint=["sleep"],
        network_mode="none",
        init=True,
        auto_remove=True,
        detach=True,
    )
    try:
        yield container
    finally:
        container.remove(force=True)


def _said(container: Container, command: str, *more: str) -> str:
    """Return the output of a command on both streams; its exit status is ignored."""
    called = ["timeout", "--signal=KILL", "60", *shlex.split(command), *more]
    output: bytes = container.exec_run(called).output  # type: ignore[assignment]
    return output.decode(errors="replace")


def ask_flags(
    container: Container, kind: str, before: Mapping[str, KnownFlag]
) -> dict[str, KnownFlag]:
    """Return the flags of a component: those in its help, and hidden ones of the old table.

    Parameters
    ----------
    container : docker.models.containers.Container
        A container of the node image; see :func:`programs`.
    kind : str
        The component, a key of :data:`HELP`.
    before : mapping of str to KnownFlag
        The flags of the old table. One that is not in the help is kept as a hidden flag if the
        program accepts it.

    Returns
    -------
    dict of str to KnownFlag
        The flags by name, sorted.
    """
    found: dict[str, KnownFlag] = {}
    for command, style in HELP[kind]:
        found |= parse_help(_said(container, command), style)
    # Go's flag package accepts --help, but does not list it
    found.setdefault("help", KnownFlag("bool", "false", hidden=True))
    if kind == "kube-proxy":
        found = {name: flag for name, flag in found.items() if name not in LEAKED.split()}
    for name in before.keys() - found.keys():
        if type_ := _type_of(container, kind, name):
            found[name] = KnownFlag(type_, "", hidden=True)
    for name, flag in found.items():
        if flag.type not in TYPES and "[=" not in flag.type:
            found[name] = replace(flag, type=_type_of(container, kind, name))
    return dict(sorted(found.items()))


def _type_of(container: Container, kind: str, name: str) -> str:
    """Return "bool" or "value", or "" if a component has no such flag.

    The flag gets a value that is not a boolean, and ``--help`` follows. So the component does not
    start: it prints an error or its help.
    """
    program = HELP[kind][0][0].removesuffix(" --help")
    said = _said(container, f"{program} --{name}=neither --help")
    if re.search(rf"(unknown flag|not defined): --?{name}\b", said):
        return ""
    return "bool" if "ParseBool" in said or "invalid boolean value" in said else "value"


def version(container: Container, kind: str) -> str:
    """Return the version that a component prints."""
    program = HELP[kind][0][0].removesuffix(" --help")
    command = "kubectl version --client" if kind == "kubectl-proxy" else f"{program} --version"
    match = re.search(r"\d+\.\d+\.\d+\S*", _said(container, command))
    return match[0].rstrip(",") if match else "of an unknown version"


def unknown_to(container: Container, kind: str, keys: Mapping[str, object]) -> set[str]:
    """Return the keys of a configuration that the program does not know.

    Parameters
    ----------
    container : docker.models.containers.Container
        A container of the node image; see :func:`programs`.
    kind : str
        The kind of the configuration, a key of :data:`KINDS`.
    keys : mapping
        The configuration without its kind; null is a valid value of every type. An unknown key is
        added, so that the program always stops with an error and never starts.

    Returns
    -------
    set of str
        Dotted names.

    Raises
    ------
    LabError
        The program did not decode its configuration strictly.
    """
    command, api_version = KINDS[kind]
    config = {"apiVersion": api_version, "kind": kind, UNKNOWN_KEY: None, **keys}
    script = f'file=$(mktemp) && printf %s "$1" >"$file" && exec {command} "$file"'
    said = _said(container, "sh -c", script, "sh", json.dumps(config))
    found = set(re.findall(r'unknown field \\?"([\w.-]+)\\?"', said))
    if UNKNOWN_KEY not in found:
        raise LabError(f"{kind} was not decoded strictly", evidence=said.splitlines()[-5:])
    return found - {UNKNOWN_KEY}


def ask_keys(container: Container, kind: str) -> list[str]:
    """Return the keys of a kind of configuration, as dotted names.

    The program contains the names of the keys of every configuration that it can decode, because
    Go keeps the JSON names of a structure's fields. It is asked for each of these names, in each
    mapping, whether it decodes a configuration with it.

    Parameters
    ----------
    container : docker.models.containers.Container
        A container of the node image; see :func:`programs`.
    kind : str
        The kind of the configuration, a key of :data:`KINDS`.

    Returns
    -------
    list of str
        Sorted; the keys of the items of a list or of a free mapping are not in it.

    Raises
    ------
    LabError
        The program did not decode its configuration strictly.
    """
    program = KINDS[kind][0].split()[0]
    script = f"grep -aohE '{JSON_NAME}' \"$(command -v {program})\" | sort -u"
    said = _said(container, "sh -c", script)
    names = sorted({line.partition('"')[2] for line in said.splitlines()} - set(TYPE_META))
    with ThreadPoolExecutor() as pool:

        def unknown_in(parents: tuple[str, ...], keys: Mapping[str, object]) -> set[str] | None:
            # None: a known key refuses its value. A busy machine may also stop the program, so
            # a failure counts if it happens twice.
            for _ in range(2):
                with suppress(LabError):
                    return unknown_to(container, kind, _nested(parents, keys))
            return None

        def known(parents: tuple[str, ...], some: list[str]) -> list[str]:
            keys = {name: "5s" if DURATION.search(name) else None for name in some}
            unknown = unknown_in(parents, keys)
            if unknown is not None:
                return [name for name in some if ".".join((*parents, name)) not in unknown]
            if len(some) == 1:
                return some
            half = len(some) // 2
            return known(parents, some[:half]) + known(parents, some[half:])

        def is_mapping(path: tuple[str, ...]) -> bool:
            return bool(unknown_in(path, {UNKNOWN_KEY: None}))

        def below(parents: tuple[str, ...]) -> Iterator[str]:
            parts = [names[at : at + AT_ONCE] for at in range(0, len(names), AT_ONCE)]
            found = [
                name for part in pool.map(lambda it: known(parents, it), parts) for name in part
            ]
            paths = [(*parents, name) for name in found]
            for path, more in zip(paths, pool.map(is_mapping, paths), strict=True):
                yield ".".join(path)
                if more:
                    yield from below(path)

        return sorted([*TYPE_META, *below(())])


def _nested(parents: Sequence[str], keys: Mapping[str, object]) -> Mapping[str, object]:
    """Return a configuration that has these keys below its parents."""
    for parent in reversed(parents):
        keys = {parent: keys}
    return keys


def main() -> int:
    """Write every table, and print the flags that no longer exist."""
    with programs() as container:
        for kind in HELP:
            before = known_flags.flag_table(kind)
            found = ask_flags(container, kind, known_flags.known_flags(kind))
            rows = [
                "\t".join((name, flag.type, flag.default, "hidden" if flag.hidden else ""))
                for name, flag in found.items()
            ]
            what = f"{kind} {version(container, kind)}: flag, type, default, hidden from its help"
            _write(known_flags.FOLDER / f"{kind}.txt", what, rows)
            print(f"{kind}: {len(found)} flags", file=sys.stderr)
            for name in before.keys() - found.keys():
                print(f"  gone: {name}; if older versions have it, add it to other-versions.txt")
        for kind, (command, _) in KINDS.items():
            keys = ask_keys(container, kind)
            what = (
                f"{kind} of {command.split()[0]} {version(container, command.split()[0])}: its keys"
            )
            _write(known_keys.FOLDER / f"{kind}.txt", what, keys)
            print(f"{kind}: {len(keys)} keys", file=sys.stderr)
    return 0


def _write(path: Path, what: str, rows: Sequence[str]) -> None:
    head = [f"# {what}.", "# Written by `make flags` from the node image; not by hand."]
    path.write_text("\n".join([*head, *rows]) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
