"""The edits that several controls of etcd share."""

from __future__ import annotations

from labkit.cluster.edits import PLAN, Edit, Flag, Item, Whole

__all__ = ["ANY_CA", "CA", "ETCD", "clients", "no_users", "serve_plaintext", "serve_tls", "users"]

ETCD = "etcd.service"
MEMBERS = ("etcd1", "etcd2", "etcd3")
#: The file with etcd's own authority, and the file that also has the cluster's.
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
  flanneld-worker1: [flannel]
  flanneld-worker2: [flannel]
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


def serve_tls() -> tuple[Edit, ...]:
    """Return the edits that make etcd serve its clients over TLS.

    Returns
    -------
    tuple of Edit
    """
    return (
        *_listening("https"),
        Flag("etcd", ETCD, "cert-file", "/etc/etcd/pki/server.crt"),
        Flag("etcd", ETCD, "key-file", "/etc/etcd/pki/server.key"),
    )


def clients() -> tuple[Edit, ...]:
    """Return the edits that make etcd's clients verify it and show their own certificates.

    Returns
    -------
    tuple of Edit
    """
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
    """Return the edit that gives etcd users, each with the prefix of keys of its component.

    A user's name is the common name of a client certificate.

    Returns
    -------
    tuple of Edit

    References
    ----------
    https://etcd.io/docs/v3.6/op-guide/authentication/rbac/
    """
    return (Whole(PLAN, "etcd-auth.yaml", USERS),)


def no_users() -> tuple[Edit, ...]:
    """Return the edit that removes etcd's users.

    Returns
    -------
    tuple of Edit
    """
    return (Whole(PLAN, "etcd-auth.yaml", None),)


def serve_plaintext() -> tuple[Edit, ...]:
    """Return the edits that make etcd serve its clients without TLS.

    They remove etcd's users too, because a user is the name in a certificate.

    Returns
    -------
    tuple of Edit
    """
    settings = f"ETCDCTL_ENDPOINTS={_urls('http')}\n"
    return (*_listening("http"), Whole("etcd", "/etc/etcd/etcdctl.env", settings), *no_users())
