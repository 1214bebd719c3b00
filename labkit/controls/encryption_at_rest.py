"""The apiserver encrypts Secrets before it stores them."""

from __future__ import annotations

from labkit.cluster.edits import Flag, Key, Whole
from labkit.controls._base import Control
from labkit.model import Model

__all__ = ["CONTROL"]

FILE, APISERVER = "/etc/kubernetes/encryption.yaml", "kube-apiserver.service"
KEY = {"name": "key1", "secret": "${RANDOM_BASE64_32}"}
SECRETBOX = {"secretbox": {"keys": [KEY]}}
IDENTITY: dict[str, dict[str, str]] = {"identity": {}}
CONFIG = """\
apiVersion: apiserver.config.k8s.io/v1
kind: EncryptionConfiguration
resources:
  - resources: [secrets]
    providers:
      - secretbox: {keys: [{name: key1, secret: "${RANDOM_BASE64_32}"}]}
      - identity: {}
"""


def holds(model: Model) -> bool:
    """Say whether the control is in place."""
    first = [
        providers[0]
        for encryption in model.environment.encryption.values()
        for resource, providers in encryption.providers
        if resource == "secrets" and providers
    ]
    return bool(first) and "identity" not in first


CONTROL = Control(
    name="encryption-at-rest",
    title="The apiserver encrypts Secrets before it stores them",
    why="An attacker with etcd's disk, a backup or access to etcd finds only ciphertext.",
    on=(
        Whole("master", FILE, CONFIG),
        Flag("master", APISERVER, "encryption-provider-config", FILE),
    ),
    off=(Key("master", FILE, "resources.0.providers", [IDENTITY, SECRETBOX]),),
    holds=holds,
    changes="what etcd stores: the first provider of encryption at rest",
    stops=("at-rest", "etcd-read"),
    references=(
        "CIS Kubernetes Benchmark 1.2.27, 1.2.28",
        "Kubernetes documentation: Encrypting Confidential Data at Rest",
    ),
)
