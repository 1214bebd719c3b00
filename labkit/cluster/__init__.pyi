from .certificates import read_certificates
from .copied.cluster import read_cluster
from .environment import read_environment
from .facts import Component, Credential, DockerClient, Environment, File, Node, Socket
from .kubeconfig import KubeConfig, read_kubeconfig
from .objects.access import is_dump
from .objects.facts import Dump
from .objects.live import read_live
from .objects.reader import read_dump
from .reading import read_anything
from .syntax.source import Setting, Source, Unknown

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
    "is_dump",
    "read_anything",
    "read_certificates",
    "read_cluster",
    "read_dump",
    "read_environment",
    "read_kubeconfig",
    "read_live",
]
