"""What Compute's old APIs ask of networks, in plain values; each verb is that of the Networking API."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from pilvi.faults import BadRequest, Conflict
from pilvi.http.request import field_message
from pilvi.network import wire
from pilvi.network.floatingips import FloatingIpVerbs
from pilvi.network.nouns import BY_PATH, PORT, SECURITY_GROUP, SUBNET
from pilvi.network.securitygroups import SecurityGroupVerbs
from pilvi.policy import Context

View = dict[str, Any]


class ProxiedVerbs(FloatingIpVerbs, SecurityGroupVerbs):
    def seen(self, context: Context, path: str, query: Mapping[str, Sequence[str]] | None = None) -> list[View]:
        """All objects of a noun (by its path in URLs) that the caller sees and that fit the filters."""
        noun = BY_PATH[path]
        if noun is SECURITY_GROUP:
            self.ensure_default_group(context)
        found, _, _ = self.page(context, noun, {name: list(values) for name, values in (query or {}).items()})
        return found

    def one_seen(self, context: Context, path: str, object_id: str) -> View:
        """Raises NotFound."""
        return self.show(context, BY_PATH[path], object_id)

    def cidrs(self, context: Context, network_ids: Sequence[str]) -> dict[str, str]:
        """The range of each network's first subnet."""
        subnets, _, _ = self.page(context, SUBNET, {"network_id": list(network_ids)})
        return {each["network_id"]: each["cidr"] for each in reversed(subnets)}

    # -- security groups

    def make_group(self, context: Context, name: str, description: str) -> View:
        return self.create_security_groups(context, [wire.SecurityGroupNew(name=name, description=description)])[0]

    def change_group(self, context: Context, group_id: str, name: str, description: str | None) -> View:
        """A description of None stays as it was. Raises NotFound, and BadRequest for the default group's name."""
        given = {"name": name} | ({} if description is None else {"description": description})
        try:
            return self.update_security_group(context, group_id, msgspec.convert(given, wire.SecurityGroupChange))
        except Conflict as fault:
            raise BadRequest(fault.message) from None

    def make_rule(self, context: Context, **values: Any) -> View:
        """Raises BadRequest, NotFound; Conflict (kind OverQuota, SecurityGroupRuleExists)."""
        try:
            wanted = msgspec.convert({"direction": "ingress", **values}, wire.RuleNew)
        except msgspec.ValidationError as error:
            raise BadRequest(field_message(error)) from None
        return self.create_security_group_rules(context, [wanted])[0]

    # -- floating IPs

    def make_floating_ip(self, context: Context, network_id: str) -> View:
        return self.create_floating_ips(context, [wire.FloatingIpNew(floating_network_id=network_id)])[0]

    def servers_of(self, context: Context, floating_ips: Sequence[View]) -> dict[str, str]:
        """Port -> server, of the ports that these floating IPs lead to."""
        ids = [each["port_id"] for each in floating_ips if each["port_id"]]
        ports, _, _ = self.page(context, PORT, {"id": ids}) if ids else ([], 0, 0)
        return {port["id"]: port["device_id"] for port in ports if port["device_owner"].startswith("compute:")}
