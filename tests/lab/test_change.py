"""A change in place: what was remembered from before it does not count any more."""

from __future__ import annotations

from typing import Any

import pytest

from labkit import techniques
from labkit.controls import with_controls
from labkit.model import read_model

pytestmark = pytest.mark.lab


def test_kubelet_authorization_cache_is_cleared_by_apply(lab_hardened: Any) -> None:
    technique = techniques["kubelet-neighbour"]
    plain = lab_hardened.environment
    try:
        for env in (
            with_controls(plain, {"apiserver-authorization": False}),
            plain,
        ):
            lab_hardened.apply(env.edits)
            predicted = technique.predict(read_model(env), technique.footholds[0])
            # a kubelet caches the apiserver's answer for five minutes
            assert technique.run(lab_hardened).succeeded is predicted.succeeds
    finally:
        lab_hardened.reset()


def test_pods_are_recreated_without_their_token(lab_insecure: Any) -> None:
    technique = techniques["pod-token"]
    try:
        wanted = {"service-account-automount": True}
        changed = with_controls(lab_insecure.environment, wanted)
        lab_insecure.apply(changed.edits)
        assert technique.run(lab_insecure).reason == "no token in the pod"
    finally:
        lab_insecure.reset()
    lab_insecure.wait()
    assert technique.run(lab_insecure).succeeded
