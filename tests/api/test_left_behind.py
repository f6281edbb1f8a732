"""What outlives its project is what the operator is told of, and nothing else."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from tests.support.cloud import simulated_cloud
from tests.support.postgresql import postgresql


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
def database(request):
    with ExitStack() as stack:
        yield stack.enter_context(postgresql()) if request.param == "postgresql" else ""


def test_what_is_left_of_a_project_that_is_gone(tmp_path, database):
    with simulated_cloud(tmp_path, database=database) as cloud:
        admin, user = cloud.login("admin"), cloud.login()
        gone = user.project_id
        network = cloud.network(user)
        user.post("/network/v2.0/ports", {"port": {"network_id": network}})
        user.post("/network/v2.0/security-groups", {"security_group": {"name": "web"}})
        user.post(f"/volume/v3/{gone}/volumes", {"volume": {"size": 1}})
        user.post("/image/v2/images", {"name": "mine", "disk_format": "raw", "container_format": "bare"})
        cloud.image()
        flavor = admin.post("/compute/v2.1/flavors", {"flavor": {"name": "f", "vcpus": 1, "ram": 64, "disk": 1}})
        image = admin.get("/image/v2/images?name=image")["images"][0]["id"]
        server = {"name": "s", "imageRef": image, "flavorRef": flavor["flavor"]["id"], "networks": [{"uuid": network}]}
        server_id = user.post("/compute/v2.1/servers", {"server": server})["server"]["id"]
        cloud.settle()
        assert admin.get("/pilvi/v1/status")["left_behind"] == []
        assert admin.request("DELETE", f"/identity/v3/projects/{gone}").status == 204
        kinds = {"images": 1, "networks": 1, "ports": 1, "security_groups": 1, "servers": 1, "volumes": 1}
        found = admin.get("/pilvi/v1/status")["left_behind"]
        assert found == [{"project_id": gone, "kind": kind, "count": count} for kind, count in kinds.items()]
        assert admin.request("DELETE", f"/compute/v2.1/servers/{server_id}").status == 204
        cloud.settle()
        assert "servers" not in {each["kind"] for each in admin.get("/pilvi/v1/status")["left_behind"]}
