"""Tables of flags and keys: their form, the defaults in them, and the lab's image."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from typing import Any

import pytest

from labkit.cluster.defaults import DEFAULTS, KUBELET_FLAG_DEFAULTS, KUBELET_FLAGS, OTHER_IMAGES
from labkit.cluster.known_flags import FOLDER, KnownFlag, flag_table, known_flags
from labkit.cluster.known_keys import FOLDER as KEYS
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


def test_every_component_has_a_table() -> None:
    tables = {path.stem for path in FOLDER.glob("*.txt")} - {"other-versions"} - OTHER_IMAGES
    assert tables == set(HELP) == set(DEFAULTS) - OTHER_IMAGES


@pytest.mark.parametrize("kind", HELP)
def test_flag_of_another_version_is_not_in_the_labs_table(kind: str) -> None:
    lines = (FOLDER / "other-versions.txt").read_text().splitlines()
    rows = [line.split("\t") for line in lines if not line.startswith("#")]
    assert all(len(row) == 4 and row[0] in HELP for row in rows)
    others = {flag for component, flag, _, _ in rows if component == kind}
    assert not others & set(flag_table(kind))
    assert others <= set(known_flags(kind))


def test_switch_takes_no_value_and_flag_takes_one() -> None:
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
def test_table_is_read_in_less_than_3_ms(kind: str) -> None:
    flag_table(kind)
    times = []
    for _ in range(5):
        began = time.process_time()
        flag_table(kind)
        times.append(time.process_time() - began)
    assert min(times) < 0.003


# -- help texts ------------------------------------------------------------------------------


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
                "a-list": KnownFlag("strings", "[x,y]"),
                "gone": KnownFlag("string", ""),
                "port": KnownFlag("int32", "10250"),
                "version": KnownFlag("version[=true]", "x"),
                "help": KnownFlag("bool", "false"),
            },
        ),
        (
            "pflag",  # wrapped, as dockerd does it
            "      --icc                 Enable inter-container\n"
            "                            communication (default true)\n",
            {"icc": KnownFlag("bool", "true")},
        ),
        (
            "go",
            '  -prefix string\n    \tetcd prefix (default "/x")\n'
            "  -on\n    \tswitch (default true)\n",
            {"prefix": KnownFlag("string", "/x"), "on": KnownFlag("bool", "true")},
        ),
        (
            "etcd",
            "Member:\n  --name 'default'\n    Its name.\n  --pre-vote 'true'\n    Vote.\n",
            {"name": KnownFlag("value", "default"), "pre-vote": KnownFlag("bool", "true")},
        ),
        (
            "urfave",
            '   --config value, -c value     Path (default: "/x")\n   --help, -h    Show help\n',
            {"config": KnownFlag("value", "/x"), "help": KnownFlag("bool", "false")},
        ),
        (
            "kubectl",
            "    -p, --port=8001:\n\tThe port.\n    --disable-filter=false:\n\tIf true.\n",
            {"port": KnownFlag("value", "8001"), "disable-filter": KnownFlag("bool", "false")},
        ),
    ],
)
def test_help_text_is_parsed(style: str, text: str, found: dict[str, KnownFlag]) -> None:
    assert parse_help(text, style) == found


# -- the defaults of claims -----------------------------------------------------------------

#: Defaults that differ from the help text: the help's value, and the reason.
UNLIKE = {
    ("containerd", "address"): ("", "the code's default if neither flag nor file sets one"),
    ("dockerd", "host"): ("", "the code's default if neither flag nor file sets one"),
    ("dockerd", "tlscacert"): ("~/.docker/ca.pem", "used only if that file exists"),
    ("etcd", "initial-cluster"): ("default=http://localhost:2380", "etcd alone"),
    ("kube-apiserver", "authorization-mode"): ("", "AlwaysAllow without authorization-config"),
    **{
        (kind, "authorization-always-allow-paths"): ("[/healthz,/readyz,/livez]", "a list's form")
        for kind in ("kube-controller-manager", "kube-scheduler")
    },
    **{
        (kind, "tls-min-version"): ("", "Go's own minimum is TLS 1.2")
        for kind in ("kube-apiserver", "kube-controller-manager", "kube-scheduler")
    },
}


@pytest.mark.parametrize("kind", sorted(set(DEFAULTS) - OTHER_IMAGES - {"kubelet"}))
def test_default_is_that_of_the_components_help(kind: str) -> None:
    table = flag_table(kind)
    for flag, value in DEFAULTS[kind].items():
        if flag in table:
            said, _ = UNLIKE.get((kind, flag), (value, ""))
            assert table[flag].default == said, flag


def test_kubelet_defaults_without_a_file_are_those_of_its_help() -> None:
    flags = {key: flag for flag, key in KUBELET_FLAGS.items()}
    table = flag_table("kubelet")
    for key, value in KUBELET_FLAG_DEFAULTS.items():
        assert table[flags[key]].default == value
    assert set(KUBELET_FLAGS) <= set(table)


@pytest.mark.parametrize("kind", ["kubelet", "kube-proxy"])
def test_every_default_has_a_key_or_flag(kind: str) -> None:
    keys = {"kubelet": "KubeletConfiguration", "kube-proxy": "KubeProxyConfiguration"}[kind]
    assert set(DEFAULTS[kind]) <= {*key_table(keys), *flag_table(kind)}


def test_keys_are_known_by_their_path() -> None:
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
def test_image_has_exactly_these_flags(kind: str, image: Any) -> None:
    assert ask_flags(image, kind, known_flags(kind)) == flag_table(kind), "run `make flags`"
    assert version(image, kind) in (FOLDER / f"{kind}.txt").read_text().splitlines()[0]


@pytest.mark.lab
@pytest.mark.parametrize("kind", KINDS)
def test_image_accepts_these_keys_and_refuses_others(kind: str, image: Any) -> None:
    everything: dict[str, Any] = {}
    for path in key_table(kind):
        *parents, key = path.split(".")
        if parents or key not in {"apiVersion", "kind"}:
            here = everything
            for name in parents:
                here[name] = here[name] or {}
                here = here[name]
            # null fits every type except a duration, which has its own decoder
            here[key] = "5s" if DURATION.search(key) and key not in NO_DURATION else None
    program = KINDS[kind][0].split()[0]
    head = (KEYS / f"{kind}.txt").read_text().splitlines()[0]
    assert version(image, program) in head, "run `make flags`"
    assert not unknown_to(image, kind, everything)
    assert unknown_to(image, kind, {"portt": 1, "logging": {"formatt": 1}}) == {
        "portt",
        "logging.formatt",
    }
