"""Roles that are inherited, implied or a domain's own, and what those of a domain may do in it."""

from __future__ import annotations

import pytest

from pilvi.engine.clock import SystemClock
from tests.support.identity import Api, identity_on


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
def tree(api, admin):
    """A domain with a user, a group, and three projects, one below the other."""
    domain = api.made("domains", admin, name="dom")["id"]
    made = {"domain": domain}
    for name, parent in (("top", None), ("middle", "top"), ("bottom", "middle")):
        where = {"parent_id": made[parent]} if parent else {"domain_id": domain}
        made[name] = api.made("projects", admin, name=name, **where)["id"]
    made["user"] = api.made("users", admin, name="eve", domain_id=domain, password="eve")["id"]
    made["group"] = api.made("groups", admin, name="staff", domain_id=domain)["id"]
    return made


def grant(api, token, path):
    answer = api.call("PUT", path, token=token)
    assert answer.status_code == 204, answer.text


def assignments(api, token, query):
    answer = api.call("GET", f"/role_assignments?{query}", token=token)
    assert answer.status_code == 200, answer.text
    return answer.json["role_assignments"]


def eve(api, tree, scope):
    """Her token in a scope, None where she has no role there."""
    shown = {"id": tree["user"], "password": "eve"}
    auth = {"identity": {"methods": ["password"], "password": {"user": shown}}, "scope": scope}
    answer = api.call("POST", "/auth/tokens", {"auth": auth})
    return answer.headers.get("X-Subject-Token") if answer.status_code == 201 else None


def project(tree, name):
    return {"project": {"id": tree[name]}}


@pytest.mark.parametrize("actor", ["user", "group"])
@pytest.mark.parametrize(("target", "having"), [("domain", ["top", "middle", "bottom"]), ("top", ["middle", "bottom"])])
def test_an_inherited_role_holds_below_and_not_there(api, admin, tree, target, actor, having):
    api.call("PUT", f"/groups/{tree['group']}/users/{tree['user']}", token=admin)
    role = api.role(admin, "member")
    kind = "domains" if target == "domain" else "projects"
    every = f"/OS-INHERIT/{kind}/{tree[target]}/{actor}s/{tree[actor]}/roles"
    path = f"{every}/{role}/inherited_to_projects"
    assert api.call("HEAD", path, token=admin).status_code == 404
    grant(api, admin, path)
    assert api.call("HEAD", path, token=admin).status_code == 204
    listed = api.call("GET", every + "/inherited_to_projects", token=admin).json["roles"]
    assert [each["id"] for each in listed] == [role]
    assert api.call("GET", every.replace("/OS-INHERIT", ""), token=admin).json["roles"] == []
    assert [name for name in ("top", "middle", "bottom") if eve(api, tree, project(tree, name))] == having
    assert eve(api, tree, {"domain": {"id": tree["domain"]}}) is None
    token = eve(api, tree, project(tree, "bottom"))
    names = {each["name"] for each in api.call("GET", "/auth/projects", token=token).json["projects"]}
    assert names == set(having)
    assert api.call("DELETE", path, token=admin).status_code == 204
    assert eve(api, tree, project(tree, "bottom")) is None
    assert api.call("GET", "/auth/projects", token=token).status_code == 401


def test_inherited_assignments_in_listings(api, admin, tree):
    role = api.role(admin, "member")
    path = f"/OS-INHERIT/domains/{tree['domain']}/users/{tree['user']}/roles/{role}/inherited_to_projects"
    grant(api, admin, path)
    [plain] = assignments(api, admin, f"user.id={tree['user']}")
    assert plain["scope"] == {"domain": {"id": tree["domain"]}, "OS-INHERIT:inherited_to": "projects"}
    assert plain["links"]["assignment"].endswith(path)
    assert assignments(api, admin, f"user.id={tree['user']}&scope.OS-INHERIT:inherited_to=projects") == [plain]
    assert assignments(api, admin, f"scope.project.id={tree['top']}") == []
    grant(api, admin, f"/projects/{tree['middle']}/users/{tree['user']}/roles/{api.role(admin, 'reader')}")
    subtree = assignments(api, admin, f"scope.project.id={tree['top']}&include_subtree")
    assert [each["scope"]["project"]["id"] for each in subtree] == [tree["middle"]]
    effective = assignments(api, admin, f"effective&scope.project.id={tree['bottom']}&include_names")
    assert {each["role"]["name"] for each in effective} == {"member", "reader"}
    assert {each["scope"]["project"]["name"] for each in effective} == {"bottom"}
    assert {each["user"]["domain"]["name"] for each in effective} == {"dom"}
    everywhere = assignments(api, admin, f"effective&user.id={tree['user']}&role.id={role}")
    assert {each["scope"]["project"]["id"] for each in everywhere} == {tree["top"], tree["middle"], tree["bottom"]}
    below = assignments(api, admin, f"effective&include_subtree&scope.project.id={tree['middle']}&role.id={role}")
    assert {each["scope"]["project"]["id"] for each in below} == {tree["middle"], tree["bottom"]}
    inherited = "effective&scope.OS-INHERIT:inherited_to=projects"
    assert {each["role"]["id"] for each in assignments(api, admin, f"{inherited}&scope.project.id={tree['middle']}")} == {
        role,
        api.role(admin, "reader"),
    }


@pytest.mark.parametrize(
    "query",
    [
        "effective&group.id=g",
        "user.id=u&group.id=g",
        "scope.project.id=p&scope.domain.id=d",
        "include_subtree",
        "scope.domain.id=d&include_subtree",
        "effective&scope.domain.id=d&scope.OS-INHERIT:inherited_to=projects",
        "scope.OS-INHERIT:inherited_to=domains",
        "effective=perhaps",
    ],
)
def test_what_does_not_go_together_in_a_listing(api, admin, query):
    assert api.call("GET", f"/role_assignments?{query}", token=admin).status_code == 400


def test_a_listing_of_assignments_takes_the_same_queries_however_long_it_is(api, admin, tree):
    def queries():
        assignments(api, admin, "effective")  # what is remembered is found out anew before
        with api.db.counting() as seen:
            assignments(api, admin, "effective&include_names")
        return len(seen)

    role, before = api.role(admin, "member"), queries()
    grant(api, admin, f"/OS-INHERIT/domains/{tree['domain']}/users/{tree['user']}/roles/{role}/inherited_to_projects")
    some = queries()
    for number in range(5):
        user = api.made("users", admin, name=f"u{number}", domain_id=tree["domain"])["id"]
        grant(api, admin, f"/OS-INHERIT/projects/{tree['top']}/users/{user}/roles/{role}/inherited_to_projects")
    assert queries() == some == before + 1


def test_a_domains_own_role_is_worth_what_it_implies(api, admin, tree):
    own = api.made("roles", admin, name="operator", domain_id=tree["domain"])["id"]
    member = api.role(admin, "member")
    assert api.call("PUT", f"/roles/{member}/implies/{own}", token=admin).status_code == 403
    assert api.call("PUT", f"/roles/{own}/implies/{api.role(admin, 'admin')}", token=admin).status_code == 403
    grant(api, admin, f"/projects/{tree['top']}/users/{tree['user']}/roles/{own}")
    assert assignments(api, admin, f"effective&user.id={tree['user']}") == []
    assert api.call("PUT", f"/roles/{own}/implies/{member}", token=admin).status_code == 201
    assert api.call("HEAD", f"/roles/{own}/implies/{member}", token=admin).status_code == 204
    found = assignments(api, admin, f"effective&user.id={tree['user']}&include_names")
    assert {each["role"]["name"] for each in found} == {"member", "reader"}
    assert found[0]["links"]["prior_role"].endswith(own)
    elsewhere = api.login().json["token"]["project"]["id"]
    answer = api.call("PUT", f"/projects/{elsewhere}/users/{tree['user']}/roles/{own}", token=admin)
    assert answer.status_code == 403


def test_what_goes_takes_its_inherited_assignments_along(api, admin, tree):
    role = api.role(admin, "member")
    last = f"roles/{role}/inherited_to_projects"
    grant(api, admin, f"/OS-INHERIT/projects/{tree['bottom']}/users/{tree['user']}/{last}")
    grant(api, admin, f"/OS-INHERIT/domains/{tree['domain']}/groups/{tree['group']}/{last}")
    assert len(assignments(api, admin, "scope.OS-INHERIT:inherited_to=projects")) == 2
    assert api.call("DELETE", f"/groups/{tree['group']}", token=admin).status_code == 204
    assert len(assignments(api, admin, "scope.OS-INHERIT:inherited_to=projects")) == 1
    assert api.call("DELETE", f"/projects/{tree['bottom']}", token=admin).status_code == 204
    assert assignments(api, admin, "scope.OS-INHERIT:inherited_to=projects") == []


# Those of a domain


@pytest.fixture
def in_domain(api, admin, tree):
    """Eve's token in the scope of her domain, with the role that is asked for."""

    def token(role, scope=None):
        where = "/system" if scope == "system" else f"/domains/{tree['domain']}"
        grant(api, admin, f"{where}/users/{tree['user']}/roles/{api.role(admin, role)}")
        return eve(api, tree, {"system": {"all": True}} if scope == "system" else {"domain": {"id": tree["domain"]}})

    return token


@pytest.mark.parametrize("role", ["reader", "manager", "admin"])
def test_who_reads_in_a_domain_sees_what_is_in_it(api, admin, tree, in_domain, role):
    token = in_domain(role)

    def names(plural):
        return {each["name"] for each in api.call("GET", f"/{plural}", token=token).json[plural]}

    assert names("domains") == {"dom"}
    assert names("projects") == {"top", "middle", "bottom"}
    assert names("users") == {"eve"}
    assert names("groups") == {"staff"}
    assert len(assignments(api, token, "")) == 1
    other = api.call("GET", "/users?name=admin", token=admin).json["users"][0]["id"]
    theirs = api.login().json["token"]["project"]["id"]
    for path in (f"/users/{other}", f"/projects/{theirs}", "/domains/default", "/users/none", "/projects/none"):
        assert api.call("GET", path, token=token).status_code == 403
    for path in (f"/users/{tree['user']}", f"/projects/{tree['middle']}", f"/groups/{tree['group']}"):
        assert api.call("GET", path, token=token).status_code == 200
    assert api.call("GET", "/services", token=token).status_code == 403


def test_a_reader_of_a_domain_changes_nothing(api, admin, tree, in_domain):
    token = in_domain("member")
    for plural, fields in (("users", {"name": "x"}), ("projects", {"name": "x"}), ("groups", {"name": "x"})):
        assert api.call("POST", f"/{plural}", {plural[:-1]: fields}, token).status_code == 403
    assert api.call("DELETE", f"/groups/{tree['group']}", token=token).status_code == 403


@pytest.mark.parametrize("role", ["manager", "admin"])
def test_the_manager_of_a_domain_manages_what_is_in_it(api, admin, tree, in_domain, role):
    token = in_domain(role)
    user = api.made("users", token, name="bob", password="bob")
    assert user["domain_id"] == tree["domain"]
    made = api.made("projects", token, name="new")
    assert (made["domain_id"], made["parent_id"]) == (tree["domain"], tree["domain"])
    group = api.made("groups", token, name="new")["id"]
    assert api.call("PUT", f"/groups/{group}/users/{user['id']}", token=token).status_code == 204
    grant(api, token, f"/projects/{made['id']}/groups/{group}/roles/{api.role(admin, 'member')}")
    assert api.call("PATCH", f"/users/{user['id']}", {"user": {"name": "ben"}}, token).status_code == 200
    assert api.call("PUT", f"/projects/{made['id']}/tags/blue", token=token).status_code == 201
    for plural, key in (("groups", group), ("users", user["id"]), ("projects", made["id"])):
        assert api.call("DELETE", f"/{plural}/{key}", token=token).status_code == 204


@pytest.mark.parametrize("role", ["manager", "admin"])
def test_the_manager_of_a_domain_manages_nothing_else(api, admin, tree, in_domain, role):
    token = in_domain(role)
    other = api.call("GET", "/users?name=admin", token=admin).json["users"][0]["id"]
    theirs, own = api.login().json["token"]["project"]["id"], tree["top"]
    member, cloud = api.role(admin, "member"), api.role(admin, "admin")
    for method, path, body in (
        ("POST", "/users", {"user": {"name": "x", "domain_id": "default"}}),
        ("POST", "/projects", {"project": {"name": "x", "parent_id": theirs}}),
        ("POST", "/projects", {"project": {"name": "x", "is_domain": True}}),
        ("POST", "/domains", {"domain": {"name": "x"}}),
        ("POST", "/roles", {"role": {"name": "x"}}),
        ("PATCH", f"/users/{other}", {"user": {"password": "mine"}}),
        ("PATCH", f"/projects/{tree['domain']}", {"project": {"name": "mine"}}),
        ("DELETE", f"/projects/{theirs}", None),
        ("DELETE", "/users/none", None),
        ("PUT", f"/groups/{tree['group']}/users/{other}", None),
        ("PUT", f"/projects/{theirs}/users/{tree['user']}/roles/{member}", None),
        ("PUT", f"/projects/{own}/users/{other}/roles/{member}", None),
        ("PUT", f"/projects/{own}/users/{tree['user']}/roles/{cloud}", None),
        ("PUT", f"/system/users/{tree['user']}/roles/{member}", None),
    ):
        answer = api.call(method, path, body, token)
        assert answer.status_code == 403, (method, path, answer.text)


@pytest.mark.parametrize("where", ["system", "projects", "inherited"])
def test_the_manager_of_a_domain_becomes_no_more_by_who_is_in_it(api, admin, tree, in_domain, where):
    token, domain, role = in_domain("manager"), tree["domain"], api.role(admin, "admin")
    place = {
        "system": "/system/{}/roles/{}",
        "projects": f"/projects/{tree['top']}/{{}}/roles/{{}}",
        "inherited": f"/OS-INHERIT/domains/{domain}/{{}}/roles/{{}}/inherited_to_projects",
    }[where]
    bob = api.made("users", admin, name="bob", domain_id=domain)["id"]
    grant(api, admin, place.format(f"users/{bob}", role))
    grant(api, admin, place.format(f"groups/{tree['group']}", role))
    for method, path, body in (
        ("PATCH", f"/users/{bob}", {"user": {"password": "mine"}}),
        ("DELETE", f"/users/{bob}", None),
        ("PUT", f"/groups/{tree['group']}/users/{tree['user']}", None),
        ("PATCH", f"/groups/{tree['group']}", {"group": {"name": "mine"}}),
    ):
        assert api.call(method, path, body, token).status_code == 403
    assert api.call("PATCH", f"/users/{bob}", {"user": {"password": "theirs"}}, admin).status_code == 200


def test_a_reader_of_the_system_sees_everything_and_changes_nothing(api, admin, tree, in_domain):
    token = in_domain("reader", "system")
    for path in ("domains", "projects", "users", "groups", "roles", "services", "endpoints", "role_assignments"):
        assert api.call("GET", f"/{path}", token=token).json == api.call("GET", f"/{path}", token=admin).json
    assert api.call("DELETE", f"/groups/{tree['group']}", token=token).status_code == 403
    assert api.call("POST", "/services", {"service": {"type": "x"}}, token).status_code == 403


def test_a_region_is_made_under_a_name(api, admin):
    answer = api.call("PUT", "/regions/north", {"region": {"description": "cold"}}, admin)
    assert (answer.status_code, answer.json["region"]["id"]) == (201, "north")
    assert api.call("PUT", "/regions/north", {"region": {}}, admin).status_code == 409
    assert api.call("PUT", "/regions/south", {"region": {"id": "north"}}, admin).status_code == 400


def test_a_domain_made_as_a_project_goes_as_one(api, admin):
    made = api.made("projects", admin, name="as-project", is_domain=True)
    assert api.call("DELETE", f"/projects/{made['id']}", token=admin).status_code == 403
    api.call("PATCH", f"/projects/{made['id']}", {"project": {"enabled": False}}, admin)
    assert api.call("DELETE", f"/projects/{made['id']}", token=admin).status_code == 204
    assert api.call("GET", f"/domains/{made['id']}", token=admin).status_code == 404


def test_the_users_of_a_group_and_the_groups_of_a_user_by_pages(api, admin, tree):
    for number in range(3):
        user = api.made("users", admin, name=f"u{number}", domain_id=tree["domain"])["id"]
        api.call("PUT", f"/groups/{tree['group']}/users/{user}", token=admin)
        group = api.made("groups", admin, name=f"g{number}", domain_id=tree["domain"])["id"]
        api.call("PUT", f"/groups/{group}/users/{tree['user']}", token=admin)
    for path, plural, names in (
        (f"/groups/{tree['group']}/users", "users", {"u0", "u1", "u2"}),
        (f"/users/{tree['user']}/groups", "groups", {"g0", "g1", "g2"}),
    ):
        found, following = [], f"{path}?limit=2"
        while following:
            page = api.call("GET", following, token=admin).json
            assert len(page[plural]) <= 2
            found += page[plural]
            following = (page["links"]["next"] or "").removeprefix("http://cloud:80").removeprefix("http://cloud")
        assert {each["name"] for each in found} == names
        one = api.call("GET", f"{path}?name__endswith=1", token=admin).json[plural]
        assert [each["name"][-1] for each in one] == ["1"]
