"""The components' defaults that claims of the model depend on.

Each table has its reference page. The kubelet has two tables: its defaults with a configuration
file differ from those without one.
"""

from __future__ import annotations

__all__ = [
    "DEFAULTS",
    "ENVIRONMENT_PREFIXES",
    "FILES_OF_FLAGS",
    "KUBELET_FLAGS",
    "KUBELET_FLAG_DEFAULTS",
    "OTHER_IMAGES",
    "PROXY_FLAGS",
    "REFERENCES",
]

SYSTEMD = "https://www.freedesktop.org/software/systemd/man/latest/"
REFERENCES = {
    "kube-apiserver": "https://kubernetes.io/docs/reference/command-line-tools-reference/kube-apiserver/",
    "kube-controller-manager": (
        "https://kubernetes.io/docs/reference/command-line-tools-reference/kube-controller-manager/"
    ),
    "kube-scheduler": "https://kubernetes.io/docs/reference/command-line-tools-reference/kube-scheduler/",
    "kube-proxy": "https://kubernetes.io/docs/reference/config-api/kube-proxy-config.v1alpha1/",
    "kubelet": "https://kubernetes.io/docs/reference/config-api/kubelet-config.v1beta1/",
    "kubectl-proxy": "https://kubernetes.io/docs/reference/kubectl/generated/kubectl_proxy/",
    "etcd": "https://etcd.io/docs/v3.6/op-guide/configuration/",
    "flanneld": "https://github.com/flannel-io/flannel/blob/master/Documentation/configuration.md",
    "dockerd": "https://docs.docker.com/reference/cli/dockerd/",
    "containerd": "https://github.com/containerd/containerd/blob/main/docs/man/containerd-config.toml.5.md",
    "canaille": "https://canaille.readthedocs.io/en/latest/references/configuration.html",
    "opa": "https://www.openpolicyagent.org/docs/cli#run",
    "cloud-stand-in": "https://docs.getmoto.org/en/latest/docs/server_mode.html",
    "prometheus": "https://prometheus.io/docs/prometheus/latest/command-line/prometheus/",
    "stunnel": "https://www.stunnel.org/static/stunnel.html",
    "systemd-journal-gatewayd": f"{SYSTEMD}systemd-journal-gatewayd.service.html",
    "systemd-journal-remote": f"{SYSTEMD}systemd-journal-remote.service.html",
    "systemd-journal-upload": f"{SYSTEMD}systemd-journal-upload.service.html",
}

DEFAULTS: dict[str, dict[str, str]] = {
    "kube-apiserver": {
        "bind-address": "0.0.0.0",
        "secure-port": "6443",
        "tls-min-version": "VersionTLS12",
        "anonymous-auth": "true",
        "authorization-mode": "AlwaysAllow",
        "authorization-policy-file": "",
        "authorization-config": "",
        "authentication-config": "",
        "client-ca-file": "",
        "token-auth-file": "",
        "authentication-token-webhook-config-file": "",
        "authorization-webhook-config-file": "",
        "etcd-servers": "",
        "etcd-cafile": "",
        "etcd-certfile": "",
        "etcd-keyfile": "",
        "etcd-prefix": "/registry",
        "encryption-provider-config": "",
        "kubelet-certificate-authority": "",
        "kubelet-client-certificate": "",
        "kubelet-client-key": "",
        # removed in Kubernetes 1.24
        "insecure-port": "0",
    },
    "kube-controller-manager": {
        "kubeconfig": "",
        "master": "",
        "bind-address": "0.0.0.0",
        "secure-port": "10257",
        "tls-min-version": "VersionTLS12",
        "authorization-always-allow-paths": "/healthz,/readyz,/livez",
    },
    "kube-scheduler": {
        "kubeconfig": "",
        "master": "",
        "config": "",
        "bind-address": "0.0.0.0",
        "secure-port": "10259",
        "tls-min-version": "VersionTLS12",
        "authorization-always-allow-paths": "/healthz,/readyz,/livez",
    },
    "kube-proxy": {
        "kubeconfig": "",
        "master": "",
        "config": "",
        "metricsBindAddress": "127.0.0.1:10249",
        "healthzBindAddress": "0.0.0.0:10256",
    },
    # with --config; names are the keys of KubeletConfiguration
    "kubelet": {
        "kubeconfig": "",
        "bootstrap-kubeconfig": "",
        "config": "",
        "config-dir": "",
        "enableServer": "true",
        "address": "0.0.0.0",
        "port": "10250",
        "readOnlyPort": "0",
        "tlsMinVersion": "VersionTLS12",
        "tlsCertFile": "",
        "authentication.anonymous.enabled": "false",
        "authentication.webhook.enabled": "true",
        "authentication.x509.clientCAFile": "",
        "authorization.mode": "Webhook",
        "enableDebuggingHandlers": "true",
        "enableSystemLogHandler": "true",
        "containerRuntimeEndpoint": "unix:///run/containerd/containerd.sock",
        "staticPodPath": "",
        "staticPodURL": "",
        "healthzBindAddress": "127.0.0.1",
        "healthzPort": "10248",
        "tlsCipherSuites": "",
    },
    "kubectl-proxy": {
        "kubeconfig": "",
        "address": "127.0.0.1",
        "port": "8001",
        "unix-socket": "",
        "accept-hosts": r"^localhost$,^127\.0\.0\.1$,^\[::1\]$",
    },
    "etcd": {
        "name": "default",
        "config-file": "",
        "listen-client-urls": "http://localhost:2379",
        "listen-client-http-urls": "",
        "listen-peer-urls": "http://localhost:2380",
        "listen-metrics-urls": "",
        "advertise-client-urls": "http://localhost:2379",
        "initial-advertise-peer-urls": "http://localhost:2380",
        "initial-cluster": "",
        "cert-file": "",
        "client-cert-auth": "false",
        "trusted-ca-file": "",
        "auto-tls": "false",
        "peer-cert-file": "",
        "peer-key-file": "",
        "peer-client-cert-file": "",
        "peer-client-cert-auth": "false",
        "peer-trusted-ca-file": "",
        "peer-auto-tls": "false",
        "peer-cert-allowed-cn": "",
        "peer-cert-allowed-hostname": "",
        "tls-min-version": "TLS1.2",
    },
    "flanneld": {
        "etcd-endpoints": "http://127.0.0.1:4001,http://127.0.0.1:2379",
        "etcd-prefix": "/coreos.com/network",
        "etcd-cafile": "",
        "etcd-certfile": "",
        "etcd-keyfile": "",
        "kube-subnet-mgr": "false",
    },
    "dockerd": {
        "host": "unix:///var/run/docker.sock",
        "tls": "false",
        "tlsverify": "false",
        "tlscacert": "",
        "group": "docker",
        "authorization-plugin": "",
        "config-file": "/etc/docker/daemon.json",
    },
    "containerd": {
        "config": "/etc/containerd/config.toml",
        "address": "/run/containerd/containerd.sock",
        "grpc.address": "/run/containerd/containerd.sock",
        "grpc.uid": "0",
        "grpc.gid": "0",
        "grpc.tcp_address": "",
        "debug.address": "",
        "metrics.address": "",
    },
    # hypercorn's, canaille/app/configuration.py and canaille/core/configuration.py
    "canaille": {
        "config": "canaille.toml",
        "bind": "127.0.0.1:8000",
        "insecure-bind": "",
        "certfile": "",
        "keyfile": "",
        "server-name": "",
        "preferred-url-scheme": "http",
        "enable-registration": "false",
        # authlib/oauth2/rfc6750/token.py, GRANT_TYPES_EXPIRES_IN
        "access-token-expires-in": "864000",
        "permissions": "edit_self,use_oidc,manage_own_groups",
    },
    "opa": {
        "addr": "localhost:8181",
        "tls-cert-file": "",
        "tls-ca-cert-file": "",
        "min-tls-version": "1.2",
        "authentication": "off",
        "authorization": "off",
    },
    # labkit's own program: environments/images/cloud/cloud-stand-in.py
    "cloud-stand-in": {
        "account": "",
        "api-address": "127.0.0.1:5000",
        "tls-cert-file": "",
        "metadata-address": "127.0.0.1:80",
        "http-tokens": "optional",
        "http-put-response-hop-limit": "1",
    },
    "prometheus": {
        "config.file": "prometheus.yml",
        "web.listen-address": "0.0.0.0:9090",
        "web.config.file": "",
        "web.tls.cert_file": "",
        "web.tls.client_auth_type": "",
        "web.tls.client_ca_file": "",
        "web.tls.min_version": "TLS12",
        "web.users": "",
    },
    "stunnel": {"config": "/etc/stunnel/stunnel.conf"},
    # src/journal-remote: what it serves without a certificate of its own is plain HTTP
    "systemd-journal-gatewayd": {"key": "", "cert": "", "trust": ""},
    "systemd-journal-remote": {
        "listen-http": "",
        "listen-https": "",
        "listen-raw": "",
        "key": "/etc/ssl/private/journal-remote.pem",
        "cert": "/etc/ssl/certs/journal-remote.pem",
        "trust": "/etc/ssl/ca/trusted.pem",
    },
    "systemd-journal-upload": {
        "url": "",
        "key": "/etc/ssl/private/journal-upload.pem",
        "cert": "/etc/ssl/certs/journal-upload.pem",
        "trust": "/etc/ssl/ca/trusted.pem",
    },
}

#: Programs that the node image lacks: `make flags` does not write their tables.
OTHER_IMAGES = frozenset(
    [
        *("canaille", "cloud-stand-in", "opa", "prometheus", "stunnel"),
        *("systemd-journal-gatewayd", "systemd-journal-remote", "systemd-journal-upload"),
    ]
)

# The kubelet's flags that set a key of its configuration; a flag wins over the file.
KUBELET_FLAGS = {
    "address": "address",
    "anonymous-auth": "authentication.anonymous.enabled",
    "authentication-token-webhook": "authentication.webhook.enabled",
    "authorization-mode": "authorization.mode",
    "client-ca-file": "authentication.x509.clientCAFile",
    "container-runtime-endpoint": "containerRuntimeEndpoint",
    "enable-debugging-handlers": "enableDebuggingHandlers",
    "enable-server": "enableServer",
    "healthz-bind-address": "healthzBindAddress",
    "healthz-port": "healthzPort",
    "manifest-url": "staticPodURL",
    "pod-manifest-path": "staticPodPath",
    "port": "port",
    "read-only-port": "readOnlyPort",
    "tls-cert-file": "tlsCertFile",
    "tls-cipher-suites": "tlsCipherSuites",
    "tls-min-version": "tlsMinVersion",
}

# kube-proxy's flags that set a key of its configuration, where it has no file.
PROXY_FLAGS = {
    "healthz-bind-address": "healthzBindAddress",
    "metrics-bind-address": "metricsBindAddress",
}

# Without --config the kubelet has its legacy defaults (cmd/kubelet/app/options/options.go).
KUBELET_FLAG_DEFAULTS = {
    "readOnlyPort": "10255",
    "authentication.anonymous.enabled": "true",
    "authentication.webhook.enabled": "false",
    "authorization.mode": "AlwaysAllow",
}

# Flags of distributions that name a file with more flags: OpenShift's
# (https://github.com/openshift/kubernetes, cmd/kube-apiserver/app/patch_openshift.go).
FILES_OF_FLAGS = frozenset({"openshift-config"})

# Components that read flags from environment variables if the command line lacks them.
ENVIRONMENT_PREFIXES = {"etcd": "ETCD_", "flanneld": "FLANNELD_", "canaille": "CANAILLE_"}
