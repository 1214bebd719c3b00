"""Build a model with pytm, find its threats, and write them as JSON; peers.py measures this."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from pytm import TM, Boundary, Dataflow, Datastore, Process
from pytm.pytm import to_serializable

shape = json.loads(Path(sys.argv[1]).read_text())
model = TM("synthetic", description="synthetic")
zones = {zone: Boundary(zone) for _, _, zone in shape["parts"]}
parts = []
for name, kind, zone in shape["parts"]:
    part = (Datastore if kind in ("etcd", "datastore") else Process)(name)
    part.inBoundary = zones[zone]
    parts.append(part)
for number, (client, server, port, safe) in enumerate(shape["flows"]):
    flow = Dataflow(parts[client], parts[server], f"flow {number}")
    flow.protocol = "HTTPS" if safe else "HTTP"
    flow.dstPort = port
    flow.controls.isEncrypted = safe
    flow.controls.authenticatesSource = safe
model.check()
model.resolve()
with Path(sys.argv[2]).open("w") as file:
    json.dump(model, file, default=to_serializable)
