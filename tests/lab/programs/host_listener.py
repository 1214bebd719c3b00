"""Listen on every address of the host, TCP and UDP, and greet every caller.

It runs in the host's network namespace, and first prints a JSON object: the port, the host's
addresses, and the hardware address of each interface.
"""

from __future__ import annotations

import json
import selectors
import socket
import subprocess
from typing import Any

GREETING = b"the docker host\n"


def main() -> None:
    listening: Any = selectors.DefaultSelector()
    port = 0
    for family, everywhere in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
            one = socket.socket(family, kind)
            if family == socket.AF_INET6:
                one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            one.bind((everywhere, port))
            port = one.getsockname()[1]
            if kind == socket.SOCK_STREAM:
                one.listen(64)
            listening.register(one, selectors.EVENT_READ, kind)
    shown = json.loads(subprocess.run(["ip", "-j", "addr"], check=True, capture_output=True).stdout)
    addresses = [
        [link["ifname"], info["local"]]
        for link in shown
        for info in link["addr_info"]
        if link["ifname"] != "lo"
    ]
    hardware = {link["ifname"]: link.get("address") for link in shown}
    print(json.dumps({"port": port, "addresses": addresses, "hardware": hardware}), flush=True)
    while True:
        for key, _ in listening.select():
            if key.data == socket.SOCK_STREAM:
                with key.fileobj.accept()[0] as connection:
                    connection.sendall(GREETING)
            else:
                key.fileobj.sendto(GREETING, key.fileobj.recvfrom(64)[1])


if __name__ == "__main__":
    main()
