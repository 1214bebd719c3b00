"""The tables of flags and keys: their form, the defaults that rest on them, and the image."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from typing import Any

import pytest

from labkit.cluster.defaults import DEFAULTS, KUBELET_FLAG_DEFAULTS, KUBELET_FLAGS
from labkit.cluster.known_flags import FOLDER, Flag, flag_table, known_flags
from labkit.cluster.known_keys import key_table, known_keys
from labkit.cluster.syntax.flags import parse_flags
from labkit.cluster.syntax.systemd import Word
from labkit.lab.flag_tables import (
    HELP,
    KINDS,
    ask_flags,
    parse_help,
    programs,
    unknown_to,
    version,
)

# -- their form -----------------------------------------------------------------------------


def test_there_is_a_table_for_every_component() -> None:
    tables = {path.stem for path in FOLDER.glob("*.txt")} - {"other-versions"}
    assert tables == set(HELP) == set(DEFAULTS)


@pytest.mark.parametrize("kind", HELP)
def test_a_flag_of_another_version_is_not_in_the_labs(kind: str) -> None:
    lines = (FOLDER / "other-versions.txt").read_text().splitlines()
    rows = [line.split("\t") for line in lines if not line.startswith("#")]
    assert all(len(row) == 4 and row[0] in HELP for row in rows)
    others = {flag for component, flag, _, _ in rows if component == kind}
    assert not others & set(flag_table(kind))
    assert others <= set(known_flags(kind))


def test_a_switch_takes_no_word_and_a_flag_does() -> None:
    # https://docs.docker.com/reference/cli/dockerd/: "--bridge-accept-fwmark string"
    words = [Word(w, 1) for w in ("--bridge-accept-fwmark", "1/2", "--tls", "--tlsverify")]
    flags, rest, unknowns = parse_flags("dockerd", words, "docker.service")
    assert [(name, setting.value) for name, setting in flags] == [
        ("bridge-accept-fwmark", "1/2"),
        ("tls", "true"),
        ("tlsverify", "true"),
    ]
    assert not rest
    assert not unknowns


@pytest.mark.parametrize("kind", HELP)
def test_a_table_is_read_in_less_than_3_ms(kind: str) -> None:
    flag_table(kind)
    times = []
    for _ in range(5):
        began = time.process_time()
        flag_table(kind)
        times.append(time.process_time() - began)
    assert min(times) < 0.003


# -- what help texts look like --------------------------------------------------------------


@pytest.mark.parametrize(
    ("style", "text", "found"),
    [
        (
            "pflag",
            "      --a-list strings     Some. (default [x,y])\n"
            "      --gone string        Old. (DEPRECATED: it will be removed (soon).)\n"
            "      --port int32         A port. (default 10250) (DEPRECATED: use the file)\n"
            '      --version version[=true]   --version, --version=raw print it (default "x")\n'
            "  -h, --help               help\n",
            {
                "a-list": Flag("strings", "[x,y]"),
                "gone": Flag("string", ""),
                "port": Flag("int32", "10250"),
                "version": Flag("version[=true]", "x"),
                "help": Flag("bool", "false"),
            },
        ),
        (
            "pflag",  # wrapped, as dockerd does it
            "      --icc                 Enable inter-container\n"
            "                            communication (default true)\n",
            {"icc": Flag("bool", "true")},
        ),
        (
            "go",
            '  -prefix string\n    \tetcd prefix (default "/x")\n'
            "  -on\n    \tswitch (default true)\n",
            {"prefix": Flag("string", "/x"), "on": Flag("bool", "true")},
        ),
        (
            "etcd",
            "Member:\n  --name 'default'\n    Its name.\n  --pre-vote 'true'\n    Vote.\n",
            {"name": Flag("value", "default"), "pre-vote": Flag("bool", "true")},
        ),
        (
            "urfave",
            '   --config value, -c value     Path (default: "/x")\n   --help, -h    Show help\n',
            {"config": Flag("value", "/x"), "help": Flag("bool", "false")},
        ),
        (
            "kubectl",
            "    -p, --port=8001:\n\tThe port.\n    --disable-filter=false:\n\tIf true.\n",
            {"port": Flag("value", "8001"), "disable-filter": Flag("bool", "false")},
        ),
    ],
)
def test_a_help_text_is_read(style: str, text: str, found: dict[str, Flag]) -> None:
    assert parse_help(text, style) == found


# -- the defaults that claims rest on ---------------------------------------------------------

#: Where the default that a claim rests on is not the help's: what the help has, and why.
UNLIKE = {
    ("containerd", "address"): ("", "the code's default, where neither flag nor file has one"),
    ("dockerd", "host"): ("", "the code's default, where neither flag nor file has one"),
    ("dockerd", "tlscacert"): ("~/.docker/ca.pem", "used only where that file is there"),
    ("etcd", "initial-cluster"): ("default=http://localhost:2380", "only etcd itself is meant"),
    ("kube-apiserver", "authorization-mode"): ("", "AlwaysAllow without authorization-config"),
    **{
        (kind, "tls-min-version"): ("", "Go's own minimum is TLS 1.2")
        for kind in ("kube-apiserver", "kube-controller-manager", "kube-scheduler")
    },
}


@pytest.mark.parametrize("kind", sorted(set(DEFAULTS) - {"kubelet"}))
def test_a_default_is_what_the_component_says(kind: str) -> None:
    table = flag_table(kind)
    for flag, value in DEFAULTS[kind].items():
        if flag in table:
            said, _ = UNLIKE.get((kind, flag), (value, ""))
            assert table[flag].default == said, flag


def test_the_kubelets_defaults_without_a_file_are_what_it_says() -> None:
    flags = {key: flag for flag, key in KUBELET_FLAGS.items()}
    table = flag_table("kubelet")
    for key, value in KUBELET_FLAG_DEFAULTS.items():
        assert table[flags[key]].default == value
    assert set(KUBELET_FLAGS) <= set(table)


@pytest.mark.parametrize("kind", ["kubelet", "kube-proxy"])
def test_a_default_is_of_a_key_that_there_is(kind: str) -> None:
    keys = {"kubelet": "KubeletConfiguration", "kube-proxy": "KubeProxyConfiguration"}[kind]
    assert set(DEFAULTS[kind]) <= {*key_table(keys), *flag_table(kind)}


def test_keys_are_known_by_their_place() -> None:
    # https://kubernetes.io/docs/reference/config-api/kubelet-config.v1beta1/
    keys = known_keys("KubeletConfiguration")
    assert keys["authentication",] == {"anonymous", "webhook", "x509"}
    assert keys["authentication", "x509"] == {"clientCAFile"}
    assert keys["authorization", "webhook"] == {"cacheAuthorizedTTL", "cacheUnauthorizedTTL"}
    assert "enabled" not in keys[()]


# -- the image ------------------------------------------------------------------------------


DURATION = re.compile("(Frequency|Period|PeriodCriticalPods|Duration|TTL|Timeout|Age|Interval)$")
NO_DURATION = {"evictionMaxPodGracePeriod", "evictionSoftGracePeriod"}


@pytest.fixture(scope="module")
def image() -> Iterator[Any]:
    with programs() as container:
        yield container


@pytest.mark.lab
@pytest.mark.parametrize("kind", HELP)
def test_the_image_has_these_flags_and_no_others(kind: str, image: Any) -> None:
    assert ask_flags(image, kind, known_flags(kind)) == flag_table(kind), "run `make flags`"
    assert version(image, kind) in (FOLDER / f"{kind}.txt").read_text().splitlines()[0]


@pytest.mark.lab
@pytest.mark.parametrize("kind", KINDS)
def test_the_image_takes_these_keys_and_refuses_another(kind: str, image: Any) -> None:
    everything: dict[str, Any] = {}
    for path in key_table(kind):
        *parents, key = path.split(".")
        if parents or key not in {"apiVersion", "kind"}:
            here = everything
            for name in parents:
                here[name] = here[name] or {}
                here = here[name]
            # null fits every type but a duration, which decodes itself
            here[key] = "5s" if DURATION.search(key) and key not in NO_DURATION else None
    assert not unknown_to(image, kind, everything)
    assert unknown_to(image, kind, {"portt": 1, "logging": {"formatt": 1}}) == {
        "portt",
        "logging.formatt",
    }
