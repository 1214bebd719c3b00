"""Models and findings as files of other tools: written by one function, read by another.

Works without Docker; a format's own module is loaded when it is first used.
"""

from __future__ import annotations

from labkit.formats.reading import read, read_text
from labkit.formats.table import FORMATS, Format, write

__all__ = ["FORMATS", "Format", "read", "read_text", "write"]
