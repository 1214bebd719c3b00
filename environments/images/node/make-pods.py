"""Write the images of the lab's pods as one archive that containerd and docker can load.

Usage: make-pods.py PAUSE BUSYBOX ARCHIVE

No tool that makes images is there at this point of a build, and none is needed: an image is
a tar of files, a JSON file that describes it, and a manifest that names both.
"""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import sys
import tarfile
from pathlib import Path

ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
PASSWD = """\
root:x:0:0:root:/root:/bin/sh
app:x:1000:1000:app:/home/app:/bin/sh
nobody:x:65534:65534:nobody:/:/bin/false
"""
GROUP = "root:x:0:\napp:x:1000:\nnogroup:x:65534:\n"


def add(tar: tarfile.TarFile, name: str, content: bytes, mode: int = 0o644) -> None:
    """Add a file; no time, owner or name of this machine gets into the archive."""
    info = tarfile.TarInfo(name)
    info.size, info.mode = len(content), mode
    tar.addfile(info, io.BytesIO(content))


def add_folder(tar: tarfile.TarFile, name: str, mode: int = 0o755, owner: int = 0) -> None:
    """Add an empty folder."""
    info = tarfile.TarInfo(name)
    info.type, info.mode, info.uid, info.gid = tarfile.DIRTYPE, mode, owner, owner
    tar.addfile(info)


def add_link(tar: tarfile.TarFile, name: str, target: str) -> None:
    """Add a symbolic link."""
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.mode = tarfile.SYMTYPE, target, 0o777
    tar.addfile(info)


def pause_layer(pause: Path) -> bytes:
    """Return the files of the image that holds a pod's namespaces."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        add(tar, "pause", pause.read_bytes(), 0o755)
    return buffer.getvalue()


def workload_layer(busybox: Path) -> bytes:
    """Return the files of an image with a shell and the tools of busybox."""
    applets = subprocess.run(
        [busybox, "--list"], check=True, capture_output=True, text=True
    ).stdout.split()
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for folder in ("bin", "etc", "home", "root", "var", "var/www"):
            add_folder(tar, folder)
        add_folder(tar, "home/app", owner=1000)
        add_folder(tar, "tmp", 0o1777)
        add(tar, "etc/passwd", PASSWD.encode())
        add(tar, "etc/group", GROUP.encode())
        add(tar, "bin/busybox", busybox.read_bytes(), 0o755)
        for applet in sorted(set(applets) - {"busybox"}):
            add_link(tar, f"bin/{applet}", "busybox")
    return buffer.getvalue()


def main() -> None:
    """Write the archive."""
    pause, busybox, archive = (Path(argument) for argument in sys.argv[1:])
    images = {
        "registry.k8s.io/pause:3.10": (pause_layer(pause), {"Entrypoint": ["/pause"]}),
        "labkit/workload:1": (workload_layer(busybox), {"Cmd": ["/bin/sh"]}),
    }
    machine = subprocess.run(["uname", "-m"], check=True, capture_output=True, text=True)
    architecture = ARCHITECTURES[machine.stdout.strip()]
    manifest = []
    with tarfile.open(archive, "w") as tar:
        for tag, (layer, settings) in images.items():
            digest = hashlib.sha256(layer).hexdigest()
            description = {
                "architecture": architecture,
                "os": "linux",
                "config": {"Env": ["PATH=/bin"], "WorkingDir": "/", **settings},
                "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
                "history": [{"created_by": "labkit"}],
            }
            config = json.dumps(description).encode()
            config_name = f"{hashlib.sha256(config).hexdigest()}.json"
            add(tar, f"{digest}/layer.tar", layer)
            add(tar, config_name, config)
            manifest.append(
                {"Config": config_name, "RepoTags": [tag], "Layers": [f"{digest}/layer.tar"]}
            )
        add(tar, "manifest.json", json.dumps(manifest).encode())


if __name__ == "__main__":
    main()
