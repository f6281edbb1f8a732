"""Every subcommand of `openstack` for block storage."""

from __future__ import annotations

from pathlib import Path

from tests.conformance.commands.shell import Shell
from tests.conformance.commands.volume_cloud import NO_REPLICATION, keepers, manageable, refusals

ALICE = "pilvi"


def volume(run: Shell, folder: Path) -> None:
    types(run)
    qos(run)
    volumes(run, folder)
    snapshots(run)
    backups(run)
    transfers(run)
    attachments(run, folder)
    groups(run)
    messages(run)
    keepers(run)
    manageable(run)
    refusals(run)
    run("volume delete v.one", user=ALICE)
    run("volume type delete v.fast v.kept")


def types(run: Shell) -> None:
    run("volume type create --description Fast --property volume_backend_name=second v.fast")
    run("volume type create --private --project pilvi --encryption-provider luks --encryption-cipher aes-xts-plain64 "
        "--encryption-key-size 256 --encryption-control-location front-end v.kept")
    run("volume type list --long --encryption-type")
    run("volume type list --default", user=ALICE)
    run("volume type set --description Quick --property speed=high --encryption-key-size 512 v.kept")
    run("volume type show --encryption-type v.kept")
    run("volume type unset --property speed --project pilvi --encryption-type v.kept")
    run("volume type set --project pilvi v.kept")


def qos(run: Shell) -> None:
    run("volume qos create --consumer front-end --property total_iops_sec=100 v.slow")
    run("volume qos list")
    run("volume qos set --property total_bytes_sec=100000 v.slow")
    run("volume qos unset --property total_bytes_sec v.slow")
    run("volume qos associate v.slow v.kept")
    run("volume qos show v.slow")
    run("volume qos disassociate --volume-type v.kept v.slow")
    run("volume qos disassociate --all v.slow")
    run("volume qos delete v.slow")


def volumes(run: Shell, folder: Path) -> None:
    disk = folder / "volume.raw"
    disk.write_bytes(bytes(1 << 20))
    run(f"image create --disk-format raw --file {disk} v.image", user=ALICE)
    run("volume create --size 1 --description Mine --property shelf=3 v.one", user=ALICE)
    run("volume create --size 1 --image v.image --bootable v.disk", user=ALICE)
    run("volume create --size 1 --type v.fast --hint group=x v.far", user=ALICE)
    _available(run, "v.one", "v.disk", "v.far")
    run("volume create --source v.one v.copy", user=ALICE)
    _available(run, "v.copy")
    run("volume list --long --property shelf=3", user=ALICE)
    run(f"volume list --all-projects --project {ALICE} --status available")
    run("volume set --name v.one --description Ours --property shelf=4 --property box=1 v.one", user=ALICE)
    run("volume set --size 2 v.one", user=ALICE)
    _available(run, "v.one")
    run("volume set --bootable --read-only v.one", user=ALICE)
    run("volume set --non-bootable --read-write v.one", user=ALICE)
    run("volume set --image-property os_distro=tiny v.disk", user=ALICE)
    far, copy = (run.json(f"volume show {name}", user=ALICE)["id"] for name in ("v.far", "v.copy"))
    run(f"volume set --state error --detached {copy}")
    run(f"volume set --state available {copy}")
    run("volume unset --property box v.one", user=ALICE)
    run("volume unset --image-property os_distro v.disk", user=ALICE)
    run("volume show v.one", user=ALICE)
    run("volume summary", user=ALICE)
    run("volume summary --all-projects")
    run("volume set --type v.fast --retype-policy on-demand v.copy", user=ALICE)
    _available(run, "v.copy")
    run(f"volume delete --force {far} {copy}")
    run("volume delete v.disk", user=ALICE)
    run("image delete v.image", user=ALICE)


def snapshots(run: Shell) -> None:
    run("volume snapshot create --volume v.one --description Then --property hour=9 v.then", user=ALICE)
    run.wait("volume snapshot show v.then", "status", "available", user=ALICE)
    run("volume snapshot list --long --volume v.one", user=ALICE)
    run("volume snapshot list --all-projects --status available --name v.then")
    run("volume snapshot set --description Before --property day=1 v.then", user=ALICE)
    run(f"volume snapshot set --state available {run.json('volume snapshot show v.then', user=ALICE)['id']}")
    run("volume snapshot unset --property day v.then", user=ALICE)
    run("volume snapshot show v.then", user=ALICE)
    run("volume create --snapshot v.then --size 2 v.again", user=ALICE)
    run("volume revert v.then", user=ALICE)
    _available(run, "v.one", "v.again")
    run("volume delete v.again", user=ALICE)
    run("volume snapshot delete v.then", user=ALICE)


def backups(run: Shell) -> None:
    run("volume backup create --name v.spare --description Spare --property box=2 v.one", user=ALICE)
    run.wait("volume backup show v.spare", "status", "available", user=ALICE)
    run("volume backup create --incremental --name v.next v.one", user=ALICE)
    run.wait("volume backup show v.next", "status", "available", user=ALICE)
    run("volume backup list --long --volume v.one", user=ALICE)
    run("volume backup list --all-projects --status available")
    run("volume backup set --name v.spare --description Kept --property box=3 v.spare", user=ALICE)
    spare = run.json("volume backup show v.spare", user=ALICE)["id"]
    run(f"volume backup set --state available {spare}")
    run("volume backup unset --property box v.spare", user=ALICE)
    run("volume backup show v.spare", user=ALICE)
    run("volume backup restore v.spare v.back", user=ALICE)
    run.wait("volume backup show v.spare", "status", "available", user=ALICE)
    run("volume create --backup v.next --size 2 v.anew", user=ALICE)
    _available(run, "v.anew", "v.back")
    run("volume delete v.back v.anew", user=ALICE)
    run("volume backup delete v.next", user=ALICE)
    run.gone("volume backup show v.next", user=ALICE)
    record = run.json(f"volume backup record export {spare}")
    run.refused(f"volume backup record import {record['backup_service']} {record['backup_url']}", "not allowed",
                "the client posts to `backups/export_record`; the API imports at `backups/import_record`")
    run(f"volume backup delete {spare}", user=ALICE)


def transfers(run: Shell) -> None:
    run("volume create --size 1 v.given", user=ALICE)
    _available(run, "v.given")
    gift = run.json("volume transfer request create --name v.gift v.given", user=ALICE)
    run("volume transfer request list", user=ALICE)
    run("volume transfer request show v.gift", user=ALICE)
    run(f"volume transfer request delete {gift['id']}", user=ALICE)
    gift = run.json("volume transfer request create --no-snapshots v.given", user=ALICE)
    run(f"volume transfer request accept --auth-key {gift['auth_key']} {gift['id']}")
    run("volume delete v.given")


def attachments(run: Shell, folder: Path) -> None:
    disk = folder / "guest.raw"
    disk.write_bytes(bytes(1 << 20))
    run(f"image create --public --disk-format raw --file {disk} v.guest")
    run("flavor create --vcpus 1 --ram 64 --disk 1 v.tiny")
    run("server create --flavor v.tiny --image v.guest --nic none --wait v.server", user=ALICE)
    run("volume create --size 1 v.shelf", user=ALICE)
    _available(run, "v.shelf")
    made = run.json("volume attachment create --connect --initiator iqn.x --ip 127.0.0.1 --host there --mountpoint /dev/vdb "
                    "--server v.server v.shelf", user=ALICE)["ID"]
    run(f"volume attachment set --host there --ip 127.0.0.1 --initiator iqn.y {made}", user=ALICE)
    run(f"volume attachment complete {made}", user=ALICE)
    run(f"volume attachment show {made}", user=ALICE)
    run("volume attachment list --all-projects --status attached")
    run(f"volume attachment delete {made}", user=ALICE)
    _available(run, "v.shelf")
    run("volume delete v.shelf", user=ALICE)
    run("server delete --wait v.server", user=ALICE)
    run("flavor delete v.tiny")
    run("image delete v.guest")


def groups(run: Shell) -> None:
    run("volume group type create --description Together v.kind")
    run("volume group type list")
    run("volume group type set --property consistent_group_snapshot_enabled='<is> True' v.kind")
    run("volume group type show v.kind")
    run("volume group create --volume-group-type v.kind --volume-type v.fast --name v.group", user=ALICE)
    run.wait("volume group show v.group", "Status", "available", user=ALICE)
    run("volume create --size 1 --type v.fast v.member", user=ALICE)
    _available(run, "v.member")
    run("volume group add volume v.group v.member", user=ALICE)
    run.wait("volume group show v.group", "Status", "available", user=ALICE)
    run("volume group list", user=ALICE)
    run("volume group set --description Two v.group", user=ALICE)
    run("volume group show --volumes v.group", user=ALICE)
    run("volume group snapshot create --name v.moment v.group", user=ALICE)
    run.wait("volume group snapshot show v.moment", "Status", "available", user=ALICE)
    run("volume group snapshot list", user=ALICE)
    run("volume group snapshot show v.moment", user=ALICE)
    run("volume group create --group-snapshot v.moment --name v.other", user=ALICE)
    run.wait("volume group show v.other", "Status", "available", user=ALICE)
    run("volume group delete --force v.other", user=ALICE)
    run("volume group snapshot delete v.moment", user=ALICE)
    run.gone("volume group snapshot show v.moment", user=ALICE)
    run.refused("volume group failover --secondary-backend-id x v.group", "action", NO_REPLICATION, user=ALICE)
    run("volume group remove volume v.group v.member", user=ALICE)
    run.wait("volume group show v.group", "Status", "available", user=ALICE)
    run("volume group delete v.group", user=ALICE)
    run("volume delete v.member", user=ALICE)
    run.gone("volume group show v.group", user=ALICE)
    run("volume group type delete v.kind")


def messages(run: Shell) -> None:
    # What no backend can do leaves a message.
    run("volume type create --property volume_backend_name=nowhere v.lost")
    run("volume create --size 1 --type v.lost v.none", user=ALICE)
    run.wait("volume show v.none", "status", "error", user=ALICE)
    left = next(iter(run.json("--os-volume-api-version 3.3 volume message list", user=ALICE)), "nothing")
    run(f"--os-volume-api-version 3.3 volume message show {left}", user=ALICE)
    run(f"--os-volume-api-version 3.3 volume message delete {left}", user=ALICE)
    run("volume delete v.none", user=ALICE)
    run("volume type delete v.lost")


def _available(run: Shell, *names: str) -> None:
    for name in names:
        run.wait(f"volume show {name}", "status", "available", user=ALICE)
