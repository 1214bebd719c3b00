"""What people can set of a machine's network: its firewall, addresses, routes and kernel settings.

The text of this module replaces its import when a program is sent. So it must not import from
``__future__``, and a program gets all its names.
"""

import json
import os
import re
import shlex
import subprocess
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

#: The programs whose rules are read, each with the family of nftables in which it may keep them.
TOOLS = {"iptables": "ip", "ip6tables": "ip6", "iptables-legacy": "", "ip6tables-legacy": ""}
#: The lines of ``iptables-save`` that others write as the machine runs: Docker's DNS (its ports
#: change with each start), the plugins of pods' networks, and kube-proxy for each service.
MOVING = re.compile(
    r":DOCKER_(OUTPUT|POSTROUTING) -"
    r"|-A (OUTPUT|POSTROUTING) -d 127\.0\.0\.11/32 -j DOCKER_\2"
    r"|-A DOCKER_OUTPUT -d 127\.0\.0\.11/32 -p (tcp|udp) -m \3 --dport 53"
    r" -j DNAT --to-destination 127\.0\.0\.11:\d+"
    r"|-A DOCKER_POSTROUTING -s 127\.0\.0\.11/32 -p (tcp|udp) -m \4 --sport \d+"
    r" -j SNAT --to-source :53"
    r"|(:|-A )(CNI-|cali-"
    r"|KUBE-(SVC|SVL|SEP|EXT|FW|SERVICES|EXTERNAL-SERVICES|NODEPORTS|PROXY-FIREWALL))\S* .*"
    r"|-A POSTROUTING .*-j CNI-[0-9a-f]{24}"
)
#: The units that make their table again when they start, by its name.
OWNERS = {"kube-proxy": "kube-proxy.service", "flannel-ipv4": "flanneld.service"}
#: The chains and the rule that kube-proxy writes for each service, and when it knows their network.
OF_SERVICES = re.compile(r"chain \S*/\S*: .*|chain cluster-ips-check: ip daddr \S+/\d+ drop .*")
#: Network devices of pods and of the machine's own engines: they come and go.
OF_PODS = re.compile(r"(cni|flannel|veth|docker|br-)")
KERNEL = Path("/proc/sys/net/ipv4")
#: The tables that the old programs have rules in. Without any, which is usual, none is asked.
OLD_TABLES = {
    "iptables-legacy": Path("/proc/net/ip_tables_names"),
    "ip6tables-legacy": Path("/proc/net/ip6_tables_names"),
}
#: What is asked for each kind of :func:`settings`.
SHOWN = {
    "addr": "ip -o addr show",
    "route": "ip route show",
    "rule": "ip rule show",
    "neigh": "ip neigh show nud permanent",
}
#: Begins the output of one of several commands.
BEGINS = "@@ "
#: The bit of CAP_NET_ADMIN, without which nobody can set any of this (capabilities(7)).
NET_ADMIN = 1 << 12


def printed(*argv: str, stdin: str | None = None) -> list[str]:
    """Run a command, and return the lines that it prints; what fails is no empty answer."""
    done = subprocess.run(
        argv, input=stdin, capture_output=True, text=True, check=False, timeout=20
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(argv)}: {(done.stderr or done.stdout).strip()}")
    return done.stdout.splitlines()


def printed_by(commands: Mapping[str, str]) -> dict[str, list[str]]:
    """Run commands in one shell, which is faster, and return the lines that each prints.

    Examples
    --------
    >>> printed_by({"one": "echo a", "two": "true"})
    {'one': ['a'], 'two': []}
    """
    script = [f"echo {shlex.quote(BEGINS + name)}; {it}" for name, it in commands.items()]
    found: dict[str, list[str]] = {}
    for line in printed("sh", "-ec", "\n".join(script)):
        if line.startswith(BEGINS):
            lines = found.setdefault(line.removeprefix(BEGINS), [])
        else:
            lines.append(line)
    return found


def has_rules(tool: str) -> bool:
    """Say whether a program may have rules: an old one has none without a table."""
    names = OLD_TABLES.get(tool)
    return names is None or (names.exists() and bool(names.read_text()))


def can_be_set() -> bool:
    """Say whether somebody on this machine can change its network."""
    lines = Path("/proc/1/status").read_text().splitlines()
    bounds = next(line for line in lines if line.startswith("CapBnd:"))
    return bool(int(bounds.split()[1], 16) & NET_ADMIN)


def rules() -> tuple[dict[str, list[str]], set[str]]:
    """Return the chains and rules by program and table, and the tables that have others besides."""
    found: dict[str, list[str]] = {}
    partly = set()
    for tool in filter(has_rules, TOOLS):
        for line in printed(f"{tool}-save"):
            if other := re.match(r"# Table `(\w+)' (?:is|contains) incompatible", line):
                partly.add(f"{tool} {other[1]}")
            elif line.startswith("*"):
                here = found.setdefault(f"{tool} {line[1:]}", [])
            elif line.startswith((":", "-A")):
                here.append(line.rpartition(" [")[0] if line.startswith(":") else line)
    return found, partly


def fixed(lines: Iterable[str]) -> list[str]:
    """Return the rules, and the policies that are not to accept, that change only by hand."""
    kept = (it for it in lines if it.startswith("-A") or it.endswith(" DROP"))
    return [it for it in kept if not MOVING.fullmatch(it)]


def tables() -> dict[str, str]:
    """Return the tables of nftables, by family and name."""
    text = "\n".join(printed("nft", "--stateless", "list", "ruleset"))
    blocks = re.findall(r"^table (\w+ \S+) \{\n(.*?)^\}", text + "\n", re.MULTILINE | re.DOTALL)
    return dict(blocks)


def of_iptables(table: str) -> list[str]:
    """Return the keys of :func:`rules` for a table of nftables; none for any other table."""
    family, _, name = table.partition(" ")
    is_one = name in ("filter", "nat", "mangle", "raw", "security")
    return [f"{tool} {name}" for tool, its in TOOLS.items() if is_one and its == family]


def statements(name: str, body: str) -> set[str]:
    """Return the statements of a table of nftables, with the chain or set that has them.

    Of a unit that follows the services of the cluster, what each service adds is left out.
    """
    found, block = set(), ""
    for line in re.sub(r",\n\s+", ", ", body).splitlines():
        said = line.strip()
        if opened := re.fullmatch(r"((?:chain|set|map|flowtable) \S+) \{", said):
            block = opened[1]
        elif said.strip("}"):
            found.add(f"{block}: {said}")
    if name.partition(" ")[2] not in OWNERS:
        return found
    return {it for it in found if ": elements = " not in it and not OF_SERVICES.fullmatch(it)}


def firewall_rules() -> dict[str, str]:
    """Return the rules of the firewall that do not change by themselves."""
    read, partly = rules()
    counted = Counter(f"{key} {line}" for key, lines in read.items() for line in fixed(lines))
    found = {line: "set" if times == 1 else f"set {times} times" for line, times in counted.items()}
    for name, body in tables().items():
        keys = of_iptables(name)
        if not keys or partly.intersection(keys):
            shown = {it.split()[0][1:] for key in keys for it in read.get(key, ()) if it[0] == ":"}
            others = (it for it in statements(name, body) if chain_of(it) not in shown)
            found |= {f"nft {name} {it}": "set" for it in others}
    return found


def chain_of(statement: str) -> str:
    """Return the name of the chain that has a statement; empty if none has.

    Examples
    --------
    >>> chain_of("chain INPUT: tcp dport 9 drop")
    'INPUT'
    """
    block = statement.partition(": ")[0]
    return block.removeprefix("chain ") if block.startswith("chain ") else ""


def settings() -> dict[str, list[str]]:
    """Return addresses, routes and such, each as ``ip KIND add`` takes it; not those of pods."""
    said = printed_by(SHOWN)
    found: dict[str, list[str]] = {}
    addresses = (line.split("\\")[0].split() for line in said["addr"])
    found["addr"] = [
        " ".join((*words[3 : words.index("scope")], "dev", words[1]))
        for words in addresses
        if not OF_PODS.match(words[1]) and words[2] == "inet"
    ]
    shown = (line.split() for line in said["route"])
    routes = (" ".join(it for it in words if it not in ("linkdown", "dead")) for words in shown)
    found["route"] = [it for it in routes if not re.search(rf" dev {OF_PODS.pattern}", it)]
    ranked = (line.partition(":") for line in said["rule"])
    found["rule"] = [f"pref {number} {' '.join(rest.split())}" for number, _, rest in ranked]
    static = (line.split() for line in said["neigh"])
    found["neigh"] = [
        " ".join(words[: words.index("lladdr") + 2])
        for words in static
        if "lladdr" in words and not OF_PODS.match(words[words.index("dev") + 1])
    ]
    return found


def links() -> dict[str, str]:
    """Return which network devices are up, and the queues that somebody has put before them."""
    said = printed_by({"link": "ip -o link show", "queue": "tc qdisc show"})
    shown = (re.findall(r"^\d+: ([^:@]+).*?<(.*?)>", line)[0] for line in said["link"])
    names = {name: flags for name, flags in shown if not OF_PODS.match(name)}
    found = {
        f"link {name}": "up" if "UP" in flags.split(",") else "down"
        for name, flags in names.items()
    }
    for words in map(str.split, said["queue"]):
        name = words[words.index("dev") + 1]
        if name in names and words[1] != "noqueue":
            found[f"queue dev {name} {'root' if 'root' in words else words[1]}"] = words[1]
    return found


def kernel(root: Path = KERNEL) -> dict[str, str]:
    """Return the settings of the kernel for the machine's network, by path below a folder."""
    found = {"ip_forward": (root / "ip_forward").read_text().strip()}
    for place, _, names in os.walk(root / "conf"):
        device = place.rpartition("/")[2]
        for name in () if OF_PODS.match(device) else names:
            # hundreds, so without the objects of pathlib
            with open(f"{place}/{name}") as file:  # noqa: PTH123
                found[f"conf/{device}/{name}"] = file.read().strip()
    return found


def network_settings() -> dict[str, str]:
    """Return what is set of the network besides its firewall and routes."""
    kinds = settings()
    lines = (f"{kind} {line}" for kind in ("addr", "rule", "neigh") for line in kinds[kind])
    return {**dict.fromkeys(lines, "set"), **links(), **kernel()}


def keep_network(file: Path) -> None:
    """Write what is set to a file."""
    read = {
        "rules": rules()[0],
        "tables": tables(),
        "settings": settings(),
        "links": links(),
        "kernel": kernel(),
    }
    file.write_text(json.dumps(read))


def put_back_network(file: Path) -> list[str]:
    """Set again what is in a file that :func:`keep_network` wrote, and take away what came since.

    Routes of pods are flanneld's, and come with it. The units that have to write their rules again
    are returned.
    """
    kept = json.loads(file.read_text())
    put_back_links(kept["links"])
    put_back_settings(kept["settings"])
    for name, value in kernel().items():
        if kept["kernel"].get(name, value) != value:
            (KERNEL / name).write_text(kept["kernel"][name])
    found, partly = rules()
    owners = put_back_tables(kept["tables"], kept["rules"], partly)
    put_back_rules(kept["rules"], found, partly)
    return owners


def put_back_links(kept: dict[str, str]) -> None:
    """Set devices up, and take away the queues before them."""
    now = links()
    for item, state in now.items():
        kind, _, rest = item.partition(" ")
        if kind == "queue" and item not in kept:
            printed("tc", "qdisc", "del", *rest.split())
        elif kind == "link" and kept.get(item, state) != state:
            printed("ip", "link", "set", rest, kept[item])


def put_back_settings(kept: dict[str, list[str]]) -> None:
    """Take away addresses, routes and such that came, and add those that are gone."""
    found = settings()
    for kind, before in kept.items():
        now = found[kind]
        if set(now) == set(before):
            continue
        for line in now:
            if line not in before:
                printed("ip", kind, "del", *line.split())
        for line in before:
            if line not in now:
                # the kernel adds and takes away some routes together with their address
                printed("ip", kind, "replace" if kind == "route" else "add", *line.split())
        found = settings()


def put_back_tables(
    kept: dict[str, str], kept_rules: dict[str, list[str]], partly: set[str]
) -> list[str]:
    """Delete the tables of nftables that came or differ; return the units that write theirs."""
    now, owners = tables(), []
    for name in now.keys() | kept.keys():
        if mine := set(of_iptables(name)):
            if name in now and (mine & partly or not mine & kept_rules.keys()):
                printed("nft", "delete", "table", *name.split())
            continue
        was, here = kept.get(name), now.get(name)
        if None not in (was, here) and statements(name, str(was)) == statements(name, str(here)):
            continue
        if here is not None:
            printed("nft", "delete", "table", *name.split())
        if was is not None and (owner := OWNERS.get(name.partition(" ")[2])):
            owners.append(owner)
        elif was is not None:
            printed("nft", "--file", "-", stdin=f"table {name} {{\n{was}}}\n")
    return owners


def put_back_rules(
    kept: dict[str, list[str]], found: dict[str, list[str]], partly: set[str]
) -> None:
    """Replace the tables of iptables that differ; what moves stays as it was found.

    Those that had other chains besides are gone by now.
    """
    for key in found.keys() | kept.keys():
        before = kept.get(key, [])
        if key in partly or fixed(before) != fixed(found.get(key, [])):
            tool, _, table = key.partition(" ")
            text = "\n".join((f"*{table}", *replaced(before, found.get(key)), "COMMIT", ""))
            printed(f"{tool}-restore", "-w", "5", stdin=text)


def replaced(before: list[str], now: list[str] | None) -> Iterator[str]:
    """Yield the lines of a table as they were, but those that move as they are now.

    Examples
    --------
    >>> dns = "-A OUTPUT -d 127.0.0.11/32 -j DOCKER_OUTPUT"
    >>> list(replaced([":OUTPUT ACCEPT", "-A OUTPUT -j X"], [":OUTPUT DROP", dns]))
    [':OUTPUT ACCEPT', '-A OUTPUT -d 127.0.0.11/32 -j DOCKER_OUTPUT', '-A OUTPUT -j X']
    """
    moving = [it for it in (before if now is None else now) if MOVING.fullmatch(it)]
    chains = [it for it in before if it.startswith(":")]
    names = {it.split()[0] for it in chains}
    own = (it for it in now or () if it.startswith(":") and it.split()[0] not in names)
    yield from chains
    for chain in own:
        name, policy = chain.split()
        if policy != "-":
            yield f"{name} ACCEPT"
        elif chain in moving:
            yield chain
    yield from (it for it in moving if it.startswith("-A"))
    yield from (it for it in before if it.startswith("-A") and not MOVING.fullmatch(it))
