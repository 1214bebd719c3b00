"""What an attacker could do: the consequences of a model, with no engine and no cluster."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
