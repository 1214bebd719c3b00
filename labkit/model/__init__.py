"""The model: facts become a graph of components and channels, every claim with its source.

Works without Docker and Kubernetes.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
