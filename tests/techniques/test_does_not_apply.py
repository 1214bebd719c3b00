"""Techniques in labs without the machines that they need."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest

from labkit import controls, read_environment, techniques
from labkit.analysis.attack_graph.from_techniques import technique_steps
from labkit.errors import ConfigError
from labkit.lab import Output
from labkit.matrix import Variant, run_matrix, variants
from labkit.model import read_model
from labkit.techniques import Verdict

MODES = ("insecure", "hardened")
NOT_IN_A_LIGHT_LAB = {
    "eavesdrop-etcd-peer",
    "eavesdrop-vxlan",
    "flannel-lease",
    "kubelet-neighbour",
    "mitm-apiserver",
    "mitm-kubelet",
    "node-creates-pods",
    "node-reads-pods",
    "node-reads-secrets",
    "node-writes-other-node",
    "proxy-creates-pods",
    "proxy-reads-pods",
    "proxy-writes-nodes",
}
#: The techniques and controls of a profile apply to its own environments alone.
OF_PROFILES = {it.name for it in techniques.values() if it.modes != MODES}
CONTROLS_OF_PROFILES = {it.name for it in controls.values() if it.modes != MODES}


@pytest.mark.parametrize("mode", MODES)
def test_techniques_that_need_another_machine_do_not_apply_to_a_light_lab(mode):
    full, light = read_environment(mode), read_environment(f"light-{mode}")
    expected = NOT_IN_A_LIGHT_LAB | OF_PROFILES
    assert {it.name for it in techniques.values() if it.why_not(light)} == expected
    assert {it.name for it in techniques.values() if it.why_not(full)} == OF_PROFILES
    # the pages of the techniques say that a light lab lacks each of these machines
    declared = {name for it in techniques.values() for name in it.machines}
    assert not declared & {node.name for node in light.nodes}
    steps = {step.technique for step in technique_steps(read_model(light))}
    assert steps
    assert not steps & expected


@pytest.mark.parametrize("mode", MODES)
def test_techniques_that_apply_to_a_light_lab_are_predicted_as_in_the_full_one(mode):
    environments = [read_environment(mode), read_environment(f"light-{mode}")]
    plain = [read_model(it) for it in environments]
    flips = [None, *(it for it in controls.values() if it.name not in CONTROLS_OF_PROFILES)]
    for control in flips:
        if control is None:
            models = plain
        else:
            on = not control.holds(plain[0])
            assert control.holds(plain[1]) is not on, control.name
            models = [read_model(control.flipped(it, on=on)) for it in environments]
            assert [control.holds(it) for it in models] == [on, on], control.name
        for technique in techniques.values():
            if technique.name not in NOT_IN_A_LIGHT_LAB | OF_PROFILES:
                for foothold in technique.footholds:
                    full, light = (technique.predict(it, foothold).word for it in models)
                    assert light == full, (control, technique.name, foothold)


class LightLab:
    """A lab of which only the environment is there."""

    mode = "light-hardened"
    environment = read_environment("light-hardened")

    def apply(self, edits: Any) -> None:
        pass

    def wait(self) -> None:
        pass

    def recover(self) -> None:
        pass

    def exec(self, *_: Any, **__: Any) -> Output:
        return Output(0, b"", b"")

    def exclusive(self, what: str) -> contextlib.nullcontext[None]:
        return contextlib.nullcontext()


def test_technique_that_does_not_apply_says_why_and_is_not_tried(monkeypatch):
    lab: Any = LightLab()
    monkeypatch.setattr(LightLab, "exclusive", None)
    with pytest.raises(ConfigError, match=r"mitm-kubelet does not apply .*: there is no worker2"):
        techniques["mitm-kubelet"].run(lab)


def test_matrix_of_a_light_lab_has_no_cells_of_what_does_not_apply(monkeypatch):
    def run(self: Any, lab: Any, foothold: Any) -> Verdict:
        return Verdict(self.name, lab.mode, foothold, False, "because", (), "HTTP 200")

    monkeypatch.setattr("labkit.techniques.Technique.run", run)
    lab: Any = LightLab()
    names = ("etcd-read", "mitm-kubelet", "flannel-lease")
    found = run_matrix(lab, [Variant(lab.mode)], known=[techniques[name] for name in names])
    assert {cell.technique for cell in found} == {"etcd-read"}


def test_techniques_and_controls_of_a_profile_apply_to_its_environments():
    assert OF_PROFILES
    assert CONTROLS_OF_PROFILES
    known: list[Any] = [*techniques.values(), *controls.values()]
    for it in known:
        for mode in it.modes:
            assert not it.why_not(read_environment(mode)), (it.name, mode)


@pytest.mark.parametrize("mode", MODES)
def test_control_of_a_profile_is_no_variant_of_a_lab_without_it(mode):
    env = read_environment(mode)
    flipped = {it.control for it in variants(env)}
    assert not flipped & CONTROLS_OF_PROFILES
    profiles = ("oidc", "hook", "cloud", "logs")
    own = [variants(read_environment(f"{profile}-{mode}")) for profile in profiles]
    assert {it.control for them in own for it in them} >= CONTROLS_OF_PROFILES
    for name in CONTROLS_OF_PROFILES:
        with pytest.raises(ConfigError, match=f"control {name} does not apply to {mode}: there is"):
            controls[name].flip(env, on=True)
