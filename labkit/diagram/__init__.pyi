from .living import living_diagram

__all__ = ["living_diagram"]
