"""Write models and findings as files of other tools, and read such files.

It works without Docker. The module of a format is imported when it is first used.
"""

from __future__ import annotations

from labkit.formats.reading import read, read_text
from labkit.formats.table import FORMATS, Format, write

__all__ = ["FORMATS", "Format", "read", "read_text", "write"]
