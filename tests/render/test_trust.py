"""The picture of certificate authorities shows the names in the certificates."""

from __future__ import annotations

import dataclasses

import pytest

from labkit.cluster import Environment, read_environment
from labkit.render.pki import trust


def texts(env: Environment) -> list[str]:
    return [text.get_text() for text in trust(env).axes[0].texts]


@pytest.mark.parametrize("mode", ["insecure", "hardened"])
def test_no_placeholder_is_left_in_the_picture(mode: str) -> None:
    drawn = texts(read_environment(mode))
    assert any("system:kube-proxy" in text for text in drawn)
    assert not [text for text in drawn if "$" in text]


def test_each_machine_with_its_own_certificate_has_a_line() -> None:
    drawn = texts(read_environment("hardened"))
    # kubernetes.io/docs/reference/access-authn-authz/node: system:node:NAME in system:nodes
    for name in ("worker1", "worker2"):
        assert f"system:node:{name} (system:nodes)  ·  client" in drawn
        assert f"system:node:{name} (system:nodes)  ·  server" in drawn
        assert f"{name}  ·  server" in drawn
    assert [text for text in drawn if text.startswith("etcd1 ")] == ["etcd1  ·  server+client"]


def test_one_identity_of_several_machines_has_one_line() -> None:
    drawn = texts(read_environment("hardened"))
    assert [text for text in drawn if "kube-proxy" in text] == ["system:kube-proxy  ·  client"]


def test_many_machines_are_counted() -> None:
    env = read_environment("hardened")
    [worker] = [c for c in env.credentials if (c.name, c.node) == ("kubelet", "worker1")]
    more = tuple(
        dataclasses.replace(worker, node=f"w{number}", common_name=f"system:node:w{number}")
        for number in range(98)
    )
    drawn = texts(dataclasses.replace(env, credentials=(*env.credentials, *more)))
    assert "and 97 more of kubelet  ·  client" in drawn
