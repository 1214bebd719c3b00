"""Join an etcd cluster as a rogue member until another program ends this one, then leave it.

Arguments: a folder, the client URL of a member, and the rogue member's peer URL and name. The
program adds a learner, which has no vote, and starts an etcd, whose log and data are in the folder.
At the end it stops that etcd, and removes the member and the folder.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import time
from pathlib import Path

from labkit.agents._program import in_folder, stopped

#: The client URL of the rogue member: it serves only the other members.
OWN_CLIENTS = "http://127.0.0.1:23790"


def etcdctl(endpoint: str, *arguments: str) -> str:
    """Run etcdctl at an endpoint, whose certificate is not verified; return its output."""
    variables = {"ETCDCTL_ENDPOINTS": endpoint, "ETCDCTL_INSECURE_SKIP_TLS_VERIFY": "true"}
    return subprocess.run(
        ["etcdctl", *arguments],
        check=True,
        env={**os.environ, **variables},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        timeout=10,
    ).stdout


def variables_in(said: str) -> dict[str, str]:
    r"""Return the environment variables for a new member from the output of etcdctl.

    Examples
    --------
    >>> variables_in('Member 1f added to cluster 2e\n\nETCD_NAME="new"\n')
    {'ETCD_NAME': 'new'}
    """
    lines = (line for line in said.splitlines() if line.startswith("ETCD_"))
    return dict("".join(shlex.split(line)).split("=", 1) for line in lines)


def id_of(listed: str, peer_url: str) -> str:
    r"""Return the id of the member with this peer URL, or "".

    Examples
    --------
    >>> id_of("1f, unstarted, , http://10.0.0.9:23800, , true\n", "http://10.0.0.9:23800")
    '1f'
    """
    members = (line.split(", ") for line in listed.splitlines())
    return next((member[0] for member in members if member[3] == peer_url), "")


def join(folder: Path, endpoint: str, peer_url: str, name: str) -> subprocess.Popen[bytes]:
    """Add the member to the cluster, and start its etcd."""
    added = etcdctl(endpoint, "member", "add", name, "--learner", f"--peer-urls={peer_url}")
    argv = ["etcd", f"--data-dir={folder / 'data'}", f"--listen-peer-urls={peer_url}"]
    argv += [f"--listen-client-urls={OWN_CLIENTS}", f"--advertise-client-urls={OWN_CLIENTS}"]
    with (folder / "log").open("wb") as log:
        return subprocess.Popen(
            argv,
            env={**os.environ, **variables_in(added)},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )


def leave(endpoint: str, peer_url: str) -> None:
    """Remove the member from the cluster; do nothing if it is no member."""
    if member := id_of(etcdctl(endpoint, "member", "list"), peer_url):
        etcdctl(endpoint, "member", "remove", member)


def main() -> None:
    """Be a member until the file STOP is in the folder."""
    folder, (endpoint, peer_url, name) = Path(sys.argv[1]), sys.argv[2:]
    with in_folder(folder):
        etcd = None
        try:
            etcd = join(folder, endpoint, peer_url, name)
            while not stopped(folder) and etcd.poll() is None:
                time.sleep(0.1)
        finally:
            if etcd:
                etcd.kill()
                etcd.wait()
            leave(endpoint, peer_url)


if __name__ == "__main__":
    main()
