"""Placement: what is claimed fits, is given once, and comes back; and its API, which only shows."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import falcon.testing
import pytest

from pilvi.faults import Conflict
from pilvi.placement.routes import API
from pilvi.placement.service import Placement
from tests.support.faces import SmallCloud
from tests.support.postgresql import postgresql

HOST = {"vcpus": 4, "memory_mib": 1024, "disk_gib": 100}
SMALL = {"vcpus": 1, "memory_mib": 256, "disk_gib": 1}


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
def cloud(request, tmp_path):
    with ExitStack() as stack:
        url = (
            stack.enter_context(postgresql())
            if request.param == "postgresql"
            else f"sqlite:///{tmp_path / 'db'}"
        )
        cloud = SmallCloud(url)
        cloud.create_tables()
        cloud.placement = Placement(cloud.db)
        yield cloud
        cloud.close()


def host(cloud, name="a", **values):
    with cloud.db.transaction() as tx:
        cloud.placement.ensure_host(tx, name, **{**HOST, **values})


def claim(cloud, consumer, hosts=("a",), **values):
    with cloud.db.transaction() as tx:
        return cloud.placement.claim(tx, consumer, hosts=hosts, **{**SMALL, **values})


def release(cloud, consumer):
    with cloud.db.transaction() as tx:
        cloud.placement.release(tx, consumer)


def used(cloud):
    with cloud.db.read() as tx:
        return {
            row["host"]: (row["vcpus_used"], row["memory_mib_used"], row["disk_gib_used"])
            for row in cloud.placement.usage(tx)
        }


def test_a_claim_is_held_until_it_is_released(cloud):
    host(cloud)
    assert claim(cloud, "one") == "a"
    assert used(cloud) == {"a": (1, 256, 1)}
    with cloud.db.read() as tx:
        assert cloud.placement.allocations(tx, "one") == {
            "host": "a",
            "resources": {"VCPU": 1, "MEMORY_MB": 256, "DISK_GB": 1},
        }
        assert cloud.placement.allocations(tx, "nobody") == {}
    for _ in range(2):
        release(cloud, "one")
        assert used(cloud) == {"a": (0, 0, 0)}


def test_capacity_is_what_is_not_reserved_times_the_ratio(cloud):
    host(cloud, cpu_ratio=2.0, reserved_memory_mib=512, memory_ratio=1.5)
    claim(cloud, "cpu", vcpus=8, memory_mib=0, disk_gib=0)
    claim(cloud, "memory", vcpus=0, memory_mib=768, disk_gib=0)
    with pytest.raises(Conflict) as refused:
        claim(cloud, "more")
    assert refused.value.message == (
        "No valid host was found. host a: 1 VCPUs wanted, 0 free; host a: 256 MiB of memory wanted, 0 free"
    )


def test_a_refused_claim_takes_nothing(cloud):
    host(cloud)
    with pytest.raises(Conflict, match=r"^No valid host was found\. host a: 5 VCPUs wanted, 4 free$"):
        claim(cloud, "one", vcpus=5)
    with pytest.raises(Conflict, match="host b: it has not said what it has"):
        claim(cloud, "one", ["b"])
    with pytest.raises(Conflict, match="There are no hosts"):
        claim(cloud, "one", [])
    assert used(cloud) == {"a": (0, 0, 0)}


def test_the_emptiest_host_is_taken_first_and_each_refusal_has_its_reason(cloud):
    host(cloud, "a")
    host(cloud, "b", memory_mib=512)
    assert [claim(cloud, f"{number}", ["a", "b"]) for number in range(6)].count("a") == 4
    with pytest.raises(Conflict) as refused:
        claim(cloud, "more", ["a", "b"])
    assert "host a: 1 VCPUs wanted, 0 free; host a: 256 MiB of memory wanted, 0 free" in refused.value.message
    assert "host b: 256 MiB of memory wanted, 0 free" in refused.value.message


def test_a_transaction_that_fails_claims_nothing(cloud):
    host(cloud)

    def fail():
        with cloud.db.transaction() as tx:
            cloud.placement.claim(tx, "one", hosts=["a"], **SMALL)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert used(cloud) == {"a": (0, 0, 0)}


def test_what_a_host_has_may_change_and_what_is_taken_stays(cloud):
    host(cloud)
    claim(cloud, "one", vcpus=4)
    (before,) = cloud.placement.providers()
    host(cloud)
    assert cloud.placement.providers()[0].generation == before.generation
    host(cloud, vcpus=2)
    assert cloud.placement.providers()[0].generation == before.generation + 1
    assert used(cloud) == {"a": (4, 256, 1)}
    with pytest.raises(Conflict, match="1 VCPUs wanted, 0 free"):
        claim(cloud, "two")
    assert claim(cloud, "three", vcpus=0) == "a"


def test_many_at_once_are_given_what_there_is_and_no_more(cloud):
    host(cloud, "a")
    host(cloud, "b")

    def one(number):
        try:
            return claim(cloud, f"{number}", ["a", "b"] if number % 2 else ["b", "a"])
        except Conflict:
            return None

    with ThreadPoolExecutor(8) as pool:
        given = list(pool.map(one, range(30)))
    assert (given.count("a"), given.count("b"), given.count(None)) == (4, 4, 22)
    assert used(cloud) == {"a": (4, 1024, 4), "b": (4, 1024, 4)}
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: release(cloud, f"{number}"), [*range(30)] * 2))
    assert used(cloud) == {"a": (0, 0, 0), "b": (0, 0, 0)}


def test_a_claim_costs_a_bounded_number_of_statements(cloud):
    for number in range(20):
        host(cloud, f"host-{number}")
    with cloud.db.counting() as seen:
        claim(cloud, "one", [f"host-{number}" for number in range(20)])
    assert len([each for each in seen if "advisory" not in each]) == 3


# -- the API


@pytest.fixture
def get(cloud):
    client = falcon.testing.TestClient(cloud.app(API))
    host(cloud, reserved_memory_mib=100)
    claim(cloud, "one")

    def get(path, role="admin", version="1.39"):
        headers = {"X-Auth-Token": f"user:project:{role}", "OpenStack-API-Version": f"placement {version}"}
        return client.simulate_get("/placement" + path, headers=headers)

    return get


def test_the_version_document_needs_no_token(get, cloud):
    answer = falcon.testing.TestClient(cloud.app(API)).simulate_get("/placement/")
    assert answer.status_code == 200
    assert [(each["id"], each["min_version"], each["max_version"]) for each in answer.json["versions"]] == [
        ("v1.0", "1.0", "1.39")
    ]


def test_only_administrators_look(get):
    assert get("/resource_providers", "member").status_code == 403
    assert get("/resource_providers", "").status_code == 401


def test_providers_and_what_they_hold(get):
    (shown,) = get("/resource_providers").json["resource_providers"]
    uuid = shown["uuid"]
    assert (shown["name"], shown["root_provider_uuid"], shown["parent_provider_uuid"]) == ("a", uuid, None)
    assert get(f"/resource_providers/{uuid}").json == shown
    assert "root_provider_uuid" not in get(f"/resource_providers/{uuid}", version="1.13").json
    assert get("/resource_providers?name=a").json == get(f"/resource_providers?uuid={uuid}").json
    assert get("/resource_providers?name=b").json == {"resource_providers": []}

    for query, there in {
        "in_tree=" + uuid: True,
        "in_tree=x": False,
        "resources=VCPU:3": True,
        "resources=VCPU:3,MEMORY_MB:700": False,
        "resources=CUSTOM:1": False,
        "required=HW_CPU": False,
        "required=!HW_CPU": True,
        "member_of=x": False,
    }.items():
        assert bool(get(f"/resource_providers?{query}").json["resource_providers"]) is there, query

    inventories = get(f"/resource_providers/{uuid}/inventories").json
    assert inventories["resource_provider_generation"] == shown["generation"]
    assert inventories["inventories"]["MEMORY_MB"] == {
        "total": 1024,
        "reserved": 100,
        "min_unit": 1,
        "max_unit": 1024,
        "step_size": 1,
        "allocation_ratio": 1.0,
    }
    assert get(f"/resource_providers/{uuid}/usages").json["usages"] == {
        "VCPU": 1,
        "MEMORY_MB": 256,
        "DISK_GB": 1,
    }
    resources = {"VCPU": 1, "MEMORY_MB": 256, "DISK_GB": 1}
    assert get(f"/resource_providers/{uuid}/allocations", version="1.27").json["allocations"] == {
        "one": {"resources": resources}
    }
    assert get("/allocations/one").json["allocations"][uuid]["resources"] == resources
    assert get("/allocations/two").json == {"allocations": {}}


def test_consumers_are_somebodys_and_have_generations(cloud, get):
    claim(cloud, "mine", project_id="p", user_id="u")
    assert get("/allocations/mine", version="1.11").json.keys() == {"allocations"}
    shown = get("/allocations/mine").json
    facts = {"project_id": "p", "user_id": "u", "consumer_generation": 1, "consumer_type": "INSTANCE"}
    assert {name: shown[name] for name in facts} == facts
    with cloud.db.transaction() as tx:
        cloud.placement.hand_over(tx, "mine", "moved")
    assert get("/allocations/moved").json["consumer_generation"] == 2
    (uuid,) = shown["allocations"]
    held = get(f"/resource_providers/{uuid}/allocations").json["allocations"]
    assert held["moved"]["consumer_generation"] == 2
    resources = {"VCPU": 1, "MEMORY_MB": 256, "DISK_GB": 1}
    assert get("/usages?project_id=p", version="1.37").json == {"usages": resources}
    assert get("/usages?project_id=p&user_id=x", version="1.37").json == {"usages": {}}
    assert get("/usages?project_id=p").json == {"usages": {"INSTANCE": {**resources, "consumer_count": 1}}}
    assert get("/usages?project_id=p&consumer_type=MIGRATION").json == {"usages": {}}
    assert get("/usages").status_code == 400


def test_where_something_would_fit(cloud, get):
    host(cloud, "b", vcpus=16)
    found = get("/allocation_candidates?resources=VCPU:2,MEMORY_MB:512").json
    names = {each["uuid"]: each["name"] for each in get("/resource_providers").json["resource_providers"]}
    (first, second) = (next(iter(each["allocations"])) for each in found["allocation_requests"])
    assert (names[first], names[second]) == ("b", "a"), "the emptiest first"
    assert found["allocation_requests"][0]["mappings"] == {"": [first]}
    assert found["provider_summaries"][first]["resources"]["VCPU"] == {"capacity": 16, "used": 0}
    (only,) = get("/allocation_candidates?resources=VCPU:8").json["allocation_requests"]
    assert list(only["allocations"]) == [first]
    assert get("/allocation_candidates?resources=VCPU:99").json["allocation_requests"] == []
    assert get("/allocation_candidates?resources=VCPU:1&required=HW_X").json["allocation_requests"] == []
    assert len(get("/allocation_candidates?resources=VCPU:1&limit=1").json["allocation_requests"]) == 1
    (old, _) = get("/allocation_candidates?resources=VCPU:1", version="1.10").json["allocation_requests"]
    assert old["allocations"][0]["resources"] == {"VCPU": 1}
    assert get("/allocation_candidates").status_code == 400


def test_classes_traits_and_aggregates(get):
    (shown,) = get("/resource_providers").json["resource_providers"]
    path = f"/resource_providers/{shown['uuid']}"
    assert [each["name"] for each in get("/resource_classes").json["resource_classes"]] == [
        "VCPU", "MEMORY_MB", "DISK_GB"]
    assert get("/resource_classes/VCPU").json["name"] == "VCPU"
    assert get(path + "/inventories/VCPU").json["total"] == 4
    assert get("/traits").json == {"traits": []}
    assert get(path + "/traits").json["traits"] == get(path + "/aggregates").json["aggregates"] == []
    for gone in ("/resource_classes/X", "/traits/X", path + "/inventories/X", "/resource_providers/x/traits"):
        assert get(gone).status_code == 404
    assert get("/traits", version="1.5").status_code == 404


def test_what_is_not_there_and_what_is_not_served(get):
    answer = get("/resource_providers/no-such")
    assert answer.status_code == 404
    assert answer.json["errors"][0]["detail"] == "No resource provider with uuid no-such found"
    assert get("/resource_providers", version="1.40").status_code == 406
    assert get("/resource_providers?colour=red").status_code == 400
    assert get("/resource_providers?in_tree=x", version="1.13").status_code == 400
    assert get("/resource_providers?resources=VCPU:-1").status_code == 400
