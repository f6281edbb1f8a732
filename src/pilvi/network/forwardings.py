"""Port forwardings: ports of one floating IP that lead to ports of several guests. The verbs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pilvi.db import Tx
from pilvi.faults import BadRequest, Conflict, NotFound
from pilvi.network import store, store_forwardings, wire
from pilvi.network.floatingips import FloatingIpVerbs
from pilvi.network.nouns import FLOATING_IP, PORT, PORT_FORWARDING
from pilvi.network.tables import port_forwardings
from pilvi.network.wire_forwardings import PortForwardingChange, PortForwardingNew
from pilvi.policy import Context

LONGEST_RANGE = 1000  # ports: the switch has a row's entry for each


class ForwardingVerbs(FloatingIpVerbs):
    def port_forwardings(
        self, context: Context, floating_ip_id: str, query: Mapping[str, list[str]]
    ) -> tuple[list[dict[str, Any]], bool, bool]:
        """As `page`, of one floating IP."""
        self.show(context, FLOATING_IP, floating_ip_id)
        return self.page(context, PORT_FORWARDING, {**query, "floatingip_id": [floating_ip_id]})

    def port_forwarding(self, context: Context, floating_ip_id: str, forwarding_id: str) -> dict[str, Any]:
        with self._db.read() as tx:
            row = self._forwarding(tx, self._get(tx, FLOATING_IP, context, floating_ip_id), forwarding_id)
            return self._view(tx, PORT_FORWARDING, context, row)

    def create_port_forwardings(
        self, context: Context, floating_ip_id: str, wanted: Sequence[PortForwardingNew]
    ) -> list[dict[str, Any]]:
        """Raises BadRequest (ports that are forwarded already, a port without such an address), NotFound (no router
        in between), Conflict where the floating IP leads to a port as a whole."""

        def create(tx: Tx, context: Context, one: PortForwardingNew) -> str:
            return self._create_forwarding(tx, context, floating_ip_id, one)

        return self._each(context, PORT_FORWARDING, wanted, create)

    def _create_forwarding(self, tx: Tx, context: Context, floating_ip_id: str, wanted: PortForwardingNew) -> str:
        floating = self._locked(tx, context, floating_ip_id)
        if floating.port_id is not None:
            raise Conflict(
                f"Cannot forward ports of floating IP {floating.floating_ip_address} ({floating.id}): it leads to port "
                f"{floating.port_id} as a whole.",
                kind="FloatingIPPortAlreadyAssociated",
            )
        values = wire.given(wanted)
        for name in ("project_id", "tenant_id"):
            values.pop(name, None)
        if values.get("external_port") is None and values.get("external_port_range") is None:
            raise _bad("external_port or external_port_range is missing")
        if values.get("internal_port") is None and values.get("internal_port_range") is None:
            raise _bad("internal_port or internal_port_range is missing")
        forwarding_id = self._ids.uuid()
        kept = {**self._checked(tx, context, floating, values), "description": values.get("description", "")}
        named = {"id": forwarding_id, "project_id": floating.project_id, "floatingip_id": floating.id}
        store.insert(tx, PORT_FORWARDING, {**kept, **named})
        return forwarding_id

    def update_port_forwarding(
        self, context: Context, floating_ip_id: str, forwarding_id: str, change: PortForwardingChange
    ) -> dict[str, Any]:
        """Raises as `create_port_forwardings`."""
        with self._db.transaction() as tx:
            floating = self._locked(tx, context, floating_ip_id)
            row = self._forwarding(tx, floating, forwarding_id)
            present = {name: getattr(row, name) for name in ("protocol", "internal_port_id", "internal_ip_address")}
            values = wire.given(change)
            if values.get("internal_port_id", row.internal_port_id) != row.internal_port_id:
                del present["internal_ip_address"]
            for side, end in (("external", row.external_last), ("internal", row.internal_last)):
                if values.get(f"{side}_port") is None and values.get(f"{side}_port_range") is None:
                    present[f"{side}_port_range"] = f"{getattr(row, f'{side}_port')}:{end}"
            kept = self._checked(tx, context, floating, {**present, **values}, forwarding_id)
            kept["description"] = values.get("description", row.description)
            store.update(tx, PORT_FORWARDING, forwarding_id, **kept)
            self._changed(tx, PORT_FORWARDING, forwarding_id)
            return self._fresh(tx, PORT_FORWARDING, context, [forwarding_id])[0]

    def delete_port_forwarding(self, context: Context, floating_ip_id: str, forwarding_id: str) -> None:
        with self._db.transaction() as tx:
            row = self._forwarding(tx, self._locked(tx, context, floating_ip_id), forwarding_id)
            self._changed(tx, PORT_FORWARDING, row.id)
            store_forwardings.delete(tx, port_forwardings.c.id == row.id)

    def _locked(self, tx: Tx, context: Context, floating_ip_id: str) -> Any:
        """The floating IP; its network is locked, as whatever changes where it leads locks it."""
        store.lock_network(tx, self._own(tx, FLOATING_IP, context, floating_ip_id).floating_network_id)
        return self._own(tx, FLOATING_IP, context, floating_ip_id)

    def _forwarding(self, tx: Tx, floating: Any, forwarding_id: str) -> Any:
        row = store.get(tx, PORT_FORWARDING, forwarding_id)
        if row is None or row.floatingip_id != floating.id:
            raise NotFound(f"Port Forwarding {forwarding_id} could not be found.", kind="PortForwardingNotFound")
        return row

    def _checked(
        self, tx: Tx, context: Context, floating: Any, values: Mapping[str, Any], but: str = ""
    ) -> dict[str, Any]:
        """Columns of a forwarding (`but` is its id, when it is there already); the floating IP gets its router."""
        external = _range(values, "external")
        internal = _range(values, "internal")
        if internal[0] != internal[1] and internal[1] - internal[0] != external[1] - external[0]:
            raise _bad("internal_port_range is one port, or as many as external_port_range")
        port = self._own(tx, PORT, context, values["internal_port_id"])
        subnet_id, address = self._fixed(tx, port, values.get("internal_ip_address"))
        router_id = self._router_between(tx, subnet_id, floating.floating_network_id, port.id)
        if floating.router_id not in (None, router_id):
            raise _bad(f"port {port.id} is behind router {router_id}, but the floating IP's other forwardings go "
                       f"through router {floating.router_id}")  # fmt: skip
        for row in store_forwardings.of_floating_ips(tx, [floating.id]).get(floating.id, ()):
            if row.id != but and row.protocol == values["protocol"]:
                _check_other(row, external, internal, port.id, address)
        if floating.router_id is None:
            store.update(tx, FLOATING_IP, floating.id, router_id=router_id)
        return {
            "protocol": values["protocol"],
            "external_port": external[0],
            "external_last": external[1],
            "internal_port_id": port.id,
            "internal_ip_address": address,
            "internal_port": internal[0],
            "internal_last": internal[1],
        }


def _check_other(
    row: Any, external: tuple[int, int], internal: tuple[int, int], port_id: str, address: str
) -> None:
    """Raises BadRequest where another forwarding of the protocol has one of the ports."""
    clash = None
    if external[0] <= row.external_last and row.external_port <= external[1]:
        clash = f"external ports {row.external_port}:{row.external_last}"
    same_guest = (row.internal_port_id, row.internal_ip_address) == (port_id, address)
    if same_guest and internal[0] <= row.internal_last and row.internal_port <= internal[1]:
        clash = f"internal ports {row.internal_port}:{row.internal_last} of {address}"
    if clash:
        raise _bad(f"a port forwarding with conflicting values exists already: {row.id} has {clash} of {row.protocol}")


def _range(values: Mapping[str, Any], side: str) -> tuple[int, int]:
    """First and last port. Raises BadRequest."""
    single, text = values.get(f"{side}_port"), values.get(f"{side}_port_range")
    if single is not None and text is not None and str(text) not in (str(single), f"{single}:{single}"):
        raise _bad(f"{side}_port and {side}_port_range say different ports")
    first, _, last = str(single if text is None else text).partition(":")
    low, high = int(first), int(last or first)
    if not 1 <= low <= high <= 65535:
        raise _bad(f"{side}_port_range {low}:{high}: it is from 1 to 65535, the first port first")
    if high - low >= LONGEST_RANGE:
        raise _bad(f"{side}_port_range {low}:{high} has more than {LONGEST_RANGE} ports")
    return low, high


def _bad(reason: str) -> BadRequest:
    return BadRequest(f"Bad port_forwarding request: {reason}.", kind="BadRequest")
