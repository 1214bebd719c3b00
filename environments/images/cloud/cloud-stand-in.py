#!/opt/moto/bin/python
"""A stand-in for a cloud, and no cloud: moto's EC2, IAM and STS, and what moto leaves out.

moto keeps machines, volumes, users and roles, and checks the signatures of requests. It evaluates
neither ``Resource`` nor ``Condition`` of a policy, its metadata is the same for everybody, and its
volumes have no content. So this program, in front of it,

- decides on each request by the whole policy (:func:`allowed`), before moto sees it,
- serves metadata, as version 1 or with session tokens (version 2) and a hop limit: the answer
  with a token really has this time to live, so routers drop it. A machine is known by its address,
- serves the content of a volume to the machine that it is attached to, in place of a disk.

Everything that it does not know it refuses. ``/labkit-stand-in`` says what it is.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import fnmatch
import io
import json
import os
import secrets
import socket
import ssl
import threading
from collections.abc import Callable, Iterable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import parse_qsl, urlsplit
from xml.sax.saxutils import escape

ACCOUNT = "123456789012"
ABOUT = "/labkit-stand-in"
SAYS = "labkit's stand-in for a cloud: moto, and what moto leaves out. It is no cloud.\n"
SERVICES = ("ec2", "iam", "sts")
#: The actions on volumes, machines and their tags, with the parameters that name these. Every other
#: action is on "*": a statement about some resources does not allow it.
RESOURCES = {
    "ec2:AttachVolume": ("VolumeId", "InstanceId"),
    "ec2:DetachVolume": ("VolumeId", "InstanceId"),
    "ec2:DeleteVolume": ("VolumeId",),
    "ec2:CreateSnapshot": ("VolumeId",),
}
#: The keys of conditions about the tags of a resource.
TAG_KEYS = ("aws:ResourceTag/", "ec2:ResourceTag/")
#: What needs no right (AWS documentation of GetCallerIdentity).
FREE = "sts:GetCallerIdentity"
#: Seconds that the date of a signature may be off, and the most that a token lives.
SKEW, LONGEST = 900, 21600
HOUR = 3600
TOKEN, LIFE = "X-aws-ec2-metadata-token", "X-aws-ec2-metadata-token-ttl-seconds"
METADATA = "/latest/meta-data/"
ROLES = "iam/security-credentials/"

Answer = tuple[int, bytes]


# -- policies ------------------------------------------------------------------------------------


def listed(value: Any) -> list[Any]:
    """Return a value of a policy as a list: one may stand without brackets."""
    return value if isinstance(value, list) else [value]


def matches(patterns: Any, text: str, *, fold: bool = False) -> bool:
    """Say whether one of the patterns of a policy fits; actions have no case."""
    found = (str(it).replace("[", "[[]") for it in listed(patterns))
    if fold:
        return any(fnmatch.fnmatchcase(text.lower(), it.lower()) for it in found)
    return any(fnmatch.fnmatchcase(text, it) for it in found)


def has_variable(value: Any) -> bool:
    """Say whether a part of a policy has a variable, which stands for what is not known here."""
    return any("${" in str(it) for it in listed(value))


def holds(operator: str, tag: str | None, wanted: list[str]) -> bool | None:
    """Say whether a tag, or None for no such tag, meets an operator; None if it is not known.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html
    """
    if operator == "Null":
        return any((it.lower() == "true") == (tag is None) for it in wanted)
    optional = operator.endswith("IfExists")
    name = operator.removesuffix("IfExists")
    negated = name.startswith("StringNot")
    name = name.replace("StringNot", "String", 1)
    if name not in ("StringEquals", "StringEqualsIgnoreCase", "StringLike"):
        return None
    if tag is None:
        return negated or optional
    if name == "StringLike":
        found = matches(wanted, tag)
    elif name == "StringEqualsIgnoreCase":
        found = tag.lower() in [it.lower() for it in wanted]
    else:
        found = tag in wanted
    return found != negated


def met(conditions: Any, tags: Mapping[str, str]) -> bool | None:
    """Say whether a resource's tags meet the conditions of a statement; None if it is not known."""
    doubt = False
    for operator, wanted in conditions.items():
        for key, values in wanted.items():
            prefix = next((it for it in TAG_KEYS if key.startswith(it)), "")
            if not prefix or has_variable(values):
                doubt = True
                continue
            found = holds(operator, tags.get(key[len(prefix) :]), [*map(str, listed(values))])
            if found is False:
                return False
            doubt = doubt or found is None
    return None if doubt else True


def applies(statement: Any, action: str, resource: str, tags: Mapping[str, str]) -> bool | None:
    """Say whether a statement is about an action on a resource; None if it is not known."""
    if not {"Action", "Resource"} <= set(statement):
        return None
    if not matches(statement["Action"], action, fold=True):
        return False
    if not matches(statement["Resource"], resource):
        return None if has_variable(statement["Resource"]) else False
    return met(statement.get("Condition") or {}, tags)


def allowed(policy: Any, action: str, resources: Iterable[tuple[str, Mapping[str, str]]]) -> bool:
    """Say whether a policy allows an action on every one of some resources.

    A statement that is not understood allows nothing, and denies everything.
    """
    for resource, tags in resources:
        found = False
        for statement in listed(policy["Statement"]):
            fits = applies(statement, action, resource, tags)
            if statement.get("Effect") == "Allow":
                found = found or fits is True
            elif fits is not False:
                return False
        if not found:
            return False
    return True


def not_known(policy: Any) -> list[str]:
    """Return the operators of a policy that this stand-in does not know."""
    found = (it.get("Condition") or {} for it in listed(policy["Statement"]))
    names = dict.fromkeys(str(name) for conditions in found for name in conditions)
    return [name for name in names if holds(name, "", []) is None]


# -- the account ---------------------------------------------------------------------------------


class Cloud:
    """The account: moto's backends, filled from a file, and the policies as they were written.

    Parameters
    ----------
    account : Path
        The file with the account.
    state : Path
        Where the program writes what is attached to what, and reads it when it starts again.
    """

    def __init__(self, account: Path, state: Path) -> None:
        os.environ["INITIAL_NO_AUTH_ACTION_COUNT"] = "0"
        os.environ["MOTO_EC2_LOAD_DEFAULT_AMIS"] = "false"
        import yaml
        from moto.ec2.models import ec2_backends
        from moto.iam.models import iam_backends
        from moto.sts.models import sts_backends

        told = yaml.safe_load(account.read_text())
        self.region, self.zone, self.state = told["region"], told["zone"], state
        self.ec2 = ec2_backends[ACCOUNT][self.region]
        self.iam, self.sts = iam_backends[ACCOUNT]["aws"], sts_backends[ACCOUNT]["aws"]
        self.lock = threading.RLock()
        self.policies: dict[str, Any] = {}
        self.role = told["role"]["name"]
        self.machines = {name: self._machine(name) for name in told["machines"]}
        self.volumes = {it["name"]: self._volume(it["name"], it["tags"]) for it in told["volumes"]}
        self.content = {self.volumes[it["name"]]: it["data"] for it in told["volumes"]}
        for it in (told["role"], *told["users"]):
            policy = yaml.safe_load(Path(it["policy"]).read_text())
            for name in not_known(policy):
                what = "its statement allows nothing, and denies everything"
                print(f"{it['policy']}: this stand-in does not know {name}: {what}", flush=True)
            if it is told["role"]:
                self._role(policy)
            else:
                self._user(it, policy)
        if state.exists():
            kept = json.loads(state.read_text())
            for name, machine in kept["attached"].items():
                if name in self.volumes and machine in self.machines:
                    self.attach(name, machine)
        self.keep()

    def _machine(self, name: str) -> str:
        reservation = self.ec2.run_instances(
            "ami-labkit",
            1,
            None,
            [],
            is_instance_type_default=True,
            region_name=self.region,
            placement=self.zone,
            private_ip=address_of(name),
            tags={"instance": {"Name": name}},
        )
        return str(reservation.instances[0].id)

    def _volume(self, name: str, tags: Mapping[str, str]) -> str:
        volume = self.ec2.create_volume(1, self.zone)
        volume.add_tags({"Name": name, **tags})
        return str(volume.id)

    def _role(self, policy: Any) -> None:
        trusts = {
            "Effect": "Allow",
            "Action": "sts:AssumeRole",
            "Principal": {"Service": "ec2.amazonaws.com"},
        }
        document = json.dumps({"Version": "2012-10-17", "Statement": [trusts]})
        made = self.iam.create_role(self.role, document, "/", None, "", [], None)
        self.arn = made.arn
        self.iam.put_role_policy(self.role, "policy", simplified(policy))
        self.policies[f"role/{self.role}"] = policy

    def _user(self, told: Mapping[str, str], policy: Any) -> None:
        name = told["name"]
        self.iam.create_user(self.region, name)
        key = self.iam.create_access_key(name)
        key.access_key_id, key.secret_access_key = told["access_key_id"], told["secret_access_key"]
        self.iam.put_user_policy(name, "policy", simplified(policy))
        self.policies[f"user/{name}"] = policy

    # -- what moto keeps ---------------------------------------------------------------------------

    def attach(self, volume: str, machine: str) -> None:
        """Attach a volume to a machine, by their names."""
        self.ec2.attach_volume(self.volumes[volume], self.machines[machine], "/dev/sdf")

    def detach(self, volume: str) -> None:
        """Detach a volume, by its name, from whatever it is attached to."""
        with self.lock:
            found = self.ec2.get_volume(self.volumes[volume])
            if found.attachment:
                machine, device = found.attachment.instance.id, found.attachment.device
                self.ec2.detach_volume(found.id, machine, device)
            self.keep()

    def attached_to(self, volume: str) -> str:
        """Return the id of the machine that a volume is attached to; empty if to none."""
        found = self.ec2.volumes.get(volume)
        return str(found.attachment.instance.id) if found and found.attachment else ""

    def tags(self, identity: str) -> dict[str, str]:
        """Return the tags of a machine or a volume."""
        return {
            it["key"]: it["value"] for it in self.ec2.describe_tags({"resource-id": [identity]})
        }

    def keep(self) -> None:
        """Write down what is attached to what, and what else requests may have changed."""
        names = {identity: name for name, identity in self.machines.items()}
        attached = {
            name: names.get(machine, machine)
            for name, identity in sorted(self.volumes.items())
            if (machine := self.attached_to(identity))
        }
        instances = [it for each in self.ec2.reservations.values() for it in each.instances]
        found = {
            "attached": attached,
            "tags": {name: self.tags(it) for name, it in sorted(self.volumes.items())},
            "machines": sorted(str(it.state) for it in instances),
            "volumes": len(self.ec2.volumes),
            "snapshots": len(self.ec2.snapshots),
        }
        new = self.state.with_name(f"{self.state.name}.new")
        new.write_text(json.dumps(found, sort_keys=True) + "\n")
        new.replace(self.state)

    def machine_at(self, address: str) -> str:
        """Return the id of the machine with an address; empty for another address."""
        for name, identity in self.machines.items():
            if address_of(name) == address:
                return identity
        return ""

    def credentials(self, machine: str) -> dict[str, str]:
        """Return new credentials of a machine's role, as its metadata has them."""
        with self.lock:
            made = self.sts.assume_role(self.region, machine, self.arn, "", HOUR, "")
        now = datetime.datetime.now(datetime.UTC)
        end = now + datetime.timedelta(seconds=HOUR)
        return {
            "Code": "Success",
            "LastUpdated": f"{now:%Y-%m-%dT%H:%M:%SZ}",
            "Type": "AWS-HMAC",
            "AccessKeyId": made.access_key_id,
            "SecretAccessKey": made.secret_access_key,
            "Token": made.session_token,
            "Expiration": f"{end:%Y-%m-%dT%H:%M:%SZ}",
        }


def address_of(machine: str) -> str:
    """Return the IPv4 address of a machine of the lab; empty without one."""
    with contextlib.suppress(OSError):
        return socket.gethostbyname(machine)
    return ""


def simplified(policy: Any) -> str:
    """Return a policy for moto, which understands actions: it refuses what has a condition."""
    statements = [
        {"Effect": it["Effect"], "Action": it["Action"], "Resource": "*"}
        for it in listed(policy["Statement"])
        if it.get("Effect") == "Allow" and "Action" in it
    ]
    return json.dumps({"Version": "2012-10-17", "Statement": statements})


# -- its API -------------------------------------------------------------------------------------


class Refused(Exception):
    """A request is refused, with a status and a code of AWS."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message


class Api:
    """The cloud's API as a WSGI application: it decides, and moto carries out."""

    def __init__(self, cloud: Cloud) -> None:
        from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

        self.cloud = cloud
        self.moto = DomainDispatcherApplication(create_backend_app)

    def __call__(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        from werkzeug.wrappers import Request, Response

        request = Request(environ)
        if request.path == ABOUT:
            return Response(SAYS, 200, content_type="text/plain")(environ, start)
        body = request.get_data()
        try:
            self._decide(request, body)
        except Refused as it:
            text = (
                '<?xml version="1.0" encoding="UTF-8"?>\n<Response><Errors><Error>'
                f"<Code>{it.code}</Code><Message>{escape(it.message)}</Message>"
                "</Error></Errors></Response>\n"
            )
            return Response(text, it.status, content_type="text/xml")(environ, start)
        environ["wsgi.input"] = io.BytesIO(body)
        with self.cloud.lock:
            answer = list(self.moto(environ, start))
            self.cloud.keep()
        return answer

    def _decide(self, request: Any, body: bytes) -> None:
        """Refuse what moto must not see.

        Raises
        ------
        Refused
            It is no request of the API, not signed as it must be, or not allowed.
        """
        scope = request.headers.get("Authorization", "")
        if not scope.startswith("AWS4-HMAC-SHA256 "):
            raise Refused(401, "AuthFailure", "the request is not signed")
        key, _, _, service, *_ = [
            *scope.partition("Credential=")[2].split(",")[0].split("/"),
            *[""] * 5,
        ]
        if request.path != "/" or service not in SERVICES:
            raise Refused(404, "InvalidAction", f"the stand-in has {', '.join(SERVICES)} alone")
        fields = dict(parse_qsl(body.decode(errors="replace"), keep_blank_values=True))
        fields = {**request.args, **fields}
        action = f"{service}:{fields.get('Action', '')}"
        self._signed(request, body, fields)
        who = self._who(key)
        if action != FREE and not allowed(
            self.cloud.policies[who], action, self._resources(action, fields)
        ):
            code = "UnauthorizedOperation" if service == "ec2" else "AccessDenied"
            raise Refused(403, code, f"{who} is not authorized to perform: {action}")
        if action == "ec2:AttachVolume" and self.cloud.attached_to(fields.get("VolumeId", "")):
            raise Refused(400, "VolumeInUse", "the volume is attached already")

    def _signed(self, request: Any, body: bytes, fields: Mapping[str, str]) -> None:
        """Check a signature as moto does, and its date, which moto does not look at."""
        from moto.core.exceptions import ServiceException
        from moto.iam.access_control import IAMRequest
        from werkzeug.exceptions import HTTPException

        path = request.path + (f"?{request.query_string.decode()}" if request.query_string else "")
        try:
            date = datetime.datetime.strptime(request.headers["X-Amz-Date"], "%Y%m%dT%H%M%SZ")
            off = datetime.datetime.now(datetime.UTC) - date.replace(tzinfo=datetime.UTC)
            if abs(off.total_seconds()) > SKEW:
                raise Refused(401, "AuthFailure", "the signature is too old")
            IAMRequest(
                ACCOUNT,
                request.method,
                path,
                dict(fields),
                body,
                request.headers,
                fields.get("Action", ""),
            ).check_signature()
        except (HTTPException, ServiceException, KeyError, ValueError, IndexError) as error:
            raise Refused(401, "AuthFailure", "the signature is not that of a known key") from error

    def _who(self, key: str) -> str:
        for name, user in self.cloud.iam.users.items():
            if any(it.access_key_id == key for it in user.access_keys):
                return f"user/{name}"
        if any(it.access_key_id == key for it in self.cloud.sts.assumed_roles):
            return f"role/{self.cloud.role}"
        raise Refused(401, "AuthFailure", "no such key")

    def _resources(
        self, action: str, fields: Mapping[str, str]
    ) -> list[tuple[str, Mapping[str, str]]]:
        named = RESOURCES.get(action)
        if named is None:
            return [("*", {})]
        kinds = {"VolumeId": "volume", "InstanceId": "instance"}
        found: list[tuple[str, Mapping[str, str]]] = []
        for parameter in named:
            identity = fields.get(parameter) or self._machine_of(fields)
            arn = f"arn:aws:ec2:{self.cloud.region}:{ACCOUNT}:{kinds[parameter]}/{identity}"
            found.append((arn, self.cloud.tags(identity)))
        return found

    def _machine_of(self, fields: Mapping[str, str]) -> str:
        """Return the machine of a volume that is to be detached from whatever it is attached to."""
        return self.cloud.attached_to(fields.get("VolumeId", ""))


# -- its metadata, and its disks -----------------------------------------------------------------


class Metadata(BaseHTTPRequestHandler):
    """What the cloud says of a machine, at 169.254.169.254, to it and to what it routes."""

    cloud: Cloud
    required: bool
    hop_limit: int
    #: The session tokens, each with the address that got it and its end.
    tokens: ClassVar[dict[str, tuple[str, float]]] = {}
    server_version, sys_version = "labkit-cloud-stand-in", ""
    timeout = 30

    def log_message(self, *_: Any) -> None:
        """Write no log of requests."""

    def do_PUT(self) -> None:
        """Make a session token; its answer has the hop limit as its time to live."""
        life = self.headers.get(LIFE, "")
        if urlsplit(self.path).path != "/latest/api/token":
            self.answer(404)
        elif self.headers.get("X-Forwarded-For"):
            self.answer(403)
        elif not (life.isdigit() and 1 <= int(life) <= LONGEST):
            self.answer(400)
        else:
            token = secrets.token_urlsafe(40)
            self.tokens[token] = (self.client_address[0], now() + int(life))
            self.connection.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, self.hop_limit)
            self.answer(200, token)

    def do_DELETE(self) -> None:
        """Detach a volume, for labkit itself: on this machine alone."""
        name = urlsplit(self.path).path.removeprefix(f"{ABOUT}/attachments/")
        if self.client_address[0] != "127.0.0.1" or name not in self.cloud.volumes:
            self.answer(404)
        else:
            self.cloud.detach(name)
            self.answer(200)

    def do_GET(self) -> None:
        """Answer about the machine that asks, or with the content of one of its volumes."""
        path, address = urlsplit(self.path).path, self.client_address[0]
        machine = self.cloud.machine_at(address)
        if path == ABOUT:
            self.answer(200, SAYS)
        elif path.startswith(f"{ABOUT}/volumes/"):
            volume = path.rpartition("/")[2]
            mine = machine and self.cloud.attached_to(volume) == machine
            text = self.cloud.content.get(volume) if mine else None
            self.answer(403) if text is None else self.answer(200, text)
        elif not path.startswith(METADATA):
            self.answer(404)
        elif self.required and not self.has_session(address):
            self.answer(401)
        else:
            text = self.about(machine, path.removeprefix(METADATA))
            self.answer(404) if text is None else self.answer(200, text)

    def has_session(self, address: str) -> bool:
        """Say whether the request has a token that this address got, and that still lives."""
        whose, end = self.tokens.get(self.headers.get(TOKEN, ""), ("", 0.0))
        return whose == address and now() < end

    def about(self, machine: str, what: str) -> str | None:
        """Return what is known of a machine; None if nothing is."""
        cloud = self.cloud
        listing = {"": "iam/\ninstance-id\nplacement/\n", "iam/": "security-credentials/\n"}
        listing["placement/"] = "availability-zone\nregion\n"
        places = {"placement/region": cloud.region, "placement/availability-zone": cloud.zone}
        if what in listing or what in places:
            return {**listing, **places}[what]
        if not machine:
            return None
        if what == "instance-id":
            return machine
        if what == ROLES:
            return cloud.role
        if what == f"{ROLES}{cloud.role}":
            return json.dumps(cloud.credentials(machine), indent=2) + "\n"
        return None

    def answer(self, status: int, text: str = "") -> None:
        """Send an answer."""
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def now() -> float:
    """Return the time."""
    return datetime.datetime.now(datetime.UTC).timestamp()


def place(text: str) -> tuple[str, int]:
    """Read HOST:PORT."""
    host, _, port = text.rpartition(":")
    return host, int(port)


def main() -> None:
    """Serve the account of the files that the flags name."""
    parser = argparse.ArgumentParser(description=SAYS)
    parser.add_argument("--account", type=Path, required=True)
    parser.add_argument("--state", type=Path, required=True)
    parser.add_argument("--api-address", type=place, default=("127.0.0.1", 5000))
    parser.add_argument("--tls-cert-file", default="")
    parser.add_argument("--tls-private-key-file", default="")
    parser.add_argument("--metadata-address", type=place, default=("127.0.0.1", 80))
    parser.add_argument("--http-tokens", choices=("optional", "required"), default="optional")
    parser.add_argument("--http-put-response-hop-limit", type=int, default=1)
    given = parser.parse_args()
    cloud = Cloud(given.account, given.state)
    Metadata.cloud, Metadata.required = cloud, given.http_tokens == "required"
    Metadata.hop_limit = given.http_put_response_hop_limit
    metadata = ThreadingHTTPServer(given.metadata_address, Metadata)
    threading.Thread(target=metadata.serve_forever, daemon=True).start()

    from moto.moto_server.werkzeug_app import MotoRequestHandler
    from werkzeug.serving import make_server

    class Handler(MotoRequestHandler):
        """Answers no caller who says nothing, and writes no log of requests."""

        timeout = 30

        def log(self, *_: Any) -> None:
            """Write nothing."""

    host, port = given.api_address
    server = make_server(host, port, Api(cloud), threaded=True, request_handler=Handler)
    if given.tls_cert_file:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.load_cert_chain(given.tls_cert_file, given.tls_private_key_file)
        # the handshake is made when a request is read: a caller who says nothing blocks no other
        server.socket = context.wrap_socket(
            server.socket, server_side=True, do_handshake_on_connect=False
        )
        server.ssl_context = context
    server.serve_forever()


if __name__ == "__main__":
    main()
