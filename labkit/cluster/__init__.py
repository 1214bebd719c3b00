"""Read a cluster's configuration into typed facts.

This package needs neither Docker nor Kubernetes nor networkx. Every value has a :class:`Source`.
``Environment.unknowns`` lists what labkit did not understand.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
