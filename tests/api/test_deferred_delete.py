"""Servers that are deleted for a while: hidden, restored, forced, and gone in the end."""

from __future__ import annotations

import pytest

from pilvi.compute.reconcilers_deferred import Reclaimed
from pilvi.engine.clock import SystemClock
from tests.support.cloud import simulated_cloud

SERVERS = "/compute/v2.1/servers"
INTERVAL = 3600


@pytest.fixture(scope="module")
def cloud(tmp_path_factory):
    with simulated_cloud(tmp_path_factory.mktemp("deferred"), reclaim_instance_interval=INTERVAL) as cloud:
        yield cloud


@pytest.fixture
def user(cloud):
    return cloud.login()


@pytest.fixture
def server(cloud, user):
    flavor = "42"
    made = user.post(SERVERS, {"server": {"name": "s", "imageRef": cloud.image(), "flavorRef": flavor,
                                          "networks": "none"}})["server"]["id"]
    cloud.settle()
    yield made
    user.request("POST", f"{SERVERS}/{made}/action", {"forceDelete": None})
    cloud.settle()


def delete(cloud, user, server: str) -> None:
    assert user.request("DELETE", f"{SERVERS}/{server}").status == 204
    cloud.settle()


def act(cloud, user, server: str, action: str, value=None):
    answer = user.request("POST", f"{SERVERS}/{server}/action", {action: value})
    cloud.settle()
    return answer


def status(user, server: str) -> str:
    answer = user.request("GET", f"{SERVERS}/{server}")
    return answer.json()["server"]["status"] if answer.status == 200 else str(answer.status)


def listed(user, query: str = "") -> list[str]:
    return [each["id"] for each in user.get(f"{SERVERS}{query}")["servers"]]


def used(user) -> tuple[int, int, int]:
    limits = user.get("/compute/v2.1/limits")["limits"]["absolute"]
    return limits["totalInstancesUsed"], limits["totalCoresUsed"], limits["totalRAMUsed"]


def test_it_is_hidden_and_counts_for_nothing_and_comes_back(cloud, user, server):
    before = used(user)
    delete(cloud, user, server)
    assert status(user, server) == "SOFT_DELETED"
    agent = cloud.cloud.site.agents[0]
    assert agent.hypervisor.state(server) == "off"
    assert (listed(user), listed(user, "?status=SOFT_DELETED")) == ([], [server])
    assert used(user) == (0, 0, 0)
    assert act(cloud, user, server, "os-start").status == 409
    delete(cloud, user, server)
    assert status(user, server) == "SOFT_DELETED"
    assert act(cloud, user, server, "restore").status == 202
    assert (status(user, server), agent.hypervisor.state(server), used(user)) == ("ACTIVE", "running", before)
    assert listed(user) == [server]
    assert act(cloud, user, server, "restore").status == 409
    actions = [each["action"] for each in user.get(f"{SERVERS}/{server}/os-instance-actions")["instanceActions"]]
    assert actions == ["restore", "delete", "create"]


def test_it_may_be_forced_and_only_its_own_may_restore_it(cloud, user, server):
    delete(cloud, user, server)
    stranger = cloud.new_user("stranger")
    assert act(cloud, stranger, server, "restore").status == 404
    assert act(cloud, user, server, "forceDelete").status == 202
    assert status(user, server) == "404"


def test_what_it_counted_for_has_to_fit_again(cloud, user, server):
    delete(cloud, user, server)
    admin = cloud.login("admin")
    quotas = f"/compute/v2.1/os-quota-sets/{user.project_id}"
    admin.ok("PUT", quotas, {"quota_set": {"instances": 0}})
    try:
        assert act(cloud, user, server, "restore").status == 403
        assert status(user, server) == "SOFT_DELETED"
    finally:
        admin.ok("DELETE", quotas)


def test_a_state_that_an_administrator_sets_brings_back_what_it_counts_for(cloud, user, server):
    before = used(user)
    delete(cloud, user, server)
    act(cloud, cloud.login("admin"), server, "os-resetState", {"state": "active"})
    assert (status(user, server), used(user)) == ("ACTIVE", before)


def test_a_locked_one_is_not_deleted(cloud, user, server):
    act(cloud, user, server, "lock")
    assert user.request("DELETE", f"{SERVERS}/{server}").status == 409
    act(cloud, user, server, "unlock")


def test_it_is_gone_when_its_time_is_up(cloud, user, server, monkeypatch):
    delete(cloud, user, server)
    reclaimed = Reclaimed(cloud.cloud.compute)
    assert reclaimed.reconcile() == "none is due"
    now = SystemClock.now
    monkeypatch.setattr(SystemClock, "now", lambda clock: now(clock) + (INTERVAL + 1) * 1_000_000)
    assert reclaimed.reconcile() == "1 servers are deleted for good"
    monkeypatch.undo()
    cloud.settle()
    assert status(user, server) == "404"


def test_a_resized_one_comes_back_with_its_question(cloud, user, server):
    assert act(cloud, user, server, "resize", {"flavorRef": "1"}).status == 202
    delete(cloud, user, server)
    act(cloud, user, server, "restore")
    assert status(user, server) == "VERIFY_RESIZE"
    assert act(cloud, user, server, "revertResize").status == 202
    assert status(user, server) == "ACTIVE"
