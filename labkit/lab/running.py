"""A lab that runs: commands, files and requests on its machines."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import docker
from docker.models.containers import Container

from labkit.cluster import Environment, read_environment
from labkit.errors import ConfigError, LabError
from labkit.lab import bootstrap, machine, nodes, record
from labkit.lab.curl import as_curl
from labkit.lab.engine import connect
from labkit.lab.light import error_of_absent
from labkit.lab.machine import FileSpec, Output
from labkit.lab.network import addresses_in, find_network
from labkit.lab.wait import journal, stretch_of

__all__ = ["RunningLab"]

#: Seconds for which the load of the machines counts as known.
LOAD_S = 1.0
#: The permission bits of a new file.
NEW = 0o644
NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?")


class RunningLab:
    """What can be done on the machines of a lab that is up; nothing here changes its life.

    Parameters
    ----------
    mode : str
        The name of an environment, or the path of its folder.
    name : str
        The lab's name.
    client : docker.DockerClient, optional
        The engine; by default the one that ``DOCKER_HOST`` names.

    Raises
    ------
    ConfigError
        The mode is not an environment, or the name is not a valid name.
    EngineError
        Docker Engine does not answer.
    """

    def __init__(
        self, mode: str, *, name: str = "default", client: docker.DockerClient | None = None
    ) -> None:
        if not NAME.fullmatch(name):
            raise ConfigError(
                f"{name!r} is not a valid name for a lab",
                hint="use up to 32 lower-case letters, digits and hyphens",
            )
        self._plain: Environment = read_environment(mode)
        self.mode = self._plain.name
        self._by_name = mode == self.mode and not Path(mode).is_dir()
        self.name = name
        self.client = connect(client)
        self._stretch, self._stretch_until = 1.0, 0.0

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.mode!r}, name={self.name!r})"

    def exec(
        self,
        node: str,
        argv: Sequence[str],
        *,
        stdin: bytes | None = None,
        user: str | None = None,
        timeout: float = 30,
        check: bool = True,
    ) -> Output:
        """Run a command on a machine.

        Parameters
        ----------
        node : str
            The machine's name.
        argv : sequence of str
            The command and its arguments; no shell reads them.
        stdin : bytes, optional
            The command's standard input.
        user : str, optional
            The user that runs it; by default root.
        timeout : float
            Seconds until the command is killed.
        check : bool
            Raise if the exit status is not 0.

        Returns
        -------
        Output

        Raises
        ------
        CommandFailed
            It ran longer than `timeout`, or `check` is set and its exit status is not 0.
        LabError
            There is no such machine, or it takes no commands.
        NoSuchLab
            The lab is not up.
        """
        return machine.execute(
            self.container(node), argv, stdin=stdin, user=user, timeout=timeout, check=check
        )

    def kubectl(
        self,
        *arguments: str,
        stdin: bytes | None = None,
        timeout: float = 60,
        check: bool = True,
    ) -> Output:
        """Run kubectl on the control plane as cluster-admin.

        Parameters
        ----------
        *arguments : str
            The arguments of kubectl.
        stdin : bytes, optional
            kubectl's standard input.
        timeout : float
            Seconds until kubectl is killed.
        check : bool
            Raise if kubectl fails.

        Returns
        -------
        Output

        Raises
        ------
        CommandFailed
            kubectl ran longer than `timeout`, or `check` is set and it failed.
        NoSuchLab
            The lab is not up.
        """
        kubeconfig = f"--kubeconfig={self.environment.bootstrap_kubeconfig}"
        argv = ["kubectl", kubeconfig, *arguments]
        return self.exec(self._master_name, argv, stdin=stdin, check=check, timeout=timeout)

    def api(self, method: str, path: str, body: object = None, *, check: bool = True) -> Output:
        """Send one request to the apiserver as cluster-admin.

        Parameters
        ----------
        method : str
            The HTTP method.
        path : str
            The path with the query.
        body : object, optional
            The body, sent as JSON.
        check : bool
            Raise if the apiserver refuses the request.

        Returns
        -------
        Output
            The standard output is the apiserver's answer.

        Raises
        ------
        CommandFailed
            curl failed, or `check` is set and the apiserver refused the request.
        NoSuchLab
            The lab is not up.
        """
        argv = as_curl(self.environment, method, path)
        stdin = b"" if body is None else json.dumps(body).encode()
        return self.exec(self._master_name, argv, stdin=stdin, check=check, timeout=60)

    def etcdctl(self, *arguments: str) -> Output:
        """Run etcdctl on the first etcd machine as etcd's root user.

        Parameters
        ----------
        *arguments : str
            The arguments of etcdctl.

        Returns
        -------
        Output

        Raises
        ------
        CommandFailed
            etcdctl failed.
        NoSuchLab
            The lab is not up.
        """
        return bootstrap.etcdctl(self._first("etcd"), *arguments)

    def stretch(self) -> float:
        """Return how many times longer than on an idle machine something takes in the lab now.

        Whatever waits for an event of the lab multiplies its patience by it.

        Returns
        -------
        float
            At least 1.

        Raises
        ------
        NoSuchLab
            The lab is not up.
        """
        if time.monotonic() > self._stretch_until:
            self._stretch = stretch_of(self._master)
            self._stretch_until = time.monotonic() + LOAD_S
        return self._stretch

    def read_file(self, node: str, path: str) -> bytes:
        """Return the content of a file on a machine.

        Parameters
        ----------
        node : str
            The machine's name.
        path : str
            The absolute path, not below a tmpfs such as /run.

        Returns
        -------
        bytes

        Raises
        ------
        LabError
            There is no such machine or no such file.
        """
        return machine.read_file(self.container(node), path)

    def write_file(self, node: str, path: str, data: bytes | str, mode: int | None = None) -> None:
        """Write a file on a machine.

        Parameters
        ----------
        node : str
            The machine's name.
        path : str
            The absolute path; missing folders are created.
        data : bytes or str
            The content; text is written as UTF-8.
        mode : int, optional
            The permission bits. By default a file keeps its mode and owner, and a new one gets
            0644 and is root's.

        Raises
        ------
        CommandFailed
            The file could not be written.
        LabError
            There is no such machine, or it takes no commands.
        """
        content = data.encode() if isinstance(data, str) else data
        # by the machine itself: the engine would write below a tmpfs such as /run
        if mode is None:
            there = not self.exec(node, ["test", "-f", path], check=False).exit_code
            if there:
                self.exec(node, ["cp", "/dev/stdin", path], stdin=content)
                return
        machine.send_files(self.container(node), [FileSpec(path, content, mode or NEW)])

    def logs(self, node: str, unit: str | None = None, lines: int = 50) -> str:
        """Return the last lines of a machine's journal.

        Parameters
        ----------
        node : str
            The machine's name.
        unit : str, optional
            A systemd unit; by default all units.
        lines : int
            The number of lines.

        Returns
        -------
        str
        """
        return journal(self.container(node), unit, lines)

    def container(self, node: str) -> Container:
        """Return the container of a machine.

        Parameters
        ----------
        node : str
            The machine's name.

        Returns
        -------
        docker.models.containers.Container

        Raises
        ------
        NoSuchLab
            The lab is not up.
        LabError
            The lab has no such machine, or has lost it.
        """
        self._require()
        if node not in self._containers:
            roles = {it.name: it.role for it in self._plain.nodes}
            if node in roles:
                # only the attacker's machine holds no keys
                word = "reset" if roles[node] == "attacker" else "up"
                raise LabError(
                    f"lab {self.name!r} ({self.mode}) has lost its machine {node}",
                    hint=f"labkit {word} --name {self.name} --mode {self.mode}",
                )
            raise LabError(
                f"no machine {node!r} in lab {self.name!r} ({self.mode})",
                hint=f"choose one of: {', '.join(sorted(self._containers))}",
            )
        return self._containers[node]

    @cached_property
    def environment(self) -> Environment:
        """The environment that the lab runs: the environment of its mode with the applied edits."""
        edits = record.read(self._master).edits if self._containers else ()
        return read_environment(self._plain.folder, edits) if edits else self._plain

    @property
    def master(self) -> str:
        """The name of the lab's master."""
        return self._master_name

    def machines(self, role: str) -> tuple[str, ...]:
        """Return the names of the machines that do the same work.

        Parameters
        ----------
        role : str
            "master", "worker", "etcd" or "attacker", or another role of the lab's topology.

        Returns
        -------
        tuple of str
            In the order of the topology; a light lab has one of each role.

        Raises
        ------
        ConfigError
            No machine of the lab has the role.

        Examples
        --------
        >>> from labkit.lab import Lab
        >>> Lab("insecure").machines("worker")  # doctest: +SKIP
        ('worker1', 'worker2')
        """
        found = tuple(node.name for node in self._plain.nodes if node.role == role)
        if not found:
            roles = ", ".join(dict.fromkeys(node.role for node in self._plain.nodes))
            raise ConfigError(
                f"{self.mode} has no machine of role {role!r}", hint=f"roles: {roles}"
            )
        return found

    @property
    def addresses(self) -> dict[str, str]:
        """The present address of each running machine by name, as the engine reports it."""
        network = find_network(self.client, self.name, self.mode)
        if network is None:
            raise self._absent()
        return addresses_in(self.client, network, self.name, self.mode)

    # -- private --------------------------------------------------------------------------

    @cached_property
    def _containers(self) -> dict[str, Container]:
        found = nodes.find_nodes(self.client, self.name, self.mode)
        return {container.labels["labkit.node"]: container for container in found}

    @property
    def _master_name(self) -> str:
        return next(node.name for node in self._plain.nodes if node.role == "master")

    @property
    def _master(self) -> Container:
        return self.container(self._master_name)

    def _first(self, role: str) -> Container:
        return self.container(self.machines(role)[0])

    def _forget(self) -> None:
        for name in ("_containers", "environment"):
            self.__dict__.pop(name, None)

    def _absent(self) -> LabError:
        return error_of_absent(self.mode, self.name, self.client)

    def _require(self) -> None:
        if not self._containers:
            self._forget()
            raise self._absent()
