"""The controller's half on OVN: makes the northbound database equal to a topology.

A pass compares the rows that carry `external_ids:pilvi` (all of them, or those of some objects) with those that
ought to be, and sends what differs in one transaction; rows without the mark are never touched. The database
connection lives in one thread of ovsdbapp's, starts with the first call and comes back by itself when the server was
restarted.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from uuid import UUID, uuid5

from ovs.db import error as ovs_error
from ovs.db.data import Atom, Datum
from ovs.db.idl import Row
from ovs.db.idl import Transaction as IdlTransaction
from ovs.db.types import UuidType
from ovsdbapp.backend.ovs_idl.connection import Connection
from ovsdbapp.backend.ovs_idl.transaction import Transaction

from pilvi.drivers.fabric import ovn_hosts, tracing
from pilvi.drivers.fabric.base import FabricError, HostState, Packet, Pipeline, Scope, Topology
from pilvi.drivers.fabric.logical import OWNER, Ref, Rows, owners, rows_of
from pilvi.drivers.fabric.ovn_rows import MARK, MarkedRows

NAMESPACE = UUID("5b1f6c0e-6a8b-4d0c-9a35-9b1c8f6f6c55")  # of the UUIDs of our rows, by table and key
TABLES = (
    "ACL", "Address_Set", "DHCP_Options", "DNS", "Gateway_Chassis", "Load_Balancer", "Logical_Router",
    "Logical_Router_Policy", "Logical_Router_Port", "Logical_Router_Static_Route", "Logical_Switch",
    "Logical_Switch_Port", "NAT", "Port_Group", "QoS",
)  # fmt: skip
DATAPATHS = ("Logical_Switch", "Logical_Router")

# Columns in which others may leave entries of their own; these are ours, there or not.
SHARED = {"external_ids": frozenset(), "other_config": frozenset({"requested-tnl-key", "vlan-passthru"})}


class OvnNorthbound:
    """`connection` is OVSDB's way to say it: "unix:/path" or "tcp:address:port", several with commas between.

    `gateway_chassis` are the system ids of the hosts that may carry routers' gateways, by preference;
    `southbound`, the other database, is where packets are traced and hosts are heard of.
    A verb gives up after `timeout` seconds; when that happens in the middle of a reconnection the transaction
    may still be made, and the next pass finds it done."""

    def __init__(
        self,
        connection: str,
        gateway_chassis: Sequence[str],
        *,
        southbound: str = "",
        dns_domain: str = "openstacklocal",
        timeout: float = 20.0,
    ) -> None:
        self._address = connection
        self._southbound = southbound
        self._gateway_chassis = tuple(gateway_chassis)
        self._dns_domain = dns_domain
        self._timeout = timeout
        self._lock = threading.Lock()
        self._connection: Connection | None = None

    def sync(self, topology: Topology, scope: Scope | None = None) -> int:
        want = rows_of(topology, self._gateway_chassis, self._dns_domain)
        connection = self._connected()
        kind = _Difference if scope is None else _Part
        difference = kind(connection.idl, want, owners(scope or Scope()))
        try:
            transaction = _Pass(difference, connection, self._timeout, check_error=True, log_errors=False)
            transaction.add(difference)
            transaction.commit()
        except FabricError:
            raise
        except Exception as error:
            raise FabricError(f"northbound database {self._address}: {error}") from error
        return difference.result

    def compare(self, topology: Topology) -> tuple[list[str], list[str]]:
        want = rows_of(topology, self._gateway_chassis, self._dns_domain)
        connection = self._connected()
        with connection.lock:
            have = {Ref(table, key) for table in TABLES for key in connection.idl.marked(table)}
        return _names(have - want.keys()), _names(want.keys() - have)

    def disturbances(self) -> int:
        return self._connected().idl.disturbances

    def ports_up(self) -> frozenset[str]:
        connection = self._connected()
        with connection.lock:
            return connection.idl.ports_up()

    def trace(self, packet: Packet) -> tuple[Pipeline, ...]:
        if not self._southbound:
            raise FabricError("no packet can be traced: the southbound database's address is not known")
        try:
            pipelines = tracing.trace(self._southbound, packet)
        except tracing.HostError as error:
            raise FabricError(f"cannot trace a packet from port {packet.inport}: {error}") from error
        connection = self._connected()
        with connection.lock:
            marked = connection.idl.marked
            datapaths = {str(row.uuid): key for table in DATAPATHS for key, rows in marked(table).items() for row in rows}
            rules = {row.match: key for key, rows in marked("ACL").items() for row in rows}
        return tracing.named(pipelines, datapaths, rules)

    def hosts(self) -> tuple[HostState, ...]:
        if not self._southbound:
            return ()
        try:
            return ovn_hosts.look(self._address, self._southbound, self._gateway_chassis)
        except tracing.HostError as error:
            raise FabricError(f"southbound database {self._southbound}: {error}") from error

    def close(self) -> None:
        with self._lock:
            if self._connection is not None:
                self._connection.stop(self._timeout)
                self._connection = None

    def _connected(self) -> Connection:
        with self._lock:
            if self._connection is None:
                try:
                    idl = MarkedRows.from_server(self._address, "OVN_Northbound", helper_tables=TABLES)
                    connection = Connection(idl, self._timeout)
                    connection.start()
                except Exception as error:
                    raise FabricError(f"northbound database {self._address}: {error}") from error
                self._connection = connection
            return self._connection


def _names(refs: Iterable[Ref]) -> list[str]:
    return sorted(f"{ref.table} {ref.key}" for ref in refs)


class _Pass(Transaction):
    def do_commit(self) -> object:
        with self.ovsdb_connection.idl.ours():
            return super().do_commit()


class _Difference:
    """As ovsdbapp's command: runs in the connection's thread, on rows that hold still; again to retry."""

    def __init__(self, idl: MarkedRows, want: Rows, owners: frozenset[str]) -> None:
        self.idl = idl
        self.want = want
        self.owners = owners
        self.result = 0

    def run_idl(self, txn: IdlTransaction) -> None:
        refs = self._refs()
        self.have: dict[Ref, Row] = {}
        surplus: list[Row] = []
        for ref in refs:
            rows = self.idl.rows(ref)
            surplus += rows[1:] if ref in self.want else rows
            if ref in self.want:
                self.have[ref] = rows[0] if rows else self._insert(txn, ref)
        changed = sum(_write(ref, self._row, self.want[ref], self.idl.known) for ref in self.have)
        changed += self._join(surplus)
        for row in surplus:
            row.delete()
        self.result = changed + len(surplus)

    def _insert(self, txn: IdlTransaction, ref: Ref) -> Row:
        """A row has the same UUID again in a database made anew: then northd finds nothing to change for hosts."""
        table, wanted = self.idl.tables[ref.table], uuid5(NAMESPACE, f"{ref.table} {ref.key}")
        return table.rows.get(wanted) or txn.insert(table, new_uuid=wanted, persist_uuid=True)

    def post_commit(self, txn: IdlTransaction) -> None:
        """ovsdbapp calls it; there is nothing to do."""

    def _refs(self) -> list[Ref]:
        """What is to be made true: all that ought to be and all that is."""
        there = (Ref(table, key) for table in TABLES for key in self.idl.marked(table))
        return [*self.want, *(ref for ref in there if ref not in self.want)]

    def _row(self, ref: Ref) -> Row:
        return self.have[ref]

    def _join(self, surplus: Sequence[Row]) -> int:
        """Every row that holds others has been compared."""
        return 0


class _Part(_Difference):
    """The same for the rows of some owners. Others' rows only gain and lose these as members."""

    def _refs(self) -> list[Ref]:
        there = {ref for owner in self.owners for ref in self.idl.owned(owner)}
        chosen = [ref for ref, columns in self.want.items() if columns["external_ids"][OWNER] in self.owners]
        return [*chosen, *there.difference(chosen)]

    def _row(self, ref: Ref) -> Row:
        found = self.have.get(ref) or next(iter(self.idl.rows(ref)), None)
        if found is None:
            raise FabricError(f"{ref.table} {ref.key} is not there, and not of what is to be made true")
        return found

    def _join(self, surplus: Sequence[Row]) -> int:
        members: dict[str, dict[UUID, Atom]] = {}
        for row in (*self.have.values(), *surplus):
            members.setdefault(row._table.name, {})[row.uuid] = Atom(UuidType, row.uuid)
        gone = {row.uuid for row in surplus}
        changed = 0
        for table in TABLES:
            for name, inner in _member_columns(self.idl, table):
                if inner in members:
                    for row in self._holders(table, gone):
                        changed += self._join_one(row, name, members[inner])
        return changed

    def _holders(self, table: str, gone: Container[UUID]) -> Iterator[Row]:
        for key, rows in self.idl.marked(table).items():
            if Ref(table, key) not in self.have and rows[0].uuid not in gone:
                yield rows[0]
        for ref in self.want:
            if ref.table == table:
                self._row(ref)  # what a member is to join must be there

    def _join_one(self, row: Row, name: str, members: dict[UUID, Atom]) -> bool:
        values = row._data[name].values
        if len(members) < len(values):
            before = {uuid for uuid, atom in members.items() if atom in values}
        else:
            before = members.keys() & {atom.value for atom in values}
        wanted = self.want.get(self.idl.known[row.uuid][0], {}).get(name, ())
        after = {self.have[ref].uuid for ref in wanted if ref in self.have}
        return _send(row, name, before, after)


def _member_columns(idl: MarkedRows, table: str) -> Iterator[tuple[str, str]]:
    """Columns that hold sets of our rows, and of which table those are."""
    for name, column in idl.tables[table].columns.items():
        inner = column.type.key.ref_table
        if inner is not None and column.type.n_max > 1 and inner.name in TABLES:
            yield name, inner.name


def _write(ref: Ref, row_of: Callable[[Ref], Row], columns: dict[str, object], ours: Container[UUID]) -> bool:
    """Writes the columns that differ; True where one did. Raises FabricError where the schema refuses it."""
    row = row_of(ref)
    committed = row._data  # not row.column: that converts each value twice, and there are many
    columns = {**columns, "external_ids": {**columns.get("external_ids", {}), MARK: ref.key}}
    changed = committed is None
    for name, value in columns.items():
        if committed is not None and name in SHARED:
            others = {key: one for key, one in committed[name].as_list() if key not in SHARED[name]}
            value = {**others, **value}
        kind = row._table.columns[name].type
        refers = kind.key.ref_table is not None
        wanted = [row_of(one).uuid for one in value] if refers else value
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


def _link(row: Row, name: str, wanted: list[UUID], ours: Container[UUID]) -> bool:
    before = {uuid for uuid in row._data[name].as_list() if uuid in ours}
    return _send(row, name, before, set(wanted))


def _send(row: Row, name: str, before: set[UUID], after: set[UUID]) -> bool:
    """What came and went rather than all members: there may be thousands, and others may add theirs."""
    for new in after - before:
        row.addvalue(name, new)
    for gone in before - after:
        row.delvalue(name, gone)
    return before != after


def _as_is(value: object) -> object:
    return value
