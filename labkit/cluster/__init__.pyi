from .anything import read_anything
from .certificates import read_certificates
from .docker_client import DockerClient
from .dump import Dump
from .dump_reader import read_dump
from .environment import read_environment
from .facts import Component, Credential, Environment, File, Node, Socket
from .kubeconfig import KubeConfig, read_kubeconfig
from .live import read_live
from .source import Setting, Source, Unknown
from .user_cluster import read_cluster

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
