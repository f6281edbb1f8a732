"""What Compute changes on the network cards of a server that is there. Part of the caller's transaction."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import sqlalchemy as sa

from pilvi.db import Tx
from pilvi.faults import BadRequest, Conflict, Fault, NotFound
from pilvi.network import addresses, store, store_addresses, store_forwardings, wire
from pilvi.network.nouns import FLOATING_IP, NETWORK, PORT, SECURITY_GROUP
from pilvi.network.servers import OWNER, NicRequest, ServerVerbs
from pilvi.network.tables import floatingips
from pilvi.network.views import views
from pilvi.policy import Context

CardGone = Callable[[Tx, str, str], None]  # of the transaction, the server and the port


class CardVerbs(ServerVerbs):
    # -- cards

    def add_card(self, tx: Tx, context: Context, server_id: str, hostname: str, host: str,
                 request: NicRequest | None) -> str:
        """One more card, the last; its port's id. None: on the project's only network.

        Raises the faults that Compute answers: NotFound (network, port), Conflict (port or address in use),
        BadRequest (no address left, no network or several), Forbidden (quota, external network)."""
        nic = request or self._only_network(tx, context)
        if nic.network_id is not None and store.find(tx, NETWORK, context, nic.network_id) is None:
            raise NotFound(f"Network {nic.network_id} could not be found.")
        last = max((port.nic for port in store.ports_of_devices(tx, [server_id], OWNER)), default=-1)
        try:
            port_id = self._add_cards(tx, context, server_id, hostname, [nic], (), first=last + 1)[0]
        except BadRequest as fault:
            if fault.kind == "FixedIpAlreadyInUse":
                raise Conflict(fault.message) from None
            raise
        self.bind(tx, server_id, host)
        return port_id

    def _only_network(self, tx: Tx, context: Context) -> NicRequest:
        try:
            found = self._nics(tx, context, None)
        except Conflict as fault:
            raise BadRequest(fault.message) from None
        if not found:
            raise BadRequest("No specific network was requested and none are available for project "
                             f"'{context.project_id}'.")
        return found[0]

    def drop_card(self, tx: Tx, server_id: str, port_id: str) -> None:
        """Deletes the port where it was made for the server, and gives the user's own back."""
        self._release(tx, [port for port in store.ports_of_devices(tx, [server_id], OWNER) if port.id == port_id])

    def on_card_gone(self, callback: CardGone) -> None:
        """Called in the transaction that deletes the port of a server's card over the Networking API."""
        self._card_gone.append(callback)

    def look_again(self, tx: Tx) -> None:
        """A pass is due, though no row has changed."""
        self._changed(tx)

    # -- addresses

    def add_fixed_ip(self, tx: Tx, context: Context, server_id: str, network_id: str) -> None:
        """One more address for a card on this network. Raises BadRequest where there is none, or no address left."""
        store.lock_network(tx, network_id)
        cards = [port for port in store.ports_of_devices(tx, [server_id], OWNER) if port.network_id == network_id]
        if not cards:
            raise BadRequest(f"Network {network_id} could not be found for instance {server_id}.")
        has = store_addresses.of_ports(tx, [cards[0].id]).get(cards[0].id, [])
        for subnet in store.subnets_of(tx, network_id):
            if addresses.is_automatic(subnet):
                continue
            if (free := store_addresses.next_free(tx, subnet)) is not None:
                return self._set_addresses(tx, cards[0], [*has, (subnet.id, free)])
        raise BadRequest(f"No more IP addresses available on network {network_id}.")

    def remove_fixed_ip(self, tx: Tx, server_id: str, address: str) -> None:
        """Raises BadRequest where no card of the server has it."""
        cards = {port.id: port for port in store.ports_of_devices(tx, [server_id], OWNER)}
        store.lock_network(tx, *(port.network_id for port in cards.values()))
        for port_id, has in store_addresses.of_ports(tx, list(cards)).items():
            left = [pair for pair in has if pair[1] != address]
            if left != has:
                return self._set_addresses(tx, cards[port_id], left)
        raise BadRequest(f"Fixed IP {address} is not found on instance {server_id}.")

    def _set_addresses(self, tx: Tx, port: Any, pairs: Sequence[tuple[str, str]]) -> None:
        self._readdress(tx, port, [wire.FixedIp(*pair) for pair in pairs], port.mac_address)
        self._changed(tx, PORT, port.id)

    # -- floating IPs

    def lead_to_server(self, tx: Tx, context: Context, server_id: str, address: str, fixed: str | None) -> None:
        """The floating IP leads to the server from now on, wherever it led before.

        Raises NotFound for a floating IP that the caller has not, BadRequest where it cannot lead there."""
        row = self._floating_at(tx, context, address)
        store.lock_network(tx, row.floating_network_id)
        pairs = [(port, each) for port in self.ports_of(tx, [server_id]).get(server_id, ())
                 for _, each, version in port.fixed_ips if version == 4]
        if not pairs:
            raise BadRequest("No fixed IPs associated to instance")
        matching = [pair for pair in pairs if fixed in (None, pair[1])]
        if not matching:
            raise BadRequest("Specified fixed address not assigned to instance")
        port, at = matching[0]
        try:
            self._not_forwarded(tx, row, port.id)
            target = self._target(tx, context, row.floating_network_id, port.id, at, row.id)
        except Fault as fault:
            raise BadRequest(f"Unable to associate floating IP {address} to fixed IP {at} for instance {server_id}. "
                             f"Error: {fault.message}") from None
        self._changed(tx, FLOATING_IP, row.id)  # where it leads now, and where it will
        store.update(tx, FLOATING_IP, row.id, **target)
        self._changed(tx, FLOATING_IP, row.id)

    def trusted_ports(self, tx: Tx) -> frozenset[str]:
        """Of servers, without port security: they may say whatever they like."""
        return frozenset(store.without_security(tx))

    def floating_targets(self, tx: Tx) -> dict[str, str | None]:
        """Where each floating address leads: to a fixed one, or nowhere.

        Without those whose ports lead to several: no single guest is the right one for them."""
        forwarded = store_forwardings.addresses(tx)
        return {
            row.floating_ip_address: row.fixed_ip_address
            for row in store.floating_ips(tx)
            if row.floating_ip_address not in forwarded
        }

    def lead_nowhere(self, tx: Tx, context: Context, server_id: str, address: str) -> None:
        """Raises NotFound, and Conflict where the floating IP does not lead to this server."""
        row = self._floating_at(tx, context, address)
        if row.port_id not in {port.id for port in store.ports_of_devices(tx, [server_id], OWNER)}:
            raise Conflict(f"Floating IP {address} is not associated with instance {server_id}.")
        self._changed(tx, FLOATING_IP, row.id)
        store.disassociate(tx, floatingips.c.id == row.id)

    def _floating_at(self, tx: Tx, context: Context, address: str) -> sa.Row:
        mine = sa.true() if context.is_admin else floatingips.c.project_id == context.project_id
        found = store.floating_ips(tx, floatingips.c.floating_ip_address == address, mine)
        if not found:
            raise NotFound(f"Floating IP not found for address {address}.")
        return found[0]

    # -- security groups

    def add_group(self, tx: Tx, context: Context, server_id: str, group: str) -> None:
        """Raises NotFound for a group that there is not, BadRequest where no card of the server takes one."""
        group_id = self._groups_named(tx, context, [group])[0]
        cards = [port for port in store.ports_of_devices(tx, [server_id], OWNER) if port.port_security_enabled]
        if not cards:
            raise BadRequest("Network requires port_security_enabled and subnet associated in order to apply "
                             "security groups.")
        has = store.security_groups_of(tx, [port.id for port in cards])
        for port in cards:
            if group_id not in has.get(port.id, ()):
                store.add_security_groups(tx, port.id, [group_id])
        self._changed(tx, PORT, *(port.id for port in cards))

    def remove_group(self, tx: Tx, context: Context, server_id: str, group: str) -> None:
        """Raises NotFound for a group that there is not, BadRequest where the server has it not."""
        group_id = self._groups_named(tx, context, [group])[0]
        ids = [port.id for port in store.ports_of_devices(tx, [server_id], OWNER)]
        having = {port_id: groups for port_id, groups in store.security_groups_of(tx, ids).items() if group_id in groups}
        if not having:
            raise BadRequest(f"Security group {group} is not associated with the instance {server_id}")
        for port_id, groups in having.items():
            store.set_security_groups(tx, port_id, [each for each in groups if each != group_id])
        self._changed(tx, PORT, *having)

    def groups_of_server(self, tx: Tx, context: Context, server_id: str) -> list[dict[str, Any]]:
        """The security groups of the server's cards, each once, as the Networking API shows them."""
        ids = [port.id for port in store.ports_of_devices(tx, [server_id], OWNER)]
        groups = {group: None for each in store.security_groups_of(tx, ids).values() for group in each}
        found = views(tx, SECURITY_GROUP, context, store.by_ids(tx, SECURITY_GROUP, groups))
        return sorted(found, key=lambda group: (group["name"], group["id"]))
