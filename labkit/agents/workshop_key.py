"""Print the key of this lab's workshop in hexadecimal; the first call makes it.

Only root may read its file. Argument: the file.
"""

from __future__ import annotations

import os
import secrets
import sys
from pathlib import Path


def key(file: Path) -> str:
    """Return the key; make a random one if the file is missing."""
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    new = file.with_name(f"{file.name}.{os.getpid()}")
    new.touch(mode=0o600)
    new.write_text(secrets.token_hex(32))
    try:
        os.link(new, file)  # fails if another call made it
    except FileExistsError:
        pass
    finally:
        new.unlink()
    return file.read_text()


if __name__ == "__main__":
    print(key(Path(sys.argv[1])))
