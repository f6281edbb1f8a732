"""Subcommands of `openstack` for what networks can do besides carrying packets; on the things of `network`."""

from __future__ import annotations

from tests.conformance.commands.shell import Shell

ALICE = "pilvi"


def features(run: Shell) -> None:
    shaping(run)
    trunks(run)
    carriers(run)
    agents(run)
    flavors(run)


def shaping(run: Shell) -> None:
    run("network qos policy create --share n.slow")
    run("network qos policy set --description Slow n.slow")
    rule = run.json("network qos rule create --type bandwidth-limit --max-kbps 1000 --max-burst-kbits 100 --egress n.slow")
    run(f"network qos rule set --max-kbps 2000 n.slow {rule['id']}")
    run("network qos rule create --type dscp-marking --dscp-mark 26 n.slow")
    run.refused("network qos rule create --type minimum-bandwidth --min-kbps 1000 --egress n.slow", "guarantees", "")
    run("network qos rule list n.slow", user=ALICE)
    run(f"network qos rule show n.slow {rule['id']}", user=ALICE)
    run("network qos policy list", user=ALICE)
    run("network qos policy show n.slow", user=ALICE)
    run("port set --qos-policy n.slow n.port", user=ALICE)
    run("network set --qos-policy n.slow n.lab", user=ALICE)
    run("router set --external-gateway public --qos-policy n.slow n.way", user=ALICE)
    floating = run.json("floating ip create --qos-policy n.slow public", user=ALICE)["floating_ip_address"]
    run(f"floating ip unset --qos-policy {floating}", user=ALICE)
    run(f"floating ip delete {floating}", user=ALICE)
    run("router unset --qos-policy n.way", user=ALICE)
    run("port unset --qos-policy n.port", user=ALICE)
    run("network set --no-qos-policy n.lab", user=ALICE)
    run("network qos rule type list --all-rules", user=ALICE)
    run("network qos rule type show bandwidth_limit", user=ALICE)
    run(f"network qos rule delete n.slow {rule['id']}")
    run("network qos policy delete n.slow")


def trunks(run: Shell) -> None:
    for name in ("n.below", "n.lower"):
        run(f"port create --network n.lab {name}", user=ALICE)
    tagged = "segmentation-type=vlan,segmentation-id"
    run(f"network trunk create --parent-port n.port --subport port=n.below,{tagged}=100 n.trunk", user=ALICE)
    run(f"network trunk set --subport port=n.lower,{tagged}=200 --name n.trunk n.trunk", user=ALICE)
    run("network trunk list --long", user=ALICE)
    run("network trunk show n.trunk", user=ALICE)
    run("network subport list --trunk n.trunk", user=ALICE)
    run("network trunk unset --subport n.lower n.trunk", user=ALICE)
    run("network trunk subport add --segmentation-type vlan --segmentation-id 300 n.trunk n.lower", user=ALICE)
    run("network trunk subport list n.trunk", user=ALICE)
    run("network trunk subport remove n.trunk n.lower", user=ALICE)
    run("network trunk delete n.trunk", user=ALICE)
    for name in ("n.below", "n.lower"):
        run(f"port delete {name}", user=ALICE)


def carriers(run: Shell) -> None:
    physical = "--provider-network-type vlan --provider-physical-network public --provider-segment 42"
    run(f"network create {physical} n.tagged")
    run("network list --provider-segment 42 --long")
    run("network delete n.tagged")
    run("network create --transparent-vlan n.open", user=ALICE)
    run("network delete n.open", user=ALICE)


def agents(run: Shell) -> None:
    run.json("network agent list")
    agent = run.client.get("/network/v2.0/agents?agent_type=OVN%20Controller%20Gateway%20agent")["agents"][0]["id"]
    run(f"network agent show {agent}")
    run(f"network agent set --description Here {agent}")
    run.refused(f"network agent delete {agent}", "alive", "an agent is deleted when it is dead: this one is alive")


def flavors(run: Shell) -> None:
    run("network flavor create --service-type L3_ROUTER_NAT n.plain")
    profile = run.json("network flavor profile create --driver ovn")["id"]
    run(f"network flavor profile set --description Ours --driver ovn {profile}")
    run(f"network flavor add profile n.plain {profile}")
    run("network flavor set --description Ours n.plain")
    run("network flavor list", user=ALICE)
    run("network flavor show n.plain", user=ALICE)
    run("network flavor profile list")
    run(f"network flavor profile show {profile}")
    run("router create --flavor n.plain n.flavored", user=ALICE)
    run("router delete n.flavored", user=ALICE)
    run(f"network flavor remove profile n.plain {profile}")
    run("network flavor delete n.plain")
    run(f"network flavor profile delete {profile}")
    run("network service provider list", user=ALICE)
