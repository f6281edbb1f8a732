"""What `openstack` says of servers that boot from volumes. It needs the flavor c.tiny, the image guest, the network lab."""

from __future__ import annotations

from tests.conformance.commands.shell import Shell


def booting(run: Shell) -> None:
    def create(what: str, name: str) -> None:
        run(f"server create --flavor c.tiny {what} --network lab --wait {name}", user="pilvi")

    create("--image guest --boot-from-volume 1", "made")
    run("server show made", user="pilvi")
    volume = run.json("server show made", user="pilvi")["volumes_attached"][0]["id"]
    run(f"--os-volume-api-version 3.66 volume snapshot create --volume {volume} moment", user="pilvi")
    run.wait("volume snapshot show moment", "status", "available", user="pilvi")
    create("--snapshot moment", "again")
    create("--image guest --block-device source_type=blank,destination_type=volume,volume_size=1,"
           "delete_on_termination=true,tag=scratch", "beside")
    run("server image create --name picture --wait made", user="pilvi")
    create("--image picture", "copy")
    run("server rebuild --image guest --reimage-boot-volume --wait made", user="pilvi")
    run("server shelve --wait made", user="pilvi")
    run("server unshelve --wait made", user="pilvi")
    run("server delete --wait made again beside copy", user="pilvi")
    run("image delete picture", user="pilvi")
    run(f"server create --flavor c.tiny --volume {volume} --network lab --wait last", user="pilvi")
    run("server delete --wait last", user="pilvi")
