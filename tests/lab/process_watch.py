"""Watch this host's process list for texts that must not stand there.

Standard input: the texts (never as arguments, which would show them) and the ids of the lab's
containers, as JSON on one line. A token that is not known counts only in these containers: other
labs may run on this host. Until standard input closes, the program reads the arguments and
variables of every process again and again, then prints the findings as JSON: the numbers of the
texts, and where each was.
"""

from __future__ import annotations

import contextlib
import json
import re
import select
import sys
import time
from pathlib import Path

#: What a bearer token and a private key look like.
SHAPES = rb"eyJ[\w-]{8,}\.eyJ[\w-]{16,}\.[\w-]{16,}|-----BEGIN [A-Z ]*PRIVATE KEY-----"
#: A process that is older, in seconds, is read only every fiftieth time: it seldom changes.
YOUNG = 3.0


def pattern(texts: list[str]) -> re.Pattern[bytes]:
    """Return a pattern that finds each text, and what looks like a token or key."""
    known = b"|".join(re.escape(text.encode()) for text in texts)
    return re.compile(SHAPES + (b"|" + known if known else b""))


def main() -> None:
    """Watch until standard input closes."""
    asked = json.loads(sys.stdin.readline())
    texts: list[str] = asked["texts"]
    wanted = pattern(texts)
    print("ready", flush=True)
    first_seen: dict[str, float] = {}
    found: dict[str, str] = {}
    rounds, began = 0, time.monotonic()
    while not select.select([sys.stdin], [], [], 0)[0]:
        rounds += 1
        now = time.monotonic()
        pids = [path.name for path in Path("/proc").glob("[1-9]*")]
        first_seen = {pid: first_seen.get(pid, now) for pid in pids}
        for pid in pids:
            if rounds % 50 and now - first_seen[pid] > YOUNG:
                continue
            for name in ("cmdline", "environ"):
                with contextlib.suppress(OSError):
                    content = Path(f"/proc/{pid}/{name}").read_bytes()
                    # a pod's own variables are what it was given: the lab's scenario
                    pod = name == "environ" and b"KUBERNETES_SERVICE_HOST=" in content
                    if not pod and (hit := wanted.search(content)):
                        text = hit[0].decode(errors="replace")
                        group = Path(f"/proc/{pid}/cgroup").read_text()
                        if text not in texts and not any(it in group for it in asked["ids"]):
                            continue
                        number = texts.index(text) if text in texts else -1
                        program = content.replace(b"\0", b" ")[:40].decode(errors="replace")
                        found[f"{name} of {program}"] = f"text {number}"
    a_second = rounds / (time.monotonic() - began)
    print(json.dumps({"rounds": rounds, "a second": a_second, "found": found}))


if __name__ == "__main__":
    main()
