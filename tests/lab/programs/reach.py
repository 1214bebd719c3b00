"""Print as JSON which addresses answer on a port, by TCP or UDP. Arguments: PORT ADDRESS ..."""

import contextlib
import json
import socket
import sys
from concurrent.futures import ThreadPoolExecutor

SECONDS = 1.5


def answers(where: str, port: int) -> bool:
    info = socket.getaddrinfo(where, port, type=socket.SOCK_STREAM)[0]
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        with contextlib.suppress(OSError), socket.socket(info[0], kind) as one:
            one.settimeout(SECONDS)
            one.connect(info[4])
            if kind == socket.SOCK_DGRAM:
                one.send(b"?")
            if one.recv(64):
                return True
    return False


def main() -> None:
    port, *addresses = sys.argv[1:]
    with ThreadPoolExecutor(max_workers=len(addresses)) as pool:
        found = list(pool.map(lambda address: answers(address, int(port)), addresses))
    print(json.dumps([address for address, yes in zip(addresses, found, strict=True) if yes]))


if __name__ == "__main__":
    main()
