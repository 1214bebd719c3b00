"""A configuration as a threat model."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from labkit.model.clients import find_channels
from labkit.model.credentials import claims_of, credentials_of
from labkit.model.threat_model import Component, Model, end_of_channel

if TYPE_CHECKING:
    from labkit.cluster.facts import Environment

__all__ = ["read_model"]


def read_model(env: Environment | Path | str) -> Model:
    """Read a threat model from a cluster's configuration.

    Parameters
    ----------
    env : Environment, path or str
        The facts, or the folder to read them from; a bare name is looked up among the kit's own.

    Returns
    -------
    Model

    Raises
    ------
    ConfigError
        A file is missing or malformed.

    Examples
    --------
    >>> read_model("insecure").component("etcd@etcd1").zone
    'master node'
    """
    if isinstance(env, (str, Path)):
        from labkit.cluster import read_environment

        env = read_environment(env)
    channels = tuple(find_channels(env))
    parts = {
        it.id: Component(it.id, it.kind, it.node, it.zone, claims_of(env, it))
        for it in env.components
    }
    for channel in channels:
        for end, zone in (
            (channel.client, channel.client_zone),
            (channel.server, channel.server_zone),
        ):
            parts.setdefault(end, end_of_channel(end, zone))
    return Model(
        name=env.name,
        components=tuple(parts.values()),
        channels=channels,
        credentials=partial(credentials_of, env),
        description=env.description,
        unknowns=tuple(map(str, env.unknowns)),
        env=env,
    )
