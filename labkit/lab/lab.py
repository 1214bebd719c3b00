"""A lab: one cluster in one mode, on one Docker Engine."""

from __future__ import annotations

import contextlib
import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from types import TracebackType
from typing import Self

import docker
from docker.errors import APIError

from labkit.cluster import Environment, Node, read_environment
from labkit.cluster.edits import Edit
from labkit.cluster.startable import obstacles
from labkit.errors import ConfigError, LabError, LabkitError, StartTimeout
from labkit.lab import bootstrap, health, lock, nodes, record, traces
from labkit.lab.change import change
from labkit.lab.engine import LOCK, ROLE
from labkit.lab.files import files_without_keys, machine_files
from labkit.lab.fingerprint import (
    KEPT,
    Difference,
    Fingerprint,
    differences,
    keep_fingerprint,
    kept_fingerprint,
    take_fingerprint,
    take_machines,
)
from labkit.lab.health import ANSWER_S
from labkit.lab.images import ensure_image
from labkit.lab.isolation import answering_host_addresses, close_bridge
from labkit.lab.network import create_network, find_network, planned_addresses
from labkit.lab.origin import is_made_from, made_from_others, may_be_of, origin
from labkit.lab.progress import Reporter, make_reporter
from labkit.lab.restore import keep, restore, restore_machine, restore_pods
from labkit.lab.running import RunningLab
from labkit.lab.status import READY, UNKNOWN, LabStatus, Timings, status_of

__all__ = ["Lab"]

#: Seconds in which a component that has just been restarted must answer again; and how many a busy
#: machine gets at most, because a command must soon say what does not run.
RECOVERY_S, MOST_RECOVERY_S = 10.0, 25.0
#: Seconds for which a lab counts as it was asked, while the lock is taken.
FRESH_S = 3.0
#: Seconds that an engine without other work needs at most to list a lab; and how many times more
#: patience a slower one gets at most.
LISTED_S, MOST_PATIENCE = 0.1, 8.0


class Lab(RunningLab):
    """One cluster in one mode.

    Parameters
    ----------
    mode : str
        The name of an environment, or the path of its folder.
    name : str
        The lab's name: up to 32 lower-case letters, digits and hyphens. Labs of one mode can run
        side by side under different names.
    client : docker.DockerClient, optional
        The engine; by default the one that ``DOCKER_HOST`` names.
    reporter : Reporter, optional
        Shows the progress; by default on standard error.
    wait : float, optional
        Seconds to wait for another process that changes the lab; by default ten minutes.
    workshop : str
        The workshop for which the lab is made, as a label of everything in it; "" for none.

    Raises
    ------
    ConfigError
        The mode is not an environment, or the name is not a valid name.
    EngineError
        Docker Engine does not answer.

    Notes
    -----
    The labels of containers, volumes and networks are the only state. So any process can attach
    to a lab by its name and mode. Only one process changes a lab at a time: a method that changes
    it waits for the other process, and raises `LabBusy` if that takes longer than `wait`. Commands
    and files on the machines do not wait.

    Examples
    --------
    A lab that is removed at the end of the block::

        with Lab("insecure", name="demo") as lab:
            print(lab.kubectl("get", "nodes").text)
    """

    def __init__(
        self,
        mode: str,
        *,
        name: str = "default",
        client: docker.DockerClient | None = None,
        reporter: Reporter | None = None,
        wait: float | None = None,
        workshop: str = "",
    ) -> None:
        super().__init__(mode, name=name, client=client)
        self.workshop = workshop
        self.reporter = reporter or make_reporter()
        self.wait_s = lock.WAIT_S if wait is None else wait
        self._token = secrets.token_hex(8)
        self._reached: Future[list[str]]

    def __enter__(self) -> Self:
        self.up()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.down()

    # -- life cycle -----------------------------------------------------------------------

    def up(self, *, retain: bool = False) -> Timings:
        """Bring the lab up; do nothing if it is up already.

        The remains of an interrupted start are removed first.

        Parameters
        ----------
        retain : bool
            Keep the machines for inspection if the start fails.

        Returns
        -------
        Timings
            Without the time that the node image took.

        Raises
        ------
        LabkitError
            The start failed; the evidence is the last lines of the log.
        """
        began = time.monotonic()
        # a lab that lost its master, with the record of its edits, is made again without them
        if missing := obstacles(self._plain):
            raise ConfigError(f"{self.mode}: {missing[0].text}", hint=f"see {missing[0].path}")
        if self.status().state == "ready":
            self.require_same_files()
            return Timings(time.monotonic() - began)
        image = ensure_image(self.client, "node", self.reporter)
        for name in nodes.images_of(self._plain):
            ensure_image(self.client, name, self.reporter)
        with self._exclusive("up", image):
            return self._up(image, retain)

    def _up(self, image: str, retain: bool) -> Timings:
        began = time.monotonic()
        state = self.status().state
        if state == "ready":  # another process brought it up before this one got the lock
            self.require_same_files()
            return Timings(time.monotonic() - began)
        if state == "broken":
            self._require_own()
            self._repair(wait=True)
            restore_pods(self._master, self.environment, kept_fingerprint(self._master))
            return Timings(time.monotonic() - began)
        if any(own.get(ROLE) != LOCK for own in self._require_own()):
            with self.reporter.step(f"{self.mode}: remove what an earlier start left"):
                nodes.remove_lab(self.client, self.name, self.mode)
        steps: dict[str, float] = {}

        def step(title: str, action: Callable[[], object]) -> None:
            since = time.monotonic()
            with self.reporter.step(f"{self.mode}: {title}"):
                action()
            steps[title] = round(time.monotonic() - since, 2)

        try:
            step("machines", lambda: self._create(image))
            step("etcd", lambda: bootstrap.prepare_etcd(self._first("etcd"), self.environment))
            step("apiserver", self._wait_for_apiserver)
            step("manifests", lambda: bootstrap.apply_manifests(self._master, self.environment))
            # first the units: if one cannot start, that is why nodes or pods are missing
            step("units", self.wait_for_units)
            step("workloads", lambda: bootstrap.wait_for_workloads(self._master, self.environment))
            step("keep", self._keep)
            reached = "".join(f"{address}\n" for address in self._reached.result())
            self.exec(self._master_name, ["tee", READY], stdin=reached.encode())
        except BaseException as error:
            self._forget()
            if not retain:
                self._remove()
                again = f"--name {self.name} --mode {self.mode}"
                if isinstance(error, StartTimeout):  # its hint needs the machines
                    error.hint = f"labkit up --retain {again}; then {error.hint}"
                elif isinstance(error, LabkitError) and not error.hint:
                    error.hint = f"labkit up {again}; this start's machines are removed"
            raise
        return Timings(time.monotonic() - began, steps)

    def down(self, *, force: bool = False) -> int:
        """Remove everything of the lab; do nothing if there is no such lab.

        Parameters
        ----------
        force : bool
            Do not wait for a process that changes the lab, and end its hold on the lab.

        Returns
        -------
        int
            The number of removed containers, volumes and networks.

        Raises
        ------
        LabBusy
            Another process changes the lab, and did not end within half a minute.
        LabError
            The engine refuses to remove one of them, or the mode was given as a folder and another
            folder's lab has its name.
        """
        if force:
            return self._remove()
        with self._exclusive("down", wait=min(self.wait_s, lock.DOWN_WAIT_S)):
            return self._remove()

    def _remove(self) -> int:
        self._forget()
        if not self._by_name:
            self._require_own()
        # The lock goes last, so that nobody starts the lab again before everything is removed.
        removed = nodes.remove_lab(self.client, self.name, self.mode)
        return removed + lock.remove_keeper(self.client, self.name, self.mode)

    def reset(self) -> Timings:
        """Restore the state that the lab had when it came up.

        First what does not run is repaired: machines that are stopped or paused are started, units
        that do not run are restarted, and a lost machine of the attacker is created again. Then
        configuration files, drop-ins, etcd's content and the running units are as after :meth:`up`.
        Keys stay the same; an attacker's machine that was changed is created again. An interrupted
        change is undone first. Pods of the manifests that were changed, are being deleted, have
        ended or do not become ready are created again.

        Returns
        -------
        Timings

        Raises
        ------
        NoSuchLab
            The lab is not up.
        LabError
            The lab's start did not end, or it lost a machine that holds keys.
        StartTimeout
            A component did not become ready again.
        """
        began = time.monotonic()
        with self._exclusive("reset"), traces.undertaking("reset", ["configuration"]):
            self._require()
            self._require_own()
            self._repair(wait=False)
            self._require_started()
            traces.undo_interrupted(self, tolerant=True)
            try:
                self._return_to_plain()
            except LabkitError:
                # perhaps because files are missing: put back what there is, and try again
                self._restore()
                self._return_to_plain()
            with ThreadPoolExecutor(max_workers=1) as pool:
                found = pool.submit(self._changes_of_attacker)
                self._restore()
            traces.undo_interrupted(self)
            self._renew_attacker(found.result())
        return Timings(time.monotonic() - began)

    def reset_machine(self, machine: str) -> Timings:
        """Restore the files and units of one machine; the others stay as they are.

        It is for a machine that somebody edited by hand. etcd's content, the objects of the API and
        the other machines are not touched, so the lab as a whole may differ from a new one.

        Parameters
        ----------
        machine : str
            The machine's name; not the attacker's, which holds nothing of the lab.

        Returns
        -------
        Timings

        Raises
        ------
        NoSuchLab
            The lab is not up.
        LabError
            The lab has no such machine, it cannot be restored alone, or a control is put in place
            or taken away: a machine's own files do not fit the others then.
        StartTimeout
            A unit of the machine did not become ready again.
        """
        began = time.monotonic()
        with self._exclusive(f"a reset of {machine}"):
            self._require_own()
            container = self.container(machine)
            node = self._plain.node(machine)
            if node.role == "attacker":
                raise LabError(f"{machine} has no state of its own to restore", hint=self._to_reset)
            with self.reporter.step(f"{self.mode}: reset {machine}"):
                health.repair([container])
                self._require_started()
                if record.read(self._master) != record.Record():
                    raise LabError(
                        f"labkit has changed the configuration of lab {self.name!r} ({self.mode})",
                        hint=self._to_reset,
                    )
                restore_machine(container, node)
        return Timings(time.monotonic() - began)

    @property
    def _to_reset(self) -> str:
        return f"labkit reset --name {self.name} --mode {self.mode}"

    def _require_started(self) -> None:
        """Refuse to restore a lab whose start was interrupted: it has no state to restore."""
        if not self._has(KEPT):
            raise LabError(
                f"the start of lab {self.name!r} ({self.mode}) did not end",
                hint=f"labkit up --name {self.name} --mode {self.mode}, which makes the lab again",
            )

    def _has(self, file: str) -> bool:
        """Say whether the master has a file."""
        return not self.exec(self._master_name, ["test", "-e", file], check=False).exit_code

    def _return_to_plain(self) -> None:
        self._roll_back()
        if self.environment.edits:
            self.apply(())

    def _restore(self) -> None:
        with self.reporter.step(f"{self.mode}: reset"):
            try:
                restore(self._containers, self._plain)
            except StartTimeout as error:
                about = f"--name {self.name} --mode {self.mode}"
                afresh = f"labkit down {about}; then labkit up {about}"
                error.hint = f"{error.hint}; or, for a new lab, {afresh}"
                raise

    def drift(self) -> list[str]:
        """Return what the lab's state differs in from the state in which it came up.

        Returns
        -------
        list of str
            One line for each process, listener, rule, file, key or object that differs.

        Raises
        ------
        NoSuchLab
            The lab is not up.
        LabError
            A machine does not run or does not answer, or the lab has no fingerprint.
        """
        # the others' answers may take half a minute then, and the engine knows at once
        for it in nodes.find_nodes(self.client, self.name, self.mode):
            if it.status != "running":
                word = health.STATES.get(it.status, f"is {it.status}")
                raise LabError(f"{it.labels['labkit.node']} {word}", hint=self._to_reset)
        before = kept_fingerprint(self._master)
        machines = {node.name: self.container(node.name) for node in self.environment.nodes}
        after = take_fingerprint(machines, self.environment)
        return list(map(str, differences(before, after)))

    def states_of_machines(self) -> tuple[Fingerprint, Fingerprint]:
        """Return the state in which its machines came up, and their present one.

        Returns
        -------
        before, after : dict
            Processes, listeners, files and such; `after` is without etcd's keys and the objects of
            the API.

        Raises
        ------
        NoSuchLab
            The lab is not up.
        LabError
            A machine does not answer, or the lab has no fingerprint.
        """
        return kept_fingerprint(self._master), take_machines(self._containers)

    def recover(self) -> None:
        """Undo every interrupted attack, verification or change; do nothing without one.

        Raises
        ------
        NoSuchLab
            The lab is not up.
        LabkitError
            One could not be undone.
        """
        with self.exclusive("recovery"), traces.undertaking("recovery", ["configuration"]):
            traces.undo_interrupted(self)
            self._roll_back()

    def apply(self, edits: Iterable[Edit]) -> Timings:
        """Change the configuration of the running lab; an interrupted change is undone first.

        A change that a signal interrupts is undone at once, and one that fails by the next command.

        Parameters
        ----------
        edits : iterable of Edit
            All edits of the environment; without one, the lab returns to the plain environment.

        Returns
        -------
        Timings

        Raises
        ------
        ConfigError
            An edit does not fit the environment.
        NoSuchLab
            The lab is not up.
        StartTimeout
            A component did not become ready again.
        """
        began = time.monotonic()
        new = read_environment(self._plain.folder, edits)
        who = traces.current("configuration")
        with self.exclusive("a change of the configuration"):
            self.require_same_files()
            self._roll_back()
            old = self.environment
            self._record(new, before=old, who=who, running=True)
            try:
                with self.reporter.step(f"{self.mode}: change the configuration"):
                    change(self._containers, old, new)
            except KeyboardInterrupt:
                self._roll_back()
                raise
            except Exception:
                self._record(new, before=old, who=who)
                raise
            self._record(new)
        return Timings(time.monotonic() - began)

    @contextlib.contextmanager
    def exclusive(self, what: str) -> Iterator[None]:
        """Return a context during which no other process changes the lab, which must be ready.

        Every method that changes the lab enters one itself. Enter one around several changes that
        belong together. It may be entered again inside the block.

        Parameters
        ----------
        what : str
            What is done to the lab, for the message of a process that waits.

        Yields
        ------
        None

        Raises
        ------
        LabBusy
            On entry: another process changes the lab.
        LabError
            On entry: something of the lab does not run, or the lab was made from other files. At
            the end: another process removed the lab during the block.
        NoSuchLab
            The lab is not up.
        """
        if lock.is_held(self.client, self.name, self.mode):
            with self._exclusive(what):
                yield
            return
        began = time.monotonic()
        with ThreadPoolExecutor(max_workers=1) as aside:
            asked = aside.submit(self.status)  # while the lock is taken
            with self._exclusive(what):
                waited = time.monotonic() - began > FRESH_S
                self._require_ready(self.status() if waited else asked.result())
                yield

    def _require_ready(self, status: LabStatus) -> None:
        """Fail if the lab is not ready; a component that has just been restarted gets some time."""
        began, stretch, again = time.monotonic(), 1.0, False
        while status.state != "ready":
            waited = time.monotonic() - began
            # one look may fall between the end of a program and its start
            hope = status.may_recover or (status.lasting and not again)
            if not hope or waited > min(RECOVERY_S * stretch, MOST_RECOVERY_S):
                raise self._absent() if status.state == "absent" else status.error()
            with contextlib.suppress(LabkitError):  # a frozen machine does not say how busy it is
                stretch = self.stretch()
            again = bool(status.lasting)
            time.sleep(0.5)
            status = self._status(stretch)
        if status.other_files:
            self.require_same_files()

    def _repair(self, *, wait: bool) -> None:
        """Start what does not run, and create the attacker's machine again if it is gone.

        Do not wait if the machines' files are restored next: a unit may need them.
        """
        found = nodes.find_nodes(self.client, self.name, self.mode)
        there = {container.labels["labkit.node"] for container in found}
        gone = [node for node in self._plain.nodes if node.name not in there]
        if lost := [node.name for node in gone if node.role != "attacker"]:
            raise LabError(
                f"lab {self.name!r} ({self.mode}) has lost {', '.join(lost)}, with the keys there",
                hint=f"labkit up --name {self.name} --mode {self.mode}, which makes the lab again",
            )
        for node in gone:
            with self.reporter.step(f"{self.mode}: create {node.name}"):
                self._create_again(node, str(found[0].attrs["Image"]))
        if repaired := health.repair(found):
            self._forget()
            with self.reporter.step(f"{self.mode}: repair {'; '.join(repaired)}"):
                if wait:
                    self.wait_for_units()
                    bootstrap.wait_for_etcd(self._first("etcd"))
                    self._wait_for_apiserver()
                if self._has(KEPT) and not self._has(READY):
                    # a stop has removed the file, with what the lab reached when it came up
                    self.exec(self._master_name, ["tee", READY], stdin=f"{UNKNOWN}\n".encode())

    def _changes_of_attacker(self) -> list[Difference]:
        """Return what differs on the attacker's machine, but for programs: a terminal is one."""
        names = [it.name for it in self._plain.nodes if it.role == "attacker"]
        machines = {name: self.container(name) for name in names}
        found = differences(kept_fingerprint(self._master), take_machines(machines))
        return [it for it in found if it.section != "processes"]

    def _renew_attacker(self, found: Sequence[Difference]) -> None:
        """Create a changed machine of the attacker again: it holds nothing of the lab."""
        for name in dict.fromkeys(it.place for it in found):
            machine = self.container(name)
            with self.reporter.step(f"{self.mode}: create {name} again"):
                image = str(machine.attrs["Image"])
                try:
                    machine.remove(force=True, v=True)
                except APIError as error:
                    # a participant of a server room may not
                    raise LabError(
                        f"{name} was changed, and cannot be created again: the rest of the lab is "
                        "restored",
                        evidence=[
                            *[str(it) for it in found if it.place == name][:10],
                            str(error.explanation or error),
                        ],
                        hint=f"take the change back on {name}, or ask your trainer for it",
                    ) from error
                self._create_again(self._plain.node(name), image)

    def _create_again(self, node: Node, image: str) -> None:
        network = find_network(self.client, self.name, self.mode)
        if network is None:
            raise self._absent()
        addresses = planned_addresses(network, self._plain.nodes)
        files = files_without_keys(node, addresses[node.name], {})
        nodes.create_node(
            self.client,
            network,
            image,
            self._plain,
            node,
            name=self.name,
            addresses=addresses,
            files=files,
        )
        self._forget()

    @contextlib.contextmanager
    def _exclusive(self, what: str, image: str = "", wait: float | None = None) -> Iterator[None]:
        with lock.exclusive(
            self.client,
            self.name,
            self.mode,
            what,
            reporter=self.reporter,
            wait=self.wait_s if wait is None else wait,
            image=image,
            made_from=self._labels() if image else {},
            token=self._token,
        ) as changed:
            if changed:
                self._forget()
            yield

    def wait(self) -> None:
        """Wait until the apiserver, the workers and the workloads are ready.

        Raises
        ------
        NoSuchLab
            The lab is not up.
        StartTimeout
            They are not ready in time.
        """
        self._wait_for_apiserver()
        bootstrap.wait_for_workloads(self._master, self.environment)

    def wait_for_units(self) -> None:
        """Wait until every unit is active and listens, as one that was just restarted may not yet.

        Raises
        ------
        NoSuchLab
            The lab is not up.
        StartTimeout
            A unit is not active in time.
        """
        bootstrap.wait_for_all_units(self._containers, self.environment)

    def status(self) -> LabStatus:
        """Return the state of the lab and of its machines.

        Returns
        -------
        LabStatus
        """
        return self._status()

    def _status(self, stretch: float = 1.0) -> LabStatus:
        began = time.monotonic()
        found = nodes.find_nodes(self.client, self.name, self.mode)
        # A busy engine takes long to list a lab. Then its machines get as much more time.
        slow = min(MOST_PATIENCE, max(stretch, (time.monotonic() - began) / LISTED_S))
        env = self._plain
        kubeconfig = env.bootstrap_kubeconfig
        roles = {node.name: node.role for node in env.nodes}
        status = status_of(self.name, self.mode, found, roles, kubeconfig, slow * ANSWER_S)
        made = [container.labels for container in found]
        return replace(status, other_files=not is_made_from(env, made))

    def require_same_files(self) -> None:
        """Refuse to hold the lab against files that it was not made from.

        Raises
        ------
        LabError
            The environment's files differ from those that the lab was made from.
        """
        made = nodes.labels_of(self.client, self.name, self.mode)
        if not is_made_from(self._plain, made):
            raise made_from_others(self._plain, self.name, self.mode, made)

    # -- private --------------------------------------------------------------------------

    def _require_own(self) -> Sequence[Mapping[str, str]]:
        """Return the labels of the lab's parts; refuse the lab of another folder with its name."""
        made = nodes.labels_of(self.client, self.name, self.mode)
        if not may_be_of(self._plain, made):
            raise made_from_others(self._plain, self.name, self.mode, made)
        return made

    def _labels(self) -> dict[str, str]:
        """Return the labels of a new lab that say what it is made from, and for which workshop."""
        return {**origin(self._plain), **({"workshop": self.workshop} if self.workshop else {})}

    def _record(
        self,
        env: Environment,
        before: Environment | None = None,
        who: str = "",
        *,
        running: bool = False,
    ) -> None:
        record.write(self._master, env, before, who, running=running)
        self.__dict__["environment"] = env

    def _roll_back(self) -> None:
        """Undo an interrupted change, because its progress is unknown."""
        edits = record.read(self._master).before
        if edits is None:
            return
        before = read_environment(self._plain.folder, edits)
        with self.reporter.step(f"{self.mode}: undo an interrupted change"):
            change(self._containers, self.environment, before)
        self._record(before)

    def _wait_for_apiserver(self) -> None:
        bootstrap.wait_for_apiserver(self._master, self.environment.bootstrap_kubeconfig)

    def _keep(self) -> None:
        keep(self._containers, self.environment)  # first: the fingerprint names its files
        keep_fingerprint(self._containers, self.environment)

    def _create(self, image: str) -> None:
        self._forget()
        network = create_network(self.client, self.name, self.mode, **self._labels())
        addresses = planned_addresses(network, self.environment.nodes)
        with ThreadPoolExecutor(max_workers=1) as aside:
            of_lab = (self.client, network, image, self.name, self.mode)
            closing = aside.submit(close_bridge, *of_lab)
            files = machine_files(self.environment, addresses)
            nodes.create_nodes(
                self.client, network, image, self.environment, self.name, addresses, files
            )
            with contextlib.suppress(LabError):  # the test from inside tells what it means
                closing.result()
        self._forget()
        aside = ThreadPoolExecutor(max_workers=1)
        self._reached = aside.submit(answering_host_addresses, *of_lab[:2], *of_lab[3:])
        aside.shutdown(wait=False)
