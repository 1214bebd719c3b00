"""The rules by which threats are found: one row each, about one property."""

from __future__ import annotations

from dataclasses import dataclass

from labkit.model import PROPERTIES
from labkit.model.listeners import NO_GAP, Gap

__all__ = ["COMPONENT_RULES", "CREDENTIAL_RULES", "RULES", "ThreatRule"]


@dataclass(frozen=True, slots=True)
class ThreatRule:
    """One kind of threat.

    Attributes
    ----------
    name, title : str
    property : str
        A property of channels, or the name of a component's claim.
    bad : tuple of str
        The values with which the threat is open.
    good : str
        The value that closes it.
    stride, cwe, attack : tuple of str
    likelihood : int
        From 1 to 4, if the threat is open.
    explanation : str
        What an attacker gains.
    gap : Gap
        Control, technique and references, if they do not depend on the listener.
    impact : int
        From 1 to 4; for a property of channels, the listener's impact counts instead.
    listener : bool
        True if the threat is the same for all clients: it is found once for each listener.
    stays : str
        Why the risk remains, if labkit has no control against it.
    """

    name: str
    title: str
    property: str
    bad: tuple[str, ...]
    good: str
    stride: tuple[str, ...]
    cwe: tuple[str, ...]
    attack: tuple[str, ...]
    likelihood: int
    explanation: str
    gap: Gap = NO_GAP
    impact: int = 4
    listener: bool = False
    stays: str = ""


RULES = (
    ThreatRule(
        "plaintext",
        title="Anyone on the route can read and change it",
        property="encryption",
        bad=("none",),
        good="tls1.3",
        stride=("information disclosure", "tampering"),
        cwe=("CWE-319",),
        attack=("T1040", "T1557.002"),
        likelihood=3,
        explanation="A container with default capabilities poisons ARP caches and reads traffic.",
    ),
    ThreatRule(
        "weak-tls",
        title="TLS below 1.2 is accepted",
        property="encryption",
        bad=("tls1.0", "tls1.1"),
        good="tls1.3",
        stride=("information disclosure", "tampering"),
        cwe=("CWE-326", "CWE-757"),
        attack=("T1557",),
        likelihood=2,
        explanation="An attacker can make both ends agree on a version whose ciphers are broken.",
        gap=Gap(
            "tls-min-version", "tls-downgrade", ("OWASP: Transport Layer Security Cheat Sheet",)
        ),
        listener=True,
    ),
    ThreatRule(
        "server-unverified",
        title="The client does not verify whom it calls",
        property="server_authentication",
        bad=("none", "unverified"),
        good="verified",
        stride=("spoofing", "information disclosure"),
        cwe=("CWE-295",),
        attack=("T1557",),
        likelihood=2,
        explanation="An attacker in between answers with their own certificate, and is believed.",
    ),
    ThreatRule(
        "caller-unauthenticated",
        title="Callers are not authenticated",
        property="client_authentication",
        bad=("none", "anonymous"),
        good="required",
        stride=("spoofing", "denial of service"),
        cwe=("CWE-306",),
        attack=("T1133",),
        likelihood=4,
        explanation="Any process that reaches the port is served, exactly as the real client is.",
        listener=True,
    ),
    ThreatRule(
        "caller-unrestricted",
        title="Every caller may do everything",
        property="authorization",
        bad=("allow-all",),
        good="enforced",
        stride=("elevation of privilege",),
        cwe=("CWE-269", "CWE-862"),
        attack=("T1078",),
        likelihood=3,
        explanation="One stolen credential of any role opens everything behind the port.",
        listener=True,
    ),
)
COMPONENT_RULES = (
    ThreatRule(
        "no-audit",
        title="Nobody can tell afterwards who did what",
        property="audit",
        bad=("none", "partial"),
        good="on",
        stride=("repudiation",),
        cwe=("CWE-778",),
        attack=("T1685.002",),
        likelihood=2,
        explanation="A stolen credential leaves no trace where there is no audit log, or where its "
        "policy misses a request: kubectl exec asks with GET, and many policies record no GET.",
        gap=Gap(
            references=(
                "CIS Kubernetes Benchmark 1.2.16, 3.2.1",
                "Kubernetes documentation: Auditing",
            )
        ),
        impact=2,
    ),
    ThreatRule(
        "colliding-names",
        title="A name of the OpenID provider is a name of the cluster",
        property="names of ID tokens",
        bad=("unprefixed",),
        good="prefixed",
        stride=("spoofing", "elevation of privilege"),
        cwe=("CWE-290", "CWE-269"),
        attack=("T1098", "T1550.001"),
        likelihood=2,
        explanation="A person who names a group or an account at the provider names one of the "
        "cluster: a group called system:masters has every right.",
        gap=Gap(
            "oidc-prefix",
            "oidc-group-collision",
            ("Kubernetes documentation: Authenticating, OpenID Connect Tokens",),
        ),
    ),
    ThreatRule(
        "secrets-at-rest",
        title="Secrets lie readable in etcd, its backups and its disks",
        property="secrets at rest",
        bad=("none",),
        good="encrypted",
        stride=("information disclosure",),
        cwe=("CWE-312",),
        attack=("T1552.001", "T1005"),
        likelihood=2,
        explanation="A disk, a snapshot or etcd's port gives away every secret of the cluster.",
        gap=Gap("encryption-at-rest", "at-rest", ("CIS Kubernetes Benchmark 1.2.27, 1.2.28",)),
    ),
    ThreatRule(
        "weak-cipher-suites",
        title="Cipher suites that can be broken are offered",
        property="cipher suites",
        bad=("weak",),
        good="sound",
        stride=("information disclosure", "tampering"),
        cwe=("CWE-327",),
        attack=("T1557",),
        likelihood=1,
        explanation="A client that offers such a suite speaks it, and a recording can be read.",
        gap=Gap(
            references=(
                "CIS Kubernetes Benchmark 1.2.29, 4.2.12",
                "OWASP: Transport Layer Security Cheat Sheet",
            )
        ),
        impact=3,
    ),
    ThreatRule(
        "nodes-unrestricted",
        title="A kubelet may write other nodes and their pods",
        property="node restriction",
        bad=("allow-all",),
        good="enforced",
        stride=("tampering", "elevation of privilege"),
        cwe=("CWE-269",),
        attack=("T1098",),
        likelihood=2,
        explanation="One compromised worker's certificate is enough to draw pods to it.",
        gap=Gap("node-restriction", "node-writes-other-node", ("CIS Kubernetes Benchmark 1.2.14",)),
        impact=3,
    ),
    ThreatRule(
        "store-believed",
        title="Root on a machine of etcd is cluster-admin",
        property="store",
        bad=("believed",),
        good="signed",
        stride=("tampering", "elevation of privilege"),
        cwe=("CWE-345",),
        attack=("T1565.001",),
        likelihood=1,
        explanation="The apiserver believes data that an attacker writes directly into etcd.",
        gap=Gap("", "etcd-forge-credential"),
        impact=4,
        stays="Kubernetes believes the data in etcd: guard etcd's machines like the control plane",
    ),
    ThreatRule(
        "pod-traffic-plaintext",
        title="Traffic between pods is readable between the workers",
        property="overlay",
        bad=("none",),
        good="encrypted",
        stride=("information disclosure", "tampering"),
        cwe=("CWE-319",),
        attack=("T1040", "T1557.002"),
        likelihood=3,
        explanation="VXLAN wraps the pods' packets, and does not encrypt them.",
        gap=Gap("", "eavesdrop-vxlan", ("flannel documentation: Backends, WireGuard",)),
        impact=2,
        stays="the overlay does not encrypt; applications that use TLS, or WireGuard, do",
    ),
)
CREDENTIAL_RULES = (
    ThreatRule(
        "credential-readable",
        title="An ordinary user reads a credential from the machine's files",
        property="readable by",
        bad=(),
        good="root only",
        stride=("information disclosure", "elevation of privilege"),
        cwe=("CWE-732",),
        attack=("T1552.001", "T1552.004"),
        likelihood=3,
        explanation="Any user or process of the machine can act as the credential's owner.",
        gap=Gap(
            "admin-kubeconfig-permissions",
            "admin-kubeconfig",
            ("CIS Kubernetes Benchmark 1.1.13 to 1.1.21",),
        ),
    ),
    ThreatRule(
        "credential-overpowered",
        title="A component's credential may do everything",
        property="rights",
        bad=(),
        good="its own",
        stride=("elevation of privilege",),
        cwe=("CWE-250", "CWE-269"),
        attack=("T1078",),
        likelihood=2,
        explanation="A credential stolen from one worker or controller opens the whole cluster.",
        gap=Gap(
            "apiserver-authorization",
            "node-reads-secrets",
            ("Kubernetes documentation: Using Node Authorization",),
        ),
    ),
)
assert {rule.property for rule in RULES} <= set(PROPERTIES)
