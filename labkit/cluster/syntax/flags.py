"""The flags of a component's command line."""

from __future__ import annotations

from collections.abc import Sequence

from labkit.cluster.defaults import DEFAULTS
from labkit.cluster.known_flags import known_flags
from labkit.cluster.syntax.source import Setting, Source, Unknown, bool_of
from labkit.cluster.syntax.systemd import Word

__all__ = ["SHORT_NAMES", "parse_flags"]

#: Components that take an underscore in a flag's name for a dash
#: (k8s.io/component-base/cli/flag, WordSepNormalizeFunc).
WORDS_BY_UNDERSCORE = frozenset(
    [
        "kube-apiserver",
        "kube-controller-manager",
        "kube-proxy",
        "kube-scheduler",
        "kubectl-proxy",
        "kubelet",
    ]
)
SHORT_NAMES = {
    "dockerd": {"H": "host", "G": "group", "D": "debug", "l": "log-level", "g": "data-root"},
    "containerd": {"c": "config", "l": "log-level", "a": "address"},
    "systemd-journal-gatewayd": {"D": "directory", "m": "merge"},
    "systemd-journal-remote": {"o": "output"},
    "systemd-journal-upload": {"u": "url", "D": "directory", "m": "merge"},
    "kubectl-proxy": {
        "p": "port",
        "w": "www",
        "P": "www-prefix",
        "u": "unix-socket",
        "s": "server",
    },
}
# Flags that could change a claim, and that are removed or that labkit does not interpret.
NOT_INTERPRETED = {
    (
        "kube-apiserver",
        "insecure-port",
    ): "removed in Kubernetes 1.24; an older apiserver would listen there",
    ("kube-apiserver", "insecure-bind-address"): "removed in Kubernetes 1.24",
    (
        "kube-apiserver",
        "basic-auth-file",
    ): "removed in Kubernetes 1.19; an older apiserver takes its passwords",
    (
        "kube-apiserver",
        "egress-selector-config-file",
    ): "may send calls through a proxy; not read",
    (
        "kube-apiserver",
        "etcd-servers-overrides",
    ): "names more etcd servers; not read",
    ("dockerd", "authorization-plugin"): "a plugin decides who may do what; not asked",
    (
        "flanneld",
        "kube-subnet-mgr",
    ): "flanneld uses the apiserver instead of etcd; not read",
    ("kube-scheduler", "config"): "labkit reads only its clientConnection",
    ("systemd-journal-remote", "listen-raw"): "takes entries from anybody by TCP; not read",
}


def parse_flags(
    kind: str, words: Sequence[Word], path: str
) -> tuple[list[tuple[str, Setting]], list[Word], list[Unknown]]:
    """Read a component's flags.

    Parameters
    ----------
    kind : str
        The component, for example "kube-apiserver".
    words : sequence of Word
        Its arguments, without the executable.
    path : str
        The unit file, for sources.

    Returns
    -------
    flags : list of (str, Setting)
        In the order of the command line; a flag may occur twice.
    rest : list of Word
        The arguments that are not flags.
    unknowns : list of Unknown
        Flags that labkit does not know, or does not interpret although they matter.

    Examples
    --------
    >>> flags, rest, unknowns = parse_flags("etcd", [Word("--client-cert-auth", 9)], "etcd.service")
    >>> flags[0][0], flags[0][1].value, flags[0][1].source.line, unknowns
    ('client-cert-auth', 'true', 9, [])
    """
    table = known_flags(kind)
    known = {*table, *DEFAULTS.get(kind, {})}
    short = SHORT_NAMES.get(kind, {})
    flags: list[tuple[str, Setting]] = []
    rest: list[Word] = []
    unknowns: list[Unknown] = []
    index = 0
    while index < len(words):
        word = words[index]
        index += 1
        if word.text == "--":
            # no flag follows it
            rest += words[index - 1 :]
            break
        if not word.text.startswith("-") or word.text == "-":
            rest.append(word)
            continue
        name, equals, value = word.text.lstrip("-").partition("=")
        if kind in WORDS_BY_UNDERSCORE and name not in known and name.replace("_", "-") in known:
            name = name.replace("_", "-")
        text = word.raw or word.text
        if not word.text.startswith("--") and short and name[:1] in short and name not in known:
            # pflag: -Hfd://, -H fd:// and -H=fd:// are the same
            if len(name) > 1:
                equals, value = "=", name[1:] + (equals + value if equals else "")
            name = short[name[0]]
        if not equals:
            if name in table and table[name].switch:
                value = "true"
            elif name in known and index < len(words):
                value = words[index].text
                text = f"{text} {words[index].raw or value}"
                index += 1
            elif name not in known and index < len(words) and not words[index].text.startswith("-"):
                # the next word may be the value of the unknown flag
                text = f"{text} {words[index].raw or words[index].text}"
                index += 1
        source = Source(path, word.line, text)
        matters = NOT_INTERPRETED.get((kind, name))
        if matters:
            unknowns.append(Unknown(path, word.line, text, matters))
        elif name not in known:
            unknowns.append(Unknown(path, word.line, text, f"labkit knows no such flag of {kind}"))
        elif name in table and table[name].type == "bool" and bool_of(value) is None:
            why = f"not a boolean: {kind} does not start with it"
            unknowns.append(Unknown(path, word.line, text, why))
        flags.append((name, Setting(value, source)))
    return flags, rest, unknowns
