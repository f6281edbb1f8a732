"""Every subcommand of `openstack` for networks."""

from __future__ import annotations

from pathlib import Path

from tests.conformance.commands.network_features import features
from tests.conformance.commands.shell import Shell

ALICE = "pilvi"


def network(run: Shell, _folder: Path) -> None:
    networks(run)
    pools(run)
    ports(run)
    sharing(run)
    groups(run)
    routers(run)
    floating_ips(run)
    features(run)
    for why, lines in ABSENT.items():
        for line in lines:
            run.refused(line, "found", why)
    for line, fault, why in REFUSED:
        run.refused(line, fault, why)
    clean(run)


def networks(run: Shell) -> None:
    run("network create --description Ours --mtu 1300 --enable-port-security --tag red n.lab", user=ALICE)
    run("network list --long --tags red", user=ALICE)
    run("network set --name n.lab --description Ours --no-tag --tag blue n.lab", user=ALICE)
    run("network unset --tag blue n.lab", user=ALICE)
    run("network show n.lab", user=ALICE)
    run("network create n.gone")
    run("network delete n.gone")
    run("subnet create --network n.lab --subnet-range 10.40.0.0/24 --dns-nameserver 10.40.0.9 n.four", user=ALICE)
    run("subnet list --long --network n.lab", user=ALICE)
    run("subnet set --host-route destination=10.41.0.0/24,gateway=10.40.0.9 --tag red n.four", user=ALICE)
    run("subnet unset --host-route destination=10.41.0.0/24,gateway=10.40.0.9 --tag red n.four", user=ALICE)
    run("subnet show n.four", user=ALICE)
    run("network auto allocated topology create --check-resources", user=ALICE)
    run("network auto allocated topology create --or-show", user=ALICE)
    run("network auto allocated topology delete", user=ALICE)
    lab = run.json("network show n.lab", user=ALICE)["id"]
    run(f"ip availability list --project {ALICE}")
    run(f"ip availability show {lab}")
    run("network agent list")


def pools(run: Shell) -> None:
    run("subnet pool create --pool-prefix 10.50.0.0/16 --default-prefix-length 24 --min-prefix-length 20 "
        "--max-prefix-length 28 --default-quota 4096 --tag red n.pool", user=ALICE)
    run("subnet pool list --long", user=ALICE)
    run("subnet pool set --pool-prefix 10.51.0.0/16 --description Labs n.pool", user=ALICE)
    run("subnet pool unset --tag red n.pool", user=ALICE)
    run("subnet pool show n.pool", user=ALICE)
    run("address scope create --ip-version 4 n.scope", user=ALICE)
    run("address scope list --ip-version 4", user=ALICE)
    run("address scope set --name n.scope n.scope", user=ALICE)
    run("address scope show n.scope", user=ALICE)
    run("subnet pool set --address-scope n.scope n.pool", user=ALICE)
    run("subnet pool set --no-address-scope n.pool", user=ALICE)
    run("address scope delete n.scope", user=ALICE)
    run("network create n.pooled", user=ALICE)
    run("subnet create --network n.pooled --subnet-pool n.pool --prefix-length 25 n.pooled", user=ALICE)
    run("subnet delete n.pooled", user=ALICE)
    run("subnet create --network n.pooled --subnet-range 10.52.0.0/24 n.pooled", user=ALICE)
    run("subnet pool add network n.pooled n.pool", user=ALICE)
    run("network onboard subnet n.pooled n.pool", user=ALICE)
    run("subnet delete n.pooled", user=ALICE)
    run("network delete n.pooled", user=ALICE)


def ports(run: Shell) -> None:
    run("port create --network n.lab --fixed-ip subnet=n.four,ip-address=10.40.0.20 --dns-name guest n.port", user=ALICE)
    run("port list --long --network n.lab", user=ALICE)
    run("port set --allowed-address ip-address=10.40.0.99 --tag red n.port", user=ALICE)
    run("port unset --tag red n.port", user=ALICE)
    run("port show n.port", user=ALICE)


def sharing(run: Shell) -> None:
    policy = run.json("network rbac create --type network --action access_as_shared --target-all-projects n.lab")["id"]
    run("network rbac list --long --type network")
    run(f"network rbac show {policy}")
    run(f"network rbac set --target-project {ALICE} {policy}")
    run(f"network rbac delete {policy}")


def groups(run: Shell) -> None:
    run("security group create --tag red --stateless n.web", user=ALICE)
    run("security group list --tags red", user=ALICE)
    run("security group set --description Web n.web", user=ALICE)
    run("security group unset --tag red n.web", user=ALICE)
    run("security group show n.web", user=ALICE)
    rule = run.json("security group rule create --protocol tcp --dst-port 80 --remote-ip 10.0.0.0/8 n.web", user=ALICE)
    run("security group rule list n.web", user=ALICE)
    run(f"security group rule show {rule['id']}", user=ALICE)
    run(f"security group rule delete {rule['id']}", user=ALICE)
    run("address group create --address 10.9.0.0/24 --address 10.10.0.7 n.labs", user=ALICE)
    run("address group list", user=ALICE)
    run("address group set --description Labs --address fd00::/64 n.labs", user=ALICE)
    run("address group unset --address fd00::/64 n.labs", user=ALICE)
    run("address group show n.labs", user=ALICE)
    run("security group rule create --protocol tcp --dst-port 22 --remote-address-group n.labs n.web", user=ALICE)
    run("security group delete n.web", user=ALICE)
    run("address group delete n.labs", user=ALICE)
    ssh = run.json("default security group rule create --protocol tcp --dst-port 22 --for-custom-sg")["id"]
    run("default security group rule list")
    run(f"default security group rule show {ssh}")
    run(f"default security group rule delete {ssh}")


def routers(run: Shell) -> None:
    run("router create --description Out n.way", user=ALICE)
    run("router list --long", user=ALICE)
    run("router set --external-gateway public --tag red n.way", user=ALICE)
    run("router unset --tag red n.way", user=ALICE)
    run("router add subnet n.way n.four", user=ALICE)
    run("router add route --route destination=10.60.0.0/24,gateway=10.40.0.9 n.way", user=ALICE)
    run("router show n.way", user=ALICE)
    run("router remove route --route destination=10.60.0.0/24,gateway=10.40.0.9 n.way", user=ALICE)
    run("network create n.side", user=ALICE)
    run("subnet create --network n.side --subnet-range 10.42.0.0/24 n.side", user=ALICE)
    run("port create --network n.side n.leg", user=ALICE)
    run("router add port n.way n.leg", user=ALICE)
    run("router remove port n.way n.leg", user=ALICE)
    run("network delete n.side", user=ALICE)


def floating_ips(run: Shell) -> None:
    floating = run.json("floating ip create --description Door public", user=ALICE)["floating_ip_address"]
    run("floating ip list --long", user=ALICE)
    run(f"floating ip set --port n.port --tag red {floating}", user=ALICE)
    run(f"floating ip show {floating}", user=ALICE)
    run(f"floating ip unset --port --tag red {floating}", user=ALICE)
    ssh = run.json("floating ip port forwarding create --internal-ip-address 10.40.0.20 --port n.port --protocol tcp "
                   f"--internal-protocol-port 22 --external-protocol-port 2201 {floating}", user=ALICE)["id"]
    run(f"floating ip port forwarding list {floating}", user=ALICE)
    run(f"floating ip port forwarding set --external-protocol-port 2202 {floating} {ssh}", user=ALICE)
    run(f"floating ip port forwarding show {floating} {ssh}", user=ALICE)
    run(f"floating ip port forwarding delete {floating} {ssh}", user=ALICE)
    run(f"floating ip delete {floating}", user=ALICE)


def clean(run: Shell) -> None:
    run("router remove subnet n.way n.four", user=ALICE)
    run("router delete n.way", user=ALICE)
    run("port delete n.port", user=ALICE)
    run("subnet delete n.four", user=ALICE)
    run("network delete n.lab", user=ALICE)
    run("subnet pool delete n.pool", user=ALICE)


def _all(noun: str, name: str, create: str, change: str = "--name y", *verbs: str) -> tuple[str, ...]:
    """The usual five verbs of a noun, and others that take a name alone."""
    calls = (f"{noun} create {create}", f"{noun} list", f"{noun} show {name}", f"{noun} delete {name}",
             f"{noun} set {change} {name}")
    return (*calls, *(f"{noun} {verb}" for verb in verbs))


# What the Networking API here does not have, by the reason.
ABSENT = {
    "a security group is stateful where its maker does not say otherwise": (
        "security group default statefulness create --stateful", "security group default statefulness list",
        "security group default statefulness show x", "security group default statefulness delete x",
        "security group default statefulness set --stateful x"),
    "there are no local IPs": (
        *_all("local ip", "x", "--network n.lab"), "local ip association create x n.port", "local ip association list x",
        "local ip association delete x n.port"),
    "OVN's controllers are given no networks and routers: each has all of them": (
        "network agent add network --dhcp x n.lab", "network agent remove network --dhcp x n.lab",
        "network agent add router --l3 x n.way", "network agent remove router --l3 x n.way",
        "network agent router set --ha-chassis-priority 1 x n.way"),
    "OVN's routers follow connections, but know no protocol's helper": (
        "network l3 conntrack helper create --helper tftp --protocol udp --port 69 n.way",
        "network l3 conntrack helper list n.way", "network l3 conntrack helper show n.way x",
        "network l3 conntrack helper delete n.way x", "network l3 conntrack helper set --port 70 n.way x"),
    "OVN's routers count nothing by labels, and the API has no counters to be read": (
        "network meter create x", "network meter list", "network meter show x", "network meter delete x",
        "network meter rule create --remote-ip-prefix 10.0.0.0/8 x", "network meter rule list",
        "network meter rule show x", "network meter rule delete x"),
    "a network has one segment, which `network show` shows": _all(
        "network segment", "x", "--network n.lab --network-type geneve x"),
    "the range of tunnels' ids is a setting of the cloud's: `geneve_ids`": _all(
        "network segment range", "x", "--network-type geneve --minimum 5 --maximum 9 x"),
    "OVN's routers answer for no neighbours but themselves": _all("router ndp proxy", "x", "--port n.port n.way"),
}

REFUSED = (
    ("router add gateway n.way public", "extension", "a router has one gateway: `router set --external-gateway`"),
    ("router remove gateway n.way public", "extension", "a router has one gateway: `router unset --external-gateway`"),
)
