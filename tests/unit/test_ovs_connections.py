"""What is taken for a connection that has lost its way."""

from __future__ import annotations

from pilvi.drivers.fabric.ovs_connections import stale

DUMP = """\
tcp,orig=(src=172.24.4.1,dst=172.24.4.100,sport=33662,dport=80),reply=(src=10.0.1.11,dst=172.24.4.1,sport=80,dport=33662),zone=1,protoinfo=(state=ESTABLISHED)
tcp,orig=(src=172.24.4.1,dst=172.24.4.100,sport=33663,dport=80),reply=(src=10.0.1.11,dst=172.24.4.1,sport=80,dport=33663),zone=1,protoinfo=(state=SYN_SENT)
icmp,orig=(src=172.24.4.1,dst=172.24.4.100,id=12009,type=8,code=0),reply=(src=10.0.1.12,dst=172.24.4.1,id=12009,type=0,code=0),zone=1
udp,orig=(src=10.0.1.11,dst=172.24.4.1,sport=5,dport=53),reply=(src=172.24.4.1,dst=172.24.4.100,sport=53,dport=5),zone=1
tcp,orig=(src=172.24.4.1,dst=10.0.1.11,sport=33662,dport=80),reply=(src=10.0.1.11,dst=172.24.4.1,sport=80,dport=33662),zone=9,protoinfo=(state=ESTABLISHED)
tcp,orig=(src=172.24.4.1,dst=172.24.4.100,sport=1,dport=80),reply=(src=172.24.4.100,dst=172.24.4.1,sport=80,dport=1),zone=7
tcp,orig=(src=10.0.1.13,dst=172.24.4.1,sport=2,dport=80),reply=(src=172.24.4.1,dst=172.24.4.2,sport=80,dport=2),zone=1
"""
IN_OLD = ("1", ("ct_nw_dst=172.24.4.100", "ct_nw_src=10.0.1.11"))
IN_NEW = ("1", ("ct_nw_dst=172.24.4.100", "ct_nw_src=10.0.1.12"))
OUT_OLD = ("1", ("ct_nw_src=10.0.1.11", "ct_nw_dst=172.24.4.100"))


def test_connections_with_another_guest_are_stale():
    assert stale(DUMP, {"172.24.4.100": "10.0.1.12"}) == [IN_OLD, OUT_OLD]
    assert stale(DUMP, {"172.24.4.100": "10.0.1.11"}) == [IN_NEW]
    assert stale(DUMP, {"172.24.4.100": None}) == [IN_OLD, IN_NEW, OUT_OLD]


def test_what_is_not_a_floating_address_s_is_left_alone():
    assert stale(DUMP, {}) == []
    assert stale(DUMP, {"172.24.4.99": "10.0.1.13"}) == []
    assert stale("", {"172.24.4.100": None}) == []
