"""Properties of every technique, and what it may reach and show: without Docker."""

from __future__ import annotations

import inspect
import re
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from labkit import controls, read_environment, techniques
from labkit.cluster.edits import Edit, Flag, Key, Whole
from labkit.errors import CommandFailed, ConfigError, ProbeError, ProbeTimeout
from labkit.lab import Output
from labkit.model import read_model
from labkit.render import evidence_picture
from labkit.techniques._lib.api.certificate_requests import is_signed
from labkit.techniques._lib.machines import reach as _reach
from labkit.techniques._lib.stores import secret as _secret
from labkit.techniques._lib.stores.secret import Sample, Secret, sample
from labkit.techniques._lib.technique import (
    FOOTHOLDS,
    GRANTS,
    NETWORK,
    POD,
    USER_ON_MASTER,
    Technique,
)
from labkit.techniques._lib.verdict import Verdict, Verdicts

MODES = ("insecure", "hardened")
STRIDE = {
    "spoofing",
    "tampering",
    "repudiation",
    "information disclosure",
    "denial of service",
    "elevation of privilege",
}
ADDRESSES = {"master": "10.161.4.10", "etcd1": "10.161.4.11", "attacker": "10.161.4.66"}
SECRET = Secret("shop", "db-credentials", "password", b"0f1e2d3c4b5a", (b"a-user-name",))


# -- discovery and metadata -----------------------------------------------------------------


def test_every_file_is_a_technique() -> None:
    folder = Path(inspect.getfile(techniques)).parent
    files = {path.stem for path in folder.glob("*.py") if not path.stem.startswith("_")}
    assert {technique.name.replace("-", "_") for technique in techniques.values()} == files


def test_find_returns_the_technique_by_name() -> None:
    assert techniques["etcd-read"].name == "etcd-read"
    with pytest.raises(ConfigError, match="no technique 'nonsense'\n  next: labkit technique list"):
        techniques["nonsense"]


@pytest.mark.parametrize("technique", techniques.values(), ids=lambda technique: technique.name)
class TestMetadata:
    def test_is_complete(self, technique: Technique) -> None:
        assert re.fullmatch(r"[a-z]+(-[a-z]+)*", technique.name)
        assert technique.title[0].isupper()
        assert technique.footholds
        assert set(technique.footholds) <= set(FOOTHOLDS)
        assert set(technique.grants) <= set(GRANTS)
        assert technique.attack
        assert all(re.fullmatch(r"T\d{4}(\.\d{3})?", item) for item in technique.attack)
        assert technique.cwe
        assert all(re.fullmatch(r"CWE-\d+", item) for item in technique.cwe)
        assert technique.stride
        assert set(technique.stride) <= STRIDE
        assert technique.sources

    def test_is_documented(self, technique: Technique) -> None:
        module = import_module(f"labkit.techniques.{technique.name.replace('-', '_')}")
        summary, _, explanation = inspect.getdoc(module).partition("\n\n")  # type: ignore[union-attr]
        assert summary.endswith(".")
        assert explanation.count(".") >= 2
        assert inspect.getdoc(technique.predict)
        assert inspect.getdoc(technique.execute)

    @pytest.mark.parametrize("which", [0, 1], ids=MODES)
    def test_its_channels_are_in_the_model(self, technique: Technique, which: int) -> None:
        found = technique.channels(read_model(technique.modes[which]))
        assert bool(found) == bool(technique.about)

    def test_settings_differ_between_the_modes(self, technique: Technique) -> None:
        modes = technique.modes
        rows = technique.difference(*[read_environment(mode) for mode in modes])
        lacks, has = (
            {(what, value) for m, (what, value, _) in rows if m == mode} for mode in modes
        )
        assert lacks
        assert has
        views = [read_model(read_environment(mode)) for mode in modes]
        ends = {technique.predict(v, f).succeeds for v in views for f in technique.footholds}
        if ends != {True}:  # if it succeeds in both modes, its settings may be equal
            assert not lacks & has
        assert all(read_in for _, (_, _, read_in) in rows)


@pytest.mark.parametrize("mode", MODES)
def test_every_prediction_says_where_it_was_read(mode: str) -> None:
    model = read_model(read_environment(mode))
    for technique in techniques.values():
        for foothold in technique.footholds:
            prediction = technique.predict(model, foothold)
            assert prediction.because, technique.name
            assert all(prediction.because), technique.name


def test_technique_from_a_wrong_foothold_is_refused() -> None:
    lab: Any = FakeLab()
    with pytest.raises(ConfigError, match="at-rest cannot be tried on the cluster network"):
        techniques["at-rest"].run(lab, NETWORK)
    assert lab.calls == []


def test_loopback_is_reached_only_from_a_machine_of_the_lab() -> None:
    lab: Any = FakeLab()
    assert techniques.address_in_lab(lab, "localhost", USER_ON_MASTER) == "127.0.0.1"
    for foothold in (NETWORK, POD):
        with pytest.raises(ProbeError, match="nothing is sent there"):
            techniques.address_in_lab(lab, "localhost", foothold)


def test_unknown_foothold_or_property_is_refused() -> None:
    found = techniques["etcd-read"]
    values = {name: getattr(found, name) for name in found.__slots__}
    with pytest.raises(ValueError, match="no foothold 'the moon'"):
        Technique(**{**values, "footholds": ("the moon",)})
    with pytest.raises(ValueError, match="no such properties"):
        Technique(**{**values, "properties": ("colour",)})


# -- what may be reached --------------------------------------------------------------------


class FakeLab:
    """A lab whose commands return prepared outputs."""

    mode = "insecure"
    addresses = ADDRESSES
    environment = SimpleNamespace(nodes=[SimpleNamespace(name="attacker", role="attacker")])

    def __init__(self, *outputs: Output | Exception) -> None:
        self.outputs = list(outputs)
        self.calls: list[list[str]] = []

    def stretch(self) -> float:
        return 1.0

    def exec(self, node: str, argv: list[str], **_: Any) -> Output:
        self.calls.append([node, *argv])
        output = self.outputs.pop(0)
        if isinstance(output, Exception):
            raise output
        return output


@pytest.mark.parametrize(
    "host",
    [
        "example.com",
        "127.0.0.1",
        "169.254.169.254",
        "8.8.8.8",
        "10.161.4.1",  # the network's gateway: the machine that Docker runs on
        "10.161.4.99",  # in the network, but no machine of the lab
        "10.161.5.11",
        "::1",
        "",
        "etcd1.example.com",
    ],
)
def test_nothing_is_sent_outside_the_lab(host: str) -> None:
    lab: Any = FakeLab()
    with pytest.raises(ProbeError, match="is no machine of this lab: nothing is sent there"):
        techniques.address_in_lab(lab, host)
    url = f"http://[{host}]/" if ":" in host else f"http://{host}/"
    with pytest.raises(ProbeError, match="nothing is sent there"):
        _reach.request(lab, url)
    assert lab.calls == []


def test_user_name_in_a_url_does_not_hide_its_host() -> None:
    lab: Any = FakeLab()
    with pytest.raises(ProbeError, match=r"'example\.com' is no machine"):
        _reach.request(lab, "http://etcd1:2379@example.com/")
    assert lab.calls == []


@pytest.mark.parametrize("host", ["etcd1", "10.161.4.11"])
def test_machines_of_the_lab_are_reached(host: str) -> None:
    lab: Any = FakeLab(Output(0, b"{}\n200", b""))
    assert techniques.address_in_lab(lab, host) == "10.161.4.11"
    answer = _reach.request(lab, f"http://{host}:2379/version")
    assert (answer.status, answer.body, answer.refusal) == (200, b"{}", "")
    assert lab.calls[0][:2] == ["attacker", "curl"]


def test_timeout_is_never_a_refusal() -> None:
    slow: Any = FakeLab(Output(28, b"\n000", b"curl: (28) Operation timed out"))
    with pytest.raises(ProbeTimeout, match="did not answer in time"):
        _reach.request(slow, "http://etcd1:2379/")
    stuck: Any = FakeLab(CommandFailed("attacker: curl did not end within 20 s"))
    with pytest.raises(ProbeTimeout, match="did not end within"):
        _reach.request(stuck, "http://etcd1:2379/")


@pytest.mark.parametrize(
    ("code", "said", "refusal"),
    [
        (56, "curl: (56) SSL routines::tlsv13 alert certificate required", "certificate required"),
        (35, "curl: (35) SSL routines::sslv3 alert bad certificate", "bad certificate"),
        (7, "* connect to 10.161.4.11 failed: Connection refused\ncurl: (7) Failed", "refused"),
    ],
)
def test_refusal_has_its_cause(code: int, said: str, refusal: str) -> None:
    lab: Any = FakeLab(Output(code, b"\n000", said.encode()))
    assert refusal in _reach.request(lab, "https://etcd1:2379/").refusal


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (7, "* connect to 10.161.4.11 failed: No route to host\ncurl: (7) Failed to connect"),
        (6, "curl: (6) Could not resolve host: etcd1"),
        (60, "curl: (60) * TLSv1.3 (OUT), TLS alert, unknown CA"),
    ],
)
def test_inconclusive_answer_is_an_error(code: int, said: str) -> None:
    lab: Any = FakeLab(Output(code, b"\n000", said.encode()))
    with pytest.raises(ProbeError, match=f"curl exited with {code}"):
        _reach.request(lab, "https://etcd1:2379/")


def test_reset_connection_is_tried_again() -> None:
    reset = Output(56, b"\n000", b"curl: (56) Recv failure: Connection reset by peer")
    alert = Output(56, b"\n000", b"curl: (56) SSL routines::tlsv13 alert certificate required")
    lab: Any = FakeLab(reset, reset, alert)
    assert _reach.request(lab, "https://etcd1:2379/").refusal == "TLS alert: certificate required"
    always: Any = FakeLab(*[reset] * 8)
    with pytest.raises(ProbeError, match="curl exited with 56"):
        _reach.request(always, "https://etcd1:2379/")


# -- what is shown --------------------------------------------------------------------------


def test_secret_is_never_shown() -> None:
    value = SECRET.value.decode()
    assert value not in f"{SECRET} {SECRET!r} {SECRET.proof}"
    assert "a-user-name" not in repr(SECRET)


@pytest.mark.parametrize("spelling", [b"0f1e2d3c4b5a", b"MGYxZTJkM2M0YjVh"])
def test_sample_hides_every_secret_value(spelling: bytes) -> None:
    data = b"x" * 900 + b"password=" + spelling + b" username=a-user-name" + b"y" * 900
    assert SECRET.found_in(data)
    shown = sample("the wire", data, SECRET)
    assert spelling not in shown.data
    assert b"a-user-name" not in shown.data
    assert b"password=" in shown.data
    assert len(shown.data) <= _secret.WINDOW
    blotted = [shown.data[start:end] for start, end, what in shown.marks if what == "secret"]
    assert blotted == [b"*" * len(spelling), b"*" * len("a-user-name")]
    assert [kind for kind in evidence_picture.kinds(shown) if kind == "secret"]


def test_sample_marks_headers() -> None:
    shown = sample("", b"\x17\x03\x03\x00\x02ab", SECRET, ((0, 5), (5000, 5005)))
    assert shown.marks == ((0, 5, "header"),)


def test_picture_renders_as_png() -> None:
    details = {"sample": Sample("the wire", b"GET / HTTP/1.1" * 9, ((3, 9, "secret"),))}
    verdict = Verdict("eavesdrop", "insecure", NETWORK, True, "plaintext", details=details)
    shown: Any = evidence_picture.evidence(
        verdict, Verdict("eavesdrop", "hardened", NETWORK, False, "TLS")
    )
    assert repr(shown) == "<picture of eavesdrop insecure>"
    assert shown._repr_png_().startswith(b"\x89PNG")
    alone: Any = evidence_picture.evidence(verdict)
    assert shown._repr_png_() == alone._repr_png_()


def test_verdict_shows_no_details() -> None:
    bare = Verdict("a", "insecure", NETWORK, False, "<403>", ("e",), "the <client> passes")
    full = Verdict(
        "a", "insecure", NETWORK, False, "<403>", ("e",), "the <client> passes", {"x": 1}
    )
    assert bare == full
    assert repr(bare) == repr(full)
    assert repr(full).splitlines() == [
        "a, insecure, on the cluster network: refused",
        "  why: <403>",
        "  - e",
        "  control: the <client> passes",
    ]
    for html in (full._repr_html_(), Verdicts([full])._repr_html_()):
        assert "&lt;403&gt;" in html
        assert "<403>" not in html


# -- what a campaign of random configurations found ------------------------------------------


@pytest.mark.parametrize("name", ["agent-token", "nodes-proxy-exec"])
def test_pod_without_a_token_is_a_refusal_with_its_evidence(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = import_module(f"labkit.techniques.{name.replace('-', '_')}")
    monkeypatch.setattr(module, "find_pod", lambda *_: SimpleNamespace(node="worker1", prefix=[]))
    monkeypatch.setattr(module, "token_of", lambda *_: None)
    if name == "nodes-proxy-exec":
        monkeypatch.setattr(module, "true_secret", lambda *_: SECRET)
        monkeypatch.setattr(module, "retry_unknown_pod", lambda lab, attempt: attempt())
    lab: Any = SimpleNamespace(mode="hardened", environment=read_environment("hardened"))
    verdict = module.TECHNIQUE.execute(lab, POD)
    assert (verdict.succeeded, verdict.reason) == (False, "no token in the pod")


def predicted(mode: str, name: str, *edits: Edit) -> list[str]:
    model = read_model(read_environment(mode, edits))
    return [techniques[name].predict(model, it).word for it in techniques[name].footholds]


def test_kubelet_without_debugging_handlers_runs_no_commands() -> None:
    # enableDebuggingHandlers "enables server endpoints for log access and local running of
    # containers and commands": kubelet-config.v1beta1; else they answer 405
    kubelet = "/etc/kubernetes/kubelet.yaml"
    off = Key("worker", kubelet, "enableDebuggingHandlers", False)
    everybody = Key("worker", kubelet, "authorization.mode", "AlwaysAllow")
    assert set(predicted("insecure", "kubelet-exec")) == {"succeeded"}
    assert set(predicted("insecure", "kubelet-exec", off)) == {"refused"}
    for name in ("kubelet-neighbour", "nodes-proxy-exec"):
        assert predicted("hardened", name, everybody) == ["succeeded"]
        assert predicted("hardened", name, everybody, off) == ["refused"]
    assert set(predicted("insecure", "kubelet-read-only", off)) == {"succeeded"}


AUTHORIZERS = """\
apiVersion: apiserver.config.k8s.io/v1
kind: AuthorizationConfiguration
authorizers: [{type: Node, name: node}, {type: RBAC, name: rbac}]
"""


def test_authorizers_of_a_file_count_like_those_of_the_flag() -> None:
    unit, file = "kube-apiserver.service", "/etc/kubernetes/authz.yaml"
    edits = (
        Flag("master", unit, "authorization-mode", None),
        Flag("master", unit, "authorization-config", file),
        Whole("master", file, AUTHORIZERS),
    )
    assert predicted("hardened", "controller-manager-token") == ["succeeded"]
    assert predicted("hardened", "controller-manager-token", *edits) == ["succeeded"]
    model = read_model(read_environment("hardened", edits))
    assert controls["apiserver-authorization"].holds(model)


SIGNS = "kube-controller-manager.service"


@pytest.mark.parametrize(
    ("edits", "signed"),
    [
        ((), True),
        ((Flag("master", SIGNS, "controllers", "*,-csrsigning"),), False),
        ((Flag("master", SIGNS, "controllers", "*,-csrapproving"),), True),
        ((Flag("master", SIGNS, "controllers", "garbagecollector,csrsigning"),), True),
        ((Flag("master", SIGNS, "controllers", "garbagecollector"),), False),
        ((Flag("master", SIGNS, "cluster-signing-key-file", None),), False),
    ],
)
def test_request_for_a_certificate_needs_somebody_who_signs(
    edits: tuple[Edit, ...], signed: bool
) -> None:
    # --controllers: "'*' enables all on-by-default controllers, 'foo' enables the controller
    # named 'foo', '-foo' disables the controller named 'foo'"
    word = "succeeded" if signed else "refused"
    assert set(predicted("insecure", "csr-self-approve", *edits)) == {word}
    admitted = Flag(
        "master",
        "kube-apiserver.service",
        "disable-admission-plugins",
        "CertificateSubjectRestriction",
    )
    assert set(predicted("insecure", "csr-masters", *edits, admitted)) == {word}


@pytest.mark.parametrize(("complete", "word"), [(True, False), (False, None)])
def test_controller_manager_that_was_not_copied_may_sign(complete: bool, word: bool | None) -> None:
    env = read_environment("insecure")
    others = tuple(it for it in env.components if it.kind != "kube-controller-manager")
    assert is_signed(replace(env, components=others, complete=complete)).succeeds is word


def test_read_only_port_of_another_number_is_read_as_well() -> None:
    kubelet = "/etc/kubernetes/kubelet.yaml"
    moved = Key("worker", kubelet, "readOnlyPort", 10355)
    assert set(predicted("insecure", "kubelet-read-only", moved)) == {"succeeded"}
    assert set(predicted("hardened", "kubelet-read-only", moved)) == {"succeeded"}
    assert set(predicted("insecure", "kubelet-read-only")) == {"succeeded"}
    closed = Key("worker", kubelet, "readOnlyPort", 0)
    assert set(predicted("insecure", "kubelet-read-only", closed)) == {"refused"}


def test_every_technique_has_its_reasons_written_down() -> None:
    folder = Path(__file__).with_name("reasons")
    assert {path.stem for path in folder.glob("*.yaml")} == set(techniques)
