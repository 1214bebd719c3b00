"""Attack paths, threats and controls of a model; needs neither Docker nor a cluster."""

import lazy_loader

from labkit._renamed import with_old_names

_lazy, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

_OLD = {
    "reached": "reach",
    "Reached": "Reach",
    "smallest_cut": "minimal_cut",
    "choke_points": "minimal_cut",
    "cuts": "effect_of_each_control",
    "load_model": "labkit.load_model",
    "dump_steps": "object_steps",
}
__getattr__ = with_old_names(__name__, _OLD, _lazy)
