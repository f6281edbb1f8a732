"""What `openstack` says of block storage's services and backends, and what it is refused."""

from __future__ import annotations

from tests.conformance.commands.shell import Shell

ALICE = "pilvi"
NO_CLUSTERS = "services of one cluster share their backends; here each backend has one service"
NO_REPLICATION = "a backend is not replicated, and has nothing to fail over to"
NO_LOG_LEVELS = "the log's level is a setting of the whole cloud's, not of one of Volume's services"
GROUPS_INSTEAD = "consistency groups gave way to groups: `volume group`"


def keepers(run: Shell) -> None:
    pools = list(run.json("volume backend pool list --long"))
    first, second = (pools * 2)[:2]
    host = first.partition("#")[0]
    run("volume service list --long")
    run("volume service list --service cinder-volume")
    run(f"volume service set --disable --disable-reason upkeep {host} cinder-volume")
    run(f"volume service set --enable {host} cinder-volume")
    run(f"volume host set --disable {host}")
    run(f"volume host set --enable {host}")
    run(f"volume backend capability show {host}")
    run.refused(f"block storage cleanup --host {host} --binary cinder-volume --cluster x --down", "not allowed",
                "the client puts to `workers/cleanup`, which the API has a POST for")
    run("block storage cluster list --long")
    run("block storage resource filter list")
    run("block storage resource filter show volume")
    volume = run.json("volume show v.one", user=ALICE)["id"]
    there = run.json(f"volume show {volume}")["os-vol-host-attr:host"]
    other = second if there == first else first
    run(f"volume migrate --host {other} {volume}")
    run.wait(f"volume show {volume}", "os-vol-host-attr:host", other)
    run.wait(f"volume show {volume}", "status", "available")


def manageable(run: Shell) -> None:
    pool = next(iter(run.json("volume backend pool list")), "nothing")
    run(f"--os-volume-api-version 3.8 block storage volume manageable list --long {pool}")
    run(f"--os-volume-api-version 3.8 block storage snapshot manageable list --long {pool}")


def refusals(run: Shell) -> None:
    for why, fault, user, lines in ABSENT:
        for line in lines:
            run.refused(line, fault, why, user=user)


ABSENT = (
    (NO_CLUSTERS, "found", "admin", (
        "--os-volume-api-version 3.7 block storage cluster set --enable x", "block storage cluster show x")),
    (NO_REPLICATION, "replication", "admin", ("--os-volume-api-version 3.26 volume host failover --volume-backend x x",)),
    (NO_LOG_LEVELS, "whole cloud", "admin", ("block storage log level list", "block storage log level set DEBUG")),
    (GROUPS_INSTEAD, "found", ALICE, (
        "consistency group create --volume-type v.fast x", "consistency group list", "consistency group show x",
        "consistency group set --name y x", "consistency group delete x", "consistency group add volume x v.one",
        "consistency group remove volume x v.one", "consistency group snapshot create --consistency-group x y",
        "consistency group snapshot list", "consistency group snapshot show x", "consistency group snapshot delete x")),
)
