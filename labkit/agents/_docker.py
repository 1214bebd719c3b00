"""What the machine's own Docker Engine has.

The text of this module replaces its import when a program is sent. So it must not import from
``__future__``, and a program gets all its names.
"""

import subprocess

from labkit.agents._documents import documents

#: The networks of an engine that nobody made.
OWN_NETWORKS = ("bridge", "host", "none")
#: Engine API, "Container", "Image", "Network", "Volume", "System".
PATHS = ("containers/json?all=1", "images/json?all=1", "networks", "volumes")
CACHE = "system/df?type=build-cache"


def in_engine(engine: str) -> set[str]:
    """Return what somebody has put into the engine behind a socket.

    One curl asks all: the client of Docker takes three times as long for a single question.
    """
    argv = ["curl", "--silent", "--show-error", "--fail", "--fail-early", "--max-time", "20"]
    urls = [f"http://docker/{path}" for path in (*PATHS, CACHE)]
    done = subprocess.run(
        [*argv, "--unix-socket", engine, *urls], check=False, capture_output=True, text=True
    )
    if done.returncode:
        raise OSError(f"the Docker Engine at {engine}: {done.stderr.strip()}")
    containers, images, networks, volumes, cache = documents(done.stdout)
    found = {
        "container": [name for it in containers for name in it["Names"]],
        "image": [name for it in images for name in it["RepoTags"] or [it["Id"]]],
        "network": [it["Name"] for it in networks if it["Name"] not in OWN_NETWORKS],
        "volume": [it["Name"] for it in volumes["Volumes"] or ()],
        "build cache": [it["ID"] for it in cache["BuildCache"] or ()],
    }
    return {f"{kind} {name}" for kind, names in found.items() for name in names}
