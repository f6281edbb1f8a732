"""Volumes of servers over HTTP."""

from __future__ import annotations

import pytest

from tests.api.test_volume import call, make, show, status
from tests.support.cloud import simulated_cloud

SERVERS = "/compute/v2.1/servers"


@pytest.fixture(scope="module")
def cloud(tmp_path_factory):
    with simulated_cloud(tmp_path_factory.mktemp("cloud")) as served:
        served.image_id = served.image()
        yield served


@pytest.fixture
def member(cloud, request):
    return cloud.new_user(f"user-{request.node.name}"[:60])


@pytest.fixture
def server(cloud, member):
    network = cloud.network(member)
    flavor = member.get("/compute/v2.1/flavors")["flavors"][0]["id"]
    made = member.post(SERVERS, {"server": {"name": "s", "imageRef": cloud.image_id, "flavorRef": flavor,
                                            "networks": [{"uuid": network}]}})["server"]["id"]
    cloud.settle()
    return made


@pytest.fixture
def hypervisor(cloud):
    found = cloud.cloud.site.agents[0].hypervisor
    yield found
    found.heal()


def attach(cloud, member, server, volume, **more):
    body = {"volumeAttachment": {"volumeId": volume, **more}}
    answer = member.request("POST", f"{SERVERS}/{server}/os-volume_attachments", body)
    cloud.settle()
    return answer


def disks(hypervisor, server):
    return [each.name for each in hypervisor._alive(server).guest.disks]


def test_attached_shown_and_detached(cloud, member, server, hypervisor):
    volume = make(cloud, member, size=1)
    answer = attach(cloud, member, server, volume, device="/dev/vdc", tag="data", delete_on_termination=True)
    assert answer.status == 200
    assert answer.json()["volumeAttachment"]["device"] == "/dev/vdc"
    assert f"vol-{volume}" in disks(hypervisor, server)
    found = show(member, f"/volumes/{volume}")
    (used,) = found["attachments"]
    assert (found["status"], used["server_id"], used["device"]) == ("in-use", server, "/dev/vdc")
    base = f"{SERVERS}/{server}/os-volume_attachments"
    (entry,) = member.get(base)["volumeAttachments"]
    assert (entry["volumeId"], entry["tag"], entry["delete_on_termination"]) == (volume, "data", True)
    assert member.get(f"{base}/{volume}")["volumeAttachment"] == entry
    shown = member.get(f"{SERVERS}/{server}")["server"]["os-extended-volumes:volumes_attached"]
    assert shown == [{"id": volume, "delete_on_termination": True}]
    assert member.request("DELETE", f"{base}/{volume}").status == 202
    cloud.settle()
    assert status(member, volume) == "available"
    assert member.get(base) == {"volumeAttachments": []}
    assert f"vol-{volume}" not in disks(hypervisor, server)
    assert member.request("DELETE", f"{base}/{volume}").status == 404


def test_what_is_in_use_is_not_taken_away(cloud, member, server):
    volume = make(cloud, member, size=1)
    attach(cloud, member, server, volume)
    assert attach(cloud, member, server, volume).status == 400
    assert call(member, "DELETE", f"/volumes/{volume}").status == 400
    attachment = show(member, f"/volumes/{volume}")["attachments"][0]["attachment_id"]
    assert call(member, "DELETE", f"/attachments/{attachment}").status == 409
    assert call(member, "POST", f"/volumes/{volume}/action", {"os-detach": {}}).status == 409
    other = make(cloud, member, size=1)
    assert attach(cloud, member, server, other, device="/dev/vdb").status == 400
    assert status(member, other) == "available"


def test_what_is_not_there(cloud, member, server):
    assert attach(cloud, member, server, "00000000-0000-4000-8000-000000000000").status == 404
    assert attach(cloud, member, server, "no").status == 400
    volume = make(cloud, member, size=1)
    assert attach(cloud, member, server, volume, colour="red").status == 400
    other = cloud.login()
    assert other.request("POST", f"{SERVERS}/{server}/os-volume_attachments",
                         {"volumeAttachment": {"volumeId": volume}}).status == 404


def test_a_server_that_goes_gives_its_volumes_back(cloud, member, server):
    kept, gone = make(cloud, member, size=1), make(cloud, member, size=1)
    attach(cloud, member, server, kept)
    attach(cloud, member, server, gone)
    base = f"{SERVERS}/{server}/os-volume_attachments"
    body = {"volumeAttachment": {"volumeId": gone, "delete_on_termination": True}}
    assert member.request("PUT", f"{base}/{gone}", body).status == 202
    assert member.request("DELETE", f"{SERVERS}/{server}").status == 204
    cloud.settle()
    assert status(member, kept) == "available"
    assert call(member, "GET", f"/volumes/{gone}").status == 404


def test_a_volume_that_cannot_be_plugged_is_free_again(cloud, member, server, hypervisor):
    volume = make(cloud, member, size=1)
    hypervisor.fail("attach_disk", "no room", None)
    attach(cloud, member, server, volume)
    assert status(member, volume) == "available"
    assert member.get(f"{SERVERS}/{server}/os-volume_attachments") == {"volumeAttachments": []}


def test_one_that_a_stopped_server_gets_is_there_when_it_is_started(cloud, member, server, hypervisor):
    member.post(f"{SERVERS}/{server}/action", {"os-stop": None})
    cloud.settle()
    volume = make(cloud, member, size=1)
    attach(cloud, member, server, volume)
    assert status(member, volume) == "in-use"
    member.post(f"{SERVERS}/{server}/action", {"os-start": None})
    cloud.settle()
    assert f"vol-{volume}" in disks(hypervisor, server)


def test_snapshots_and_growth_while_it_is_in_use(cloud, member, server):
    volume = make(cloud, member, size=1)
    attach(cloud, member, server, volume)
    assert call(member, "POST", "/snapshots", {"snapshot": {"volume_id": volume}}, "3.65").status == 400
    snapshot = make(cloud, member, "/snapshots", "snapshot", version="3.65", volume_id=volume, force=True)
    assert show(member, f"/snapshots/{snapshot}")["status"] == "available"
    assert call(member, "POST", f"/volumes/{volume}/action", {"os-extend": {"new_size": 2}}, "3.41").status == 400
    assert call(member, "POST", f"/volumes/{volume}/action", {"os-extend": {"new_size": 2}}).status == 202
    cloud.settle()
    assert (show(member, f"/volumes/{volume}")["size"], status(member, volume)) == (2, "in-use")
    assert cloud.cloud.site.volumes.info(volume).size_bytes == 2 << 30


def actions(member, server):
    """The server's actions, by their names, newest first: each with its events."""
    base = f"{SERVERS}/{server}/os-instance-actions"
    return {each["action"]: member.get(f"{base}/{each['request_id']}")["instanceAction"]
            for each in reversed(member.get(base)["instanceActions"])}


def test_what_grew_is_an_action_of_the_server(cloud, member, server, hypervisor):
    volume = make(cloud, member, size=1)
    attach(cloud, member, server, volume)
    call(member, "POST", f"/volumes/{volume}/action", {"os-extend": {"new_size": 2}})
    cloud.settle()
    (event,) = actions(member, server)["extend_volume"]["events"]
    assert (event["event"], event["result"]) == ("compute_extend_volume", "Success")


def event(cloud, server, tag):
    body = {"events": [{"name": "volume-extended", "server_uuid": server, "status": "completed", **tag}]}
    answer = cloud.login("admin").request("POST", "/compute/v2.1/os-server-external-events", body)
    cloud.settle()
    return answer.json()["events"][0]["code"] if answer.status != 404 else 404


def test_told_that_a_volume_grew(cloud, member, server):
    volume = make(cloud, member, size=1)
    attach(cloud, member, server, volume)
    assert event(cloud, server, {"tag": volume}) == 200
    assert "extend_volume" in actions(member, server)
    assert event(cloud, server, {}) == 404


def test_one_volume_is_not_exchanged_for_another(cloud, member, server):
    volume, other = make(cloud, member, size=1), make(cloud, member, size=1)
    attach(cloud, member, server, volume)
    at, body = f"{SERVERS}/{server}/os-volume_attachments/{volume}", {"volumeAttachment": {"volumeId": other}}
    assert member.request("PUT", at, body).status == 403
    assert cloud.login("admin").request("PUT", at, body).status == 409
    assert (status(member, volume), status(member, other)) == ("in-use", "available")
    assert cloud.login("admin").request("PUT", at.replace(volume, other), body).status == 400
    assert cloud.login("admin").request("PUT", at.replace(volume, other),
                               {"volumeAttachment": {"volumeId": volume}}).status == 404


def act(cloud, member, server, action):
    member.post(f"{SERVERS}/{server}/action", {action: None})
    cloud.settle()


@pytest.mark.parametrize(("action", "back"), [("pause", "unpause"), ("shelve", "unshelve"), ("stop", "os-start")])
def test_at_rest_given_and_taken(cloud, member, server, hypervisor, action, back):
    gone, kept = make(cloud, member, size=1), make(cloud, member, size=1)
    act(cloud, member, server, "os-stop" if action == "stop" else action)
    for volume in (gone, kept):
        assert attach(cloud, member, server, volume).status == 200
        assert status(member, volume) == "in-use"
    assert member.request("DELETE", f"{SERVERS}/{server}/os-volume_attachments/{gone}").status == 202
    cloud.settle()
    assert status(member, gone) == "available"
    act(cloud, member, server, back)
    assert [each for each in disks(hypervisor, server) if each.startswith("vol-")] == [f"vol-{kept}"]


def test_a_suspended_server_knows_its_disks(cloud, member, server):
    volume = make(cloud, member, size=1)
    act(cloud, member, server, "suspend")
    assert attach(cloud, member, server, volume).status == 409
    assert status(member, volume) == "available"


def test_a_guest_that_cannot_write_elsewhere_has_no_snapshot(cloud, member, server, hypervisor):
    volume = make(cloud, member, size=1)
    attach(cloud, member, server, volume)
    hypervisor.fail("redirect_disk", "no", None)
    snapshot = make(cloud, member, "/snapshots", "snapshot", volume_id=volume)
    assert show(member, f"/snapshots/{snapshot}")["status"] == "error"
    assert (status(member, volume), cloud.cloud.site.volumes.snapshot(snapshot)) == ("in-use", None)
