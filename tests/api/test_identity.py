"""Keystone's API v3, as its clients use it."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from pilvi.engine.clock import SystemClock
from pilvi.identity.tables import credentials
from tests.support.identity import V3, Api, identity_on

PILVI = {"project": {"name": "pilvi", "domain": {"id": "default"}}}


@pytest.fixture
def api(tmp_path):
    clock = SystemClock()
    api = Api(*identity_on(tmp_path, clock), clock)
    yield api
    api.close()


@pytest.fixture
def admin(api):
    return api.token()


@pytest.fixture
def member(api):
    return api.token("pilvi")


def test_versions(api):
    answer = api.call("GET", "/identity", Host="cloud:1")
    assert answer.status_code == 300
    [version] = answer.json["versions"]["values"]
    assert version["links"] == [{"rel": "self", "href": "http://cloud:1/identity/v3/"}]
    assert api.call("GET", "/identity/v3/", Host="cloud:1").json == {"version": version}
    assert (version["id"], version["status"]) == ("v3.14", "stable")


# Tokens


def test_a_tokens_shape(api):
    answer = api.login("pilvi")
    token = answer.json["token"]
    assert set(token) == {
        "methods",
        "user",
        "audit_ids",
        "expires_at",
        "issued_at",
        "project",
        "is_domain",
        "roles",
        "catalog",
    }
    assert token["user"]["domain"] == {"id": "default", "name": "Default"}
    assert token["project"]["name"] == "pilvi"
    assert token["is_domain"] is False
    assert [role["name"] for role in token["roles"]] == ["member", "reader"]
    assert len(token["expires_at"]) == len("2026-01-31T12:00:00.000000Z")
    assert token["expires_at"].endswith(".000000Z")
    assert answer.headers["Vary"] == "X-Auth-Token"
    own = answer.headers["X-Subject-Token"]
    shown = api.call("GET", "/auth/tokens", token=own, X_Subject_Token=own)
    assert (shown.status_code, shown.json["token"]) == (200, token)
    assert api.call("HEAD", "/auth/tokens", token=own, X_Subject_Token=own).status_code == 200


def test_the_catalog_is_where_the_client_came_in(api):
    catalog = api.login(Host="cloud:8774").json["token"]["catalog"]
    urls = {service["type"]: {each["url"] for each in service["endpoints"]} for service in catalog}
    assert urls["identity"] == {"http://cloud:8774/identity"}
    assert urls["compute"] == {"http://cloud:8774/compute/v2.1"}
    assert {each["interface"] for each in catalog[0]["endpoints"]} == {"public", "internal", "admin"}


def test_no_catalog_when_it_is_not_wanted(api, admin):
    shown = api.call("GET", "/auth/tokens?nocatalog", token=admin, X_Subject_Token=admin)
    assert "catalog" not in shown.json["token"]
    assert "catalog" in api.call("GET", "/auth/catalog", token=admin).json


def test_an_endpoints_url_may_name_the_project(api, admin):
    service = api.made("services", admin, type="object-store", name="swift")
    api.made(
        "endpoints",
        admin,
        service_id=service["id"],
        interface="public",
        url="http://x/AUTH_%(tenant_id)s",
        region="Elsewhere",
    )
    api.made("endpoints", admin, service_id=service["id"], interface="admin", url="http://x/$(project_id)s")
    token = api.login("pilvi").json["token"]
    urls = [
        each["url"]
        for found in token["catalog"]
        if found["type"] == "object-store"
        for each in found["endpoints"]
    ]
    assert sorted(urls) == sorted(
        [f"http://x/AUTH_{token['project']['id']}", f"http://x/{token['project']['id']}"]
    )
    assert "Elsewhere" in [
        region["id"] for region in api.call("GET", "/regions", token=admin).json["regions"]
    ]


@pytest.mark.parametrize(
    ("scope", "part"),
    [
        ({"project": {"name": "admin", "domain": {"id": "default"}}}, "project"),
        ({"system": {"all": True}}, "system"),
        ("unscoped", None),
        ({"unscoped": {}}, None),
        ("none", None),
    ],
)
def test_scopes(api, scope, part):
    token = api.login(scope=scope).json["token"]
    assert {"project", "domain", "system"} & set(token) == ({part} if part else set())
    assert ("roles" in token, "catalog" in token) == (part is not None, part is not None)


def test_a_domain_as_scope_by_id_and_by_name(api, admin):
    user = api.call("GET", "/users?name=pilvi", token=admin).json["users"][0]["id"]
    role = api.role(admin, "reader")
    assert api.login("pilvi", scope={"domain": {"id": "default"}}).status_code == 401
    assert api.call("PUT", f"/domains/default/users/{user}/roles/{role}", token=admin).status_code == 204
    for scope in ({"id": "default"}, {"name": "Default"}):
        token = api.login("pilvi", scope={"domain": scope}).json["token"]
        assert token["domain"] == {"id": "default", "name": "Default"}
    own = api.token("pilvi", scope={"domain": {"id": "default"}})
    assert [each["id"] for each in api.call("GET", "/auth/domains", token=own).json["domains"]] == ["default"]


def test_the_default_project_is_the_scope_when_none_is_named(api, admin):
    users = api.call("GET", "/users?name=pilvi", token=admin).json["users"]
    project = api.call("GET", "/projects?name=pilvi", token=admin).json["projects"][0]["id"]
    api.call("PATCH", f"/users/{users[0]['id']}", {"user": {"default_project_id": project}}, admin)
    assert api.login("pilvi", scope="none").json["token"]["project"]["id"] == project
    assert "project" not in api.login("pilvi", scope="unscoped").json["token"]
    elsewhere = api.call("GET", "/projects?name=admin", token=admin).json["projects"][0]["id"]
    api.call("PATCH", f"/users/{users[0]['id']}", {"user": {"default_project_id": elsewhere}}, admin)
    assert "project" not in api.login("pilvi", scope="none").json["token"]


def test_a_token_for_a_token(api):
    first = api.login("pilvi", scope="unscoped")
    auth = {
        "identity": {"methods": ["token"], "token": {"id": first.headers["X-Subject-Token"]}},
        "scope": PILVI,
    }
    second = api.call("POST", "/auth/tokens", {"auth": auth})
    assert second.status_code == 201
    token = second.json["token"]
    assert token["methods"] == ["password", "token"]
    assert token["expires_at"] == first.json["token"]["expires_at"]
    assert token["audit_ids"][1:] == first.json["token"]["audit_ids"]
    assert token["project"]["name"] == "pilvi"


def test_two_methods_must_show_the_same_user(api):
    auth = {
        "identity": {
            "methods": ["password", "token"],
            "token": {"id": api.token("pilvi")},
            "password": {"user": {"name": "admin", "domain": {"id": "default"}, "password": "admin-secret"}},
        }
    }
    assert api.call("POST", "/auth/tokens", {"auth": auth}).status_code == 401


def test_what_one_could_be_scoped_to(api, admin, member):
    assert [each["name"] for each in api.call("GET", "/auth/projects", token=member).json["projects"]] == [
        "pilvi"
    ]
    assert api.call("GET", "/auth/system", token=member).json["system"] == []
    assert api.call("GET", "/auth/system", token=admin).json["system"] == [{"all": True}]


def refusal(answer):
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith('Keystone uri="')
    return answer.json


def test_a_refused_login_does_not_say_why(api, admin):
    user = api.made("users", admin, name="off", password="off", enabled=False)
    assert user["enabled"] is False
    api.made("users", admin, name="no-password")
    same = refusal(api.login("pilvi", "wrong"))
    assert same["error"]["code"] == 401
    for answer in (
        api.login("nobody", "wrong"),
        api.login("off", "off", scope="none"),
        api.login("no-password", scope="none"),
        api.login("pilvi", scope={"project": {"name": "admin", "domain": {"id": "default"}}}),
        api.login("pilvi", scope={"project": {"id": "0" * 32}}),
        api.login("pilvi", scope={"system": {"all": True}}),
        api.login("pilvi", scope={"project": {"name": "pilvi", "domain": {"name": "Nowhere"}}}),
    ):
        assert refusal(answer) == same


USER = {"name": "pilvi", "domain": {"id": "default"}, "password": "pilvi-secret"}


@pytest.mark.parametrize(
    "body",
    [
        "",
        "{",
        "[]",
        "null",
        '"text"',
        "{}",
        '{"auth": {}}',
        '{"auth": {"identity": {"methods": []}}}',
        '{"auth": {"identity": {"methods": ["password"]}}}',
        '{"auth": {"identity": {"methods": "password"}}}',
        '{"auth": {"identity": {"methods": ["password"], "password": {"user": {"password": 1}}}}}',
        '{"auth": {"identity": {"methods": ["password"], "password": {"user": {"id": "\\u0000"}}}}}',
        {"auth": {"identity": {"methods": ["password"], "password": {"user": {"password": "x"}}}}},
        {
            "auth": {
                "identity": {"methods": ["password"], "password": {"user": {"name": "x", "password": "x"}}}
            }
        },
        {
            "auth": {
                "identity": {
                    "methods": ["password"],
                    "password": {"user": {"name": "x" * 256, "password": "x"}},
                }
            }
        },
        {"auth": {"identity": {"methods": ["password"], "password": {"user": USER}}, "scope": {}}},
        {"auth": {"identity": {"methods": ["password"], "password": {"user": USER}}, "scope": "everything"}},
        {
            "auth": {
                "identity": {"methods": ["password"], "password": {"user": USER}},
                "scope": {"project": {}},
            }
        },
        {
            "auth": {
                "identity": {"methods": ["password"], "password": {"user": USER}},
                "scope": {**PILVI, "domain": {"id": "default"}},
            }
        },
        {
            "auth": {
                "identity": {"methods": ["password"], "password": {"user": USER}},
                "scope": {"system": {"all": False}},
            }
        },
        b"\xff\xfe",
        "[" * 100_000,
    ],
)
def test_a_login_that_makes_no_sense(api, body):
    answer = api.call("POST", "/auth/tokens", body)
    assert answer.status_code == 400, answer.text
    assert answer.json["error"]["code"] == 400


def test_an_unknown_method_is_refused(api):
    assert api.call("POST", "/auth/tokens", {"auth": {"identity": {"methods": ["magic"]}}}).status_code == 401


def test_who_may_look_into_a_token(api, admin, member):
    assert api.call("GET", "/auth/tokens", token=admin, X_Subject_Token=member).status_code == 200
    assert api.call("GET", "/auth/tokens", token=member, X_Subject_Token=admin).status_code == 403
    assert api.call("GET", "/auth/tokens", token=member, X_Subject_Token="nonsense").status_code == 404
    assert api.call("GET", "/auth/tokens", token=admin, X_Subject_Token="nonsense").status_code == 404
    assert api.call("GET", "/auth/tokens", token=admin).status_code == 400
    assert api.call("GET", "/auth/tokens", token="nonsense", X_Subject_Token=admin).status_code == 401
    assert api.call("GET", "/auth/tokens", X_Subject_Token=admin).status_code == 401


def test_a_service_may_look_into_tokens_but_not_end_them(api, admin, member):
    user = api.made("users", admin, name="nova", password="nova")["id"]
    project = api.made("projects", admin, name="nova")["id"]
    api.call("PUT", f"/projects/{project}/users/{user}/roles/{api.role(admin, 'service')}", token=admin)
    service = api.token("nova")
    assert api.call("GET", "/auth/tokens", token=service, X_Subject_Token=member).status_code == 200
    assert api.call("DELETE", "/auth/tokens", token=service, X_Subject_Token=member).status_code == 403


def test_ending_a_token(api, admin, member):
    assert api.call("DELETE", "/auth/tokens", token=member, X_Subject_Token=admin).status_code == 403
    assert api.call("DELETE", "/auth/tokens", token=admin, X_Subject_Token=member).status_code == 204
    assert api.call("GET", "/auth/projects", token=member).status_code == 401
    assert api.call("DELETE", "/auth/tokens", token=admin, X_Subject_Token=member).status_code == 404
    assert api.call("DELETE", "/auth/tokens", token=admin, X_Subject_Token=admin).status_code == 204
    assert api.call("GET", "/projects", token=admin).status_code == 401


# What is managed: the same five verbs for each


NOUNS = [
    ("domains", {"name": "d"}, {"description": "new"}),
    ("projects", {"name": "p"}, {"description": "new"}),
    ("users", {"name": "u"}, {"email": "u@example.org"}),
    ("groups", {"name": "g"}, {"description": "new"}),
    ("roles", {"name": "r"}, {"description": "new"}),
    ("services", {"type": "t", "name": "s"}, {"description": "new"}),
    ("regions", {"id": "R"}, {"description": "new"}),
    ("credentials", {"type": "cert", "blob": "secret"}, {"blob": "other"}),
]


@pytest.mark.parametrize(("plural", "fields", "change"), NOUNS, ids=[noun[0] for noun in NOUNS])
def test_make_list_show_change_delete(api, admin, plural, fields, change):
    singular = plural[:-1]
    made = api.made(plural, admin, **fields)
    one = f"/{plural}/{made['id']}"
    assert made["links"]["self"].endswith(V3 + one)
    assert api.call("GET", one, token=admin).json == {singular: made}
    assert api.call("HEAD", one, token=admin).status_code == 200
    listed = api.call("GET", f"/{plural}", token=admin).json
    assert made in listed[plural]
    assert set(listed["links"]) == {"next", "self", "previous"}
    changed = api.call("PATCH", one, {singular: change}, admin)
    assert changed.status_code == 200, changed.text
    assert changed.json[singular] == {**made, **change}
    assert api.call("GET", one, token=admin).json[singular] == {**made, **change}
    if plural == "domains":
        assert api.call("DELETE", one, token=admin).status_code == 403
        api.call("PATCH", one, {singular: {"enabled": False}}, admin)
    assert api.call("DELETE", one, token=admin).status_code == 204
    for method, body in (("GET", None), ("PATCH", {singular: change}), ("DELETE", None)):
        gone = api.call(method, one, body, admin)
        assert (gone.status_code, gone.json["error"]["code"]) == (404, 404), method


@pytest.mark.parametrize(("plural", "fields"), [noun[:2] for noun in NOUNS[:5]] + [("regions", {"id": "R"})])
def test_no_two_of_one_name(api, admin, plural, fields):
    api.made(plural, admin, **fields)
    again = api.call("POST", f"/{plural}", {plural[:-1]: fields}, admin)
    assert again.status_code == 409
    assert again.json["error"]["title"] == "Conflict"
    if plural != "regions":
        other = api.made(plural, admin, name="other")
        assert api.call("PATCH", f"/{plural}/{other['id']}", {plural[:-1]: fields}, admin).status_code == 409


@pytest.mark.parametrize(("plural", "fields"), [noun[:2] for noun in NOUNS[:7]])
def test_a_member_manages_nothing(api, admin, member, plural, fields):
    made = api.made(plural, admin, **fields)
    singular, one = plural[:-1], f"/{plural}/{made['id']}"
    refused = [
        ("POST", f"/{plural}", {singular: fields}),
        ("PATCH", one, {singular: {}}),
        ("DELETE", one, None),
    ]
    if plural != "regions":
        refused += [("GET", f"/{plural}", None), ("GET", one, None), ("GET", f"/{plural}/{'0' * 32}", None)]
    for method, path, body in refused:
        assert api.call(method, path, body, member).status_code == 403, (method, path)
    assert api.call("GET", one, token=admin).status_code == 200
    assert api.call("GET", one).status_code == 401


BAD = [
    ("projects", {}),
    ("projects", {"name": ""}),
    ("projects", {"name": "  "}),
    ("projects", {"name": "x" * 65}),
    ("projects", {"name": 5}),
    ("projects", {"name": "x", "enabled": "yes"}),
    ("projects", {"name": "a\0b"}),
    ("projects", {"name": "x", "tags": "t"}),
    ("projects", {"name": "x", "tags": ["a,b"]}),
    ("projects", {"name": "x", "description": 5}),
    ("projects", {"name": "x", "options": {"magic": True}}),
    ("projects", {"name": "x", "is_domain": True, "domain_id": "default"}),
    ("domains", {"name": "x" * 65}),
    ("domains", {"name": None}),
    ("users", {"name": "x" * 256}),
    ("users", {"name": "x", "password": 5}),
    ("users", {"name": "x", "enabled": 1}),
    ("users", {"name": "x", "password": "x" * 5000}),
    ("users", {"name": "x", "options": {"unknown": True}}),
    ("groups", {"name": "x" * 65}),
    ("roles", {"name": "x" * 256}),
    ("services", {"name": "no type"}),
    ("services", {"type": "x" * 256}),
    ("endpoints", {"interface": "secret", "service_id": "x", "url": "x"}),
    ("endpoints", {"interface": "public", "service_id": "0" * 32, "url": "http://x"}),
    ("regions", {"id": "x" * 256}),
    ("credentials", {"type": "cert"}),
]


@pytest.mark.parametrize(
    ("plural", "fields"), BAD, ids=[f"{plural} {str(fields)[:50]}" for plural, fields in BAD]
)
def test_bad_input(api, admin, plural, fields):
    with api.db.counting() as statements:
        answer = api.call("POST", f"/{plural}", {plural[:-1]: fields}, admin)
    assert answer.status_code == 400, answer.text
    assert not [statement for statement in statements if statement.startswith(("INSERT", "UPDATE"))]


def test_fields_of_ones_own_are_kept(api, admin):
    project = api.made("projects", admin, name="p", color="red", id="mine", links={}, nested={"a": [1]})
    assert (project["color"], project["nested"]) == ("red", {"a": [1]})
    assert project["id"] != "mine"
    user = api.made("users", admin, name="u", password="secret", email="u@x", description="hello")
    assert "password" not in str(user).replace("password_expires_at", "")
    changed = api.call("PATCH", f"/users/{user['id']}", {"user": {"email": None}}, admin).json["user"]
    assert (changed["email"], changed["description"]) == (None, "hello")


def test_filters(api, admin):
    for name in ("alpha", "Alphabet", "beta", "10%"):
        api.made("users", admin, name=name, enabled=name != "beta")

    def found(query):
        answer = api.call("GET", f"/users?{query}", token=admin)
        assert answer.status_code == 200, answer.text
        return {user["name"] for user in answer.json["users"]} - {"admin", "pilvi", "oscloud"}

    assert found("name=alpha") == {"alpha"}
    assert found("enabled=False") == {"beta"}
    assert found("name__startswith=Alph") >= {"Alphabet"}
    assert found("name__icontains=PHA") == {"alpha", "Alphabet"}
    assert found("name__contains=%25") == {"10%"}
    assert found("name__endswith=ta") == {"beta"}
    assert found("domain_id=elsewhere") == set()
    for query in ("enabled=perhaps", "name__like=x", "limit=-1", "limit=x", "name=%00"):
        assert api.call("GET", f"/users?{query}", token=admin).status_code == 400, query


def test_pages(api, admin):
    for number in range(5):
        api.made("groups", admin, name=f"g{number}")
    seen, path = [], "/groups?limit=2"
    for _ in range(4):
        page = api.call("GET", path, token=admin).json
        seen += [group["name"] for group in page["groups"]]
        if page["links"]["next"] is None:
            break
        path = page["links"]["next"].partition(V3)[2]
    assert sorted(seen) == [f"g{number}" for number in range(5)]


@pytest.mark.parametrize(
    "plural",
    [
        "projects",
        "users",
        "groups",
        "roles",
        "role_assignments?include_names",
        "role_assignments?effective&include_names",
        "endpoints",
    ],
)
def test_a_listing_takes_the_same_queries_however_long_it_is(api, admin, plural):
    def queries():
        with api.db.counting() as statements:
            assert api.call("GET", f"/{plural}", token=admin).status_code == 200
        return len(statements)

    api.call("GET", f"/{plural}", token=admin)
    before = queries()
    member = api.role(admin, "member")
    for number in range(3):
        project = api.made("projects", admin, name=f"p{number}")["id"]
        user = api.made("users", admin, name=f"u{number}")["id"]
        api.made("groups", admin, name=f"g{number}")
        api.made("roles", admin, name=f"r{number}")
        api.call("PUT", f"/projects/{project}/users/{user}/roles/{member}", token=admin)
    api.call("GET", "/projects", token=admin)  # so that the token is known again
    assert queries() <= before + 2  # roles may have to be read anew
    assert queries() <= 8


# Projects and domains


def test_trees_of_projects(api, admin):
    top = api.made("projects", admin, name="top")
    assert (top["parent_id"], top["domain_id"], top["is_domain"]) == ("default", "default", False)
    below = api.made("projects", admin, name="below", parent_id=top["id"])
    assert below["parent_id"] == top["id"]
    path = f"/projects/{top['id']}"
    assert api.call("DELETE", path, token=admin).status_code == 403
    assert api.call("PATCH", path, {"project": {"enabled": False}}, admin).status_code == 403
    assert (
        api.call("PATCH", f"/projects/{below['id']}", {"project": {"enabled": False}}, admin).status_code
        == 200
    )
    assert api.call("PATCH", path, {"project": {"enabled": False}}, admin).status_code == 200
    assert (
        api.call("PATCH", f"/projects/{below['id']}", {"project": {"enabled": True}}, admin).status_code
        == 403
    )
    assert (
        api.call("POST", "/projects", {"project": {"name": "x", "parent_id": top["id"]}}, admin).status_code
        == 403
    )
    assert api.call("PATCH", path, {"project": {"parent_id": below["id"]}}, admin).status_code == 400
    for key, value, status in (("parent_id", "0" * 32, 404), ("domain_id", "0" * 32, 404)):
        assert (
            api.call("POST", "/projects", {"project": {"name": "x", key: value}}, admin).status_code == status
        )
    found = api.call("GET", f"/projects?parent_id={top['id']}", token=admin).json["projects"]
    assert [project["id"] for project in found] == [below["id"]]


def test_a_tree_of_projects_has_a_greatest_depth(api, admin):
    parent = "default"
    for level in range(5):
        parent = api.made("projects", admin, name=f"level{level}", parent_id=parent)["id"]
    assert (
        api.call("POST", "/projects", {"project": {"name": "x", "parent_id": parent}}, admin).status_code
        == 403
    )


def test_what_is_above_and_below_a_project(api, admin):
    ids, parent = [], None
    for name in ("top", "middle", "bottom"):
        parent = api.made("projects", admin, name=name, **({"parent_id": parent} if parent else {}))["id"]
        ids.append(parent)
    top, middle, bottom = ids

    def shown(project, query):
        return api.call("GET", f"/projects/{project}?{query}", token=admin).json["project"]

    assert shown(bottom, "parents_as_ids")["parents"] == {middle: {top: None}}
    assert shown(top, "subtree_as_ids")["subtree"] == {middle: {bottom: None}}
    assert [each["project"]["name"] for each in shown(bottom, "parents_as_list")["parents"]] == [
        "middle",
        "top",
    ]
    assert [each["project"]["name"] for each in shown(top, "subtree_as_list")["subtree"]] == [
        "middle",
        "bottom",
    ]
    assert shown(top, "parents_as_ids&subtree_as_list")["parents"] is None
    assert "parents" not in shown(bottom, "")
    own = api.login("pilvi").json["token"]["project"]["id"]
    api.made("projects", admin, name="hidden", parent_id=own)
    seen = api.call("GET", f"/projects/{own}?subtree_as_list", token=api.token("pilvi")).json["project"]
    assert seen["subtree"] == []


def test_domains_are_projects_when_asked_for(api, admin):
    made = api.made("projects", admin, name="new", is_domain=True)
    assert (made["is_domain"], made["domain_id"], made["parent_id"]) == (True, None, None)
    assert made["id"] in [each["id"] for each in api.call("GET", "/domains", token=admin).json["domains"]]
    assert made["id"] not in [
        each["id"] for each in api.call("GET", "/projects", token=admin).json["projects"]
    ]
    assert made["id"] in [
        each["id"] for each in api.call("GET", "/projects?is_domain=true", token=admin).json["projects"]
    ]
    assert api.call("DELETE", f"/projects/{made['id']}", token=admin).status_code == 403


def test_a_domain_goes_with_all_that_is_in_it(api, admin):
    domain = api.made("domains", admin, name="d")["id"]
    project = api.made("projects", admin, name="p", domain_id=domain)
    below = api.made("projects", admin, name="below", parent_id=project["id"])
    assert below["domain_id"] == domain
    user = api.made("users", admin, name="u", domain_id=domain, default_project_id=project["id"])
    group = api.made("groups", admin, name="g", domain_id=domain)
    role = api.made("roles", admin, name="r", domain_id=domain)
    api.call("PUT", f"/groups/{group['id']}/users/{user['id']}", token=admin)
    api.call("PUT", f"/projects/{below['id']}/groups/{group['id']}/roles/{role['id']}", token=admin)
    api.call("PUT", f"/projects/{project['id']}/users/{user['id']}/roles/{role['id']}", token=admin)
    count = len(api.call("GET", "/role_assignments", token=admin).json["role_assignments"])
    assert api.made("users", admin, name="u")["domain_id"] == "default", "names are a domain's own"
    api.call("PATCH", f"/domains/{domain}", {"domain": {"enabled": False}}, admin)
    assert api.call("DELETE", f"/domains/{domain}", token=admin).status_code == 204
    for path in (
        f"/projects/{project['id']}",
        f"/projects/{below['id']}",
        f"/users/{user['id']}",
        f"/groups/{group['id']}",
        f"/roles/{role['id']}",
    ):
        assert api.call("GET", path, token=admin).status_code == 404, path
    assert len(api.call("GET", "/role_assignments", token=admin).json["role_assignments"]) == count - 2


def test_the_default_domain_stays(api, admin):
    system = api.token(scope={"system": {"all": True}})
    assert api.call("DELETE", "/domains/default", token=system).status_code == 403


def test_tags(api, admin, member):
    for name, tags in (("a", ["x", "y"]), ("b", ["y"]), ("c", [])):
        api.made("projects", admin, name=name, tags=tags)
    named = {
        project["name"]: project["id"]
        for project in api.call("GET", "/projects", token=admin).json["projects"]
    }

    def found(query):
        listed = api.call("GET", f"/projects?{query}", token=admin).json["projects"]
        return {project["name"] for project in listed} - {"admin", "pilvi", "oscloud"}

    assert found("tags=x,y") == {"a"}
    assert found("tags-any=x,y") == {"a", "b"}
    assert found("not-tags=x,y") == {"b", "c"}
    assert found("not-tags-any=x,y") == {"c"}
    tags = f"/projects/{named['c']}/tags"
    assert api.call("PUT", tags + "/new%20tag", token=admin).status_code == 201
    assert api.call("GET", tags, token=admin).json["tags"] == ["new tag"]
    assert api.call("GET", tags + "/new%20tag", token=admin).status_code == 204
    assert api.call("GET", tags + "/old", token=admin).status_code == 404
    assert api.call("PUT", tags, {"tags": ["p", "q"]}, admin).json["tags"] == ["p", "q"]
    assert api.call("DELETE", tags + "/p", token=admin).status_code == 204
    assert api.call("DELETE", tags + "/p", token=admin).status_code == 404
    assert api.call("DELETE", tags, token=admin).status_code == 204
    assert api.call("GET", tags, token=admin).json["tags"] == []
    assert api.call("GET", tags, token=member).status_code == 403
    assert api.call("GET", f"/projects/{named['pilvi']}/tags", token=member).status_code == 200


@pytest.mark.parametrize("plural", ["projects", "roles"])
def test_what_is_immutable_stays(api, admin, plural):
    singular = plural[:-1]
    made = api.made(plural, admin, name="rock", options={"immutable": True})
    assert made["options"] == {"immutable": True}
    one = f"/{plural}/{made['id']}"
    assert api.call("PATCH", one, {singular: {"name": "sand"}}, admin).status_code == 403
    assert api.call("DELETE", one, token=admin).status_code == 403
    assert api.call("PATCH", one, {singular: {"options": {"immutable": False}}}, admin).status_code == 200
    assert api.call("DELETE", one, token=admin).status_code == 204


# Users and groups


def test_a_user_sees_what_is_their_own(api, admin, member):
    own = api.login("pilvi").json["token"]
    user, project = own["user"]["id"], own["project"]["id"]
    for path in (
        f"/users/{user}",
        f"/users/{user}/projects",
        f"/users/{user}/groups",
        f"/projects/{project}",
        "/domains/default",
        f"/users/{user}/application_credentials",
        "/regions",
    ):
        assert api.call("GET", path, token=member).status_code == 200, path
    other = api.login().json["token"]
    for path in (
        f"/users/{other['user']['id']}",
        f"/users/{other['user']['id']}/projects",
        f"/projects/{other['project']['id']}",
        f"/users/{other['user']['id']}/application_credentials",
    ):
        assert api.call("GET", path, token=member).status_code == 403, path
    assert api.call("PATCH", f"/users/{user}", {"user": {"name": "x"}}, member).status_code == 403


def test_changing_ones_password(api, member):
    user = api.login("pilvi").json["token"]["user"]["id"]
    path = f"/users/{user}/password"
    wrong = {"user": {"original_password": "wrong", "password": "new"}}
    assert api.call("POST", path, wrong).status_code == 401
    assert api.call("POST", f"/users/{'0' * 32}/password", wrong).json == api.call("POST", path, wrong).json
    right = {"user": {"original_password": "pilvi-secret", "password": "new"}}
    assert api.call("POST", path, right).status_code == 204
    assert api.call("GET", "/auth/projects", token=member).status_code == 401
    assert api.login("pilvi").status_code == 401
    assert api.login("pilvi", "new").status_code == 201


def test_a_locked_password_is_changed_by_administrators_only(api, admin):
    user = api.made("users", admin, name="u", password="u", options={"lock_password": True})["id"]
    body = {"user": {"original_password": "u", "password": "new"}}
    assert api.call("POST", f"/users/{user}/password", body).status_code == 403
    assert api.call("PATCH", f"/users/{user}", {"user": {"password": "new"}}, admin).status_code == 200
    assert api.login("u", "new", scope="none").status_code == 201
    assert api.call("PATCH", f"/users/{user}", {"user": {"password": None}}, admin).status_code == 200
    assert api.login("u", "new", scope="none").status_code == 401


def test_groups(api, admin):
    group, user = api.made("groups", admin, name="g")["id"], api.made("users", admin, name="u")["id"]
    member = f"/groups/{group}/users/{user}"
    assert api.call("HEAD", member, token=admin).status_code == 404
    for _ in range(2):
        assert api.call("PUT", member, token=admin).status_code == 204
    assert api.call("HEAD", member, token=admin).status_code == 204
    assert [
        each["name"] for each in api.call("GET", f"/groups/{group}/users", token=admin).json["users"]
    ] == ["u"]
    assert [
        each["name"] for each in api.call("GET", f"/users/{user}/groups", token=admin).json["groups"]
    ] == ["g"]
    assert api.call("DELETE", member, token=admin).status_code == 204
    assert api.call("DELETE", member, token=admin).status_code == 404
    assert api.call("PUT", f"/groups/{group}/users/{'0' * 32}", token=admin).status_code == 404


# Roles


@pytest.mark.parametrize("target", ["projects", "domains", "system"])
@pytest.mark.parametrize("actor", ["users", "groups"])
def test_grants(api, admin, target, actor):
    who, role = api.made(actor, admin, name="x")["id"], api.role(admin, "reader")
    where = "/system" if target == "system" else f"/{target}/{api.made(target, admin, name='t')['id']}"
    every, one = f"{where}/{actor}/{who}/roles", f"{where}/{actor}/{who}/roles/{role}"
    assert api.call("HEAD", one, token=admin).status_code == 404
    for _ in range(2):
        assert api.call("PUT", one, token=admin).status_code == 204
    assert api.call("HEAD", one, token=admin).status_code == 204
    assert [each["name"] for each in api.call("GET", every, token=admin).json["roles"]] == ["reader"]
    assert api.call("DELETE", one, token=admin).status_code == 204
    assert api.call("DELETE", one, token=admin).status_code == 404
    assert api.call("PUT", f"{every}/{'0' * 32}", token=admin).status_code == 404
    assert api.call("PUT", f"{where}/{actor}/{'0' * 32}/roles/{role}", token=admin).status_code == 404


def test_role_assignments(api, admin):
    user, group = api.made("users", admin, name="u")["id"], api.made("groups", admin, name="g")["id"]
    project, domain = api.made("projects", admin, name="p")["id"], api.made("domains", admin, name="d")["id"]
    api.call("PUT", f"/groups/{group}/users/{user}", token=admin)
    manager, reader = api.role(admin, "manager"), api.role(admin, "reader")
    for path in (
        f"/projects/{project}/groups/{group}/roles/{manager}",
        f"/domains/{domain}/users/{user}/roles/{reader}",
        f"/system/users/{user}/roles/{reader}",
    ):
        assert api.call("PUT", path, token=admin).status_code == 204

    def found(query):
        answer = api.call("GET", f"/role_assignments?{query}", token=admin)
        assert answer.status_code == 200, answer.text
        return answer.json["role_assignments"]

    assert [list(each["scope"]) for each in found(f"user.id={user}")] == [["domain"], ["system"]]
    [direct] = found(f"scope.project.id={project}&include_names=true")
    assert direct["group"]["name"] == "g"
    assert direct["scope"]["project"]["domain"] == {"id": "default", "name": "Default"}
    assert direct["role"] == {"id": manager, "name": "manager"}
    assert direct["links"]["assignment"].endswith(f"/projects/{project}/groups/{group}/roles/{manager}")
    effective = found(f"scope.project.id={project}&effective&include_names")
    assert {each["role"]["name"] for each in effective} == {"manager", "member", "reader"}
    assert {each["user"]["name"] for each in effective} == {"u"}
    assert all(each["links"]["membership"].endswith(f"/groups/{group}/users/{user}") for each in effective)
    assert len(found(f"user.id={user}&effective=true&role.id={reader}")) == 3
    assert len(found(f"user.id={user}&role.id={reader}")) == 2
    assert len(found("scope.system=all")) == 2
    assert found(f"group.id={group}")[0]["scope"]["project"] == {"id": project}
    for query in (f"group.id={group}&user.id={user}", f"scope.project.id={project}&scope.system=all"):
        assert api.call("GET", f"/role_assignments?{query}", token=admin).status_code == 400


def test_implied_roles(api, admin):
    inferences = api.call("GET", "/role_inferences", token=admin).json["role_inferences"]
    assert {
        each["prior_role"]["name"]: [role["name"] for role in each["implies"]] for each in inferences
    } == {"admin": ["manager"], "manager": ["member"], "member": ["reader"]}
    auditor, reader = api.made("roles", admin, name="auditor")["id"], api.role(admin, "reader")
    path = f"/roles/{auditor}/implies/{reader}"
    assert api.call("GET", path, token=admin).status_code == 404
    assert api.call("PUT", path, token=admin).json["role_inference"]["implies"]["name"] == "reader"
    assert api.call("GET", path, token=admin).status_code == 200
    assert api.call("PUT", f"/roles/{reader}/implies/{auditor}", token=admin).status_code == 400
    assert (
        len(api.call("GET", f"/roles/{auditor}/implies", token=admin).json["role_inference"]["implies"]) == 1
    )
    assert api.call("DELETE", path, token=admin).status_code == 204
    assert api.call("DELETE", path, token=admin).status_code == 404


def test_regions_with_something_in_them_stay(api, admin):
    for name, parent in (("outer", None), ("middle", "outer"), ("innermost", "middle")):
        api.made("regions", admin, id=name, parent_region_id=parent)
    service = api.call("GET", "/services?type=compute", token=admin).json["services"][0]["id"]
    endpoint = {"service_id": service, "interface": "public", "url": "http://x", "region_id": "innermost"}
    endpoint_id = api.made("endpoints", admin, **endpoint)["id"]
    assert api.call("DELETE", "/regions/outer", token=admin).status_code == 403
    assert api.call("DELETE", f"/endpoints/{endpoint_id}", token=admin).status_code == 204
    assert api.call("DELETE", "/regions/outer", token=admin).status_code == 204
    assert [each["id"] for each in api.call("GET", "/regions", token=admin).json["regions"]] == ["RegionOne"]
    api.made("regions", admin, id="inner", parent_region_id="RegionOne")
    assert api.call("DELETE", "/regions/RegionOne", token=admin).status_code == 403
    loop = {"region": {"parent_region_id": "inner"}}
    assert api.call("PATCH", "/regions/RegionOne", loop, admin).status_code == 400
    assert api.call("DELETE", "/regions/inner", token=admin).status_code == 204


# Application credentials


def by_application_credential(api, made, secret=None, **scope):
    identity = {
        "methods": ["application_credential"],
        "application_credential": {"id": made["id"], "secret": secret or made["secret"]},
    }
    return api.call("POST", "/auth/tokens", {"auth": {"identity": identity, **scope}})


def test_application_credentials(api, admin, member):
    own = api.login("pilvi").json["token"]["user"]["id"]
    path = f"/users/{own}/application_credentials"

    def make(token=member, **fields):
        return api.call("POST", path, {"application_credential": fields}, token)

    made = make(name="ci", roles=[{"name": "reader"}]).json["application_credential"]
    assert make(name="ci").status_code == 409
    shown = api.call("GET", f"{path}/{made['id']}", token=member).json["application_credential"]
    assert shown == {name: value for name, value in made.items() if name != "secret"}
    assert [
        each["name"]
        for each in api.call("GET", path + "?name=ci", token=member).json["application_credentials"]
    ] == ["ci"]
    answer = by_application_credential(api, made)
    token = answer.json["token"]
    assert (token["project"]["name"], [role["name"] for role in token["roles"]]) == ("pilvi", ["reader"])
    program = answer.headers["X-Subject-Token"]
    assert api.call("GET", "/auth/projects", token=program).status_code == 200
    assert make(program, name="another").status_code == 403
    assert api.call("DELETE", f"{path}/{made['id']}", token=program).status_code == 403
    rescope = {"identity": {"methods": ["token"], "token": {"id": program}}, "scope": PILVI}
    assert api.call("POST", "/auth/tokens", {"auth": rescope}).status_code == 403
    assert by_application_credential(api, made, "wrong").status_code == 401
    assert by_application_credential(api, made, scope={"system": {"all": True}}).status_code == 401
    named = {
        "methods": ["application_credential"],
        "application_credential": {
            "name": "ci",
            "secret": made["secret"],
            "user": {"name": "pilvi", "domain": {"id": "default"}},
        },
    }
    assert api.call("POST", "/auth/tokens", {"auth": {"identity": named}}).status_code == 201
    for fields in (
        {"name": "x", "roles": [{"name": "admin"}]},
        {"name": "x", "expires_at": "2001-01-01T00:00:00"},
        {"name": "x", "expires_at": "soon"},
        {"name": "x" * 256},
        {"roles": []},
        {"name": "x", "access_rules": [{"path": "/"}]},
    ):
        assert make(**fields).status_code == 400, fields
    assert make(admin, name="for another").status_code == 403
    assert api.call("DELETE", f"{path}/{made['id']}", token=member).status_code == 204
    assert api.call("GET", "/auth/projects", token=program).status_code == 401
    assert by_application_credential(api, made).status_code == 401


def test_an_application_credential_is_worth_no_more_than_its_user(api, admin, member):
    own = api.login("pilvi").json["token"]
    made = api.call(
        "POST",
        f"/users/{own['user']['id']}/application_credentials",
        {"application_credential": {"name": "ci", "unrestricted": True}},
        member,
    ).json["application_credential"]
    program = by_application_credential(api, made).headers["X-Subject-Token"]
    assert (
        api.call(
            "POST",
            f"/users/{own['user']['id']}/application_credentials",
            {"application_credential": {"name": "second"}},
            program,
        ).status_code
        == 201
    )
    grant = f"/projects/{own['project']['id']}/users/{own['user']['id']}/roles/{api.role(admin, 'member')}"
    assert api.call("DELETE", grant, token=admin).status_code == 204
    assert api.call("GET", "/auth/projects", token=program).status_code == 401
    assert by_application_credential(api, made).status_code == 401


def test_credentials_are_ones_own_and_encrypted(api, admin, member):
    made = api.made("credentials", member, type="cert", blob="the secret")
    assert api.call("GET", "/credentials", token=member).json["credentials"] == [made]
    other = api.made("credentials", admin, type="cert", blob="another")
    assert api.call("GET", f"/credentials/{other['id']}", token=member).status_code == 404
    assert len(api.call("GET", "/credentials", token=admin).json["credentials"]) == 2
    forged = {"credential": {"type": "cert", "blob": "x", "user_id": other["user_id"]}}
    assert api.call("POST", "/credentials", forged, member).status_code == 403
    with api.db.read() as tx:
        assert "the secret" not in str(tx.all(sa.select(credentials)))


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PUT", "/users"),
        ("PATCH", "/users"),
        ("DELETE", "/users"),
        ("POST", "/auth/catalog"),
    ],
)
def test_a_method_that_is_not_there(api, admin, method, path):
    assert api.call(method, path, {}, admin).status_code == 405


@pytest.mark.parametrize(
    "path", ["/users/%00", "/nowhere", "/users/x/y/z", "/projects/%F0%9F%98%80", "/users/" + "x" * 5000]
)
def test_a_path_that_leads_nowhere(api, admin, path):
    assert api.call("GET", path, token=admin).status_code == 404
