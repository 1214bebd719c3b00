"""The catalogue: everything that a random configuration may change, one row each."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache

from labkit import controls
from labkit.campaign._base import MODES, Setting, every, file_mode, flag, key
from labkit.campaign.objects import objects
from labkit.cluster import Environment
from labkit.cluster.edits import PLAN, Edit, Flag, Item, Key, Option, Whole

__all__ = ["catalogue"]

APISERVER, CONTROLLERS, SCHEDULER = "kube-apiserver", "kube-controller-manager", "kube-scheduler"
UNIT = f"{APISERVER}.service"
HARDENED, INSECURE = ("hardened",), ("insecure",)
KUBELET, PROXY = "/etc/kubernetes/kubelet.yaml", "/etc/kubernetes/kube-proxy.yaml"
CLUSTER_CA, ETCD_CA = "/etc/kubernetes/pki/ca.crt", "/etc/etcd/pki/ca.crt"
AUTHN, AUTHZ = "/etc/kubernetes/authn.yaml", "/etc/kubernetes/authz.yaml"
TOKENS = "/etc/kubernetes/tokens.csv"
#: The lab's certificates have ECDSA keys, so only such suites can be used below TLS 1.3.
MODERN = "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"
OLD = "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA"
CONTROLLER_LISTS = ("*,-csrsigning", "*,-csrapproving", "*,bootstrapsigner,tokencleaner")


@cache
def catalogue() -> dict[str, Setting]:
    """Return every setting by its name.

    Returns
    -------
    dict of str to Setting

    Examples
    --------
    >>> sorted(catalogue()["kube-apiserver --anonymous-auth"].values)
    ['false', 'true']
    """
    return every(
        (
            *_apiserver(),
            *_apiserver_files(),
            *_masters(),
            *_etcd(),
            *_kubelet(),
            *_kube_proxy(),
            *_kubeconfigs(),
            *_docker(),
            *_file_modes(),
            *objects(),
            *_controls(),
        )
    )


def _apiserver() -> Iterator[Setting]:
    def of(name: str, *values: str | None, **more: tuple[str, ...]) -> Setting:
        return flag("master", APISERVER, name, *values, **more)  # type: ignore[arg-type]

    yield of("anonymous-auth", "true", "false")
    yield of("bind-address", "::")
    yield of("tls-min-version", None, "VersionTLS12", "VersionTLS13")
    yield _with_tls12(APISERVER, "tls-cipher-suites", MODERN, f"{MODERN},{OLD}")
    yield of("enable-admission-plugins", None, "NodeRestriction", "NodeRestriction,EventRateLimit")
    yield of(
        "disable-admission-plugins",
        "PodSecurity",
        "ServiceAccount",
        "CertificateSubjectRestriction",
        "CertificateApproval,CertificateSigning",
    )
    yield of("profiling", "true", "false")
    yield of("service-account-lookup", "false", "true")
    yield of("service-account-extend-token-expiration", "false")
    yield of(
        "api-audiences",
        "https://kubernetes.default.svc,collector",
        "https://kubernetes.default.svc,https://kubernetes.default.svc.cluster.local",
    )
    yield of("allow-privileged", "false")
    yield of("enable-bootstrap-token-auth", "true")
    yield of("enable-priority-and-fairness", "false")
    yield of("kubelet-certificate-authority", None, CLUSTER_CA, modes=HARDENED)
    yield of("kubelet-preferred-address-types", "InternalIP,Hostname")
    yield of("admission-control-config-file", None, modes=HARDENED)
    yield of("audit-log-path", None, "-", modes=HARDENED)
    yield of("audit-policy-file", None, modes=HARDENED)
    yield Setting(
        f"{APISERVER} kubelet client certificate",
        {
            "absent": (
                Flag("master", UNIT, "kubelet-client-certificate", None),
                Flag("master", UNIT, "kubelet-client-key", None),
            ),
            "the admin's": (
                Flag("master", UNIT, "kubelet-client-certificate", "/etc/kubernetes/pki/admin.crt"),
                Flag("master", UNIT, "kubelet-client-key", "/etc/kubernetes/pki/admin.key"),
            ),
        },
    )
    modes = ("Node,RBAC", "RBAC,Node", "RBAC", "Node,RBAC,AlwaysAllow", "AlwaysAllow", "AlwaysDeny")
    yield Setting(
        f"{APISERVER} authorizers",
        {mode: _authorizers(mode) for mode in modes}
        | {f"file {mode}": _authorizers_file(mode) for mode in modes[:4]},
    )
    yield Setting(
        f"{APISERVER} ABAC beside RBAC",
        {order: (Flag("master", UNIT, "authorization-mode", order),) for order in ("ABAC,RBAC",)},
        INSECURE,
    )


def _with_tls12(component: str, name: str, *suites: str) -> Setting:
    """Return the setting of cipher suites; those of TLS 1.3 cannot be chosen."""
    edits = flag("master", component, name, *suites).values
    low = Flag("master", f"{component}.service", "tls-min-version", "VersionTLS12")
    return Setting(f"{component} --{name}", {it: (low, *_fixed(edits[it])) for it in edits})


def _fixed(edits: object) -> tuple[Edit, ...]:
    """Return edits that are no function."""
    assert isinstance(edits, tuple)
    return edits


def _authorizers(mode: str) -> tuple[Edit, ...]:
    # kube-apiserver does not start with a policy file and without ABAC
    return (
        Flag("master", UNIT, "authorization-policy-file", None),
        Flag("master", UNIT, "authorization-mode", mode),
    )


def _authorizers_file(mode: str) -> tuple[Edit, ...]:
    config = {
        "apiVersion": "apiserver.config.k8s.io/v1",
        "kind": "AuthorizationConfiguration",
        "authorizers": [{"type": name, "name": name.lower()} for name in mode.split(",")],
    }
    return (
        Flag("master", UNIT, "authorization-policy-file", None),
        Flag("master", UNIT, "authorization-mode", None),
        Flag("master", UNIT, "authorization-config", AUTHZ),
        Whole("master", AUTHZ, json.dumps(config)),
    )


def _apiserver_files() -> Iterator[Setting]:
    anonymous: dict[str, object] = {
        "off": {"enabled": False},
        "everywhere": {"enabled": True},
        "health alone": {"enabled": True, "conditions": [{"path": "/livez"}, {"path": "/readyz"}]},
        "the API's list": {"enabled": True, "conditions": [{"path": "/api"}, {"path": "/version"}]},
    }
    head = {
        "apiVersion": "apiserver.config.k8s.io/v1",
        "kind": "AuthenticationConfiguration",
    }
    yield Setting(
        f"{APISERVER} AuthenticationConfiguration anonymous",
        {
            name: (
                Flag("master", UNIT, "anonymous-auth", None),
                Flag("master", UNIT, "authentication-config", AUTHN),
                Whole("master", AUTHN, json.dumps({**head, "anonymous": what})),
            )
            for name, what in anonymous.items()
        },
    )
    lines = {
        "a cluster-admin": 'ue4Xo1nohGhahj8i,backup,1001,"system:masters"\n',
        "nobody special": "ue4Xo1nohGhahj8i,backup,1001\n",
        "a node": 'ue4Xo1nohGhahj8i,system:node:worker1,1001,"system:nodes"\n',
    }
    yield Setting(
        f"{APISERVER} static token",
        {
            name: (
                Flag("master", UNIT, "token-auth-file", TOKENS),
                Whole("master", TOKENS, text),
            )
            for name, text in lines.items()
        },
    )
    headers = (
        Flag("master", UNIT, "requestheader-username-headers", "X-Remote-User"),
        Flag("master", UNIT, "requestheader-group-headers", "X-Remote-Group"),
        Flag("master", UNIT, "requestheader-extra-headers-prefix", "X-Remote-Extra-"),
    )
    trusted = Flag("master", UNIT, "requestheader-client-ca-file", ETCD_CA)
    named = Flag("master", UNIT, "requestheader-allowed-names", "front-proxy-client")
    overlap = Flag("master", UNIT, "requestheader-client-ca-file", CLUSTER_CA)
    yield Setting(
        f"{APISERVER} front proxy",
        {
            "trusts etcd's CA": (trusted, *headers),
            "trusts one name of etcd's CA": (trusted, named, *headers),
            "trusts the clients' CA": (overlap, *headers),
        },
    )


def _masters() -> Iterator[Setting]:
    for component in (CONTROLLERS, SCHEDULER):
        yield flag("master", component, "bind-address", "0.0.0.0", "127.0.0.1")
        yield flag("master", component, "authorization-always-allow-paths", "/*", "/metrics")
        yield flag("master", component, "profiling", "true", "false")
        yield flag("master", component, "tls-min-version", "VersionTLS13", "VersionTLS12")
        yield flag("master", component, "secure-port", "0")
        yield _with_tls12(component, "tls-cipher-suites", MODERN, OLD)
    yield flag("master", CONTROLLERS, "use-service-account-credentials", "true", "false")
    yield flag("master", CONTROLLERS, "controllers", *CONTROLLER_LISTS)
    yield Setting(
        f"{CONTROLLERS} signs certificates",
        {
            "never": (
                Flag("master", f"{CONTROLLERS}.service", "cluster-signing-cert-file", None),
                Flag("master", f"{CONTROLLERS}.service", "cluster-signing-key-file", None),
            )
        },
    )


def _etcd() -> Iterator[Setting]:
    more = ("http://127.0.0.1:2378", "http://0.0.0.0:2378")
    listen = {url: (Item("etcd", "etcd.service", "listen-client-urls", url, True),) for url in more}
    # etcd takes no https address without a certificate
    yield Setting("etcd second listener", dict(listen), HARDENED)
    yield Setting(
        "etcd second listener over TLS",
        {
            url: (Item("etcd", "etcd.service", "listen-client-urls", url, True),)
            for url in ("https://127.0.0.1:2378", "https://0.0.0.0:2378")
        },
        HARDENED,
    )
    yield flag(
        "etcd", "etcd", "listen-metrics-urls", "http://0.0.0.0:2381", "http://127.0.0.1:2381"
    )
    yield flag("etcd", "etcd", "enable-grpc-gateway", "false")
    yield flag("etcd", "etcd", "enable-pprof", "true")
    yield flag("etcd", "etcd", "tls-min-version", "TLS1.2", None, modes=HARDENED)
    low = Flag("etcd", "etcd.service", "tls-min-version", "TLS1.2")
    yield Setting(
        "etcd --cipher-suites",
        {it: (low, Flag("etcd", "etcd.service", "cipher-suites", it)) for it in (MODERN, OLD)},
        HARDENED,
    )
    yield flag("etcd", "etcd", "peer-client-cert-auth", "false", modes=HARDENED)
    yield flag("etcd", "etcd", "peer-cert-allowed-cn", None, "etcd", modes=HARDENED)
    yield flag("etcd", "etcd", "peer-trusted-ca-file", "/etc/etcd/pki/any-ca.crt", modes=HARDENED)
    yield Setting(
        "etcd role of flanneld",
        {
            "reads everything": lambda env: _flannel_may(env, "{prefix: /, access: read}"),
            "reads the registry": lambda env: _flannel_may(
                env, "{prefix: /registry/secrets/, access: read}"
            ),
            "writes every lease": lambda env: _flannel_may(
                env, "{prefix: /coreos.com/network/subnets/, access: readwrite}"
            ),
        },
        HARDENED,
    )


def _flannel_may(env: Environment, grant: str) -> tuple[Edit, ...]:
    """Return the edit that gives the flanneld of both workers one more permission in etcd."""
    text = (env.folder / "etcd-auth.yaml").read_text(encoding="utf-8")
    for name in ("flannel-worker1:", "flannel-worker2:"):
        text = text.replace(f"  {name}\n", f"  {name}\n    - {grant}\n")
    return (Whole(PLAN, "etcd-auth.yaml", text),)


def _kubelet() -> Iterator[Setting]:
    def of(name: str, *values: object) -> Setting:
        return key("worker", KUBELET, name, *values)

    yield of("authentication.anonymous.enabled", True, False, None)
    yield of("authentication.webhook.enabled", True, False)
    yield of("authentication.x509.clientCAFile", None)
    yield of("authorization.mode", "Webhook", "AlwaysAllow", None)
    yield of("readOnlyPort", 0, 10255, 10355)
    yield of("enableSystemLogHandler", True, False, None)
    yield of("enableSystemLogQuery", True)
    yield of("enableDebuggingHandlers", False)
    yield of("enableProfilingHandler", False)
    yield of("tlsMinVersion", "VersionTLS12", "VersionTLS13", None)
    yield of("healthzBindAddress", "0.0.0.0")
    yield of("healthzPort", 0, 10348)
    yield of("address", "127.0.0.1")
    yield Setting(
        "kubelet.yaml tlsCipherSuites",
        {
            name: (
                Key("worker", KUBELET, "tlsMinVersion", "VersionTLS12"),
                Key("worker", KUBELET, "tlsCipherSuites", [name]),
            )
            for name in (MODERN, OLD)
        },
    )
    # a flag wins over the file: https://kubernetes.io/docs/tasks/administer-cluster/kubelet-config-file/
    yield flag("worker", "kubelet", "anonymous-auth", "true", "false")
    yield flag("worker", "kubelet", "authorization-mode", "AlwaysAllow", "Webhook")
    yield flag("worker", "kubelet", "read-only-port", "10255", "0")
    yield flag("worker", "kubelet", "tls-min-version", "VersionTLS12", "VersionTLS13")


def _kube_proxy() -> Iterator[Setting]:
    yield key("worker", PROXY, "healthzBindAddress", "0.0.0.0:10256", "127.0.0.1:10256", None)
    yield key("worker", PROXY, "metricsBindAddress", "0.0.0.0:10249", "127.0.0.1:10249")
    yield key("worker", PROXY, "enableProfiling", True)


def _kubeconfigs() -> Iterator[Setting]:
    """Yield how each client of the apiserver reaches it and verifies it."""
    files = {
        "scheduler": "master",
        "controller-manager": "master",
        "admin": "master",
        "kubelet": "worker",
        "kube-proxy": "worker",
    }
    for name, role in files.items():
        path, at = f"/etc/kubernetes/{name}.conf", "clusters.0.cluster"
        server = Key(role, path, f"{at}.server", "https://master:6443")
        trust = (
            Key(role, path, f"{at}.insecure-skip-tls-verify", None),
            Key(role, path, f"{at}.certificate-authority", CLUSTER_CA),
        )
        blind = (
            Key(role, path, f"{at}.certificate-authority", None),
            Key(role, path, f"{at}.insecure-skip-tls-verify", True),
        )
        yield Setting(
            f"{name}.conf server",
            {
                "https, verified": (server, *trust),
                "https, not verified": (server, *blind),
                "https, verified under another name": (
                    server,
                    *trust,
                    Key(role, path, f"{at}.tls-server-name", "kubernetes.default.svc"),
                ),
            },
        )


def _docker() -> Iterator[Setting]:
    for name, values in {
        "SocketMode": ("0600", "0660", "0666", "0606"),
        "SocketGroup": ("docker", "root", "alice"),
        "SocketUser": ("root", "bob"),
    }.items():
        yield Setting(
            f"docker.socket {name}",
            {value: (Option("worker", "docker.socket", name, value),) for value in values},
            # a group must exist: hardened has no group docker
            INSECURE,
        )
    yield Setting(
        "docker hosts",
        {
            "loopback, plain": (
                Flag("worker", "docker.service", "host", ("fd://", "tcp://127.0.0.1:2375")),
                *(Flag("worker", "docker.service", name, None) for name in ("tlsverify",)),
                Flag("worker", "docker.service", "tls", "false"),
            ),
            "the socket alone": (Flag("worker", "docker.service", "host", "fd://"),),
        },
    )
    people = {
        "alice": "m alice docker\n",
        "both": "m alice docker\nm bob docker\n",
        "nobody": "",
    }
    yield Setting(
        "members of group docker",
        {
            name: (Whole("worker", "/etc/sysusers.d/docker.conf", f"g docker -\n{lines}"),)
            for name, lines in people.items()
        },
    )
    yield Setting(
        "alice in group root",
        {
            "on the master": (Whole("master", "/etc/sysusers.d/more.conf", "m alice root\n"),),
            "on the workers": (Whole("worker", "/etc/sysusers.d/more.conf", "m alice root\n"),),
        },
    )


def _file_modes() -> Iterator[Setting]:
    key_modes = ("0600 root root", "0640 root root", "0640 root alice", "0604 root root")
    config_modes = ("0600 root root", "0640 root alice", "0644 root root", "0600 alice root")
    pki = "/etc/kubernetes/pki"
    for name in ("ca", "sa", "admin"):
        yield file_mode("master", "kubernetes", f"{pki}/{name}.key", *key_modes)
    yield file_mode("master", "kubernetes", f"{pki}/super-admin.key", *key_modes, modes=HARDENED)
    yield file_mode("master", "kubernetes", f"{pki}/scheduler.key", *key_modes, modes=HARDENED)
    yield file_mode("master", "kubernetes", pki, "0755 root root", "0710 root alice",
                    modes=HARDENED)  # fmt: skip
    yield file_mode("master", "kubernetes", "/etc/kubernetes/admin.conf", *config_modes)
    for name in ("super-admin.conf", "scheduler.conf", "controller-manager.conf"):
        yield file_mode(
            "master", "kubernetes", f"/etc/kubernetes/{name}", *config_modes, modes=HARDENED
        )
    yield file_mode(
        "master", "kubernetes", "/etc/kubernetes/encryption.yaml", *config_modes, modes=HARDENED
    )
    yield file_mode("master", "kubernetes", "/etc/docker/pki", "0755 root root", modes=HARDENED)
    for name in ("kubelet.conf", "kube-proxy.conf"):
        yield file_mode("worker", "kubernetes", f"/etc/kubernetes/{name}", *config_modes)
    for name in ("kubelet", "kube-proxy"):
        yield file_mode("worker", "kubernetes", f"{pki}/{name}.key", *key_modes, modes=HARDENED)
    yield file_mode("worker", "kubernetes", pki, "0755 root root", modes=HARDENED)
    yield file_mode("worker", "kubernetes", "/etc/flannel/pki", "0755 root root", modes=HARDENED)
    yield file_mode("worker", "kubernetes", "/etc/flannel/pki/flanneld.key", *key_modes,
                    modes=HARDENED)  # fmt: skip
    yield file_mode("etcd", "etcd", "/var/lib/etcd", "0700 root root", "0755 root root")
    yield file_mode("etcd", "etcd", "/etc/etcd/pki", "0755 root root", modes=HARDENED)


def _controls() -> Iterator[Setting]:
    """Yield the flips of all controls: what `labkit matrix` tries alone, among other settings."""
    for control in controls.values():
        name = control.name
        if control.modes != MODES:
            continue  # of a profile

        def flip(env: Environment, name: str = name) -> tuple[Edit, ...]:
            from labkit.model import read_model

            known = controls[name]
            return known.edits(on=not known.holds(read_model(env)))

        yield Setting(f"control {name}", {"flipped": flip})
