"""``labkit analyze``: exit statuses, what is printed, and what is written for CI."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from labkit import load_model
from labkit.analysis import object_steps
from labkit.cli import app
from labkit.model import Model

RUN = CliRunner()


def run(*arguments: str) -> tuple[int, str, str]:
    result = RUN.invoke(app, ["analyze", *arguments])
    return result.exit_code, result.stdout, result.stderr


def test_clean_analysis_exits_with_0_and_lists_residual_findings() -> None:
    status, out, _ = run("hardened", "--fail-on", "low", "--forbid-path", "pod -> secrets")
    assert status == 0
    assert "residual" in out
    assert "mitigated" not in out
    assert "out of reach" in out


def test_option_all_lists_mitigated_findings() -> None:
    assert "mitigated" in run("hardened", "--all")[1]


@pytest.mark.parametrize(
    "arguments",
    [
        ("--fail-on", "critical"),
        ("--forbid-path", "pod -> secrets"),
        ("--forbid-path", "pod->admin"),
    ],
)
def test_failed_gate_exits_with_3_and_the_reason(arguments: tuple[str, ...]) -> None:
    status, out, err = run("insecure", "--quiet", *arguments)
    assert (status, out) == (3, "")
    assert err == "", "quiet"
    status, _, err = run("insecure", *arguments)
    assert status == 3
    assert "gate: " in err


def test_baseline_findings_do_not_fail_the_gate(tmp_path: Path) -> None:
    kept = tmp_path / "before.json"
    kept.write_text(run("insecure", "--json")[1])
    assert run("insecure", "--fail-on", "low", "--baseline", str(kept))[0] == 0
    kept.write_text(run("hardened", "--json")[1])
    assert run("insecure", "--baseline", str(kept))[0] == 3


def test_json_alone_goes_to_stdout() -> None:
    status, out, _ = run("insecure", "--json")
    assert status == 0
    assert json.loads(out)["findings"]


def test_accepted_findings_do_not_fail_the_gate(tmp_path: Path) -> None:
    file = tmp_path / "accept.yaml"
    file.write_text("accepted: [{finding: '*', owner: o, reason: r, until: 2099-01-01}]")
    assert run("insecure", "--fail-on", "low", "--accept", str(file))[0] == 0
    assert run("hardened", "--accept", str(file))[0] == 1, "matches nothing"


def test_model_by_hand_is_analysed(tmp_path: Path) -> None:
    file = tmp_path / "model.yaml"
    file.write_text(
        "components: {kube-apiserver: {}, etcd: {}}\nchannels: [{from: kube-apiserver, to: etcd}]"
    )
    assert run(str(file), "--fail-on", "critical")[0] == 3


DUMP = {
    "apiVersion": "v1",
    "kind": "List",
    "items": [
        {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "w1"}},
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"namespace": "shop", "name": "web"},
            "spec": {
                "nodeName": "w1",
                "containers": [{"name": "c", "securityContext": {"privileged": True}}],
            },
        },
    ],
}


def test_dump_is_analysed(tmp_path: Path) -> None:
    file = tmp_path / "dump.json"
    file.write_text(json.dumps(DUMP))
    status, out, err = run(str(file), "--forbid-path", "pod -> node")
    assert status == 3
    assert "privileged-container" in out
    assert "Pod shop/web" in err
    sarif = tmp_path / "out.sarif"
    assert run(str(file), "--forbid-path", "pod -> node", "--sarif", str(sarif))[0] == 3
    assert "forbidden-path" in sarif.read_text()


@pytest.mark.parametrize("gate", [("--fail-on", "critical"), ("--forbid-path", "pod -> admin")])
def test_gate_that_depends_on_missing_objects_exits_with_4(
    tmp_path: Path, gate: tuple[str, str]
) -> None:
    file = tmp_path / "dump.json"
    plain = json.loads(json.dumps(DUMP))
    del plain["items"][1]["spec"]["containers"][0]["securityContext"]
    file.write_text(json.dumps(plain))
    status, _, err = run(str(file), *gate)
    assert status == 4
    assert "gate: not known: dump no ClusterRoleBinding in the dump" in err
    assert run(str(file), *gate, "--allow-unknown")[0] == 0
    assert run(str(file))[0] == 0, "no gate, no doubt"
    # whether there is a secret is not asked: a cluster may have none
    assert "no Secret" not in err.split("gate:", 1)[1]


@pytest.mark.parametrize("text", ['{"apiVersion": "v1", "kind": "List", "items": []}', "{}", ""])
@pytest.mark.parametrize("command", ["analyze", "report", "export"])
def test_every_command_refuses_a_list_without_objects(
    tmp_path: Path, command: str, text: str
) -> None:
    file = tmp_path / "dump.json"
    file.write_text(text)
    more = {"analyze": ["--fail-on", "low"], "report": ["-o", str(tmp_path / "r.html")]}
    arguments = [command, str(file), *more.get(command, ["--format", "sarif"])]
    result = RUN.invoke(app, arguments)
    assert result.exit_code == (4 if "List" in text else 1)
    assert result.stdout == ""
    assert "error: " in result.stderr


def test_dump_that_breaks_off_exits_with_4(tmp_path: Path) -> None:
    file = tmp_path / "dump.json"
    file.write_text(json.dumps(DUMP)[:-40])
    status, out, err = run(str(file), "--fail-on", "low")
    assert (status, out) == (4, "")
    assert "a part of it could not be read" in err
    # what was read is analysed if that is asked for
    assert "on the cluster network" in run(str(file), "--fail-on", "low", "--allow-unknown")[1]


@pytest.mark.parametrize("style", ["kubeadm", "hardway"])
def test_copied_files_are_analysed(style: str) -> None:
    folder = Path(__file__).parent.parent / "cluster" / "data" / style
    status, out, err = run(str(folder))
    assert status == 0
    assert "kube-apiserver" in out
    assert "not understood" in err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("nowhere/at/all",), "nothing at"),
        (("nonsense",), "no environment at nonsense"),
        (("hardened", "--fail-on", "grave"), "no level 'grave'"),
        (("hardened", "--forbid-path", "pod"), "is not a rule FROM -> TO"),
        (("hardened", "--forbid-path", "pot -> secrets"), "did you mean 'pod'"),
        (("hardened", "--baseline", "nowhere.json"), "cannot be read"),
        (("hardened", "--accept", "nowhere.yaml"), "cannot be read"),
        (("hardened", "--risk", "nowhere.yaml"), "cannot be read"),
    ],
)
def test_bad_input_exits_with_1_and_one_message(arguments: tuple[str, ...], said: str) -> None:
    status, out, err = run(*arguments)
    assert status == 1
    assert said in err
    assert out == ""
    assert "Traceback" not in err


NODE = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "worker1"}}
LIST = json.dumps({"apiVersion": "v1", "kind": "List", "items": [NODE, NODE]})
EVERY_CLUSTER = Path(__file__).parents[1] / "cluster/data/every-cluster.json"
KINDS = (
    *("Node", "Namespace", "Pod", "ServiceAccount", "Role", "ClusterRole"),
    *("RoleBinding", "ClusterRoleBinding"),
)
NOTHING = {
    "no objects": {"d.json": json.dumps({"apiVersion": "v1", "kind": "List", "items": []})},
    "a list that breaks off": {"d.json": LIST[:-20]},
    "an error behind the list": {"d.json": f"{LIST}\nerror: You must be logged in to the server"},
    "an empty folder": {},
    "files of something else": {"README.md": "# Shop", "values.yaml": "replicas: 2"},
    "a machine without a component": {"node/etc/hosts": "127.0.0.1 localhost"},
    "one of two files breaks off": {"a.json": LIST, "b.json": LIST[:-20]},
}


@pytest.mark.parametrize("name", NOTHING)
@pytest.mark.parametrize("gate", [(), ("--fail-on", "low"), ("--forbid-path", "pod -> admin")])
def test_what_was_not_understood_exits_with_4(
    tmp_path: Path, name: str, gate: tuple[str, ...]
) -> None:
    folder = tmp_path / "c"
    folder.mkdir()
    for path, text in NOTHING[name].items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    what = folder / "d.json" if "d.json" in NOTHING[name] else folder
    status, out, err = run(str(what), "--quiet", *gate)
    assert (status, out) == (4, "")
    assert err.startswith("error: ")
    assert "  next: " in err


def in_yaml(items: Any) -> str:
    return yaml.safe_dump({"apiVersion": "v1", "kind": "List", "items": items})


def one_document_each(items: Any) -> str:
    lists = [{"apiVersion": "v1", "items": [it], "kind": f"{it['kind']}List"} for it in items]
    return yaml.safe_dump_all(lists)


WARNING = "Warning: v1 ComponentStatus is deprecated in v1.19+\n"
LOG = "W1126 20:03:24.000001   12345 warnings.go:70] deprecated\n"


@pytest.mark.parametrize("name", ["dump.json", "dump.yaml", "dump"])
@pytest.mark.parametrize("before", ["", WARNING, LOG + WARNING])
@pytest.mark.parametrize(
    "write",
    [
        lambda items: json.dumps({"apiVersion": "v1", "items": items, "kind": "List"}),
        lambda items: json.dumps({"apiVersion": "v1", "kind": "List", "items": items}, indent=1),
        in_yaml,
        one_document_each,
        lambda items: "---\n" + in_yaml(items),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_dump_is_read_in_every_form(tmp_path, name, before, write, encoding) -> None:
    model = written(tmp_path / name, before + write(DUMP["items"]), encoding)
    assert model.dump is not None
    [group] = model.dump.pods
    assert (group.id, model.dump.unread) == ("shop/web on w1", ())
    assert {step.name for step in object_steps(model.dump)} >= {"privileged-container"}


def written(file: Path, text: str, encoding: str) -> Model:
    file.write_text(text, encoding=encoding)
    return load_model(file)


def test_folder_of_objects_in_yaml_is_read(tmp_path: Path) -> None:
    (tmp_path / "all").mkdir()
    (tmp_path / "all" / "pods.yaml").write_text(in_yaml(DUMP["items"][1:]))
    (tmp_path / "nodes.json").write_text(LIST)
    (tmp_path / "values.yaml").write_text("replicas: 2")
    model = load_model(tmp_path)
    assert model.dump is not None
    assert {"Node", "Pod"} <= model.dump.kinds


@pytest.mark.parametrize(
    "text", ["a: &a [b]\nc: *a\n", "x: [" + "[" * 200, "items: [1\n", "a: b: c"]
)
def test_yaml_that_breaks_off_exits_with_4(tmp_path: Path, text: str) -> None:
    (tmp_path / "d.yaml").write_text(f"{in_yaml(DUMP['items'])}---\napiVersion: v1\n{text}")
    status, out, err = run(str(tmp_path / "d.yaml"), "--fail-on", "low")
    assert (status, out) == (4, "")
    assert "a part of it could not be read" in err


@pytest.mark.parametrize("gate", [(), ("--fail-on", "low"), ("--forbid-path", "pod -> admin")])
def test_what_kubectl_was_refused_is_said_and_shuts_a_gate(
    tmp_path: Path, gate: tuple[str, ...]
) -> None:
    refused = "Error from server (Forbidden): secrets is forbidden"
    (tmp_path / "d.json").write_text(f"{LIST}\n{refused}")
    status, _, err = run(str(tmp_path / "d.json"), *gate)
    assert status == (4 if gate else 0)
    assert err.startswith(f"not understood: d.json {refused}: not known")


def test_a_whole_dump_without_findings_is_clean(tmp_path: Path) -> None:
    items = [{"kind": kind, "metadata": {"name": "it", "namespace": "n"}} for kind in KINDS]
    items += json.loads(EVERY_CLUSTER.read_text())
    dump = {"apiVersion": "v1", "kind": "List", "items": items}
    (tmp_path / "d.json").write_text(json.dumps(dump))
    assert run(str(tmp_path / "d.json"), "--fail-on", "low")[0] == 0
