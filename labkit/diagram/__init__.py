"""The living diagram: a model that a notebook shows, and that answers clicks and keys.

The picture, its layout and every answer are computed in Python. The page draws them, with a plain
JavaScript module of this package; nothing is fetched from another host.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
