"""The labs with a stand-in for a cloud: techniques as predicted, and the controls flipped."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from labkit import agents, controls, techniques
from labkit.cluster.edits import Flag
from labkit.errors import ProbeError
from labkit.model import read_model
from labkit.model.clouds import METADATA
from labkit.techniques._lib.machines.cloud import ask_metadata, session_token
from labkit.techniques._lib.technique import POD, ROOT_ON_WORKER
from labkit.verification import verify

pytestmark = [pytest.mark.lab, pytest.mark.profile("cloud")]
MODES = ("cloud-insecure", "cloud-hardened")
CONTROLS = ("metadata-tokens", "cloud-role-by-tag", "cloud-key-permissions")
STATE = "/var/lib/cloud/state.json"


@pytest.fixture(scope="module", params=MODES)
def cloudy(request: pytest.FixtureRequest, lab_of: Callable[[str], Any]) -> Any:
    """Return a lab with a cloud."""
    return lab_of(request.param)


def test_channels_to_the_cloud_are_as_claimed(cloudy: Any) -> None:
    ids = [it.id for it in read_model(cloudy.environment).channels if "cloud-stand-in" in it.id]
    assert len(ids) == 2
    report = verify(cloudy, only=ids)
    assert report.exit_code == 0, report
    assert not report.select(verdict="found out").rows


def test_stand_in_says_what_it_is(cloudy: Any) -> None:
    said = ask_metadata(cloudy, ROOT_ON_WORKER, "/labkit-stand-in")
    assert b"stand-in for a cloud" in said.body
    assert b"no cloud" in said.body


def test_metadata_of_another_cloud_is_never_asked(cloudy: Any) -> None:
    # without the lab's own way there, labkit sends nothing; and nobody else answers
    def answered() -> bool:
        argv = ["curl", "-s", "-m", "3", f"http://{METADATA}/labkit-stand-in"]
        in_pod = agents.argv("in_pod", "web", "1000")
        found = [cloudy.exec("worker1", [*it, *argv], check=False).text for it in ((), in_pod)]
        assert found[0] == found[1]
        return "stand-in" in found[0]

    assert answered()
    try:
        cloudy.exec("worker1", ["ip", "route", "del", f"{METADATA}/32"])
        for foothold in (POD, ROOT_ON_WORKER):
            with pytest.raises(ProbeError, match="does not lead into the lab"):
                ask_metadata(cloudy, foothold, "/latest/meta-data/")
        cloudy.exec("worker1", ["iptables", "-w", "-t", "nat", "-F", "METADATA"])
        assert not answered()
    finally:
        cloudy.exec("worker1", ["systemctl", "restart", "cloud-metadata"])
    assert answered()


@pytest.mark.parametrize("cloudy", MODES[:1], indirect=True)
def test_token_of_one_machine_is_none_of_another(cloudy: Any) -> None:
    cloudy.apply(controls["metadata-tokens"].flip(cloudy.environment, on=True))
    try:
        token = session_token(cloudy, ROOT_ON_WORKER)
        header = f"X-aws-ec2-metadata-token: {token}"
        own = ask_metadata(cloudy, ROOT_ON_WORKER, "/latest/meta-data/instance-id", header)
        assert own.body.startswith(b"i-")
        argv = ["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "-H", header]
        url = f"http://{METADATA}/latest/meta-data/instance-id"
        assert cloudy.exec("worker2", [*argv, url]).text == "401"
    finally:
        cloudy.apply(())


@pytest.mark.parametrize("cloudy", MODES[1:], indirect=True)
def test_hop_limit_and_not_the_token_keeps_pods_away(cloudy: Any) -> None:
    technique = techniques["cloud-metadata-role"]
    cloudy.apply([Flag("cloud", "cloud.service", "http-put-response-hop-limit", "2")])
    try:
        assert technique.predict(read_model(cloudy.environment), POD).succeeds
        verdict = technique.run(cloudy)
        assert verdict.succeeded
        assert verdict.reason == "version 2: the token reaches a pod"
    finally:
        cloudy.apply(())


@pytest.mark.parametrize("cloudy", MODES[:1], indirect=True)
def test_reset_detaches_what_somebody_attached(
    cloudy: Any, settled: Callable[..., list[str]]
) -> None:
    cloud = cloudy.environment.component("cloud-stand-in@cloud")
    before = cloudy.read_file("cloud", STATE)
    assert b'"attached": {}' in before
    cloudy.exec("cloud", ["systemctl", "stop", "cloud"])
    kept = before.replace(b'"attached": {}', b'"attached": {"shop-data": "worker2"}')
    cloudy.exec("cloud", ["tee", STATE], stdin=kept)
    cloudy.exec("cloud", ["systemctl", "start", "cloud"])
    assert cloudy.read_file("cloud", STATE) == kept, f"{cloud.id} takes up what it left"
    assert [str(it) for it in cloudy.drift()] != []
    cloudy.reset()
    assert cloudy.read_file("cloud", STATE) == before
    assert settled(cloudy) == []
