"""Pictures and tables of a model: for the terminal, for notebooks and for a README.

What they print as text is stable, so that nbval can hold it.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
