"""The readers: an environment's folder becomes typed facts.

Works without Docker, Kubernetes and networkx. Everything read has a :class:`Source`; what was
not understood is in ``Environment.unknowns``.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
