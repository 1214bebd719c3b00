"""Predict which control stops a way from a pod or a user to root on a worker."""

from __future__ import annotations

from labkit.workshop.exercises._flips import flips

__all__ = ["EXERCISE"]

EXERCISE = flips(
    "paths-1",
    "Steps to root on a worker",
    "10-attack-paths",
    "insecure",
    (
        "apiserver-anonymous",
        "docker-socket-mount",
        "kubelet-anonymous",
        "log-mount",
        "pod-security",
    ),
    (
        "docker-socket-in-pod",
        "host-path-pod",
        "host-path-pod-nonroot",
        "kubelet-log-symlink",
        "kubelet-neighbour",
        "nodes-proxy-exec",
    ),
    (
        "Who must be asked before a pod exists? And who before a command runs in a pod?",
        "A pod that mounts a folder of the machine can put a link there. Who follows it?",
        "The apiserver's proxy to a node needs a kubelet that answers it.",
    ),
    {
        "apiserver-anonymous": ("host-path-pod",),
        "docker-socket-mount": ("docker-socket-in-pod",),
        "kubelet-anonymous": ("kubelet-log-symlink", "nodes-proxy-exec"),
        "log-mount": ("kubelet-log-symlink",),
        "pod-security": ("host-path-pod",),
    },
)
