"""The settings that the controls of etcd have in common."""

from __future__ import annotations

from labkit.cluster.edits import PLAN, Edit, Flag, Item, Whole

__all__ = ["ANY_CA", "CA", "ETCD", "clients", "no_users", "plain", "serving", "users"]

ETCD = "etcd.service"
MEMBERS = ("etcd1", "etcd2", "etcd3")
#: etcd's own authority, and the file in which the cluster's stands beside it.
CA, ANY_CA = "/etc/etcd/pki/ca.crt", "/etc/etcd/pki/any-ca.crt"
USERS = """\
roles:
  kubernetes:
    - {prefix: /registry/, access: readwrite}
    - {key: compact_rev_key, access: readwrite}
  flannel:
    - {prefix: /coreos.com/network/, access: readwrite}
users:
  root: [root]
  kube-apiserver: [kubernetes]
  flanneld: [flannel]
"""


def _urls(scheme: str) -> str:
    return ",".join(f"{scheme}://{member}:2379" for member in MEMBERS)


def _listening(scheme: str) -> tuple[Edit, ...]:
    other = {"http": "https", "https": "http"}[scheme]
    return (
        Item("etcd", ETCD, "listen-client-urls", f"{other}://0.0.0.0:2379", False),
        Item("etcd", ETCD, "listen-client-urls", f"{scheme}://0.0.0.0:2379", True),
        Flag("etcd", ETCD, "advertise-client-urls", f"{scheme}://%H:2379"),
        Flag("master", "kube-apiserver.service", "etcd-servers", _urls(scheme)),
        Flag("worker", "flanneld.service", "etcd-endpoints", _urls(scheme)),
    )


def serving() -> tuple[Edit, ...]:
    """Let etcd serve its clients over TLS, with a certificate of its own."""
    return (
        *_listening("https"),
        Flag("etcd", ETCD, "cert-file", "/etc/etcd/pki/server.crt"),
        Flag("etcd", ETCD, "key-file", "/etc/etcd/pki/server.key"),
    )


def clients() -> tuple[Edit, ...]:
    """Let etcd's clients verify it, and show certificates of their own."""
    apiserver, flanneld = "kube-apiserver.service", "flanneld.service"
    lines = {
        "ENDPOINTS": _urls("https"),
        "CACERT": CA,
        "CERT": "/etc/etcd/pki/root.crt",
        "KEY": "/etc/etcd/pki/root.key",
    }
    settings = "".join(f"ETCDCTL_{name}={value}\n" for name, value in lines.items())
    return (
        Whole("etcd", "/etc/etcd/etcdctl.env", settings),
        Flag("master", apiserver, "etcd-cafile", CA),
        Flag("master", apiserver, "etcd-certfile", "/etc/kubernetes/pki/apiserver-etcd-client.crt"),
        Flag("master", apiserver, "etcd-keyfile", "/etc/kubernetes/pki/apiserver-etcd-client.key"),
        Flag("worker", flanneld, "etcd-cafile", CA),
        Flag("worker", flanneld, "etcd-certfile", "/etc/flannel/pki/flanneld.crt"),
        Flag("worker", flanneld, "etcd-keyfile", "/etc/flannel/pki/flanneld.key"),
    )


def users() -> tuple[Edit, ...]:
    """Give etcd users by the names in client certificates, each with its prefix of keys."""
    return (Whole(PLAN, "etcd-auth.yaml", USERS),)


def no_users() -> tuple[Edit, ...]:
    """Take etcd's users away."""
    return (Whole(PLAN, "etcd-auth.yaml", None),)


def plain() -> tuple[Edit, ...]:
    """Let etcd serve its clients without TLS; users, who are certificates' names, go too."""
    settings = f"ETCDCTL_ENDPOINTS={_urls('http')}\n"
    return (*_listening("http"), Whole("etcd", "/etc/etcd/etcdctl.env", settings), *no_users())
