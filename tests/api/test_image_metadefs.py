"""Metadata definitions of the Image API, over HTTP."""

from __future__ import annotations

import pytest

from tests.support import images
from tests.support.images import ADMIN, ALICE, BOB, Client

ALL = "/v2/metadefs/namespaces"
SPEED = {"title": "Speed", "type": "integer", "minimum": 1, "enum": [1, 2]}


@pytest.fixture
def cloud(tmp_path):
    with images.image_cloud(tmp_path) as cloud:
        cloud.image.bootstrap()
        cloud.image.bootstrap()
        yield cloud


@pytest.fixture
def client(cloud):
    return Client(cloud)


def make(client, name="ns", **values):
    return client("POST", ALL, ADMIN, 201, json={"namespace": name, **values}).json


def test_a_namespace_is_made_with_all_that_is_in_it(client):
    made = make(client, display_name="Name", visibility="public", tags=[{"name": "t"}],
                resource_type_associations=[{"name": "OS::Nova::Flavor", "prefix": "hw:"}],
                properties={"speed": SPEED}, objects=[{"name": "o", "required": ["p"], "properties": {"p": SPEED}}])
    assert (made["namespace"], made["owner"], made["protected"]) == ("ns", "admin", False)
    assert made["properties"] == {"speed": SPEED}
    assert [each["name"] for each in made["tags"]] == ["t"]
    assert client("GET", made["self"], ALICE, 200).json == made
    shown = client("GET", made["self"] + "?resource_type=OS::Nova::Flavor", ALICE, 200).json
    assert shown["properties"] == {"hw:speed": SPEED}
    assert (shown["objects"][0]["required"], list(shown["objects"][0]["properties"])) == (["hw:p"], ["hw:p"])
    client("DELETE", made["self"], ALICE, 403)
    client("DELETE", made["self"], ADMIN, 204)
    client("GET", made["self"], ADMIN, 404)


def test_namespaces_are_changed_and_kept_from_deletion(client):
    made = make(client, protected=True)
    client("GET", made["self"], BOB, 404)
    client("DELETE", made["self"], ADMIN, 403)
    changed = client("PUT", made["self"], ADMIN, 200, json={"namespace": "new", "protected": False,
                                                            "visibility": "public", "description": "x"}).json
    assert (changed["namespace"], changed["protected"], changed["description"]) == ("new", False, "x")
    client("GET", f"{ALL}/new", BOB, 200)
    make(client, "other")
    client("PUT", f"{ALL}/new", ADMIN, 409, json={"namespace": "other"})
    client("POST", ALL, ADMIN, 409, json={"namespace": "new"})
    for wrong in ({"namespace": "x" * 81}, {"namespace": ""}, {}, {"namespace": "x", "visibility": "all"},
                  {"namespace": "x", "properties": {"p": {"title": "no type"}}}):
        client("POST", ALL, ADMIN, 400, json=wrong)
    client("POST", ALL, ALICE, 403, json={"namespace": "mine"})


def test_namespaces_are_listed_in_pages(client, cloud):
    for number in range(5):
        make(client, f"n{number}", visibility="public" if number % 2 else "private",
             resource_type_associations=[{"name": "OS::Nova::Flavor"}] if number > 2 else [])
    found, path = [], ALL + "?limit=2&sort_key=namespace&sort_dir=asc"
    while path:
        answer = client("GET", path, ADMIN, 200).json
        found += [each["namespace"] for each in answer["namespaces"]]
        path = answer.get("next")
    assert found == ["n0", "n1", "n2", "n3", "n4"]

    def names(query, token=ADMIN):
        answer = client("GET", f"{ALL}?sort_key=namespace&sort_dir=asc&{query}", token, 200).json
        return [each["namespace"] for each in answer["namespaces"]]

    assert names("", ALICE) == ["n1", "n3"]
    assert names("visibility=private") == ["n0", "n2", "n4"]
    assert names("resource_types=OS::Nova::Flavor,x") == ["n3", "n4"]
    for query, status in (("sort_key=x", 400), ("sort_dir=x", 400), ("limit=-1", 400), ("visibility=x", 400),
                          ("marker=x", 404)):
        client("GET", f"{ALL}?{query}", ADMIN, status)
    with cloud.db.counting() as seen:
        client("GET", ALL, ADMIN, 200)
    assert len([statement for statement in seen if "metadef" in statement]) == 2


@pytest.mark.parametrize(("path", "form", "more"), [
    ("objects", {}, {"description": "d", "required": ["p"], "properties": {"p": SPEED}}),
    ("properties", SPEED, {**SPEED, "title": "Pace"}),
    ("tags", None, {}),
])
def test_definitions_are_made_shown_changed_and_deleted(client, path, form, more):
    where = make(client)["self"] + "/" + path
    if form is None:
        made = client("POST", where + "/a", ADMIN, 201).json
        client("POST", where + "/a", ADMIN, 409)
    else:
        made = client("POST", where, ADMIN, 201, json={"name": "a", **form}).json
        client("POST", where, ADMIN, 409, json={"name": "a", **form})
        client("POST", where, ADMIN, 201, json={"name": "b", **form})
        client("PUT", where + "/a", ADMIN, 409, json={"name": "b", **form})
    assert made["name"] == "a"
    assert client("GET", where + "/a", ADMIN, 200).json == made
    changed = client("PUT", where + "/a", ADMIN, 200, json={"name": "c", **more}).json
    assert {name: changed[name] for name in more} == more
    found = client("GET", where, ADMIN, 200).json[path]
    assert "c" in (found if path == "properties" else [each["name"] for each in found])
    client("GET", where + "/a", ADMIN, 404)
    client("PUT", where + "/a", ADMIN, 404, json={"name": "a", **more})
    client("DELETE", where + "/a", ADMIN, 404)
    client("DELETE", where + "/c", ADMIN, 204)
    client("DELETE", where, ADMIN, 204)
    assert not client("GET", where, ADMIN, 200).json[path]
    client("GET", f"{ALL}/none/{path}", ADMIN, 404)


def test_tags_are_set_or_appended(client):
    where = make(client)["self"] + "/tags"

    def post(*names, append="False", status=201):
        tags = [{"name": name} for name in names]
        client("POST", where, ADMIN, status, json={"tags": tags}, headers={"X-Openstack-Append": append})
        return [each["name"] for each in client("GET", where, ADMIN, 200).json["tags"]]

    assert post("a", "b") == ["a", "b"]
    assert post("c", append="True") == ["a", "b", "c"]
    assert post("c", append="True", status=409) == ["a", "b", "c"]
    assert post("d", "d", status=400) == ["a", "b", "c"]
    assert post("d") == ["d"]


def test_protected_namespaces_keep_their_definitions(client):
    where = make(client, protected=True, tags=[{"name": "t"}])["self"]
    client("DELETE", where + "/tags/t", ADMIN, 403)
    client("DELETE", where + "/tags", ADMIN, 403)


def test_resource_types_are_associated(client):
    types = client("GET", "/v2/metadefs/resource_types", status=200).json["resource_types"]
    assert "OS::Nova::Server" in [each["name"] for each in types]
    where = make(client, properties={"speed": SPEED})["self"]
    form = {"name": "OS::Our::Own", "prefix": "our:", "properties_target": "image"}
    made = client("POST", where + "/resource_types", ADMIN, 201, json=form).json
    assert {name: made[name] for name in form} == form
    client("POST", where + "/resource_types", ADMIN, 409, json=form)
    assert client("GET", where + "/resource_types", ADMIN, 200).json["resource_type_associations"] == [made]
    types = client("GET", "/v2/metadefs/resource_types", status=200).json["resource_types"]
    assert "OS::Our::Own" in [each["name"] for each in types]
    query = "?resource_type=OS::Our::Own"
    assert client("GET", f"{where}/properties/our:speed{query}", ADMIN, 200).json["name"] == "our:speed"
    client("GET", f"{where}/properties/speed{query}", ADMIN, 404)
    client("DELETE", where + "/resource_types/OS::Our::Own", ADMIN, 204)
    client("DELETE", where + "/resource_types/OS::Our::Own", ADMIN, 404)


@pytest.mark.parametrize("name", [
    "namespace", "namespaces", "object", "objects", "property", "properties", "tag", "tags", "resource_type",
    "resource_types"])
def test_schemas_describe_what_is_served(client, name):
    schema = client("GET", f"/v2/schemas/metadefs/{name}", status=200).json
    assert name in schema["name"] or schema["name"].startswith("resource_type_association")
    client("GET", "/v2/schemas/metadefs/nothing", status=404)


def test_what_is_shown_holds_against_the_schemas(client):
    made = make(client, description="d", tags=[{"name": "t"}], properties={"speed": SPEED},
                objects=[{"name": "o", "properties": {"p": SPEED}}])
    schema = client("GET", made["schema"], status=200).json
    assert made.keys() <= schema["properties"].keys()
    assert made["objects"][0].keys() <= schema["properties"]["objects"]["items"]["properties"].keys()
    assert client("GET", "/v2/schemas/task", status=200).json["properties"].keys() >= {"id", "input", "expires_at"}


def test_names_may_hold_anything(client):
    for name in ("Lab::Clocks", "öä/ \u008d", "a?b#c"):
        made = client("POST", ALL, ADMIN, 201, json={"namespace": name, "objects": [{"name": "ö"}]})
        assert made.headers["location"].isascii()
        made = made.json
        assert client("GET", made["self"], ADMIN, 200 if "/" not in name else None).status_code in (200, 404)
        assert made["objects"][0]["self"].isascii()
