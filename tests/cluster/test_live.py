"""Read a running cluster with kubectl from a fake apiserver."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from labkit.cluster import Dump, Environment, read_anything, read_live
from labkit.cluster.objects import live as module
from labkit.errors import ConfigError

pytestmark = pytest.mark.skipif(shutil.which("kubectl") is None, reason="there is no kubectl here")

PODS = [
    {"metadata": {"name": f"web-{n}", "namespace": "shop", "uid": str(n)}, "spec": {}}
    for n in range(7)
]


class Apiserver(ThreadingHTTPServer):
    """Answers with lists, page by page; refuses the paths in ``refused``."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.requests: list[tuple[str, str]] = []
        self.refused: dict[str, int] = {}
        self.expires = 0
        self.lists: dict[str, list[Any]] = {"/api/v1/pods": PODS}


class Handler(BaseHTTPRequestHandler):
    server: Apiserver

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        query = parse_qs(url.query)
        if url.path == "/version":
            # some builds of kubectl first request the server's version
            return self.answer(200, {"major": "1", "minor": "37", "gitVersion": "v1.37.0"})
        self.server.requests.append((self.command, self.path))
        if url.path in self.server.refused:
            code = self.server.refused[url.path]
            return self.fail(code, {401: "Unauthorized", 404: "NotFound"}.get(code, "Forbidden"))
        start = int(query.get("continue", ["0"])[0])
        if start and self.server.expires:
            self.server.expires -= 1
            return self.fail(410, "Expired")
        limit = int(query["limit"][0])
        items = self.server.lists.get(url.path, [])
        more = str(start + limit) if start + limit < len(items) else ""
        page = {"metadata": {"continue": more}, "items": items[start : start + limit]}
        return self.answer(200, page)

    do_POST = do_PUT = do_PATCH = do_DELETE = do_GET  # noqa: N815

    def fail(self, code: int, reason: str) -> None:
        self.answer(
            code,
            {
                "kind": "Status",
                "apiVersion": "v1",
                "status": "Failure",
                "reason": reason,
                "code": code,
                "message": f"{reason}: no",
            },
        )

    def answer(self, code: int, value: object) -> None:
        data = json.dumps(value).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def apiserver(monkeypatch, tmp_path: Path) -> Iterator[Apiserver]:
    monkeypatch.setattr(module, "PAGE", 3)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "another"))
    (tmp_path / "home").mkdir()
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    with Apiserver() as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def few(monkeypatch) -> None:
    """Request three kinds only, because each request starts kubectl."""
    kinds = ("Secret", "Pod", "NetworkPolicy")
    monkeypatch.setattr(module, "LISTS", {kind: module.LISTS[kind] for kind in kinds})


@pytest.fixture
def kubeconfig(apiserver: Apiserver, tmp_path: Path) -> Path:
    path = tmp_path / "config"
    server = f"http://127.0.0.1:{apiserver.server_address[1]}"
    path.write_text(
        f"""
apiVersion: v1
kind: Config
current-context: other
clusters:
  - {{name: c, cluster: {{server: "{server}"}}}}
  - {{name: away, cluster: {{server: "http://127.0.0.1:9"}}}}
users: [{{name: u, user: {{token: HUNTER2}}}}]
contexts:
  - {{name: prod, context: {{cluster: c, user: u}}}}
  - {{name: other, context: {{cluster: away, user: u}}}}
"""
    )
    return path


def test_live_reader_reads_every_page_with_get_only(apiserver: Apiserver, kubeconfig: Path):
    secret = {"metadata": {"name": "s", "namespace": "shop"}, "data": {"x": "HUNTER3"}}
    apiserver.lists["/api/v1/secrets"] = [secret]
    dump = read_live(kubeconfig, "prod")
    assert dump.name == "prod"
    assert dump.pod_count == 7
    assert dump.unknowns == ()
    assert {method for method, _ in apiserver.requests} == {"GET"}
    pages = [parse_qs(urlsplit(path).query) for _, path in apiserver.requests if "/pods?" in path]
    assert [page.get("continue") for page in pages] == [None, ["3"], ["6"]]
    assert not [text for text in ("HUNTER2", "HUNTER3") if text in repr((dump, dump.secrets))]


@pytest.mark.usefixtures("few")
def test_live_reader_writes_nothing_to_the_home_folder(
    apiserver: Apiserver, kubeconfig: Path, tmp_path: Path
):
    read_live(kubeconfig, "prod")
    assert list((tmp_path / "home").iterdir()) == []


@pytest.mark.usefixtures("few")
def test_forbidden_and_missing_lists_are_unknowns(apiserver: Apiserver, kubeconfig: Path):
    apiserver.refused = {"/api/v1/secrets": 403, module.LISTS["NetworkPolicy"]: 404}
    dump = read_live(kubeconfig, "prod")
    said = [str(item) for item in dump.unknowns]
    assert said[0] == (
        "prod GET /api/v1/secrets: Error from server (Forbidden): not known: "
        "which secrets hold service account tokens"
    )
    assert "networkpolicies: Error from server (NotFound)" in "".join(said)
    assert dump.pod_count == 7


def test_kinds_that_an_older_cluster_lacks_are_not_missing(
    apiserver: Apiserver, kubeconfig: Path, monkeypatch
):
    # admission policies exist since Kubernetes 1.30, mutating ones since 1.36
    kinds = (
        "ValidatingAdmissionPolicy",
        "MutatingAdmissionPolicy",
        "ValidatingWebhookConfiguration",
    )
    paths = {kind: module.LISTS[kind] for kind in kinds}
    monkeypatch.setattr(module, "LISTS", paths)
    rule = {key: ["*"] for key in ("operations", "apiGroups", "apiVersions", "resources")}
    hook = {"metadata": {"name": "all"}, "webhooks": [{"name": "a.example.com", "rules": [rule]}]}
    apiserver.lists[paths[kinds[2]]] = [hook]
    apiserver.refused = {paths[kinds[0]]: 404, paths[kinds[1]]: 403}
    dump = read_live(kubeconfig, "prod")
    assert [it.name for it in dump.admission.hooks] == [f"{kinds[2]} all: a.example.com"]
    said = [it.text for it in dump.unknowns if it.text.startswith("GET")]
    assert said == [f"GET {paths[kinds[1]]}"]


@pytest.mark.usefixtures("few")
def test_secrets_are_not_requested_when_excluded(apiserver: Apiserver, kubeconfig: Path):
    dump = read_live(kubeconfig, "prod", secrets=False)
    assert not [path for _, path in apiserver.requests if "secrets" in path]
    assert "was not requested" in dump.unknowns[0].why


@pytest.mark.usefixtures("few")
def test_expired_list_is_requested_once_more_without_duplicates(
    apiserver: Apiserver, kubeconfig: Path
):
    apiserver.expires = 1
    assert read_live(kubeconfig, "prod").pod_count == 7
    apiserver.expires = 2
    dump = read_live(kubeconfig, "prod")
    assert dump.pod_count == 3, "the first page"
    assert "(Expired)" in "".join(map(str, dump.unknowns))


@pytest.mark.usefixtures("few")
def test_unreachable_apiserver_is_refused_without_showing_the_token(
    apiserver: Apiserver, kubeconfig: Path
):
    with pytest.raises(ConfigError, match="cannot read from the apiserver") as caught:
        read_live(kubeconfig)
    assert "HUNTER2" not in str(caught.value)
    apiserver.refused = dict.fromkeys(module.LISTS.values(), 401)
    with pytest.raises(ConfigError, match="cannot read from the apiserver"):
        read_live(kubeconfig, "prod")
    with pytest.raises(ConfigError, match="no kubectl-of-mine"):
        read_live(kubeconfig, kubectl="kubectl-of-mine")


@pytest.mark.usefixtures("few")
def test_malformed_list_is_an_unknown(apiserver: Apiserver, kubeconfig: Path):
    apiserver.lists["/api/v1/pods"] = [3, {"metadata": 4}]
    assert "not a list: expected an object" in "".join(
        map(str, read_live(kubeconfig, "prod").unknowns)
    )


def test_objects_of_kinds_with_templates_of_pods_are_requested(
    apiserver: Apiserver, kubeconfig: Path, monkeypatch
):
    path, other = "/apis/batch.example.com/v1/jobs", "/apis/argoproj.io/v1/rollouts"
    definitions = module.LISTS["CustomResourceDefinition"]
    monkeypatch.setattr(module, "LISTS", {"CustomResourceDefinition": definitions})
    pod: Any = {"properties": {"spec": {"properties": {"containers": {}}}}}
    schema = {"properties": {"spec": {"properties": {"template": pod}}}}
    apiserver.lists[definitions] = [
        {
            "metadata": {"name": f"{plural}.{group}"},
            "spec": {
                "group": group,
                "names": {"plural": plural, "kind": kind},
                "versions": [{"name": "v1", "served": True, "schema": {"openAPIV3Schema": schema}}],
            },
        }
        for group, plural, kind in (
            ("batch.example.com", "jobs", "Job"),
            ("argoproj.io", "rollouts", "Rollout"),
        )
    ]
    template = {"spec": {"containers": [{"name": "c"}]}}
    # an item of a list may not repeat its kind
    apiserver.lists[path] = [
        {"metadata": {"name": "w", "namespace": "ops"}, "spec": {"template": template}}
    ]
    dump = read_live(kubeconfig, "prod")
    assert [(it.id, it.kind) for it in dump.pods] == [("ops/w", "Job")]
    # Kubernetes' own jobs were not read, and an empty list says that there are no rollouts
    assert "Job" not in dump.kinds
    assert not [it for it in dump.unknowns if "rollouts" in it.text or "jobs" in it.text]
    apiserver.refused = {other: 403}
    [said] = [it for it in read_live(kubeconfig, "prod").unknowns if "rollouts" in it.text]
    assert said.text == f"GET {other}"
    assert "(Forbidden): not known" in said.why


def test_read_anything_picks_the_reader_by_content(tmp_path: Path):
    assert isinstance(read_anything("insecure"), Environment)
    manifests = tmp_path / "prod/m/etc/kubernetes/manifests"
    manifests.mkdir(parents=True)
    assert isinstance(read_anything(tmp_path / "prod"), Environment)
    assert isinstance(read_anything(tmp_path / "prod" / "m"), Environment)
    (tmp_path / "dump.json").write_text('{"kind": "Node", "metadata": {"name": "a"}}')
    assert isinstance(read_anything(tmp_path / "dump.json"), Dump)
    (tmp_path / "folder").mkdir()
    with pytest.raises(ConfigError, match="holds no files of a cluster"):
        read_anything(tmp_path / "folder")
    (tmp_path / "dump.json").rename(tmp_path / "folder" / "dump.json")
    assert isinstance(read_anything(tmp_path / "folder"), Dump)
    with pytest.raises(ConfigError, match="does not exist"):
        read_anything(tmp_path / "nowhere")
