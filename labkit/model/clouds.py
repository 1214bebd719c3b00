"""The stand-in for a cloud of an environment: its metadata, its account and its policies."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from dataclasses import dataclass

from labkit.cluster.facts import Component, Environment
from labkit.cluster.syntax.source import Setting, Source
from labkit.cluster.syntax.yamldoc import Document, read_one
from labkit.errors import ConfigError
from labkit.model.claims import Claim
from labkit.model.cloud_policy import Resource, policy_decides
from labkit.model.decision import UNKNOWN

__all__ = ["ABOUT", "METADATA", "Account", "Cloud", "Volume", "cloud_of", "detach_url"]

KIND = "cloud-stand-in"
#: Where clouds serve the metadata of a machine.
METADATA = "169.254.169.254"
#: Where the stand-in says what it is, and serves what has no counterpart in a cloud's API.
ABOUT = "/labkit-stand-in"
#: The number of the account, which the stand-in chooses.
NUMBER = "123456789012"
#: Routers between a pod and its machine's metadata: the machine itself.
ROUTERS = 1


@dataclass(frozen=True, slots=True)
class Volume:
    """A volume of an account.

    Attributes
    ----------
    name : str
    tags : mapping of str to str
    source : Source
    """

    name: str
    tags: Mapping[str, str]
    source: Source


@dataclass(frozen=True, slots=True)
class Account:
    """What lies in an account, and what its users and its machines' role may do.

    Attributes
    ----------
    region : str
    machines : tuple of str
        The machines of the environment that are machines of the account.
    role : str
        The role of these machines.
    policies : mapping of str to Document
        By "role/NAME" and "user/NAME"; one that could not be read is missing.
    volumes : tuple of Volume
    source : Source
    """

    region: str
    machines: tuple[str, ...]
    role: str
    policies: Mapping[str, Document]
    volumes: tuple[Volume, ...]
    source: Source

    def may(self, who: str, action: str, volume: str = "") -> Claim:
        """Say whether somebody may do something, with a volume and a machine or in general.

        Parameters
        ----------
        who : str
            "role/NAME" or "user/NAME".
        action : str
            "ec2:AttachVolume".
        volume : str
            A volume's name: then the action is on it and on a machine.

        Returns
        -------
        Claim
            "allowed", "denied" or "unknown".
        """
        policy = self.policies.get(who)
        if policy is None:
            return Claim(UNKNOWN, f"the policy of {who} could not be read", self.source)
        place = f"arn:aws:ec2:{self.region}:{NUMBER}"
        resources: list[Resource] = []
        if volume:
            found = next((it for it in self.volumes if it.name == volume), None)
            if found is None:
                return Claim(UNKNOWN, f"there is no volume {volume}", self.source)
            tags = {"Name": found.name, **found.tags}
            resources = [Resource(place, "instance"), Resource(place, "volume", tags)]
        try:
            return policy_decides(policy, action, resources)
        except ConfigError as error:
            return Claim(UNKNOWN, error.message, policy.source())


@dataclass(frozen=True, slots=True)
class Cloud:
    """The stand-in for a cloud.

    Attributes
    ----------
    component : labkit.cluster.Component
    account : Account or None
        None if its file could not be read.
    """

    component: Component
    account: Account | None

    @property
    def api(self) -> str:
        """The URL of its API."""
        scheme = "https" if self.component.setting("tls-cert-file").value else "http"
        port = self.component.setting("api-address").value.rpartition(":")[2]
        return f"{scheme}://{self.component.node}:{port}/"

    @property
    def tokens(self) -> Claim:
        """Whether metadata demands a session token: "required" or "none"."""
        found = self.component.setting("http-tokens")
        said = {"required": "required", "optional": "none"}.get(found.value, UNKNOWN)
        words = {"required": "session tokens", "none": "version 1: a request is enough"}
        return Claim(said, words.get(said, f"no such setting: {found.value}"), found.source)

    @property
    def for_pods(self) -> Claim:
        """Whether a pod can ask for its machine's metadata: "open" or "closed"."""
        if self.tokens.value != "required":
            value = "open" if self.tokens.value == "none" else UNKNOWN
            return Claim(value, self.tokens.detail, self.tokens.source)
        return self._token_passes(self.component.setting("http-put-response-hop-limit"))

    @staticmethod
    def _token_passes(limit: Setting) -> Claim:
        if not limit.value.isdigit():
            return Claim(UNKNOWN, f"no number: {limit.value}", limit.source)
        if int(limit.value) > ROUTERS:
            return Claim("open", f"a token passes {limit.value} hops", limit.source)
        return Claim("closed", "an answer with a token ends at the machine", limit.source)


def detach_url(volume: str) -> str:
    """Return the URL at which the stand-in, for its own machine alone, detaches a volume.

    Parameters
    ----------
    volume : str
        Its name.

    Returns
    -------
    str

    Examples
    --------
    >>> detach_url("shop-data")
    'http://127.0.0.1/labkit-stand-in/attachments/shop-data'
    """
    return f"http://127.0.0.1{ABOUT}/attachments/{volume}"


def cloud_of(env: Environment) -> Cloud | None:
    """Return the stand-in for a cloud of an environment, or None.

    Parameters
    ----------
    env : Environment

    Returns
    -------
    Cloud or None

    Examples
    --------
    >>> from labkit.cluster import read_environment
    >>> found = cloud_of(read_environment("cloud-hardened"))
    >>> found.tokens.value, found.for_pods.value, found.account.role
    ('required', 'closed', 'node')
    >>> found.account.may("role/node", "ec2:AttachVolume", "payments-data").value
    'denied'
    >>> cloud_of(read_environment("hardened"))
    """
    for it in env.components:
        if it.kind == KIND:
            try:
                return Cloud(it, _account(env, it))
            except ConfigError:
                return Cloud(it, None)
    return None


def _account(env: Environment, it: Component) -> Account | None:
    files = env.node(it.node).files
    path = it.setting("account").value
    if path not in files:
        return None
    told = read_one(files[path].read_text(), files[path].source)
    role = told.text("role", "name")
    named = {f"role/{role}": told.text("role", "policy")}
    for index, _ in enumerate(told.sequence("users")):
        named[f"user/{told.text('users', index, 'name')}"] = told.text("users", index, "policy")
    policies = {}
    for who, file in named.items():
        file = posixpath.normpath(file)
        if file in files:
            policies[who] = read_one(files[file].read_text(), files[file].source)
    volumes = tuple(
        Volume(
            told.text("volumes", index, "name"),
            {key: str(value) for key, value in told.mapping("volumes", index, "tags").items()},
            told.source("volumes", index, "name"),
        )
        for index, _ in enumerate(told.sequence("volumes"))
    )
    machines = told.words("machines")
    return Account(told.text("region"), machines, role, policies, volumes, told.source("role"))
