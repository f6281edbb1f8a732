"""What happened to a server, as os-instance-actions shows it: to whom, and since which microversion."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.cloud import Session, simulated_cloud

V21 = "/compute/v2.1"


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    with simulated_cloud(tmp_path_factory.mktemp("cloud")) as served:
        yield served


@pytest.fixture(scope="module")
def user(served) -> Session:
    return served.login()


@pytest.fixture(scope="module")
def server(served, user) -> str:
    """One that was made, stopped, and could not be started."""
    flavor = user.get(f"{V21}/flavors")["flavors"][0]["id"]
    body = {"server": {"name": "one", "flavorRef": flavor, "imageRef": served.image(), "networks": "none"}}
    server = user.post(f"{V21}/servers", body)["server"]["id"]
    served.settle()
    served.cloud.site.agents[0].hypervisor.fail("start", "no power", only=server)
    for action in ("os-stop", "os-start"):
        user.post(f"{V21}/servers/{server}/action", {action: None})
        served.settle()
    return server


def asked(session: Session, server: str, rest: str = "", version: str = "2.96", status: int = 200) -> Any:
    answer = session.request("GET", f"{V21}/servers/{server}/os-instance-actions{rest}",
                             headers={"OpenStack-API-Version": f"compute {version}"})
    assert answer.status == status, answer.body
    return answer.json()


def test_actions_are_listed_newest_first_and_in_pages(user, server):
    actions = asked(user, server)["instanceActions"]
    assert [each["action"] for each in actions] == ["start", "stop", "create"]
    assert [each["message"] for each in actions] == ["Error", None, None]
    assert "updated_at" not in asked(user, server, version="2.57")["instanceActions"][0]
    page = asked(user, server, "?limit=1")
    assert [each["action"] for each in page["instanceActions"]] == ["start"]
    assert page["links"][0]["rel"] == "next"
    rest = asked(user, server, page["links"][0]["href"].partition("os-instance-actions")[2])
    assert [each["action"] for each in rest["instanceActions"]] == ["stop"]
    since = actions[0]["updated_at"]
    later = asked(user, server, f"?changes-since={since}")["instanceActions"]
    assert [each["action"] for each in later] == ["start"]
    asked(user, server, f"?changes-before={since}", "2.65", 400)
    asked(user, server, f"?changes-since={since}&changes-before=2001-01-01T00:00:00", status=400)
    asked(user, server, "?changes-since=yesterday", status=400)
    asked(user, server, "?marker=nothing", status=400)
    asked(user, server, "/nothing", status=404)


def test_events_tell_users_what_and_administrators_why(served, user, server):
    admin = served.login("admin")
    request = asked(user, server)["instanceActions"][0]["request_id"]

    def events(session: Session, version: str) -> list[dict[str, Any]]:
        return asked(session, server, f"/{request}", version)["instanceAction"]["events"]

    assert "events" not in asked(user, server, f"/{request}", "2.50")["instanceAction"]
    plain = {"event", "start_time", "finish_time", "result"}
    assert events(user, "2.51")[0].keys() == plain
    assert events(user, "2.84")[0].keys() == plain | {"hostId"}
    assert events(admin, "2.1")[0].keys() == plain | {"traceback"}
    assert events(admin, "2.62")[0].keys() == plain | {"traceback", "hostId", "host"}
    failed = next(each for each in events(admin, "2.84") if each["result"] == "Error")
    assert failed.keys() == plain | {"traceback", "hostId", "host", "details"}
    assert "no power" in failed["details"]
    assert failed["host"] == "simulated-1"


def test_the_trail_outlives_the_server(served, user, server):
    user.ok("DELETE", f"{V21}/servers/{server}")
    served.settle()
    assert asked(user, server, version="2.21")["instanceActions"][0]["action"] == "delete"
    asked(user, server, version="2.20", status=404)
    asked(served.new_user("stranger"), server, status=404)


def test_locks_are_told_too(served, user):
    flavor = user.get(f"{V21}/flavors")["flavors"][0]["id"]
    body = {"server": {"name": "two", "flavorRef": flavor, "imageRef": served.image(), "networks": "none"}}
    server = user.post(f"{V21}/servers", body)["server"]["id"]
    for action in ("lock", "unlock"):
        assert user.request("POST", f"{V21}/servers/{server}/action", {action: None}).status == 202
    unlocked, locked = asked(user, server)["instanceActions"][:2]
    assert (unlocked["action"], locked["action"]) == ("unlock", "lock")
    (event,) = asked(user, server, f"/{locked['request_id']}")["instanceAction"]["events"]
    assert (event["event"], event["result"]) == ("api_lock", "Success")
