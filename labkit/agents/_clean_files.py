"""The files that belong to a clean machine: what a fingerprint compares, and a reset puts back.

The text of this module replaces its import when a program is sent. So it must not import from
``__future__``, and a program gets all its names.
"""

import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

#: Where people work who have a terminal on the machine, and where they put copies.
OF_PEOPLE = ("root", "home", "tmp", "var/tmp", "var/backups", "var/spool")
#: The folder of the components' programs, which are too large for a copy.
PROGRAMS = "usr/local"
#: The image's own folders, with those programs: only what came there can be taken away again.
OF_IMAGE = ("usr", "opt", "srv")
#: What a stand-in for a cloud keeps: what is attached to what.
CLOUD = "var/lib/cloud"
#: The folders whose files are compared; labkit's own records are in the last one.
FOLDERS = ("etc", *OF_PEOPLE, PROGRAMS, CLOUD, "var/lib/labkit")
#: What an OpenID provider keeps: a reset puts it back, a fingerprint reads what matters in it.
PROVIDER = "var/lib/canaille"
#: Where components keep what others must not read. Its content changes; who may enter does not.
PRIVATE = (
    *("var/lib/etcd", "var/lib/etcd/data", "var/lib/containerd", "var/lib/docker"),
    *("var/lib/kubelet", "var/lib/kubelet/pki", "var/lib/kubelet/pods", "var/log/pods"),
)
#: Docker mounts the first three, flanneld's unit writes the fourth, systemd the fifth. The others
#: are labkit's own records; the secrets of an interrupted change are not among them.
CHANGING = re.compile(
    r"^(etc/(hosts|hostname|resolv\.conf|cni(/.*)?|mtab)"
    r"|(var/)?tmp/systemd-private-.*|tmp/\.\w+-unix|run/labkit-(ready|wait\..*)"
    r"|var/lib/labkit/(since(\.new)?|names|programs|folders|edits\.json(\.new)?|etcd-users(\.\d+\.new)?|fingerprint\.json|etc\.tar|etcd-keys\.json|pending|workshop(/.*)?))$"
)
#: The attributes of a file that give somebody more than its mode says: acl(5), capabilities(7).
#: No file of a clean machine has one.
RIGHTS = ("system.posix_acl_access", "system.posix_acl_default", "security.capability")


def further_rights(path: "str | Path") -> list[str]:
    """Return the attributes of a file that give somebody more than its mode says."""
    try:
        return sorted(it for it in os.listxattr(path, follow_symlinks=False) if it in RIGHTS)
    except OSError:  # the file is gone, or its file system has no attributes
        return []


def names(root: Path, folders: Iterable[str]) -> Iterator[str]:
    """Yield the paths of folders, and of all that is below them, without the leading slash."""
    start = len(str(root).rstrip("/")) + 1
    for folder in folders:
        if (root / folder).is_dir():
            yield folder
        is_fixed = folder.partition("/")[0] in OF_IMAGE
        for place, inner, others in os.walk(root / folder):
            here = place[start:]
            if is_fixed:  # thousands of files, none of which changes by itself
                yield from (f"{here}/{each}" for each in (*inner, *others))
                continue
            inner[:] = [each for each in inner if not CHANGING.match(f"{here}/{each}")]
            below = (f"{here}/{each}" for each in (*inner, *others))
            yield from (each for each in below if not CHANGING.match(each))
