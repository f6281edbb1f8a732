"""Every subcommand of `openstack` for images."""

from __future__ import annotations

from pathlib import Path

from tests.conformance.commands.shell import Shell


def image(run: Shell, folder: Path) -> None:
    disk = folder / "disk.raw"
    disk.write_bytes(b"a disk" * 1000)
    run(f"image create --disk-format raw --file {disk} --property os_distro=tiny --tag x mine", user="pilvi")
    run("image list --long", user="pilvi")
    run("image set --property hw_vif_model=virtio --min-ram 64 --tag y mine", user="pilvi")
    run("image unset --tag y --property os_distro mine", user="pilvi")
    run("image show mine", user="pilvi")
    run(f"image save --file {folder}/copy mine", user="pilvi")
    admin = run.json("project show admin")["id"]
    run(f"image add project mine {admin}", user="pilvi")
    run("image list --member-status all --shared")
    run(f"image set --accept {run.json('image show mine', user='pilvi')['id']}")
    run(f"image member get mine {admin}", user="pilvi")
    run("image member list mine", user="pilvi")
    run(f"image remove project mine {admin}", user="pilvi")
    run("image import info", user="pilvi")
    run("image stores list", user="pilvi")
    run("image create --disk-format raw --container-format bare staged", user="pilvi")
    run(f"image stage --file {disk} staged", user="pilvi")
    run("image import --method glance-direct --wait staged", user="pilvi")
    tasks = run.json("image task list")
    run(f"image task show {next(iter(tasks), 'nothing')}")
    run("cached image queue mine")
    run("cached image list")
    run("cached image delete mine")
    run("cached image clear")
    metadefs(run)
    run("image delete mine staged", user="pilvi")


def metadefs(run: Shell) -> None:
    run("image metadef namespace create --description Clocks --public Lab::Clocks")
    run("image metadef namespace list")
    run("image metadef namespace set --display-name 'The clocks' Lab::Clocks")
    run("image metadef namespace show Lab::Clocks")
    run("image metadef object create --namespace Lab::Clocks clock")
    run("image metadef object list Lab::Clocks")
    run("image metadef object update --name watch Lab::Clocks clock")
    run("image metadef object show Lab::Clocks watch")
    run("image metadef object delete Lab::Clocks watch")
    # The client shows an object's property and cannot make one.
    run.client.post("/image/v2/metadefs/namespaces/Lab::Clocks/objects", {
        "name": "dial", "properties": {"hands": {"title": "Hands", "type": "integer"}}})
    run("image metadef object property show Lab::Clocks dial hands")
    run("image metadef property create --name ticks --title Ticks --type integer --schema '{\"minimum\": 1}' Lab::Clocks")
    run("image metadef property list Lab::Clocks")
    run("image metadef property set --title 'Ticks a second' Lab::Clocks ticks")
    run("image metadef property show Lab::Clocks ticks")
    run("image metadef property delete Lab::Clocks ticks")
    run("image metadef resource type list")
    run("image metadef resource type association create Lab::Clocks OS::Glance::Image")
    run("image metadef resource type association list Lab::Clocks")
    run("image metadef resource type association delete Lab::Clocks OS::Glance::Image")
    run("image metadef namespace unset --all-tags Lab::Clocks")
    run("image metadef namespace delete Lab::Clocks")
