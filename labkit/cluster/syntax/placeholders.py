"""What stands in an environment's files for content that only a lab has."""

from __future__ import annotations

import re

__all__ = ["PEM"]

#: A key or a certificate of the plan, by its path on the machine.
PEM = re.compile(r"\$\{PEM:(/[^}\s]+)\}")
