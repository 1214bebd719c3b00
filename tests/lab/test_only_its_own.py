"""A fuzzer tries to make commands act on something that is not the lab's own.

``make fuzz-targets`` runs 5,000 rounds. Who owns what, the test notes when it makes it; it does
not read labels for that.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import random
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest
from docker.errors import APIError, NotFound

from labkit import techniques
from labkit.cluster import Environment, read_environment
from labkit.errors import CommandFailed, LabkitError
from labkit.lab import (
    Lab,
    health,
    isolation,
    lab,
    list_labs,
    lock,
    machine,
    network,
    nodes,
    removal,
    status,
)
from labkit.lab.engine import labels
from labkit.lab.origin import origin
from labkit.lab.progress import QuietReporter
from labkit.techniques._lib.machines.reach import address_in_lab

ROUNDS = int(os.environ.get("LABKIT_FUZZ_ROUNDS", "200"))
SEED = int(os.environ.get("LABKIT_FUZZ_SEED", "11"))
NAMES = ("a", "ab", "default", "a-b", "b")
MODES = ("prod", "prod2", "b", "a", "insecure", "b-insecure")
#: What a person, a script or a variable that is not set may give as a name or a mode.
ODD = ("", " ", "*", "a,b", "a=b", "..", "a\nb", "labkit.lab", "A", "-", "a/../b", "%", "a b")
#: What is ordered; twice what can do most harm.
ORDERS = (
    *("down", "down", "up", "all", "remove", "exec", "target", "target", "find"),
    *("reset", "reset a machine", "attack", "configure", "status", "list"),
)
SUBNET = "10.160.9."
GATEWAY = f"{SUBNET}254"
HOSTS = (GATEWAY, "172.17.0.1", "127.0.0.1", "0.0.0.0", "192.0.2.2", "::1", "localhost", "gateway")


class Thing:
    """A container, volume or network."""

    def __init__(self, engine: FakeEngine, kind: str, name: str, labels: Mapping[str, str]) -> None:
        self.engine, self.kind, self.name = engine, kind, name
        self.id = f"{kind}-{next(engine.numbers)}"
        self.labels = dict(labels)
        self.status = "running"
        self.pool = {"Subnet": "10.160.9.0/24", "Gateway": "10.160.9.254"}
        #: The network's identifier and the address of a container.
        self.end: tuple[str, str] = ("", "")
        self.client = engine

    @property
    def attrs(self) -> dict[str, Any]:
        return {
            "Labels": self.labels,
            "Image": "labkit/node:0",
            "IPAM": {"Config": [self.pool]},
            "State": {"Status": self.status, "ExitCode": 1},
            "NetworkSettings": {"Networks": {"n": self.shown_end()}},
        }

    def shown_end(self) -> dict[str, str]:
        network, address = self.end
        return {"NetworkID": network, "IPAddress": address, "MacAddress": "02:00:00:00:00:01"}

    def reload(self) -> None:
        """Change nothing: what is shown is what there is."""

    def remove(self, **_: Any) -> None:
        self.engine.note("remove", self)
        self.engine.things.remove(self)

    def kill(self) -> None:
        self.engine.note("kill", self)

    def start(self) -> None:
        self.engine.note("start", self)

    def put_archive(self, path: str, data: bytes) -> None:
        self.engine.note("write", self)

    def get_archive(self, path: str) -> Any:
        self.engine.note("read", self)
        raise NotFound("no such file")

    def logs(self, **_: Any) -> bytes:
        return b""


class FakeEngine:
    """An engine as the Docker SDK shows it.

    Parameters
    ----------
    sloppy : bool
        Filters find too much, as if the engine took them for a beginning.
    """

    def __init__(self, *, sloppy: bool = False) -> None:
        self.sloppy = sloppy
        self.things: list[Thing] = []
        self.actions: list[tuple[str, Thing]] = []
        self.numbers = itertools.count(1)
        self.containers: Any = SimpleNamespace(list=self._listed("container"), get=self._get)
        self.volumes: Any = SimpleNamespace(list=self._listed("volume"), create=self._volume)
        self.networks: Any = SimpleNamespace(list=self._listed("network"), create=self._network)
        self.api: Any = SimpleNamespace(
            containers=self._raw,
            create_container=self._create,
            create_host_config=lambda **_: {},
            create_networking_config=lambda _: {},
            create_endpoint_config=lambda **_: {},
            start=lambda one: self.note("start", self._get(one)),
            wait=lambda *_, **__: {"StatusCode": 0},
            remove_container=lambda one, **_: self._named(one).remove(),
            base_url=f"fake-{id(self)}",
        )

    def ping(self) -> bool:
        return True

    def add(self, kind: str, name: str, labels: Mapping[str, str]) -> Thing:
        thing = Thing(self, kind, name, labels)
        self.things.append(thing)
        return thing

    def note(self, action: str, thing: Thing) -> None:
        self.actions.append((action, thing))

    def _found(self, kind: str, filters: Mapping[str, Any] | None) -> Iterator[Thing]:
        wanted = (filters or {}).get("label", [])
        for thing in [thing for thing in self.things if thing.kind == kind]:
            if all(self._has(thing, each) for each in wanted):
                yield thing

    def _has(self, thing: Thing, wanted: str) -> bool:
        key, equals, value = wanted.partition("=")
        if key not in thing.labels:
            return False
        present = thing.labels[key]
        return not equals or present == value or (self.sloppy and present.startswith(value[:1]))

    def _listed(self, kind: str) -> Any:
        return lambda filters=None, **_: list(self._found(kind, filters))

    def _raw(self, filters: Mapping[str, Any] | None = None, **_: Any) -> list[dict[str, Any]]:
        return [
            {
                "Id": thing.id,
                "Labels": thing.labels,
                "NetworkSettings": {"Networks": {"n": thing.shown_end()}},
            }
            for thing in self._found("container", filters)
        ]

    def _get(self, wanted: str) -> Thing:
        found = next((thing for thing in self.things if thing.id == wanted), None)
        if found is None:
            raise NotFound("no such container")
        return found

    def _named(self, wanted: str) -> Thing:
        found = next((thing for thing in self.things if wanted in (thing.id, thing.name)), None)
        return found or self._get(wanted)

    def _create(self, *_: Any, **given: Any) -> dict[str, str]:
        name = given.get("name", "")
        if name and any(thing.name == name for thing in self.things):
            said = f'Conflict. The container name "{name}" is already in use by container "x".'
            raise APIError("409", explanation=said)
        return {"Id": self.add("container", name, given["labels"]).id}

    def _volume(self, name: str, labels: Mapping[str, str]) -> Thing:
        # as the engine does, return a volume of that name unchanged
        found = (one for one in self.things if (one.kind, one.name) == ("volume", name))
        return next(found, None) or self.add("volume", name, labels)

    def _network(self, name: str, *, labels: Mapping[str, str], **_: Any) -> Thing:
        if any((one.kind, one.name) == ("network", name) for one in self.things):
            raise APIError("409", explanation=f"network with name {name} already exists")
        return self.add("network", name, labels)


class Owner(NamedTuple):
    """The lab that a thing is of."""

    name: str
    mode: str
    folder: Path | None


class World:
    """Labs of several folders, and things of others, on one engine."""

    def __init__(self, rng: random.Random, base: Path) -> None:
        self.rng = rng
        self.engine = FakeEngine(sloppy=rng.random() < 0.3)
        self.owners: dict[str, Owner | None] = {}
        self.folders = [self._folder(base / str(number)) for number in range(3)]
        self.made: dict[tuple[str, str], Owner] = {}
        for _ in range(rng.randint(1, 4)):
            self._lab(rng.choice(NAMES), rng.choice(self.folders))
        for _ in range(rng.randint(1, 6)):
            self._foreign()

    def _folder(self, path: Path) -> Path:
        path.mkdir(parents=True, exist_ok=True)
        mode = self.rng.choice(MODES)
        (path / "environment.yaml").write_text(f"name: {mode}\ndescription: {self.rng.random()}\n")
        hosts = self.rng.sample(range(1, 255), 4)
        lines = [
            f"  {name}: {{role: {role}, host: {host}}}"
            for (name, role), host in zip(
                (("m", "master"), ("e", "etcd"), ("w", "worker"), ("x", "attacker")),
                hosts,
                strict=True,
            )
        ]
        roles = "".join(f"  {role}: {{zone: z}}\n" for role in ("master", "etcd", "worker"))
        text = f"roles:\n{roles}  attacker: {{zone: z}}\nnodes:\n" + "\n".join(lines)
        (path / "topology.yaml").write_text(f"{text}\n")
        return path

    def _own(self, thing: Thing, owner: Owner | None) -> Thing:
        self.owners[thing.id] = owner
        return thing

    def _lab(self, name: str, folder: Path) -> None:
        env = read_environment(folder)
        if (name, env.name) in self.made:
            return
        owner = self.made[name, env.name] = Owner(name, env.name, folder)
        common = labels(name, env.name, **origin(env))
        net = self._own(self.engine.add("network", f"labkit-{name}-{env.name}", common), owner)
        if self.rng.random() < 0.8:
            own = labels(name, env.name, role="lock")
            self._own(self.engine.add("container", lock.keeper_name(name, env.name), own), owner)
        for number, node in enumerate(env.nodes[: self.rng.randint(0, 4)]):
            own = labels(name, env.name, node=node.name, role=node.role, **origin(env))
            title = nodes.container_name(name, env.name, node.name)
            thing = self._own(self.engine.add("container", title, own), owner)
            thing.status = self.rng.choice(("running", "running", "exited"))
            ends = [(net.id, f"{SUBNET}{number + 1}")] * 4
            strange = [(net.id, GATEWAY), (net.id, ""), ("n0", f"{SUBNET}9"), (net.id, "192.0.2.2")]
            thing.end = self.rng.choice(ends + strange)
            self._own(self.engine.add("volume", f"{title}-var-lib-etcd", common), owner)

    def _foreign(self) -> None:
        """Add something that is of no lab, but looks a little like it."""
        name, mode = self.rng.choice(NAMES), self.rng.choice(MODES)
        kind = self.rng.choice(("container", "volume", "network"))
        given: dict[str, str] = self.rng.choice(
            (
                {},
                {"labkit.lab": name},
                {"labkit.mode": mode},
                {"labkit.lab": "", "labkit.mode": mode},
                {"labkit.lab": name, "labkit.mode": ""},
                {"com.docker.compose.project": name, "mode": mode},
                {"labkit.lab": f"{name}x", "labkit.mode": mode, "labkit.node": "m"},
            )
        )
        title = nodes.container_name(name, mode, self.rng.choice(("m", "e", "")))
        title = self.rng.choice((title, title, lock.keeper_name(name, mode)))
        if title not in {thing.name for thing in self.engine.things}:
            # the last labels are those of a lab, which an order for all labs may remove
            whole = given.get("labkit.lab") and given.get("labkit.mode")
            owner = Owner(given["labkit.lab"], given["labkit.mode"], None) if whole else None
            self._own(self.engine.add(kind, title, given), owner)

    def any_lab(self) -> tuple[str, str]:
        """Return the name and the mode of an order: often those of a lab, or nearly."""
        names, modes = [*NAMES, *ODD], [*MODES, *ODD]
        folders = [str(folder) for folder in self.folders]
        if self.rng.random() < 0.7:
            owner = self.rng.choice(list(self.made.values()))
            names = [owner.name] * 4 + names[:1]
            modes, folders = [owner.mode], [str(owner.folder), *folders]
        return self.rng.choice(names), self.rng.choice(self.rng.choice((folders, folders, modes)))


def order(world: World) -> Callable[[Owner, str], bool]:
    """Give one random order; return what says whether it may act on something of an owner."""
    rng, client = world.rng, world.engine
    name, mode = world.any_lab()
    what = rng.choice(ORDERS)
    given: Any = client
    of_folder: set[Owner] = set()
    is_folder = (Path(mode) / "environment.yaml").is_file()
    if is_folder:
        env = read_environment(mode)
        same = {
            owner
            for owner in world.made.values()
            if owner.folder == env.folder or alike(owner, env)
        }
        of_folder = {owner for owner in same if owner[:2] == (name, env.name)}

    def allowed(owner: Owner, action: str) -> bool:
        if what in ("all", "list"):
            return True
        if action in ("exec", "read", "attack"):  # they remove nothing
            return owner[:2] == (name, env.name if is_folder else mode)
        if is_folder:
            return owner in of_folder
        # a mode that is a name says which lab to remove; to bring one up needs its own files
        return what != "up" and owner[:2] == (name, mode)

    try:
        if what == "all":
            for each in removal.find_all(given, reporter=QuietReporter(), wait=0):
                each.down()
        elif what == "remove":
            if not is_folder:
                removal.Leftover(given, name, mode, QuietReporter(), 0).down()
        elif what == "find":
            how: Any = {"reporter": QuietReporter(), "wait": 0}
            removal.find(lambda m, **_: Lab(m, name=name, client=given), mode, name, **how).down(
                force=rng.random() < 0.5
            )
        else:
            one = Lab(mode, name=name, client=given, reporter=QuietReporter())
            if what == "down":
                one.down(force=rng.random() < 0.5)
            elif what == "up":
                one.up()
            elif what == "reset":
                one.reset()
            elif what == "reset a machine":
                one.reset_machine(rng.choice(("m", "e", "w", "x", "", "m;e")))
            elif what == "attack":
                techniques[rng.choice(list(techniques))].run(one)
            elif what == "configure":
                one.apply(())
            elif what == "status":
                one.status()
            elif what == "list":
                list_labs(given)
            elif what == "exec":
                one.exec(rng.choice(("m", "e", "w", "x", "", "m;e")), ["true"])
            else:
                host = rng.choice((*HOSTS, "m", "e", "w", "x", f"{SUBNET}{rng.randint(0, 255)}"))
                aim(world, Owner(name, one.mode, None), address_in_lab(one, host))
    except (LabkitError, ValueError, StopIteration):
        pass
    return allowed


def alike(owner: Owner, env: Environment) -> bool:
    if owner.folder is None:
        return False
    return origin(read_environment(owner.folder))["files"] == origin(env)["files"]


def aim(world: World, asked: Owner, address: str) -> None:
    """Note the address of an attack as an action on the machine that has it."""
    nets = {
        thing.id
        for thing in world.engine.things
        if thing.kind == "network" and is_owner(world.owners.get(thing.id), asked)
    }
    for thing in world.engine.things:
        mine = is_owner(world.owners.get(thing.id), asked) and thing.end[0] in nets
        if mine and thing.end[1] == address != GATEWAY and address.startswith(SUBNET):
            return world.engine.note("attack", thing)
    stranger = world.engine.add("container", f"the host at {address}", {})
    world.owners[stranger.id] = None
    return world.engine.note("attack", stranger)


def is_owner(owner: Owner | None, asked: Owner) -> bool:
    return owner is not None and owner[:2] == asked[:2]


def fuzz(rounds: int, seed: int, base: Path) -> int:
    """Give random orders; return how many acted on something, and fail if it was another's."""
    acted = 0
    for number in range(rounds):
        rng = random.Random(f"{seed}/{number}")
        world = World(rng, base)
        before = {thing.id for thing in world.engine.things}
        for _ in range(rng.randint(1, 3)):
            world.engine.actions.clear()
            allowed = order(world)
            for action, thing in world.engine.actions:
                if thing.id not in before and thing.id not in world.owners:
                    continue  # what the order itself created
                owner = world.owners[thing.id]
                assert owner is not None, f"round {number}: {action} of {thing.name}: not a lab's"
                assert allowed(owner, action), (
                    f"round {number}: {action} of {thing.name}, of {owner}"
                )
            acted += bool(world.engine.actions)
    return acted


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Let a lab's start end after its machines, at a command that fails."""

    def enter(container: Thing) -> Any:
        container.engine.note("exec", container)

        def run(*_: Any) -> Any:
            raise CommandFailed("this engine runs nothing")

        return SimpleNamespace(run=run, call=run)

    @contextlib.contextmanager
    def at_once(*_: Any, **__: Any) -> Iterator[bool]:
        yield True

    monkeypatch.setattr(lock, "exclusive", at_once)
    for module in (machine, status):
        monkeypatch.setattr(module, "connection_to", enter)
    # nothing of this engine gets well by itself
    monkeypatch.setattr(lab, "RECOVERY_S", 0)
    monkeypatch.setattr(health, "wait_until", lambda container, *_, **__: enter(container).run())
    monkeypatch.setattr(lab, "ensure_image", lambda *_: "labkit/node:0")
    monkeypatch.setattr(removal, "connect", lambda client=None: client or FakeEngine())
    monkeypatch.chdir(tmp_path)


def test_no_order_acts_on_what_is_not_the_labs_own(tmp_path: Path) -> None:
    assert fuzz(ROUNDS, SEED, tmp_path) > ROUNDS / 5, "the orders hardly did anything"


def _any(*_: Any) -> bool:
    return True


@pytest.mark.parametrize(
    ("module", "guard", "broken"),
    [
        (nodes, "is_of", _any),
        (lab.Lab, "_require_own", lambda _: ()),
        (lab, "may_be_of", _any),
        (network, "_gateways", lambda _: set()),
        (network, "is_of", _any),
        (lock, "_keeper", lambda _, name, mode: lock.keeper_name(name, mode)),
    ],
)
def test_fuzzer_notices_a_broken_guard(
    module: Any, guard: str, broken: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, guard, broken)
    with pytest.raises(AssertionError, match="round"):
        fuzz(2000, 13, tmp_path)


def test_isolation_of_a_lab_touches_only_its_own_helper() -> None:
    engine: Any = FakeEngine()
    bridge = engine.add("network", "labkit-a-prod", {})
    isolation.close_bridge(engine, bridge, "labkit/node:0", "a", "prod")
    assert [(action, thing.name) for action, thing in engine.actions] == [
        ("start", ""),
        ("remove", ""),
    ]
