"""Every subcommand of `openstack` for compute, and those that several services share."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.conformance.commands.booting import booting
from tests.conformance.commands.shell import Shell

NO_SHARES = "servers use shares of a file share service (Manila), and this cloud has none"
NO_AGENTS = "the API of the guest agents' builds was taken out of Compute"


def compute(run: Shell, folder: Path) -> None:
    disk = folder / "guest.raw"
    disk.write_bytes(bytes(1 << 20))
    run(f"image create --public --disk-format raw --file {disk} guest")
    run("network create lab", user="pilvi")
    run("subnet create --network lab --subnet-range 10.9.0.0/24 lab", user="pilvi")
    common(run)
    flavors(run)
    keypairs(run, folder)
    hosts(run)
    lifecycle(run)
    changes(run)
    devices(run)
    moves(run)
    booting(run)
    run("keypair delete mine", user="pilvi")
    run("flavor delete c.tiny c.big")


def common(run: Shell) -> None:
    run("availability zone list --long")
    run("configuration show")
    run("extension list --network")
    run("extension show router")
    run("limits show --absolute", user="pilvi")
    run("quota set --instances 20 --cores 64 --ram 60000 pilvi")
    run("quota show pilvi")
    run("quota list --compute")
    run("quota delete --compute pilvi")
    run("versions show")
    run("cloud cache delete")
    run("project cleanup --dry-run --auth-project", user="pilvi")


def flavors(run: Shell) -> None:
    run("flavor create --vcpus 1 --ram 64 --disk 1 --property hw:cpu_policy=shared c.tiny")
    run("flavor create --vcpus 2 --ram 128 --disk 1 --private --project pilvi c.big")
    run("flavor list --all --long")
    run("flavor set --description Small --property hw:mem_page_size=small c.tiny")
    run("flavor show c.tiny")
    run("flavor unset --property hw:mem_page_size --property hw:cpu_policy c.tiny")


def keypairs(run: Shell, folder: Path) -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / "key"], check=True)
    run(f"keypair create --public-key {folder}/key.pub mine", user="pilvi")
    run("keypair list", user="pilvi")
    run("keypair show mine", user="pilvi")


def hosts(run: Shell) -> None:
    host = next(iter(run.json("hypervisor list")), "nothing")
    services = run.client.get("/compute/v2.1/os-services?binary=nova-compute")["services"]
    host = services[0]["host"] if services else host
    run("hypervisor list --long")
    run(f"hypervisor show {host}")
    run("--os-compute-api-version 2.87 hypervisor stats show")
    run("compute service list --long")
    run(f"compute service set --disable --disable-reason upkeep {host} nova-compute")
    run(f"compute service set --enable {host} nova-compute")
    run.refused(f"compute service delete {services[0]['id'] if services else 'x'}", "host",
                "a service is deleted when its host is gone: this one is alive")
    run("--os-compute-api-version 2.42 host list")
    run(f"--os-compute-api-version 2.42 host show {host}")
    run(f"--os-compute-api-version 2.42 host set --enable {host}")
    run("aggregate create --zone lab --property ssd=true fast")
    run(f"aggregate add host fast {host}")
    run("aggregate list --long")
    run("aggregate set --property ssd=false fast")
    run("aggregate show fast")
    run("aggregate unset --property ssd fast")
    run("aggregate cache image fast guest")
    run(f"aggregate remove host fast {host}")
    run("aggregate delete fast")
    for line in ("compute agent create linux x86_64 1 http://127.0.0.1/ abc kvm", "compute agent list",
                 "compute agent set --url http://127.0.0.1/ 1", "compute agent delete 1"):
        run.refused(line, "410", NO_AGENTS)


def lifecycle(run: Shell) -> None:
    run("server group create --policy anti-affinity apart", user="pilvi")
    run("server group list --long", user="pilvi")
    run("server group show apart", user="pilvi")
    run("server create --flavor c.tiny --image guest --network lab --key-name mine --property a=b --wait one", user="pilvi")
    run("server list --long", user="pilvi")
    run("server show one", user="pilvi")
    run("server set --property c=d --tag t --description First one", user="pilvi")
    run("server unset --property c --tag t --description one", user="pilvi")
    run("server stop one", user="pilvi")
    run.wait("server show one", "status", "SHUTOFF", user="pilvi")
    run("server start one", user="pilvi")
    run.wait("server show one", "status", "ACTIVE", user="pilvi")
    run("server reboot --hard --wait one", user="pilvi")
    run("server pause one", user="pilvi")
    run.wait("server show one", "status", "PAUSED", user="pilvi")
    run("server unpause one", user="pilvi")
    run.wait("server show one", "status", "ACTIVE", user="pilvi")
    run("server suspend one", user="pilvi")
    run.wait("server show one", "status", "SUSPENDED", user="pilvi")
    run("server resume one", user="pilvi")
    run.wait("server show one", "status", "ACTIVE", user="pilvi")
    run("server lock --reason mine one", user="pilvi")
    run("server unlock one", user="pilvi")
    events = run.json("server event list one", user="pilvi")
    assert events is not None
    request = run.client.get("/compute/v2.1/servers/detail?all_tenants=1&name=one")["servers"][0]["id"]
    actions = run.client.get(f"/compute/v2.1/servers/{request}/os-instance-actions")["instanceActions"]
    run(f"server event show one {actions[-1]['request_id']}", user="pilvi")
    run("console log show one", user="pilvi")
    token = run.json("console url show --novnc one", user="pilvi")["url"].partition("token%3D")[2]
    run(f"console connection show {token or run.json('console url show one', user='pilvi')['url'].partition('token=')[2]}")
    run("server dump create one", user="pilvi")


def changes(run: Shell) -> None:
    run("server rescue one", user="pilvi")
    run.wait("server show one", "status", "RESCUE", user="pilvi")
    run("server unrescue one", user="pilvi")
    run.wait("server show one", "status", "ACTIVE", user="pilvi")
    run("server image create --name picture --wait one", user="pilvi")
    run("server backup create --name backup --rotate 1 --wait one", user="pilvi")
    run("server rebuild --image guest --wait one", user="pilvi")
    run("server shelve --offload --wait one", user="pilvi")
    run("server unshelve --wait one", user="pilvi")
    for flavor, after in (("c.big", "confirm"), ("c.tiny", "revert")):
        run(f"server resize --flavor {flavor} --wait one", user="pilvi")
        run(f"server resize {after} one", user="pilvi")
        run.wait("server show one", "status", "ACTIVE", user="pilvi")


def devices(run: Shell) -> None:
    run("port create --network lab spare", user="pilvi")
    run("server add port one spare", user="pilvi")
    run("server remove port one spare", user="pilvi")
    run("network create side", user="pilvi")
    run("subnet create --network side --subnet-range 10.8.0.0/24 side", user="pilvi")
    run("server add network one side", user="pilvi")
    run("server remove network one side", user="pilvi")
    run("server add fixed ip --fixed-ip-address 10.8.0.20 one side", user="pilvi")
    run("--os-compute-api-version 2.43 server remove fixed ip one 10.8.0.20", user="pilvi")
    run("server remove network one side", user="pilvi")  # a port without an address would stand in a floating IP's way
    run("router create --external-gateway public way", user="pilvi")
    run("router add subnet way lab", user="pilvi")
    floating = run.json("floating ip create public", user="pilvi")["floating_ip_address"]
    run(f"server add floating ip one {floating}", user="pilvi")
    run("server ssh --public one -- -V", user="pilvi")
    run(f"server remove floating ip one {floating}", user="pilvi")
    run("security group create open", user="pilvi")
    run("server add security group one open", user="pilvi")
    run("server remove security group one open", user="pilvi")
    run("volume create --size 1 data", user="pilvi")
    run.wait("volume show data", "status", "available", user="pilvi")
    run("server add volume one data", user="pilvi")
    run("server volume list one", user="pilvi")
    run("server volume set --delete-on-termination one data", user="pilvi")
    run("server volume update --preserve-on-termination one data", user="pilvi")
    run("server remove volume one data", user="pilvi")
    run("server share list one", user="pilvi")
    for line in ("server add share one x", "server remove share one x", "server share show one x"):
        run.refused(line, "share", NO_SHARES, user="pilvi")


def moves(run: Shell) -> None:
    # An administrator names another project's server by its id.
    server = run.json("server show one", user="pilvi")["id"]
    for after in ("server migrate confirm", "server migrate revert", "server migration confirm", "server migration revert"):
        run(f"server migrate --wait {server}")
        run(f"{after} {server}")
        run.wait(f"server show {server}", "status", "ACTIVE")
    run(f"server migrate --live-migration --wait {server}")
    run(f"server migration list --server {server}")
    moved = run.client.get(f"/compute/v2.1/os-migrations?instance_uuid={server}")["migrations"]
    live = next((each["id"] for each in moved if each["migration_type"] == "live-migration"), 0)
    run.refused(f"server migration show {server} {live}", "", "only a migration that is under way is shown")
    run.refused(f"server migration abort {server} {live}", "", "this one is over")
    run.refused(f"server migration force complete {server} {live}", "", "this one is over")
    host = run.json(f"server show {server}")["OS-EXT-SRV-ATTR:host"]
    run(f"compute service set --down {host} nova-compute")
    run(f"server evacuate {server}")
    run.wait(f"server show {server}", "status", "SHUTOFF")  # from microversion 2.95 on it is not started there
    run(f"compute service set --up {host} nova-compute")
    run("server delete --wait one", user="pilvi")
    run.refused("server restore one", "one", "a deleted server is gone at once: there is nothing to restore", user="pilvi")
    run("server group delete apart", user="pilvi")
    run("usage list")
    run("usage show", user="pilvi")
