"""JupyterHub for a room: each participant's Jupyter in a container, with their own lab alone.

Start it with ``jupyterhub --config jupyterhub_config.py`` after ``labkit workshop up``. The
environment variables LABKIT_WORKSHOP (the prefix, by default "p") and LABKIT_PARTICIPANTS (by
default 12) say what ``labkit workshop up`` made. Everything listens on 127.0.0.1, from the port
LABKIT_HUB_PORT (by default 8000) on: the proxy, then the Hub, then the proxy's own interface.
"""

import hmac
import os
import sys
from urllib.parse import quote

from jupyterhub.auth import Authenticator

from labkit.lab.engine import connect
from labkit.resources import state_dir
from labkit.workshop.guard_socket import ENGINE, HUB
from labkit.workshop.room import names_of
from labkit.workshop.server_room import IMAGE, ROOM, jupyter_of, passwords_of, prepare

c = get_config()  # noqa: F821

WORKSHOP = os.environ.get("LABKIT_WORKSHOP", "p")
COUNT = int(os.environ.get("LABKIT_PARTICIPANTS", "12"))
PORT = int(os.environ.get("LABKIT_HUB_PORT", "8000"))
NAMES = names_of(WORKSHOP, COUNT)
PASSWORDS = passwords_of(WORKSHOP, NAMES)
FOLDER = state_dir() / "hub" / WORKSHOP
SOCKETS = FOLDER / "sockets"
FOLDER.mkdir(mode=0o700, parents=True, exist_ok=True)


class RoomAuthenticator(Authenticator):
    """Each participant has a name and a password of their own; the trainer hands them out."""

    async def authenticate(self, handler, data):
        """Return the participant's name if the password is right."""
        name = data["username"]
        wanted = PASSWORDS.get(name, "")
        right = hmac.compare_digest(wanted.encode(), data["password"].encode())
        return name if wanted and right else None


# -- the Hub and its proxy: on the loopback address only -----------------------------------
c.JupyterHub.bind_url = f"http://127.0.0.1:{PORT}"
c.JupyterHub.hub_bind_url = f"http://127.0.0.1:{PORT + 1}"
c.ConfigurableHTTPProxy.api_url = f"http://127.0.0.1:{PORT + 2}"
c.ConfigurableHTTPProxy.pid_file = str(FOLDER / "proxy.pid")
# the proxy in Python: pip installs it, and it needs neither Node.js nor a binary from elsewhere
c.ConfigurableHTTPProxy.command = [
    sys.executable,
    "-c",
    "from configurable_http_proxy.cli import main; main()",
]
c.JupyterHub.db_url = f"sqlite:///{FOLDER / 'hub.sqlite'}"
c.JupyterHub.cookie_secret_file = str(FOLDER / "cookie_secret")
c.JupyterHub.authenticator_class = RoomAuthenticator
c.Authenticator.allowed_users = set(NAMES)
c.JupyterHub.cleanup_servers = True

# -- the sockets: the engine's, limited to a participant's own lab, and the Hub's ----------
c.JupyterHub.services = [
    {
        "name": "guard",
        "command": [
            *(sys.executable, "-m", "labkit", "workshop", "guard", str(SOCKETS)),
            *("--participants", str(COUNT), "--prefix", WORKSHOP, "--hub-port", str(PORT + 1)),
        ],
        # the service needs the engine, and no right at the Hub
        "environment": {"DOCKER_HOST": os.environ.get("DOCKER_HOST", "")},
    }
]

# -- a participant's Jupyter ---------------------------------------------------------------
INSIDE = "/run/labkit"


def give_network(spawner):
    """Give each Jupyter a network of its own."""
    spawner.network_name = prepare(connect(), spawner.user.name, WORKSHOP)


c.JupyterHub.spawner_class = "dockerspawner.DockerSpawner"
c.Spawner.pre_spawn_hook = give_network
c.DockerSpawner.image = os.environ.get("LABKIT_JUPYTER_IMAGE", IMAGE)
c.DockerSpawner.pull_policy = "never"
c.DockerSpawner.name_template = jupyter_of("{raw_username}")
c.DockerSpawner.extra_create_kwargs = {"labels": {ROOM: WORKSHOP}}
c.DockerSpawner.remove = True
c.DockerSpawner.use_internal_ip = True
c.DockerSpawner.hub_connect_url = f"http+unix://{quote(f'{INSIDE}/{HUB}', safe='')}"
c.DockerSpawner.environment = {
    "DOCKER_HOST": f"unix://{INSIDE}/{ENGINE}",
    "LABKIT_NAME": lambda spawner: spawner.user.name,
}
c.DockerSpawner.volumes = {
    jupyter_of("{raw_username}"): "/home/participant",
    f"{SOCKETS}/{{raw_username}}": {"bind": INSIDE, "mode": "ro"},
}
c.DockerSpawner.mem_limit = "1G"
c.DockerSpawner.extra_host_config = {
    "cap_drop": ["ALL"],
    "security_opt": ["no-new-privileges"],
    "pids_limit": 512,
}
c.Spawner.default_url = "/lab"
c.Spawner.start_timeout = 180
c.Spawner.http_timeout = 120
