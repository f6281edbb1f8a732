"""Policies, endpoint groups, limits, configuration of domains and federation."""

from __future__ import annotations

import pytest

from pilvi import quota
from pilvi.engine.clock import SystemClock
from pilvi.identity import routes
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
def service(api, admin):
    return api.made("services", admin, type="object-store", name="swift")["id"]


@pytest.fixture
def endpoint(api, admin, service):
    return api.made("endpoints", admin, service_id=service, interface="public", url="http://x", region="RegionOne")["id"]


def done(api, token, method, path, status, body=None):
    answer = api.call(method, path, body, token)
    assert answer.status_code == status, answer.text
    return answer.json if answer.text else None


def own_project(api, user="pilvi"):
    return api.login(user).json["token"]["project"]["id"]


# Policies


def test_the_policy_of_an_endpoint_is_the_one_that_is_meant_most_closely(api, admin, service, endpoint):
    made = {}
    for name in ("service", "region", "endpoint"):
        answer = done(api, admin, "POST", "/policies", 201, {"policy": {"type": "text/plain", "blob": name, "mine": 1}})
        made[name] = answer["policy"]["id"]
        assert answer["policy"]["mine"] == 1
    done(api, admin, "PUT", "/regions/inner", 201, {"region": {"parent_region_id": "RegionOne"}})
    done(api, admin, "PATCH", f"/endpoints/{endpoint}", 200, {"endpoint": {"region_id": "inner"}})
    last = f"/endpoints/{endpoint}/OS-ENDPOINT-POLICY/policy"
    done(api, admin, "GET", last, 404)
    for name, place in (
        ("service", f"services/{service}"),
        ("region", f"services/{service}/regions/RegionOne"),
        ("endpoint", f"endpoints/{endpoint}"),
    ):
        path = f"/policies/{made[name]}/OS-ENDPOINT-POLICY/{place}"
        done(api, admin, "GET", path, 404)
        done(api, admin, "PUT", path, 204)
        done(api, admin, "GET", path, 204)
        assert done(api, admin, "GET", last, 200)["policy"]["blob"] == name
        meant = done(api, admin, "GET", f"/policies/{made[name]}/OS-ENDPOINT-POLICY/endpoints", 200)["endpoints"]
        assert [each["id"] for each in meant] == [endpoint]
    done(api, admin, "DELETE", path, 204)
    done(api, admin, "DELETE", path, 404)
    assert done(api, admin, "GET", last, 200)["policy"]["blob"] == "region"
    done(api, admin, "DELETE", f"/policies/{made['region']}", 204)
    assert done(api, admin, "GET", last, 200)["policy"]["blob"] == "service"
    done(api, admin, "PUT", f"/policies/none/OS-ENDPOINT-POLICY/services/{service}", 404)
    done(api, admin, "PUT", f"/policies/{made['service']}/OS-ENDPOINT-POLICY/services/none", 404)


# Which project is shown which endpoints


def urls(api, user="pilvi"):
    """Where the user's catalog leads, whichever project that is for."""
    token = api.login(user).json["token"]
    return {each["url"].removeprefix("http://cloud").replace(token["project"]["id"], "PROJECT")
            for found in token["catalog"] for each in found["endpoints"]}


def test_a_project_is_shown_the_endpoints_that_it_was_associated_with(api, admin, endpoint):
    project, everything = own_project(api), urls(api)
    path = f"/OS-EP-FILTER/projects/{project}/endpoints/{endpoint}"
    done(api, admin, "HEAD", path, 404)
    done(api, admin, "PUT", path, 204)
    done(api, admin, "HEAD", path, 204)
    assert urls(api) == {"http://x"}
    assert urls(api, "oscloud") == everything
    listed = done(api, admin, "GET", f"/OS-EP-FILTER/projects/{project}/endpoints", 200)["endpoints"]
    assert [each["id"] for each in listed] == [endpoint]
    listed = done(api, admin, "GET", f"/OS-EP-FILTER/endpoints/{endpoint}/projects", 200)["projects"]
    assert [each["id"] for each in listed] == [project]
    done(api, admin, "DELETE", path, 204)
    done(api, admin, "DELETE", path, 404)
    assert urls(api) == everything


def test_a_project_is_shown_the_endpoints_of_its_groups(api, admin, service, endpoint):
    project, everything = own_project(api), urls(api)
    fields = {"name": "public", "filters": {"interface": "public", "service_id": service}}
    group = done(api, admin, "POST", "/OS-EP-FILTER/endpoint_groups", 201, {"endpoint_group": fields})["endpoint_group"]
    assert group["links"]["self"].endswith(f"/v3/OS-EP-FILTER/endpoint_groups/{group['id']}")
    place = f"/OS-EP-FILTER/endpoint_groups/{group['id']}"
    done(api, admin, "GET", f"{place}/projects/{project}", 404)
    done(api, admin, "PUT", f"{place}/projects/{project}", 204)
    shown = done(api, admin, "GET", f"{place}/projects/{project}", 200)["project_endpoint_group"]
    assert (shown["project_id"], shown["endpoint_group_id"]) == (project, group["id"])
    done(api, admin, "HEAD", f"{place}/projects/{project}", 200)
    assert urls(api) == {"http://x"}
    assert [each["id"] for each in done(api, admin, "GET", place + "/endpoints", 200)["endpoints"]] == [endpoint]
    assert [each["id"] for each in done(api, admin, "GET", place + "/projects", 200)["projects"]] == [project]
    listed = done(api, admin, "GET", f"/OS-EP-FILTER/projects/{project}/endpoint_groups", 200)["endpoint_groups"]
    assert listed == [group]
    listed = done(api, admin, "GET", f"/OS-EP-FILTER/projects/{project}/endpoints", 200)["endpoints"]
    assert [each["id"] for each in listed] == [endpoint]
    done(api, admin, "PATCH", place, 200, {"endpoint_group": {"filters": {"interface": "admin"}}})
    assert urls(api) == {url for url in everything if url != "http://x"}
    done(api, admin, "DELETE", place, 204)
    assert urls(api) == everything


@pytest.mark.parametrize("filters", [{"colour": "red"}, {"interface": "private"}, {"service_id": "none"}, "all"])
def test_filters_that_are_none(api, admin, filters):
    body = {"endpoint_group": {"name": "x", "filters": filters}}
    done(api, admin, "POST", "/OS-EP-FILTER/endpoint_groups", 400, body)


# Limits


def enforced(api, project, service="image"):
    with api.db.read() as tx:
        return quota.limits(tx, service, project)


def registered(api, token, name):
    found = done(api, token, "GET", f"/registered_limits?resource_name={name}", 200)["registered_limits"]
    return found[0]


def limit(api, admin, resource, amount, **owner):
    rests_on = registered(api, admin, resource)
    fields = {"service_id": rests_on["service_id"], "region_id": rests_on["region_id"], "resource_name": resource}
    body = {"limits": [{**fields, "resource_limit": amount, **owner}]}
    return done(api, admin, "POST", "/limits", 201, body)["limits"][0]


@pytest.mark.parametrize(
    ("service", "limit_name", "resource"),
    [("image", "image_count_total", "image_count_total"), ("compute", "servers", "instances"),
     ("compute", "class:VCPU", "cores"), ("network", "port", "port")],
)  # fmt: skip
def test_a_limit_is_what_the_service_enforces(api, admin, service, limit_name, resource):
    project, other = own_project(api), own_project(api, "oscloud")
    before = enforced(api, project, service)[resource]
    rests_on = registered(api, admin, limit_name)
    assert rests_on["default_limit"] == before
    path = f"/registered_limits/{rests_on['id']}"
    changed = done(api, admin, "PATCH", path, 200, {"registered_limit": {"default_limit": 7}})["registered_limit"]
    assert changed == {**rests_on, "default_limit": 7}
    assert enforced(api, project, service)[resource] == 7
    own = limit(api, admin, limit_name, 3, project_id=project)
    assert enforced(api, project, service)[resource] == 3
    assert enforced(api, other, service)[resource] == 7
    done(api, admin, "PATCH", f"/limits/{own['id']}", 200, {"limit": {"resource_limit": 0}})
    assert enforced(api, project, service)[resource] == 0
    done(api, admin, "DELETE", path, 403)
    done(api, admin, "PATCH", path, 403, {"registered_limit": {"resource_name": "other"}})
    done(api, admin, "DELETE", f"/limits/{own['id']}", 204)
    assert enforced(api, project, service)[resource] == 7
    done(api, admin, "DELETE", path, 204)
    assert enforced(api, project, service)[resource] == before


def test_limits_on_what_another_service_counts(api, admin, service):
    project, other = own_project(api), own_project(api, "oscloud")
    wanted = [{"service_id": service, "resource_name": name, "default_limit": 5} for name in ("objects", "bytes")]
    made = done(api, admin, "POST", "/registered_limits", 201, {"registered_limits": wanted})["registered_limits"]
    assert [each["resource_name"] for each in made] == ["objects", "bytes"]
    done(api, admin, "POST", "/registered_limits", 409, {"registered_limits": wanted[:1]})
    limit(api, admin, "objects", -1, project_id=project)
    with api.db.read() as tx:
        assert api.identity.enforced(tx, "object-store", project) == {"objects": -1, "bytes": 5}
        assert api.identity.enforced(tx, "object-store", other) == {"objects": 5, "bytes": 5}


def test_whose_limits_one_sees(api, admin):
    member, project = api.token("pilvi"), own_project(api)
    mine = limit(api, admin, "servers", 1, project_id=project)
    theirs = limit(api, admin, "servers", 2, project_id=own_project(api, "oscloud"))
    domains = limit(api, admin, "servers", 3, domain_id="default")
    assert {each["id"] for each in done(api, admin, "GET", "/limits", 200)["limits"]} == {
        mine["id"],
        theirs["id"],
        domains["id"],
    }
    assert done(api, admin, "GET", "/limits?domain_id=default", 200)["limits"] == [domains]
    assert done(api, member, "GET", "/limits", 200)["limits"] == [mine]
    assert done(api, member, "GET", f"/limits/{mine['id']}", 200)["limit"] == mine
    for key in (theirs["id"], domains["id"], "none"):
        done(api, member, "GET", f"/limits/{key}", 403)
    done(api, admin, "GET", "/limits/none", 404)
    done(api, member, "PATCH", f"/limits/{mine['id']}", 403, {"limit": {"resource_limit": 100}})
    assert done(api, member, "GET", "/limits/model", 200)["model"]["name"] == "flat"


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"resource_name": "unheard"}, 403),
        ({"region_id": None}, 403),
        ({"region_id": "nowhere"}, 400),
        ({"service_id": "none"}, 400),
        ({"project_id": "none"}, 400),
        ({"project_id": None}, 400),
        ({"domain_id": "default"}, 400),
        ({"resource_limit": -2}, 400),
        ({"resource_limit": "many"}, 400),
        ({"colour": "red"}, 400),
    ],
)
def test_limits_that_are_none(api, admin, change, status):
    rests_on = registered(api, admin, "servers")
    fields = {"service_id": rests_on["service_id"], "region_id": "RegionOne", "resource_name": "servers"}
    body = {"limits": [{**fields, "resource_limit": 1, "project_id": own_project(api), **change}]}
    done(api, admin, "POST", "/limits", status, body)


def test_a_project_takes_its_limits_along(api, admin):
    project = api.made("projects", admin, name="short")["id"]
    limit(api, admin, "servers", 1, project_id=project)
    done(api, admin, "DELETE", f"/projects/{project}", 204)
    assert done(api, admin, "GET", "/limits", 200)["limits"] == []
    assert enforced(api, project, "compute")["instances"] == quota.DEFAULTS["compute"]["instances"]


def test_what_was_registered_stays_as_it_was_changed(api, admin):
    rests_on = registered(api, admin, "servers")
    body = {"registered_limit": {"default_limit": 7}}
    done(api, admin, "PATCH", f"/registered_limits/{rests_on['id']}", 200, body)
    api.identity.bootstrap({"admin": "x", "pilvi": "x", "oscloud": "x"})
    assert registered(api, admin, "servers")["default_limit"] == 7


# Configuration of domains


def test_configuration_of_a_domain(api, admin):
    place = f"/domains/{api.made('domains', admin, name='dom')['id']}/config"
    done(api, admin, "GET", place, 404)
    config = {"identity": {"driver": "ldap"}, "ldap": {"url": "ldap://x", "password": "secret"}}
    shown = {"identity": {"driver": "ldap"}, "ldap": {"url": "ldap://x"}}
    assert done(api, admin, "PUT", place, 201, {"config": config})["config"] == shown
    assert done(api, admin, "PUT", place, 200, {"config": config})["config"] == shown
    assert done(api, admin, "GET", place + "/ldap", 200)["config"] == {"ldap": {"url": "ldap://x"}}
    assert done(api, admin, "GET", place + "/ldap/url", 200)["config"] == {"url": "ldap://x"}
    done(api, admin, "GET", place + "/ldap/password", 403)
    done(api, admin, "GET", place + "/ldap/user", 404)
    done(api, admin, "GET", place + "/colour", 403)
    body = {"config": {"ldap": {"user": "cn=root"}}}
    assert done(api, admin, "PATCH", place, 200, body)["config"]["ldap"] == {"url": "ldap://x", "user": "cn=root"}
    done(api, admin, "PATCH", place + "/identity", 400, body)
    done(api, admin, "PATCH", place + "/ldap/suffix", 404, {"config": {"suffix": "x"}})
    done(api, admin, "DELETE", place + "/ldap/url", 204)
    done(api, admin, "DELETE", place + "/ldap/url", 404)
    done(api, admin, "DELETE", place, 204)
    done(api, admin, "GET", place, 404)


@pytest.mark.parametrize(
    ("config", "status"),
    [({}, 400), ({"ldap": {}}, 400), ({"ldap": {"url": {"a": 1}}}, 400), ({"sql": {"url": "x"}}, 403),
     ({"ldap": {"colour": "red"}}, 403)],
)  # fmt: skip
def test_configuration_that_is_none(api, admin, config, status):
    done(api, admin, "PUT", "/domains/default/config", status, {"config": config})


def test_everybody_may_read_the_rules_for_passwords(api):
    member = api.token("pilvi")
    config = done(api, member, "GET", "/domains/default/config/security_compliance", 200)["config"]
    assert config == {"security_compliance": {"password_regex": None, "password_regex_description": None}}
    done(api, member, "GET", "/domains/default/config", 403)


# Federation


def test_identity_providers_protocols_and_mappings(api, admin):
    base = "/OS-FEDERATION"
    body = {"identity_provider": {"remote_ids": ["https://idp"], "enabled": True}}
    made = done(api, admin, "PUT", base + "/identity_providers/acme", 201, body)["identity_provider"]
    assert (made["remote_ids"], made["enabled"], made["authorization_ttl"]) == (["https://idp"], True, None)
    assert done(api, admin, "GET", f"/domains/{made['domain_id']}", 200)["domain"]["name"] == "idp-acme"
    done(api, admin, "PUT", base + "/identity_providers/acme", 409, body)
    done(api, admin, "PUT", base + "/identity_providers/other", 409, body)
    assert done(api, admin, "GET", base + "/identity_providers?enabled=true", 200)["identity_providers"] == [made]
    protocol = base + "/identity_providers/acme/protocols/saml2"
    done(api, admin, "PUT", protocol, 400, {"protocol": {"mapping_id": "all"}})
    rules = [{"local": [{"user": {"name": "{0}"}}], "remote": [{"type": "USER"}]}]
    done(api, admin, "PUT", base + "/mappings/all", 201, {"mapping": {"rules": rules}})
    shown = done(api, admin, "PUT", protocol, 201, {"protocol": {"mapping_id": "all"}})["protocol"]
    assert shown["links"]["identity_provider"].endswith("/OS-FEDERATION/identity_providers/acme")
    assert done(api, admin, "GET", protocol.rsplit("/", 1)[0], 200)["protocols"] == [shown]
    done(api, admin, "DELETE", base + "/mappings/all", 403)
    done(api, admin, "PATCH", protocol, 200, {"protocol": {"remote_id_attribute": "IDP"}})
    done(api, admin, "DELETE", base + "/identity_providers/acme", 204)
    done(api, admin, "GET", protocol, 404)
    done(api, admin, "DELETE", base + "/mappings/all", 204)
    made = done(api, admin, "PUT", base + "/identity_providers/acme2", 201, body)["identity_provider"]
    done(api, admin, "PATCH", f"/domains/{made['domain_id']}", 200, {"domain": {"enabled": False}})
    done(api, admin, "DELETE", f"/domains/{made['domain_id']}", 204)
    done(api, admin, "GET", base + "/identity_providers/acme2", 404)


def test_service_providers(api, admin):
    path = "/OS-FEDERATION/service_providers/other"
    body = {"service_provider": {"auth_url": "https://o/v3", "sp_url": "https://o/saml"}}
    made = done(api, admin, "PUT", path, 201, body)["service_provider"]
    assert (made["enabled"], made["relay_state_prefix"]) == (False, "ss:mem:")
    changed = done(api, admin, "PATCH", path, 200, {"service_provider": {"enabled": True}})["service_provider"]
    assert changed == {**made, "enabled": True}
    done(api, admin, "PATCH", path, 400, {"service_provider": {"auth_url": "nowhere"}})
    done(api, admin, "DELETE", path, 204)
    done(api, admin, "DELETE", path, 404)


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/OS-FEDERATION/identity_providers/acme/protocols/saml2/auth"), ("GET", "/auth/OS-FEDERATION/websso/saml2"),
     ("POST", "/auth/OS-FEDERATION/saml2"), ("GET", "/OS-FEDERATION/saml2/metadata")],
)  # fmt: skip
def test_nobody_logs_in_by_federation(api, method, path):
    done(api, None, method, path, 501, {} if method == "POST" else None)


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/policies"), ("GET", "/OS-EP-FILTER/endpoint_groups"), ("GET", "/OS-FEDERATION/mappings"),
     ("POST", "/limits"), ("POST", "/registered_limits"), ("PUT", "/domains/default/config"), ("POST", "/policies")],
)  # fmt: skip
def test_what_a_member_may_not(api, method, path):
    done(api, api.token("pilvi"), method, path, 403, {} if method != "GET" else None)


def test_the_catalog_takes_the_same_queries_however_many_associations_there_are(api, admin, endpoint):
    def queries():
        urls(api)
        with api.db.counting() as seen:
            urls(api)
        return len(seen)

    before = queries()
    for user in ("pilvi", "oscloud", "admin"):
        done(api, admin, "PUT", f"/OS-EP-FILTER/projects/{own_project(api, user)}/endpoints/{endpoint}", 204)
    assert queries() == before


# The document of all paths


def test_the_home_document_names_every_path(api):
    answer = api.call("GET", "/identity/v3", Accept="application/json-home")
    assert answer.headers["Content-Type"] == "application/json-home"
    found, base = answer.json["resources"], "https://docs.openstack.org/api/openstack-identity/3"
    assert found[base + "/rel/projects"] == {"href": "/identity/v3/projects"}
    assert found[base + "/rel/project_user_role"] == {
        "href-template": "/identity/v3/projects/{project_id}/users/{user_id}/roles/{role_id}",
        "href-vars": {name: f"{base}/param/{name}" for name in ("project_id", "user_id", "role_id")},
    }
    assert base + "/ext/OS-TRUST/1.0/rel/trust" in found
    paths = {route.path for route in routes.ROUTES if route.path.startswith("/v3/")}
    assert len(found) == len(paths)


@pytest.mark.parametrize("accept", ["", "*/*", "application/json", "application/json-home, application/json"])
def test_whoever_does_not_ask_for_it_gets_the_version(api, accept):
    assert api.call("GET", "/identity/v3", Accept=accept).json["version"]["id"] == "v3.14"
