"""The node image on a real engine: saved, loaded, pushed, pulled and booted."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import socket
import tarfile
import time
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import docker
import pytest
from docker.errors import ImageNotFound, NotFound

from labkit.errors import ImageError
from labkit.lab import images
from labkit.lab._recipe import recipe_hash, recipe_tag
from labkit.lab.progress import PlainReporter, ProgressStep
from labkit.resources import environments_dir

pytestmark = pytest.mark.lab

REGISTRY_CONFIG = """\
version: 0.1
http: {{addr: "127.0.0.1:{port}"}}
storage: {{filesystem: {{rootdirectory: /var/lib/registry}}}}
"""


class Silent:
    """A reporter for tests that are not about reports."""

    def step(self, title: str) -> AbstractContextManager[ProgressStep]:
        return PlainReporter(io.StringIO()).step(title)


def built(client: docker.DockerClient, tag: str, labels: dict[str, str], **files: str) -> str:
    """Build an image of a Dockerfile (and other files), and return its id."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, text in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(text.encode())
            tar.addfile(info, io.BytesIO(text.encode()))
    buffer.seek(0)
    image, _ = client.images.build(
        fileobj=buffer, custom_context=True, tag=tag, labels=labels, rm=True, forcerm=True
    )
    return str(image.id)


def is_there(client: docker.DockerClient, tag: str) -> bool:
    try:
        client.images.get(tag)
    except ImageNotFound:
        return False
    return True


@pytest.fixture(scope="module")
def client() -> Iterator[docker.DockerClient]:
    engine = docker.from_env()
    yield engine
    engine.close()


@pytest.fixture
def tiny(
    client: docker.DockerClient,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> Iterator[str]:
    """Make a recipe of its own, and an image of a few bytes that claims to be made from it."""
    environments = tmp_path / "environments"
    shutil.copytree(environments_dir() / "images", environments / "images")
    name = getattr(request, "param", "node")
    dockerfile = environments / "images" / name / "Dockerfile"
    dockerfile.write_text(dockerfile.read_text() + f"# {uuid.uuid4()}\n")
    monkeypatch.setenv("LABKIT_ENVIRONMENTS", str(environments))
    tag = recipe_tag(name)
    labels = {"labkit.image": name, "labkit.recipe": recipe_hash(name)}
    built(client, tag, labels, Dockerfile="FROM scratch\nCOPY marker /\n", marker=tag)
    yield tag
    if is_there(client, tag):
        client.images.remove(tag)


def name_of(tag: str) -> str:
    """Return the name of an image in the recipe."""
    return tag.removeprefix("labkit/").partition(":")[0]


@pytest.mark.parametrize("tiny", ["node", "provider"], indirect=True)
def test_saved_image_loads_as_the_same_image(
    client: docker.DockerClient, tiny: str, tmp_path: Path
) -> None:
    before = client.images.get(tiny).id
    path = tmp_path / "image.tar.gz"
    size = images.save(client, path, Silent(), name_of(tiny))
    assert size == path.stat().st_size
    assert [p.name for p in tmp_path.glob(".*")] == [], "no partial file is left"
    client.images.remove(tiny)
    assert not is_there(client, tiny)
    assert images.load(client, path, Silent()) == tiny
    assert client.images.get(tiny).id == before


def test_saving_a_missing_image_leaves_no_file(
    client: docker.DockerClient, tiny: str, tmp_path: Path
) -> None:
    client.images.remove(tiny)
    with pytest.raises(ImageError, match="is missing"):
        images.save(client, tmp_path / "node.tar.gz", Silent())
    assert list(tmp_path.glob("*.gz*")) == []


def test_archive_of_another_recipe_does_not_reach_the_engine(
    client: docker.DockerClient, tiny: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "node.tar.gz"
    images.save(client, path, Silent())
    client.images.remove(tiny)
    monkeypatch.delenv("LABKIT_ENVIRONMENTS")
    with pytest.raises(ImageError, match="this labkit has recipe"):
        images.load(client, path, Silent())
    assert not is_there(client, tiny)


@pytest.fixture(scope="module")
def registry(client: docker.DockerClient) -> Iterator[str]:
    """Run Debian's docker-registry in a container, on this host's loopback only."""
    node = images.find_node_image(client)
    assert node is not None, "the lab's tests need the node image: make lab"
    dockerfile = f"FROM {node}\nRUN apt-get update && apt-get install -y docker-registry\n"
    tag = f"labkit/test-registry:{hashlib.sha256(dockerfile.encode()).hexdigest()[:12]}"
    if not is_there(client, tag):
        built(client, tag, {"labkit.image": "test-registry"}, Dockerfile=dockerfile)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    config = REGISTRY_CONFIG.format(port=port)
    container = client.containers.run(
        tag,
        entrypoint=[
            "sh",
            "-c",
            f"echo '{config}' > /tmp/c.yml; exec docker-registry serve /tmp/c.yml",
        ],
        network_mode="host",
        detach=True,
    )
    try:
        deadline = time.monotonic() + 15
        while True:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/v2/", timeout=2) as answer:
                    assert answer.status == 200
                break
            except OSError:
                assert time.monotonic() < deadline, container.logs().decode()
                time.sleep(0.1)
        yield f"127.0.0.1:{port}"
    finally:
        container.remove(force=True, v=True)


@pytest.mark.parametrize(
    ("tiny", "prefix"), [("node", ""), ("node", "/course"), ("provider", "")], indirect=["tiny"]
)
def test_pushed_image_is_pulled_as_the_same_image(
    client: docker.DockerClient, tiny: str, registry: str, prefix: str
) -> None:
    before = client.images.get(tiny).id
    name = images.push(client, registry + prefix, Silent(), name_of(tiny))
    assert not is_there(client, name), "the registry's name is taken off again"
    url = f"http://{registry}/v2{prefix}/labkit/{name_of(tiny)}/tags/list"
    with urllib.request.urlopen(url, timeout=5) as answer:
        assert recipe_hash(name_of(tiny)) in json.load(answer)["tags"]
    client.images.remove(tiny)
    assert not is_there(client, tiny)
    assert images.pull(client, registry + prefix, Silent(), name_of(tiny)) == tiny
    assert client.images.get(tiny).id == before
    assert not is_there(client, name)


def test_pulling_an_absent_image_is_refused(
    client: docker.DockerClient, tiny: str, registry: str
) -> None:
    client.images.remove(tiny)
    with pytest.raises(ImageError) as caught:
        images.pull(client, registry, Silent())
    assert registry in str(caught.value)
    assert images.find_node_image(client) is None


def test_pulled_image_of_another_recipe_is_refused(
    client: docker.DockerClient, tiny: str, registry: str
) -> None:
    client.images.remove(tiny)
    labels = {"labkit.image": "node", "labkit.recipe": "0123456789ab"}
    built(client, tiny, labels, Dockerfile="FROM scratch\nCOPY marker /\n", marker="another")
    name = images.push(client, registry, Silent())
    client.images.remove(tiny)
    with pytest.raises(ImageError, match="0123456789ab"):
        images.pull(client, registry, Silent())
    assert not is_there(client, tiny)
    assert not is_there(client, name)


def test_unreachable_registry_is_an_error(client: docker.DockerClient, tiny: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound but not listening: refuses
        port = taken.getsockname()[1]
        with pytest.raises(ImageError, match=f"127.0.0.1:{port}"):
            images.push(client, f"127.0.0.1:{port}", Silent())
    assert images.find_node_image(client) == tiny, "the image itself is still there"


# -- the node itself ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def node(client: docker.DockerClient) -> Iterator[Any]:
    tag = images.find_node_image(client)
    assert tag is not None, "the lab's tests need the node image: make lab"
    host = client.api.create_host_config(
        cap_add=["ALL"],
        cap_drop=["SYS_RESOURCE"],
        security_opt=["seccomp=unconfined", "apparmor=unconfined"],
        devices=["/dev/kmsg"],
        tmpfs={"/run": "exec", "/tmp": ""},
    )
    # "docker run --security-opt systempaths=unconfined" is these two; the SDK has no name for
    # them, nor for --cgroupns here
    host |= {"MaskedPaths": [], "ReadonlyPaths": [], "CgroupnsMode": "private"}
    created = client.api.create_container(tag, host_config=host, volumes=["/var/lib/containerd"])
    container = client.containers.get(created["Id"])
    try:
        container.start()
        yield container
    finally:
        container.remove(force=True, v=True)


def output(container: Any, command: str) -> str:
    code, text = container.exec_run(["sh", "-c", command])
    assert code == 0, text.decode()
    return str(text.decode().strip())


def test_node_image_boots_without_failed_units(node: Any) -> None:
    deadline = time.monotonic() + 15
    while (
        state := node.exec_run("systemctl is-system-running").output.decode().strip()
    ) != "running":
        assert state != "degraded", output(node, "systemctl --failed --no-legend")
        assert time.monotonic() < deadline, state
        time.sleep(0.1)


def test_node_image_has_the_programs_and_their_versions(node: Any) -> None:
    for program in ("apiserver", "controller-manager", "scheduler", "proxy"):
        assert output(node, f"kube-{program} --version") == "Kubernetes v1.37.2"
    assert output(node, "kubelet --version") == "Kubernetes v1.37.2"
    assert "v1.37.2" in output(node, "kubectl version --client")
    assert "3.7.3" in output(node, "etcd --version && etcdctl version")
    assert "v2.3.7" in output(node, "containerd --version && ctr --version")
    assert output(node, "flanneld --version 2>&1") == "v0.28.10"
    assert "SECCOMP" in output(node, "runc --version; runc features").upper()
    output(node, "which dockerd docker tcpdump arpspoof conntrack nft iptables openssl curl")
    output(node, "python3 -c 'import ssl, http.client, json'")


def test_containerd_imports_the_pod_images(node: Any) -> None:
    output(node, "systemd-run --no-block --unit=containerd containerd")
    output(node, "for i in $(seq 100); do ctr version >/dev/null 2>&1 && break; sleep .1; done")
    output(node, "ctr -n k8s.io images import /opt/labkit/pods.tar")
    names = output(node, "ctr -n k8s.io images ls -q").split()
    assert {"registry.k8s.io/pause:3.10", "docker.io/labkit/workload:1"} <= set(names)
    who = "ctr -n k8s.io run --rm --user 1000 docker.io/labkit/workload:1 test sh -c 'id -un'"
    assert output(node, f"{who} 2>/dev/null") == "app"


def test_node_image_starts_no_listening_daemon(client: docker.DockerClient) -> None:
    tag = images.find_node_image(client)
    assert tag is not None
    # as few rights as systemd can do with: the init script has to bear it
    container = client.containers.run(
        tag, detach=True, cap_add=["SYS_ADMIN"], tmpfs={"/run": "exec", "/tmp": ""}
    )
    try:
        test_node_image_boots_without_failed_units(container)
        assert output(container, "ss -Hlntu") == ""
        machine_id = output(container, "cat /etc/machine-id")
        assert len(machine_id) == 32
        container.restart()
        assert output(container, "cat /etc/machine-id") == machine_id
    finally:
        container.remove(force=True, v=True)
    with pytest.raises(NotFound):
        client.containers.get(str(container.id))
