"""The readers: an environment's folder becomes typed facts.

Works without Docker, Kubernetes and networkx. Everything read has a :class:`Source`; what was
not understood is in ``Environment.unknowns``.
"""

from __future__ import annotations

from labkit.cluster.anything import read_anything
from labkit.cluster.certificates import read_certificates
from labkit.cluster.docker_client import DockerClient
from labkit.cluster.dump import Dump
from labkit.cluster.dump_reader import read_dump
from labkit.cluster.environment import read_environment
from labkit.cluster.facts import Component, Credential, Environment, File, Node, Socket
from labkit.cluster.kubeconfig import KubeConfig, read_kubeconfig
from labkit.cluster.live import read_live
from labkit.cluster.source import Setting, Source, Unknown
from labkit.cluster.user_cluster import read_cluster

__all__ = [
    "Component",
    "Credential",
    "DockerClient",
    "Dump",
    "Environment",
    "File",
    "KubeConfig",
    "Node",
    "Setting",
    "Socket",
    "Source",
    "Unknown",
    "read_anything",
    "read_certificates",
    "read_cluster",
    "read_dump",
    "read_environment",
    "read_kubeconfig",
    "read_live",
]
