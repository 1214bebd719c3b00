"""The attack graph of a cluster's objects: pods, nodes, service accounts, RBAC, services."""

from labkit.analysis.attack_graph.from_objects.steps import object_steps

__all__ = ["object_steps"]
