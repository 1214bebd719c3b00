"""The model: a graph of components and channels that is read from facts, each claim sourced.

Works without Docker and Kubernetes.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
