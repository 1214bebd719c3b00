"""Names and groups of the OpenID provider have a prefix."""

from __future__ import annotations

import re

from labkit.cluster.edits import Edit, Flag, Whole
from labkit.controls._base import Control
from labkit.model import Model
from labkit.model.id_tokens import collides, id_token_authenticators
from labkit.resources import environments_dir

__all__ = ["CONTROL"]

UNIT, FILE = "kube-apiserver.service", "/etc/kubernetes/authentication.yaml"
LACKS, HAS = "oidc-insecure", "oidc-hardened"
FLAG = re.compile(r"--(oidc-[a-z-]+)=(\S+)")


def _flags() -> tuple[tuple[str, str], ...]:
    """Return the flags of the environment without prefixes."""
    unit = environments_dir() / LACKS / "master/etc/systemd/system" / UNIT
    return tuple(FLAG.findall(unit.read_text()))


def on() -> tuple[Edit, ...]:
    """Return the edits that replace the flags by the file with prefixes."""
    text = (environments_dir() / HAS / f"master{FILE}").read_text()
    return (
        *(Flag("master", UNIT, name, None) for name, _ in _flags()),
        Flag("master", UNIT, "authentication-config", FILE),
        Whole("master", FILE, text),
    )


def off() -> tuple[Edit, ...]:
    """Return the edits that replace the file by the flags without prefixes."""
    return (
        *(Flag("master", UNIT, name, value) for name, value in _flags()),
        Flag("master", UNIT, "authentication-config", None),
        Whole("master", FILE, None),
    )


def holds(model: Model) -> bool:
    """Say whether the control is in place; without a provider, no name of it collides."""
    env = model.environment
    for it in env.components:
        if it.kind == "kube-apiserver":
            known = id_token_authenticators(env, it)
            if known is None or any(collides(each) for each in known):
                return False
    return True


CONTROL = Control(
    name="oidc-prefix",
    title="Names and groups of the OpenID provider have a prefix",
    why="A group of the provider that is called system:masters is then no group of the cluster.",
    on=on,
    off=off,
    holds=holds,
    changes="as whom the apiserver knows the people of the provider",
    stops=("oidc-group-collision", "oidc-user-collision"),
    references=(
        "Kubernetes documentation: Authenticating, OpenID Connect Tokens",
        "Kubernetes documentation: Authenticating, Using Authentication Configuration",
    ),
    machines=("idp",),
    modes=(LACKS, HAS),
)
