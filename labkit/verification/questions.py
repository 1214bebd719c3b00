"""The requests that probe a listener, in its own protocol.

Each channel has three: one that its own client may make (also the positive control), one that
needs a credential, and one that needs every right. The last one changes nothing: it is a dry run,
or names an object that does not exist.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass

from labkit.model import Channel
from labkit.model.clouds import ABOUT
from labkit.model.listener import HEALTH
from labkit.model.listeners.cloud_stand_in import REQUESTS
from labkit.model.listeners.etcd import RAFT
from labkit.model.listeners.systemd_journal_remote import ENTRIES

__all__ = ["Question", "etcd_questions", "questions"]

BINDING = {
    "apiVersion": "rbac.authorization.k8s.io/v1",
    "kind": "ClusterRoleBinding",
    "metadata": {"name": "labkit-probe"},
    "roleRef": {
        "apiGroup": "rbac.authorization.k8s.io",
        "kind": "ClusterRole",
        "name": "cluster-admin",
    },
    "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "labkit-probe"}],
}
CONTAINER = {"Image": "labkit-probe-no-such-image", "HostConfig": {"Privileged": True}}
REGISTRY, FLANNEL = "/registry/namespaces/", "/coreos.com/network/"
#: What flanneld has no business with; and a key there that no object has.
SECRETS, NO_SUCH = "/registry/secrets/", "labkit-probe-no-such-key"


@dataclass(frozen=True, slots=True)
class Question:
    """An HTTP request.

    Attributes
    ----------
    path : str
        The path with the query.
    method : str
        The HTTP method.
    body : str
        JSON, or "".
    media : str
        The type of the body, where it is not JSON.

    Examples
    --------
    >>> Question("/pods").job()["method"]
    'GET'
    """

    path: str
    method: str = "GET"
    body: str = ""
    media: str = ""

    def job(self) -> dict[str, object]:
        """Return the request as part of a job for ``labkit.agents.probe``.

        Returns
        -------
        dict of str to object
        """
        media = self.media or ("application/json" if self.body else "")
        headers = {"Content-Type": media} if media else {}
        return {"path": self.path, "method": self.method, "body": self.body, "headers": headers}


BIND = Question(
    "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings?dryRun=All", "POST", json.dumps(BINDING)
)
NAMESPACES = Question("/api/v1/namespaces?limit=1")
PODS = Question("/pods")
HEALTHY, COUNTS = Question("/healthz"), Question("/metrics")
REVIEW = Question(
    "/v0/data/kubernetes/token",
    "POST",
    json.dumps(
        {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenReview",
            "spec": {"token": "labkit-unknown-token"},
        }
    ),
)
POLICIES = Question("/v1/policies")
VOLUMES = Question("/?Action=DescribeVolumes&Version=2016-11-15")
#: An upload without an entry: the collector says whether it would take one, and stores none.
UPLOAD = Question("/upload", "POST", media="application/vnd.fdo.journal")
STORED, SERIES = Question("/entries?_TRANSPORT=labkit"), Question("/api/v1/labels")
DISCOVERY = Question("/.well-known/openid-configuration")
RANGE = Question(
    "/v3/kv/range",
    "POST",
    json.dumps({"key": base64.b64encode(REGISTRY.encode()).decode(), "keys_only": True}),
)
DOCKER_LIST = Question("/containers/json")
DOCKER_ROOT = Question("/containers/create", "POST", json.dumps(CONTAINER))


def questions(channel: Channel) -> tuple[Question, Question, Question]:
    """Return the HTTP requests that probe a channel.

    Parameters
    ----------
    channel : Channel
        The channel.

    Returns
    -------
    own, closed, power : Question
        A request that the channel's client may make; one that needs a credential if the listener
        demands one; one that needs every right.

    Raises
    ------
    KeyError
        No request is known for this kind of server.
    """
    own, closed, power = _of_server(channel)
    # it scrapes every server alike
    return (COUNTS if channel.client_name == "prometheus" else own), closed, power


def _of_server(channel: Channel) -> tuple[Question, Question, Question]:
    client, node, server = channel.client_name, channel.client_node, channel.server_name
    if server in ("kube-apiserver", "kubectl-proxy"):
        own = {
            "kubelet": Question(f"/api/v1/nodes/{node}"),
            "kube-proxy": Question("/api/v1/services?limit=1"),
            "kube-scheduler": Question("/api/v1/pods?limit=1"),
        }.get(client, NAMESPACES)
        return own, NAMESPACES, BIND
    if channel.data == HEALTH:
        return HEALTHY, HEALTHY, HEALTHY
    if server == "kube-proxy":
        return COUNTS, COUNTS, COUNTS
    if server in ("kube-controller-manager", "kube-scheduler"):
        return HEALTHY, COUNTS, COUNTS
    if server == "kubelet":
        return PODS, PODS, PODS
    if server == "canaille":
        return DISCOVERY, Question("/oauth/userinfo"), Question("/users/")
    if server == "cloud-stand-in":
        asked = VOLUMES if channel.data == REQUESTS else Question("/latest/meta-data/")
        return Question(ABOUT), asked, asked
    if server == "opa":
        # its operator names the paths of reviews; these are those of labkit's own environments
        return REVIEW if client == "kube-apiserver" else POLICIES, POLICIES, POLICIES
    if server == "systemd-journal-remote" or channel.data[:1] == ENTRIES:
        return UPLOAD, UPLOAD, UPLOAD
    if server == "systemd-journal-gatewayd":
        return STORED, STORED, STORED
    if server == "prometheus":
        return SERIES, SERIES, SERIES
    if server == "dockerd":
        return DOCKER_LIST, DOCKER_LIST, DOCKER_ROOT
    if server == "etcd" and channel.data == RAFT:
        return Question("/members"), Question("/members"), Question("/members")
    if server == "etcd":
        return RANGE, RANGE, RANGE
    raise KeyError(f"no question is known for {server}")


def etcd_questions(channel: Channel, *, writes_only: bool = False) -> tuple[list[str], list[str]]:
    """Return the requests that probe etcd by etcdctl, because HTTP has no login by certificate.

    Parameters
    ----------
    channel : Channel
        A channel to etcd.
    writes_only : bool
        Whether its client may write the keys of another client, and not read them.

    Returns
    -------
    own, power : list of str
        Arguments of etcdctl: they read the name of a key with the client's own prefix, and of one
        with the prefix of another client, or delete a key there that does not exist.
    """
    flannel = channel.client.startswith("flanneld@")
    keys = (FLANNEL, SECRETS) if flannel else (REGISTRY, FLANNEL)
    own, power = (["get", key, "--prefix", "--limit=1", "--keys-only"] for key in keys)
    return own, ["del", f"{keys[1]}{NO_SUCH}"] if writes_only else power
