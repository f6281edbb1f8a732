"""The comparison with the northbound database, on a private ovsdb-server; without root or packets."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator

import msgspec
import pytest

from pilvi.drivers.fabric.base import FabricError, Network, Topology
from pilvi.drivers.fabric.ovn import OvnNorthbound
from tests.support.ovsdb import Database, missing, northbound_database
from tests.system.netlab import EXTERNAL_NETWORK, OPEN, network, port, router, wait_for

pytestmark = pytest.mark.skipif(missing() is not None, reason=missing() or "")

WHOLE = Topology((network(1), EXTERNAL_NETWORK), (port(1, 11), port(1, 12)), (router(1),), (OPEN,))


@pytest.fixture
def database() -> Iterator[Database]:
    with northbound_database() as database:
        yield database


@pytest.fixture
def northbound(database: Database) -> Iterator[OvnNorthbound]:
    with contextlib.closing(database.northbound(timeout=5)) as northbound:
        yield northbound


def test_a_pass_with_nothing_to_do_sends_no_transaction(database: Database, northbound: OvnNorthbound):
    northbound.sync(WHOLE)
    written = database.file.stat().st_size  # the server's log: it grows with each transaction
    assert northbound.sync(WHOLE) == 0
    assert database.file.stat().st_size == written
    assert northbound.sync(Topology()) > 0
    assert database.file.stat().st_size > written, "the log tells"


def test_all_is_gone_with_the_last_object(database: Database, northbound: OvnNorthbound):
    northbound.sync(WHOLE)
    northbound.sync(Topology())
    for table in (
        "Logical_Switch",
        "Logical_Switch_Port",
        "Logical_Router",
        "Logical_Router_Port",
        "NAT",
    ):
        assert database.ctl("--bare", "--columns=_uuid", "list", table) == "", table
    for table in ("DHCP_Options", "DNS", "Gateway_Chassis", "Logical_Router_Static_Route"):
        assert database.ctl("--bare", "--columns=_uuid", "list", table) == "", table
    assert database.ctl("--bare", "--columns=name", "list", "Port_Group") == "pilvi_drop", "it is every cloud's"


def test_rows_of_others_are_left_alone(database: Database, northbound: OvnNorthbound):
    database.ctl("ls-add", "theirs", "--", "lsp-add", "theirs", "their-port", "--", "pg-add", "their_group")
    northbound.sync(WHOLE)
    database.ctl("lsp-add", "net1", "guest-of-theirs", "--", "pg-set-ports", "their_group", "p1-11")
    database.ctl("set", "Logical_Switch", "net1", "external_ids:theirs=1", "other_config:mcast_snoop=true")
    assert northbound.sync(WHOLE) == 0
    northbound.sync(Topology((network(1),), (port(1, 11),), (), (OPEN,)))
    assert "guest-of-theirs" in database.ctl("lsp-list", "net1")
    assert "p1-12" not in database.ctl("lsp-list", "net1")
    assert database.ctl("get", "Logical_Switch", "net1", "external_ids:theirs") == '"1"'
    assert database.ctl("get", "Logical_Switch", "net1", "other_config:mcast_snoop") == '"true"'
    northbound.sync(Topology())
    assert "theirs" in database.ctl("ls-list")
    assert "their-port" in database.ctl("lsp-list", "theirs")
    assert "their_group" in database.ctl("--bare", "--columns=name", "list", "Port_Group")


def test_what_others_did_to_our_rows_is_put_right(database: Database, northbound: OvnNorthbound):
    northbound.sync(WHOLE)
    database.ctl("lsp-set-addresses", "p1-11", "0a:00:00:00:01:66 10.0.1.66")
    database.ctl("lsp-del", "p1-12", "--", "lr-route-del", "r")
    assert northbound.sync(WHOLE) > 0
    assert "10.0.1.11" in database.ctl("lsp-get-addresses", "p1-11")
    assert "p1-12" in database.ctl("lsp-list", "net1")
    assert "172.24.4.1" in database.ctl("lr-route-list", "r")
    assert northbound.sync(WHOLE) == 0


def test_a_row_that_is_there_twice_is_there_once_again(database: Database, northbound: OvnNorthbound):
    northbound.sync(WHOLE)
    database.ctl("create", "Logical_Switch", "name=net1", "external_ids:pilvi=net1")
    assert northbound.sync(WHOLE) == 1
    assert len(database.ctl("--bare", "--columns=_uuid", "find", "Logical_Switch", "name=net1").split()) == 1


def test_the_servers_refusal_names_the_row_and_nothing_has_changed(
    database: Database, northbound: OvnNorthbound
):
    database.ctl("ls-add", "theirs", "--", "lsp-add", "theirs", "p1-12")
    before = Topology((network(1),), (port(1, 11),), (), (OPEN,))
    northbound.sync(before)
    with pytest.raises(FabricError, match=r"Logical_Switch_Port.*p1-12"):
        northbound.sync(WHOLE)
    assert northbound.sync(before) == 0


def test_a_value_that_the_schema_refuses_is_named(database: Database, northbound: OvnNorthbound):
    wrong = msgspec.structs.replace(WHOLE.networks[0], name=7)
    with pytest.raises(FabricError, match="Logical_Switch net1: external_ids cannot be"):
        northbound.sync(Topology((wrong,)))
    assert database.ctl("ls-list") == ""


def test_it_goes_on_after_the_server_was_restarted(database: Database, northbound: OvnNorthbound):
    northbound.sync(WHOLE)
    pid = database.daemon.pid()
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: database.daemon.pid() is None, "the server to die")
    with pytest.raises(FabricError, match=r"nb\.sock"):
        northbound.sync(Topology())
    database.daemon.start()
    assert northbound.sync(Topology((Network("other", "other", 1500),))) > 0
    assert "other" in database.ctl("ls-list")


def test_no_server_is_an_error_and_no_more(database: Database):
    database.daemon.stop()
    with contextlib.closing(database.northbound(timeout=2)) as northbound:
        with pytest.raises(FabricError, match=r"nb\.sock"):
            northbound.sync(WHOLE)
        with pytest.raises(FabricError, match=r"nb\.sock"):
            northbound.ports_up()
        database.daemon.start()
        assert northbound.sync(WHOLE) > 0


def test_two_clouds_in_one_process_have_their_own_databases(database: Database, northbound: OvnNorthbound):
    with northbound_database() as second, contextlib.closing(second.northbound()) as other:
        northbound.sync(WHOLE)
        other.sync(Topology())
        assert "net1" not in second.ctl("ls-list")
        assert other.sync(WHOLE) > 0
        assert northbound.sync(WHOLE) == 0


def test_a_database_made_anew_has_the_same_rows_again(database: Database, northbound: OvnNorthbound):
    northbound.sync(WHOLE)
    before, disturbances = _uuids(database), northbound.disturbances()
    os.kill(database.daemon.pid(), signal.SIGKILL)
    wait_for(lambda: database.daemon.pid() is None, "the server to die")
    database.file.unlink()
    database.create()
    database.daemon.start()
    wait_for(lambda: northbound.disturbances() > disturbances, "the loss to be noticed")
    assert _uuids(database) == []
    assert northbound.sync(WHOLE) > 0
    assert _uuids(database) == before
    assert northbound.sync(WHOLE) == 0


def _uuids(database: Database) -> list[str]:
    tables = ("Logical_Switch", "Logical_Switch_Port", "Logical_Router", "Port_Group", "ACL", "NAT")
    return sorted(uuid for one in tables for uuid in database.ctl("--bare", "--columns=_uuid", "list", one).split())


def test_only_what_others_do_is_a_disturbance(database: Database, northbound: OvnNorthbound):
    northbound.sync(WHOLE)
    before = northbound.disturbances()
    northbound.sync(Topology((network(1),), (port(1, 11),), (), (OPEN,)))
    database.ctl("ls-add", "theirs", "--", "lsp-add", "theirs", "their-port")
    database.ctl("set", "Logical_Switch_Port", "p1-11", "up=true")
    wait_for(lambda: northbound.ports_up() == {"p1-11"}, "the report")
    assert northbound.disturbances() == before
    database.ctl("lsp-del", "p1-11")
    wait_for(lambda: northbound.disturbances() > before, "the deletion to be noticed")


def test_a_row_without_its_mark_is_taken_back(database: Database, northbound: OvnNorthbound):
    northbound.sync(WHOLE)
    database.ctl("clear", "Logical_Switch", "net1", "external_ids")
    assert northbound.sync(WHOLE) > 0
    assert northbound.sync(WHOLE) == 0
    assert len(database.ctl("--bare", "--columns=_uuid", "find", "Logical_Switch", "name=net1").split()) == 1
