"""The workshop: exercises in the notebooks, and checks that look at the lab by live probes.

In a notebook, ``%load_ext labkit`` gives the same as magics.

Examples
--------
>>> from labkit.workshop import exercises
>>> exercises["etcd-2"].title
'Close the second port'
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
