"""Run etcdctl on an etcd machine, as etcd's administrator.

The text of this module replaces its import when a program is sent. So it must not import from
``__future__``, and a program gets all its names.
"""

import os
import shlex
import subprocess
from pathlib import Path

#: The environment variables of etcd's administrator, which etcdctl reads.
SETTINGS = Path("/etc/etcd/etcdctl.env")
#: Seconds for one command; by itself, etcdctl gives up after 5 s, also on a busy machine.
PATIENCE_S = 25


def administrator() -> dict[str, str]:
    """Return the environment variables of etcd's administrator."""
    words = shlex.split(SETTINGS.read_text(), comments=True)
    return dict(word.split("=", 1) for word in words if "=" in word)


def etcdctl(*arguments: str, value: bytes | None = None) -> bytes:
    """Run etcdctl, and return its standard output."""
    done = subprocess.run(
        ["etcdctl", *arguments],
        input=value,
        env={**os.environ, "ETCDCTL_COMMAND_TIMEOUT": f"{PATIENCE_S}s", **administrator()},
        check=False,
        capture_output=True,
        timeout=PATIENCE_S + 5,
    )
    if done.returncode:
        reason = done.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        command = f"etcdctl {' '.join(arguments[:2])}"
        raise OSError(f"{os.uname().nodename}: {command}: {reason}")
    return done.stdout
