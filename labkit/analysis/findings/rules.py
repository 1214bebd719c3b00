"""The rules by which threats are found: one entry a rule, each about one property."""

from __future__ import annotations

from dataclasses import dataclass

from labkit.analysis.listener_kinds import NO_GAP, Gap
from labkit.model import PROPERTIES

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
        The values with which nothing is against it.
    good : str
        The value that closes it.
    stride, cwe, attack : tuple of str
    likelihood : int
        From 1 to 4, where nothing is against it.
    explanation : str
        What an attacker gains.
    gap : Gap
        Control, technique and references where they do not depend on the listener.
    impact : int
        Where it does not depend on the listener.
    listener : bool
        It is the listener's, whoever calls: found once, and not once for each client.
    stays : str
        Why it is a risk that remains, where labkit has no control against it.
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
        "Whoever is on the way reads and changes it",
        "encryption",
        ("none",),
        "tls1.3",
        ("information disclosure", "tampering"),
        ("CWE-319",),
        ("T1040", "T1557.002"),
        3,
        "A container with default capabilities poisons ARP caches, and reads what is said.",
    ),
    ThreatRule(
        "weak-tls",
        "TLS below 1.2 is accepted",
        "encryption",
        ("tls1.0", "tls1.1"),
        "tls1.3",
        ("information disclosure", "tampering"),
        ("CWE-326", "CWE-757"),
        ("T1557",),
        2,
        "A caller can be talked down to a version whose ciphers are broken.",
        Gap("tls-min-version", "tls-downgrade", ("OWASP: Transport Layer Security Cheat Sheet",)),
        listener=True,
    ),
    ThreatRule(
        "server-unverified",
        "The client does not verify whom it calls",
        "server_authentication",
        ("none", "unverified"),
        "verified",
        ("spoofing", "information disclosure"),
        ("CWE-295",),
        ("T1557",),
        2,
        "Whoever gets in the way answers with a certificate of his own, and is believed.",
    ),
    ThreatRule(
        "caller-unauthenticated",
        "Nobody is asked who calls",
        "client_authentication",
        ("none", "anonymous"),
        "required",
        ("spoofing", "denial of service"),
        ("CWE-306",),
        ("T1133",),
        4,
        "Any process that reaches the port is served; nothing tells it from the true client.",
        listener=True,
    ),
    ThreatRule(
        "caller-unrestricted",
        "Whoever gets in may do everything",
        "authorization",
        ("allow-all",),
        "enforced",
        ("elevation of privilege",),
        ("CWE-269", "CWE-862"),
        ("T1078",),
        3,
        "One stolen credential, of whatever role, is enough for everything behind the port.",
        listener=True,
    ),
)
COMPONENT_RULES = (
    ThreatRule(
        "no-audit",
        "Nobody can tell afterwards who did what",
        "audit",
        ("none",),
        "on",
        ("repudiation",),
        ("CWE-778",),
        ("T1685.002",),
        2,
        "Without an audit log what was done with a stolen credential is not seen.",
        Gap(
            references=(
                "CIS Kubernetes Benchmark 1.2.16, 3.2.1",
                "Kubernetes documentation: Auditing",
            )
        ),
        2,
    ),
    ThreatRule(
        "secrets-at-rest",
        "Secrets lie readable in etcd, its backups and its disks",
        "secrets at rest",
        ("none",),
        "encrypted",
        ("information disclosure",),
        ("CWE-312",),
        ("T1552.001", "T1005"),
        2,
        "Whoever gets a disk, a snapshot or etcd's port has every secret of the cluster.",
        Gap("encryption-at-rest", "at-rest", ("CIS Kubernetes Benchmark 1.2.27, 1.2.28",)),
    ),
    ThreatRule(
        "nodes-unrestricted",
        "A kubelet may write other nodes and their pods",
        "node restriction",
        ("allow-all",),
        "enforced",
        ("tampering", "elevation of privilege"),
        ("CWE-269",),
        ("T1098",),
        2,
        "The certificate of one broken worker is enough to draw pods and secrets to it.",
        Gap("node-restriction", "node-writes-other-node", ("CIS Kubernetes Benchmark 1.2.14",)),
        3,
    ),
    ThreatRule(
        "store-believed",
        "Whoever is root on a machine of etcd is cluster-admin",
        "store",
        ("believed",),
        "signed",
        ("tampering", "elevation of privilege"),
        ("CWE-345",),
        ("T1565.001",),
        1,
        "What is written into etcd past the apiserver is believed.",
        Gap("", "etcd-forge-credential"),
        4,
        stays="Kubernetes believes what etcd keeps: guard etcd's machines as the master's",
    ),
    ThreatRule(
        "pod-traffic-plaintext",
        "What pods say to each other is readable between the workers",
        "overlay",
        ("none",),
        "encrypted",
        ("information disclosure", "tampering"),
        ("CWE-319",),
        ("T1040", "T1557.002"),
        3,
        "VXLAN wraps the pods' packets, and hides nothing.",
        Gap("", "eavesdrop-vxlan", ("flannel documentation: Backends, WireGuard",)),
        2,
        stays="the overlay does not encrypt; applications that use TLS, or WireGuard, do",
    ),
)
CREDENTIAL_RULES = (
    ThreatRule(
        "credential-readable",
        "An ordinary user reads a credential from the machine's files",
        "readable by",
        (),
        "root only",
        ("information disclosure", "elevation of privilege"),
        ("CWE-732",),
        ("T1552.001", "T1552.004"),
        3,
        "Whoever has any account on the machine, or any process there, becomes its owner.",
        Gap(
            "admin-kubeconfig-permissions",
            "admin-kubeconfig",
            ("CIS Kubernetes Benchmark 1.1.13 to 1.1.21",),
        ),
    ),
    ThreatRule(
        "credential-overpowered",
        "A component's credential may do everything",
        "rights",
        (),
        "its own",
        ("elevation of privilege",),
        ("CWE-250", "CWE-269"),
        ("T1078",),
        2,
        "What was stolen from one worker, or from one controller, opens the whole cluster.",
        Gap(
            "apiserver-authorization",
            "node-reads-secrets",
            ("Kubernetes documentation: Using Node Authorization",),
        ),
    ),
)
assert {rule.property for rule in RULES} <= set(PROPERTIES)
