"""Pictures and tables of a model: for the terminal, for notebooks and for a README.

Their text is the same in every run, so nbval can compare it with the stored output.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
