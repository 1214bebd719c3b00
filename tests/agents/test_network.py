"""What is set of a machine's network: read from its programs' output, and put back by them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from labkit.agents import _network

DNS = (
    ":DOCKER_OUTPUT -",
    "-A OUTPUT -d 127.0.0.11/32 -j DOCKER_OUTPUT",
    "-A DOCKER_OUTPUT -d 127.0.0.11/32 -p tcp -m tcp --dport 53"
    " -j DNAT --to-destination 127.0.0.11:33211",
    "-A DOCKER_POSTROUTING -s 127.0.0.11/32 -p udp -m udp --sport 56310 -j SNAT --to-source :53",
)
OF_SERVICES = (
    ":KUBE-SVC-ERIFXISQEP7F7OF4 - ",
    "-A KUBE-SERVICES -d 10.96.0.10/32 -p tcp -m tcp --dport 53 -j KUBE-SVC-ERIFXISQEP7F7OF4",
    "-A KUBE-SEP-ZZZZZZZZZZZZZZZZ -p tcp -m tcp -j DNAT --to-destination 10.244.0.2:53",
    "-A CNI-0a1b2c3d4e5f60718293a4b5 -d 10.244.0.0/24 -j ACCEPT",
    "-A POSTROUTING -s 10.244.0.2/32 -j CNI-0a1b2c3d4e5f60718293a4b5",
)
BY_HAND = (
    ":INPUT DROP",
    "-A INPUT -p tcp --dport 10250 -m comment --comment DOCKER -j DROP",
    "-A INPUT -p tcp --dport 10250 -j KUBE-FIREWALL",
    "-A DOCKER_OUTPUT -p tcp -m tcp --dport 53 -j DNAT --to-destination 10.9.9.9:53",
    "-A DOCKER_OUTPUT -d 127.0.0.11/32 -p tcp -m tcp --dport 53"
    " -j DNAT --to-destination 10.9.9.9:53",
    "-A FLANNEL-FWD -s 10.9.0.0/16 -j ACCEPT",
    "-A POSTROUTING -s 10.9.0.0/16 -j MASQUERADE",
)
NFT = """
	set ips {
		type ipv4_addr
		elements = { 10.96.0.1,
			10.96.0.90 }
	}

	chain forward {
		type filter hook forward priority filter; policy accept;
		ip daddr 10.244.0.0/16 accept
	}

	chain service-ABCDEFGH-a/b/tcp/ {
		meta l4proto tcp dnat to 10.244.1.5:8080
	}

	chain cluster-ips-check {
		ip daddr 10.96.0.0/16 drop comment "unallocated"
	}
"""


@pytest.fixture
def quiet(commands: Any) -> Callable[[str, str], Path]:
    """Replace the programs by some that print nothing; return a function for another one."""
    for tool in (*(f"{it}-save" for it in _network.TOOLS), "nft", "ip", "tc"):
        commands(tool)
    return commands  # type: ignore[no-any-return]


@pytest.mark.parametrize("line", [*DNS, *OF_SERVICES])
def test_rules_that_others_write_as_the_machine_runs_are_left_out(line: str) -> None:
    assert _network.MOVING.fullmatch(line)
    assert _network.fixed([line]) == []


@pytest.mark.parametrize("line", BY_HAND)
def test_rule_of_a_person_counts_where_it_looks_like_anothers(line: str) -> None:
    assert _network.fixed([line]) == [line]


def test_statements_are_named_by_their_chain() -> None:
    kept = {
        "set ips: type ipv4_addr",
        "chain forward: type filter hook forward priority filter; policy accept;",
        "chain forward: ip daddr 10.244.0.0/16 accept",
    }
    by_service = {
        "set ips: elements = { 10.96.0.1, 10.96.0.90 }",
        "chain service-ABCDEFGH-a/b/tcp/: meta l4proto tcp dnat to 10.244.1.5:8080",
        # kube-proxy adds it when it has read the network of the services
        'chain cluster-ips-check: ip daddr 10.96.0.0/16 drop comment "unallocated"',
    }
    assert _network.statements("ip kube-proxy", NFT) == kept
    assert _network.statements("inet of-a-person", NFT) == kept | by_service


def test_duplicate_rule_is_a_difference(quiet: Callable[[str, str], Path]) -> None:
    quiet("iptables-save", "echo '*filter'; echo '-A INPUT -j X'; echo '-A INPUT -j X'")
    assert _network.firewall_rules() == {"iptables filter -A INPUT -j X": "set 2 times"}


@pytest.mark.parametrize("is_partly", [True, False])
def test_chain_that_iptables_cannot_show_is_read_by_nft(
    is_partly: bool, quiet: Callable[[str, str], Path]
) -> None:
    """The message is that of iptables 1.8.11; the table has a base chain of another name."""
    said = (
        "# Table `mangle' contains incompatible base-chains, use 'nft' tool to list them.\n"
        "*mangle\n:INPUT ACCEPT [0:0]\nCOMMIT"
        if is_partly
        else "# Table `mangle' is incompatible, use 'nft' tool."
    )
    quiet("iptables-save", f'cat <<"END"\n{said}\nEND')
    chains = "chain INPUT {\n\t\taccept\n\t}\n\tchain left {\n\t\tmeta skuid 3 drop\n\t}"
    quiet("nft", f"cat <<END\ntable ip mangle {{\n\t{chains}\n}}\nEND")
    of_input = {} if is_partly else {"nft ip mangle chain INPUT: accept": "set"}
    left = {"nft ip mangle chain left: meta skuid 3 drop": "set"}
    assert _network.firewall_rules() == of_input | left


@pytest.mark.parametrize("tool", ["iptables-save", "ip6tables-legacy-save", "nft"])
def test_firewall_that_cannot_be_read_is_not_an_empty_one(
    tool: str,
    quiet: Callable[[str, str], Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "names").write_text("filter\n")
    monkeypatch.setattr(_network, "OLD_TABLES", {"ip6tables-legacy": tmp_path / "names"})
    quiet(tool, "echo Permission denied >&2; exit 4")
    with pytest.raises(SystemExit, match="Permission denied"):
        _network.firewall_rules()


@pytest.mark.parametrize("names", [None, ""])
def test_old_programs_are_not_asked_without_a_table(
    names: str | None,
    quiet: Callable[[str, str], Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    file = tmp_path / "names"
    if names is not None:
        file.write_text(names)
    monkeypatch.setattr(_network, "OLD_TABLES", dict.fromkeys(_network.OLD_TABLES, file))
    calls = [quiet(f"{tool}-save", "true") for tool in _network.OLD_TABLES]
    _network.firewall_rules()
    assert [it for it in calls if it.exists() and it.read_text()] == []


@pytest.mark.parametrize("tool", ["ip", "tc"])
def test_network_that_cannot_be_read_is_not_an_empty_one(
    tool: str, quiet: Callable[[str, str], Path]
) -> None:
    quiet(tool, "echo Permission denied >&2; exit 4")
    with pytest.raises(SystemExit, match="Permission denied"):
        _network.network_settings()


def test_queues_and_devices_are_read_by_name(quiet: Callable[[str, str], Path]) -> None:
    """As ip and tc of iproute2 6.15 print them; a pod's device is left out."""
    quiet(
        "ip",
        """cat <<"END"
1: lo: <LOOPBACK,UP,LOWER_UP> mtu 65536 qdisc noqueue state UNKNOWN mode DEFAULT
2: eth0@if9: <BROADCAST,MULTICAST> mtu 1500 qdisc netem state DOWN mode DEFAULT
3: veth1@if2: <BROADCAST,MULTICAST,UP> mtu 1450 qdisc noqueue state UP mode DEFAULT
END""",
    )
    quiet(
        "tc",
        """cat <<"END"
qdisc noqueue 0: dev lo root refcnt 2
qdisc netem 8001: dev eth0 root refcnt 5 limit 1000 delay 3s
qdisc ingress ffff: dev eth0 parent ffff:fff1 ----------------
qdisc netem 8002: dev veth1 root refcnt 5 limit 1000
END""",
    )
    assert _network.links() == {
        "link lo": "up",
        "link eth0": "down",
        "queue dev eth0 root": "netem",
        "queue dev eth0 ingress": "ingress",
    }


def test_only_tables_that_differ_are_replaced_and_docker_keeps_its_ports(
    quiet: Callable[[str, str], Path], tmp_path: Path
) -> None:
    saved = tmp_path / "saved"
    quiet("iptables-save", f"cat {saved}")
    restored = quiet("iptables-restore", "cat")
    old, new = (dns_of(port) for port in (1000, 2000))
    saved.write_text(f"*nat\n:OUTPUT ACCEPT [0:0]\n{old}-A OUTPUT -j A\n*filter\n-A INPUT -j B\n")
    kept, _ = _network.rules()
    more = "*filter\n-A INPUT -j B\n*raw\n:OUTPUT DROP [0:0]\n-A OUTPUT -j D\n"
    saved.write_text(f"*nat\n:OUTPUT DROP [9:9]\n:C - [0:0]\n{new}-A OUTPUT -j C\n{more}")
    written: dict[str, str] = {}
    real = _network.printed

    def printed(*argv: str, stdin: str | None = None) -> list[str]:
        if argv[0] == "iptables-restore":
            written[str(stdin).splitlines()[0]] = str(stdin)
        return real(*argv, stdin=stdin)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_network, "printed", printed)
        _network.put_back_rules(kept, *_network.rules())
    assert written == {
        "*nat": f"*nat\n:OUTPUT ACCEPT\n:DOCKER_OUTPUT -\n{rules_of(new)}-A OUTPUT -j A\nCOMMIT\n",
        "*raw": "*raw\n:OUTPUT ACCEPT\nCOMMIT\n",
    }
    assert restored.read_text() == "-w 5\n" * 2


def dns_of(port: int) -> str:
    return (
        ":DOCKER_OUTPUT - [0:0]\n-A OUTPUT -d 127.0.0.11/32 -j DOCKER_OUTPUT\n"
        "-A DOCKER_OUTPUT -d 127.0.0.11/32 -p tcp -m tcp --dport 53"
        f" -j DNAT --to-destination 127.0.0.11:{port}\n"
    )


def rules_of(text: str) -> str:
    return text.partition("\n")[2]


@pytest.mark.parametrize(
    ("kept", "now", "owners", "changes"),
    [
        ("accept", "accept", [], []),
        ("accept", "drop", ["kube-proxy.service"], ["delete table ip kube-proxy"]),
        ("accept", None, ["kube-proxy.service"], []),
        (None, "drop", [], ["delete table ip kube-proxy"]),
    ],
)
def test_table_of_a_unit_is_made_anew_by_it(
    kept: str | None,
    now: str | None,
    owners: list[str],
    changes: list[str],
    quiet: Callable[[str, str], Path],
) -> None:
    """Also where a restore was killed between the table's end and the unit's start."""
    if now is not None:
        text = f"table ip kube-proxy {{\n\tchain x {{\n\t\t{now}\n\t}}\n}}"
        calls = quiet("nft", f"case $* in *list*) cat <<END\n{text}\nEND\nesac")
    else:
        calls = quiet("nft", "true")
    before = {} if kept is None else {"ip kube-proxy": f"\tchain x {{\n\t\t{kept}\n\t}}\n"}
    assert _network.put_back_tables(before, {}, set()) == owners
    assert [it for it in calls.read_text().splitlines() if "list" not in it] == changes


def test_network_that_was_kept_and_not_touched_is_left_alone(
    quiet: Callable[[str, str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_network, "KERNEL", tmp_path)
    ip = quiet("ip", 'case "$*" in "route show") echo default via 10.0.0.1 dev eth0;; esac')
    _network.keep_network(tmp_path / "kept")
    assert json.loads((tmp_path / "kept").read_text())["settings"]["route"]
    assert _network.put_back_network(tmp_path / "kept") == []
    changes = [it for it in ip.read_text().splitlines() if "show" not in it]
    assert changes == []
