"""Connect to a Unix socket, and print the result as JSON. Argument: the socket's path."""

from __future__ import annotations

import json
import socket
import sys


def connect(path: str) -> dict[str, object]:
    """Return whether a connection succeeds, or else the error."""
    names = {PermissionError: "permission", ConnectionRefusedError: "refused"}
    with socket.socket(socket.AF_UNIX) as connection:
        try:
            connection.connect(path)
        except OSError as error:
            return {"error": names.get(type(error), "failed"), "text": type(error).__name__}
    return {"connected": True}


if __name__ == "__main__":
    json.dump(connect(sys.argv[1]), sys.stdout)
