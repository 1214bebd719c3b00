"""Threat modelling and labs for the communications of a Kubernetes cluster.

One configuration, read twice: as a model (a graph of components and channels, where each
property says where it was read) and as a lab (a real cluster in containers); and every claim
of the one held against the other.

Names are imported when they are first used: ``import labkit`` loads neither Docker's client
nor networkx nor matplotlib. The function that verifies is ``labkit.verify.verify``.

Examples
--------
>>> import labkit
>>> environment = labkit.read_environment("hardened")
>>> graph = labkit.build_model(environment)
>>> len(labkit.channels(graph)) > 0
True
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
