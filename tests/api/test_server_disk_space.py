"""How much disk a server holds on its host: what its flavor says of root, ephemeral and swap, wherever it goes."""

from __future__ import annotations

from tests.support.cloud import simulated_cloud

SERVERS = "/compute/v2.1/servers"


def flavor(name: str, disk: int, ephemeral: int, swap: int) -> dict:
    return {"name": name, "id": name, "vcpus": 1, "ram": 64, "disk": disk, "swap": swap,
            "OS-FLV-EXT-DATA:ephemeral": ephemeral}


def test_ephemeral_and_swap_take_disk_on_every_host(tmp_path):
    with simulated_cloud(tmp_path, hosts=2, vcpus=8, memory_mib=8192, disk_gib=20) as cloud:
        admin, user, image = cloud.login("admin"), cloud.login(), cloud.image()
        for each in (flavor("small", 1, 2, 1025), flavor("large", 2, 3, 1), flavor("by-image", 0, 2, 2048),
                     flavor("no-extras", 1, 0, 0), flavor("too-much", 16, 4, 1)):
            admin.post("/compute/v2.1/flavors", {"flavor": each})

        def make(name: str) -> str:
            made = user.post(SERVERS, {"server": {"name": "s", "imageRef": image, "flavorRef": name,
                                                  "networks": "none"}})["server"]["id"]
            cloud.settle()
            return made

        def act(server: str, action: str, value=None) -> None:
            answer = user.request("POST", f"{SERVERS}/{server}/action", {action: value})
            assert answer.status in (202, 204), answer.body
            cloud.settle()

        def held(server: str) -> int:
            with cloud.cloud.db.read() as tx:
                return cloud.cloud.placement.allocations(tx, server).get("resources", {}).get("DISK_GB", 0)

        server = make("small")
        assert held(server) == 1 + 2 + 2, "swap is rounded up to whole GiB"
        act(server, "resize", {"flavorRef": "large"})
        assert held(server) == 2 + 3 + 1
        act(server, "revertResize")
        assert held(server) == 1 + 2 + 2
        act(server, "shelve")
        if user.get(f"{SERVERS}/{server}")["server"]["status"] == "SHELVED":
            act(server, "shelveOffload")
        assert held(server) == 0
        act(server, "unshelve")
        assert held(server) == 1 + 2 + 2

        other = make("by-image")
        assert held(other) == 1 + 2 + 2, "the root disk is as large as the image"
        act(other, "resize", {"flavorRef": "small"})
        assert held(other) == 1 + 2 + 2
        act(other, "confirmResize")
        smaller = user.request("POST", f"{SERVERS}/{other}/action", {"resize": {"flavorRef": "no-extras"}})
        assert (smaller.status, "ephemeral disk" in smaller.json()["badRequest"]["message"]) == (400, True)

        refused = user.get(f"{SERVERS}/{make('too-much')}")["server"]
        assert refused["status"] == "ERROR"
        assert "21 GiB of disk wanted" in refused["fault"]["message"]
