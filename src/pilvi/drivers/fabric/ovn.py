"""The controller's half on OVN: makes the northbound database equal to a topology.

Each pass compares all rows that carry `external_ids:pilvi` with those that ought to be, and sends what
differs in one transaction; rows without the mark are never touched. The database connection lives in one
thread of ovsdbapp's, starts with the first call and comes back by itself when the server was restarted.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from uuid import UUID

from ovs.db import error as ovs_error
from ovs.db.data import Datum
from ovs.db.idl import Row
from ovs.db.idl import Transaction as IdlTransaction
from ovsdbapp.backend.ovs_idl.connection import Connection, OvsdbIdl
from ovsdbapp.backend.ovs_idl.transaction import Transaction

from pilvi.drivers.fabric.base import FabricError, Topology
from pilvi.drivers.fabric.logical import Ref, Rows, rows_of

MARK = "pilvi"
TABLES = (
    "ACL", "DHCP_Options", "DNS", "Gateway_Chassis", "Load_Balancer", "Logical_Router", "Logical_Router_Port",
    "Logical_Router_Static_Route", "Logical_Switch", "Logical_Switch_Port", "NAT", "Port_Group",
)  # fmt: skip


class OvnNorthbound:
    """`connection` is OVSDB's way to say it: "unix:/path" or "tcp:address:port", several with commas between.

    `gateway_chassis` are the system ids of the hosts that may carry routers' gateways, by preference.
    A verb gives up after `timeout` seconds; when that happens in the middle of a reconnection the transaction
    may still be made, and the next pass finds it done."""

    def __init__(
        self,
        connection: str,
        gateway_chassis: Sequence[str],
        *,
        dns_domain: str = "openstacklocal",
        timeout: float = 20.0,
    ) -> None:
        self._address = connection
        self._gateway_chassis = tuple(gateway_chassis)
        self._dns_domain = dns_domain
        self._timeout = timeout
        self._lock = threading.Lock()
        self._connection: Connection | None = None
        self._up: tuple[int, frozenset[str]] | None = None

    def sync(self, topology: Topology) -> int:
        want = rows_of(topology, self._gateway_chassis, self._dns_domain)
        connection = self._connected()
        difference = _Difference(connection.idl, want)
        try:
            transaction = Transaction(
                difference, connection, self._timeout, check_error=True, log_errors=False
            )
            transaction.add(difference)
            transaction.commit()
        except FabricError:
            raise
        except Exception as error:
            raise FabricError(f"northbound database {self._address}: {error}") from error
        return difference.result

    def ports_up(self) -> frozenset[str]:
        connection = self._connected()
        with connection.lock:
            if self._up is None or self._up[0] != connection.idl.change_seqno:
                ports = connection.idl.tables["Logical_Switch_Port"].rows.values()
                up = frozenset(
                    row.name for row in ports if _mark(row) and row.type == "" and row.up == [True]
                )
                self._up = connection.idl.change_seqno, up
            return self._up[1]

    def close(self) -> None:
        with self._lock:
            if self._connection is not None:
                self._connection.stop(self._timeout)
                self._connection = None

    def _connected(self) -> Connection:
        with self._lock:
            if self._connection is None:
                try:
                    idl = OvsdbIdl.from_server(self._address, "OVN_Northbound", helper_tables=TABLES)
                    connection = Connection(idl, self._timeout)
                    connection.start()
                except Exception as error:
                    raise FabricError(f"northbound database {self._address}: {error}") from error
                self._connection = connection
            return self._connection


class _Difference:
    """As ovsdbapp's command: runs in the connection's thread, on rows that hold still; again to retry."""

    def __init__(self, idl: OvsdbIdl, want: Rows) -> None:
        self.idl = idl
        self.want = want
        self.result = 0

    def run_idl(self, txn: IdlTransaction) -> None:
        have, surplus = self._ours()
        ours = {row.uuid for row in (*have.values(), *surplus)}
        surplus += [row for ref, row in have.items() if ref not in self.want]
        new = [ref for ref in self.want if ref not in have]
        have.update((ref, txn.insert(self.idl.tables[ref.table])) for ref in new)
        changed = sum(_write(ref, have, columns, ours) for ref, columns in self.want.items())
        for row in surplus:
            row.delete()
        self.result = changed + len(surplus)

    def post_commit(self, txn: IdlTransaction) -> None:
        """ovsdbapp calls it; there is nothing to do."""

    def _ours(self) -> tuple[dict[Ref, Row], list[Row]]:
        """Our rows, and the surplus ones among them that say they are the same thing."""
        have: dict[Ref, Row] = {}
        surplus: list[Row] = []
        for table in TABLES:
            for row in self.idl.tables[table].rows.values():
                key = _mark(row)
                if key is None:
                    continue
                if have.setdefault(Ref(table, key), row) is not row:
                    surplus.append(row)
        return have, surplus


def _mark(row: Row) -> str | None:
    return dict(row._data["external_ids"].as_list()).get(MARK)


def _write(ref: Ref, have: dict[Ref, Row], columns: dict[str, object], ours: set[UUID]) -> bool:
    """Writes the columns that differ; True where one did. Raises FabricError where the schema refuses it."""
    row = have[ref]
    committed = row._data  # not row.column: that converts each value twice, and there are many
    marks = {**columns.get("external_ids", {}), MARK: ref.key}
    if committed is not None:
        # Others may leave marks of their own on our rows.
        marks = {**dict(committed["external_ids"].as_list()), **marks}
    changed = committed is None
    for name, value in {**columns, "external_ids": marks}.items():
        kind = row._table.columns[name].type
        refers = kind.key.ref_table is not None
        wanted = [have[one].uuid for one in value] if refers else value
        if committed is not None and refers and kind.n_max > 1:
            changed |= _link(row, name, wanted, ours)
        elif committed is None or not _holds(committed[name], wanted):
            try:
                Datum.from_python(kind, wanted, _as_is)
            except ovs_error.Error as error:
                raise FabricError(f"{ref.table} {ref.key}: {name} cannot be {value!r}: {error}") from error
            setattr(row, name, wanted)
            changed = True
    return changed


def _holds(datum: Datum, wanted: object) -> bool:
    values = datum.as_list()
    if isinstance(wanted, dict):
        return dict(values) == wanted
    return set(values) == set(wanted) if isinstance(wanted, list) else values == [wanted]


def _link(row: Row, name: str, wanted: list[UUID], ours: set[UUID]) -> bool:
    """Sends what came and went rather than all members: there may be thousands, and others may add theirs."""
    before, after = ours.intersection(row._data[name].as_list()), set(wanted)
    for new in after - before:
        row.addvalue(name, new)
    for gone in before - after:
        row.delvalue(name, gone)
    return before != after


def _as_is(value: object) -> object:
    return value
