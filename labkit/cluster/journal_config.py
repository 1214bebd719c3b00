"""Read journal-upload.conf and journal-remote.conf, with their drop-ins.

https://www.freedesktop.org/software/systemd/man/latest/journal-upload.conf.html
https://www.freedesktop.org/software/systemd/man/latest/journal-remote.conf.html
"""

from __future__ import annotations

from labkit.cluster.facts import Node
from labkit.cluster.syntax.source import Setting, Source, Unknown
from labkit.cluster.syntax.systemd import parse_unit

__all__ = ["CONFIGS", "read_journal_config"]

#: By component: the name of its file, and the only section that counts in it.
CONFIGS = {
    "systemd-journal-upload": ("journal-upload.conf", "Upload"),
    "systemd-journal-remote": ("journal-remote.conf", "Remote"),
}
#: Where systemd looks for such a file, and for the folder of its drop-ins; the first one wins.
FOLDERS = ("/etc/systemd", "/run/systemd", "/usr/local/lib/systemd", "/usr/lib/systemd")
#: The keys that decide claims, with the names of the options that set the same.
OPTIONS = {
    "URL": "url",
    "ServerKeyFile": "key",
    "ServerCertificateFile": "cert",
    "TrustedCertificateFile": "trust",
}
#: Keys that decide no claim (systemd 257, and 258 with its compression).
OTHERS = frozenset(
    [
        *("Compression", "ForceCompression", "Header", "KeepFree", "MaxFileSize", "MaxFiles"),
        *("MaxUse", "NetworkTimeoutSec", "Seal", "SplitMode"),
    ]
)


def read_journal_config(
    node: Node, kind: str, unknowns: list[Unknown]
) -> tuple[list[tuple[str, Setting]], bool]:
    """Read what the files of systemd-journal-upload or systemd-journal-remote set on a machine.

    Parameters
    ----------
    node : Node
    kind : str
        A component of :data:`CONFIGS`.
    unknowns : list of Unknown
        The function adds the keys that it does not know.

    Returns
    -------
    settings : list of (str, Setting)
        By the names of the options that set the same. The last one of a name counts, and an empty
        value stands for the default.
    found : bool
        Whether the machine has such a file.

    Raises
    ------
    ConfigError
        A file is malformed, unless `unknowns` collects errors.

    Examples
    --------
    >>> from labkit.cluster import read_environment
    >>> node = read_environment("logs-hardened").node("worker1")
    >>> settings, found = read_journal_config(node, "systemd-journal-upload", [])
    >>> settings[0][0], settings[0][1].value, settings[0][1].source.line
    ('url', 'https://monitor:19532', 2)
    """
    name, section = CONFIGS[kind]
    paths = [f"{folder}/{name}" for folder in FOLDERS if f"{folder}/{name}" in node.files][:1]
    drop_ins: dict[str, str] = {}
    for folder in FOLDERS:
        start = f"{folder}/{name}.d/"
        for path in node.files:
            if path.startswith(start) and path.endswith(".conf"):
                drop_ins.setdefault(path.removeprefix(start), path)
    paths += [drop_ins[each] for each in sorted(drop_ins)]
    settings: dict[str, Setting] = {}
    for path in paths:
        file = node.files[path]
        for item in parse_unit(file.read_text(), file.source, unknowns):
            text = f"{item.key}={item.value}"
            known = item.section == section and (item.key in OPTIONS or item.key in OTHERS)
            if not known:
                why = f"labkit knows no such key in [{item.section}] of {name}"
                unknowns.append(Unknown(item.path, item.line, text, why))
            elif item.key in OPTIONS:
                source = Source(item.path, item.line, text)
                settings[OPTIONS[item.key]] = Setting(item.value, source)
    return [(key, it) for key, it in settings.items() if it.value], bool(paths)
