"""What is read of the switch's flows, and what is asked of it."""

from __future__ import annotations

from pilvi.drivers.fabric import ovs_guard

LINE = " cookie=0x50696c7669, duration=3.1s, table=0, n_packets=2, priority=65000,icmp6,in_port={},icmp_type=134"
DUMP = "".join(LINE.format(number) + " actions=drop\n" for number in (7, 12))


def test_the_ports_that_are_guarded():
    assert ovs_guard.present(DUMP) == {7, 12}
    assert ovs_guard.present("") == set()


def test_only_what_differs_is_changed():
    assert list(ovs_guard.changes({7, 12}, {7, 12})) == []
    added, deleted = ovs_guard.changes({7, 12}, {7, 13})
    assert added.startswith("add ")
    assert "in_port=13," in added
    assert added.endswith("actions=drop")
    assert deleted.startswith("delete_strict ")
    assert "in_port=12," in deleted
    assert "actions" not in deleted
