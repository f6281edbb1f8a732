"""What every cloud's network begins with. Each thing is made once: whoever takes it away does not get it back."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

import sqlalchemy as sa

from pilvi.db import Tx
from pilvi.network import store
from pilvi.network.defaultrules import DefaultRuleVerbs
from pilvi.network.nouns import NETWORK, SUBNET_POOL, Noun
from pilvi.network.securitygroups import ETHERTYPES, PARENT
from pilvi.network.subnetpools import LONGEST, SHORTEST
from pilvi.network.subnetpools import default_pool as find_default_pool
from pilvi.network.subnets import SubnetVerbs
from pilvi.network.tables import foundations

DEFAULT_LENGTH = {4: 24, 6: 64}


class FoundingVerbs(SubnetVerbs, DefaultRuleVerbs):
    def bootstrap(
        self, external_cidr: str, gateway: str, dns: Sequence[str], project_id: str = "", default_pool: str = ""
    ) -> None:
        """Idempotent. The external network "public" of `project_id`, where none is on the physical network; a pool
        for all that subnets are taken from by default (a prefix; empty: none)."""
        with self._db.transaction() as tx:
            tx.lock("network bootstrap")
            if tx.one(sa.select(NETWORK.table.c.id).where(NETWORK.table.c.network_type == "flat")) is None:
                self._found_external(tx, external_cidr, gateway, dns, project_id)
            if _first_time(tx, "policies of what is shared"):
                for noun in (NETWORK, SUBNET_POOL):
                    self._found_policies(tx, noun)
            if default_pool and _first_time(tx, "default subnet pool"):
                self._found_pool(tx, default_pool, project_id)
            if _first_time(tx, "default security group rules"):
                self._found_default_rules(tx)

    def _found_external(self, tx: Tx, cidr: str, gateway: str, dns: Sequence[str], project_id: str) -> None:
        network_id = self._insert_network(
            tx,
            {
                "name": "public",
                "project_id": project_id,
                "external": True,
                "is_default": True,
                "network_type": "flat",
                "physical_network": "public",
                "description": "The world outside",
            },
        )
        self._insert_subnet(
            tx,
            store.get(tx, NETWORK, network_id),
            {
                "name": "public",
                "project_id": project_id,
                "network_id": network_id,
                "ip_version": ipaddress.ip_network(cidr).version,
                "cidr": cidr,
                "gateway_ip": gateway,
                "enable_dhcp": False,
                "dns_nameservers": list(dns),
            },
        )
        self._changed(tx)

    def _found_policies(self, tx: Tx, noun: Noun) -> None:
        """For objects from before there were policies."""
        flags = [flag for flag in ("shared", "external") if flag in noun.table.c]
        for row in tx.all(sa.select(noun.table).where(sa.or_(*(noun.table.c[flag] for flag in flags)))):
            given = {flag: True for flag in flags if getattr(row, flag)}
            self._share_with_all(tx, noun, row.id, row.project_id, given)


    def _found_pool(self, tx: Tx, prefix: str, project_id: str) -> None:
        version = ipaddress.ip_network(prefix).version
        if find_default_pool(tx, version) is not None:
            return
        flags = {"shared": True, "is_default": True}
        pool_id = self._ids.uuid()
        store.insert(
            tx,
            SUBNET_POOL,
            {
                "id": pool_id,
                "project_id": project_id,
                "name": f"default-v{version}",
                "description": "What subnets are taken from that name no range of their own",
                "ip_version": version,
                "prefixes": [prefix],
                "min_prefixlen": SHORTEST[version],
                "max_prefixlen": LONGEST[version],
                "default_prefixlen": DEFAULT_LENGTH[version],
                **flags,
            },
        )
        self._share_with_all(tx, SUBNET_POOL, pool_id, project_id, flags)

    def _found_default_rules(self, tx: Tx) -> None:
        """Members may send whatever they like; those of a default group hear each other."""
        for ethertype in ETHERTYPES.values():
            everywhere = {"used_in_default_sg": True, "used_in_non_default_sg": True}
            self._insert_default_rule(tx, {"direction": "egress", "ethertype": ethertype, **everywhere})
            members = {"remote_group_id": PARENT, "used_in_default_sg": True, "used_in_non_default_sg": False}
            self._insert_default_rule(tx, {"direction": "ingress", "ethertype": ethertype, **members})


def _first_time(tx: Tx, name: str) -> bool:
    if tx.one(sa.select(foundations.c.name).where(foundations.c.name == name)) is not None:
        return False
    tx.execute(foundations.insert(), {"name": name})
    return True
