"""The model: a graph of components and channels that is read from facts, each claim sourced.

Works without Docker and Kubernetes.
"""

import lazy_loader

from labkit._renamed import with_old_names

_lazy, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

_OLD = {
    "View": "Model",
    "build_model": "read_model(...).graph",
    "channels": "read_model(...).channels",
    "Held": "StoredCredential",
    "credential": "labkit.model.credentials.client_credential",
}
__getattr__ = with_old_names(__name__, _OLD, _lazy)
