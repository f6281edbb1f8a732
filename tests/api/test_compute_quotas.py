"""Quota classes, quotas of users, key pairs' kinds, and files for guests, over HTTP."""

from __future__ import annotations

import base64

import pytest
from cryptography import x509

from pilvi.metadata import tree
from tests.api.test_compute import IMAGE, Caller
from tests.fakes import FakeCloud


@pytest.fixture
def cloud(tmp_path):
    cloud = FakeCloud(tmp_path)
    cloud.image.add(IMAGE)
    yield cloud
    cloud.close()


@pytest.fixture
def user(cloud):
    return Caller(cloud, "red/ann/member")


@pytest.fixture
def admin(cloud):
    return Caller(cloud, "admin/root/admin")


BOOT = {"server": {"name": "x", "imageRef": IMAGE, "flavorRef": "42", "networks": "none"}}


def test_the_default_class_is_what_projects_have(admin, user):
    admin.ok("PUT", "/os-quota-sets/blue", {"quota_set": {"cores": 7}})
    old = admin.ok("GET", "/os-quota-class-sets/default", version="2.1")["quota_class_set"]
    assert (old["id"], old["floating_ips"], "server_groups" in old) == ("default", -1, False)
    new = admin.ok("GET", "/os-quota-class-sets/default", version="2.57")["quota_class_set"]
    assert "server_groups" in new
    assert not {"floating_ips", "injected_files"} & new.keys()
    changed = admin.ok("PUT", "/os-quota-class-sets/default", {"quota_class_set": {"cores": 3, "instances": 1}})
    assert (changed["quota_class_set"]["cores"], "id" in changed["quota_class_set"]) == (3, False)
    assert user.ok("GET", "/os-quota-sets/red")["quota_set"]["cores"] == 3
    assert user.ok("GET", "/os-quota-sets/red/defaults")["quota_set"]["cores"] == 3
    assert admin.ok("GET", "/os-quota-sets/blue")["quota_set"]["cores"] == 7
    user.server()
    user.refused(403, "POST", "/servers", BOOT)
    admin.ok("PUT", "/os-quota-class-sets/gold", {"quota_class_set": {"cores": 99}})
    assert admin.ok("GET", "/os-quota-class-sets/gold")["quota_class_set"]["cores"] == 99
    assert user.ok("GET", "/os-quota-sets/red")["quota_set"]["cores"] == 3
    user.refused(403, "PUT", "/os-quota-class-sets/default", {"quota_class_set": {"cores": 9}})
    admin.refused(400, "PUT", "/os-quota-class-sets/default", {"quota_class_set": {"floating_ips": 9}})
    admin.refused(400, "PUT", "/os-quota-class-sets/default", {"quota_class_set": {"force": True}})


def test_a_user_in_a_project_has_a_quota(admin, user):
    path = "/os-quota-sets/red?user_id=ann"
    assert admin.ok("PUT", path, {"quota_set": {"instances": 1, "server_groups": 0, "key_pairs": 0}})[
        "quota_set"]["instances"] == 1
    assert admin.ok("GET", path)["quota_set"]["instances"] == 1
    assert admin.ok("GET", "/os-quota-sets/red")["quota_set"]["instances"] == 10
    user.server()
    assert "Quota exceeded for instances" in user.refused(403, "POST", "/servers", BOOT)
    Caller(user.cloud, "red/bob/member").server()
    user.refused(403, "POST", "/os-server-groups", {"server_group": {"name": "g", "policy": "affinity"}})
    user.refused(403, "POST", "/os-keypairs", {"keypair": {"name": "k"}}, "2.91")
    assert admin.ok("GET", "/os-quota-sets/red/detail?user_id=ann")["quota_set"]["instances"] == {
        "limit": 1, "in_use": 1, "reserved": 0}
    assert "must be less than or equal to 10" in admin.refused(
        400, "PUT", path, {"quota_set": {"instances": 11}})
    admin.refused(400, "PUT", path, {"quota_set": {"instances": -1}})
    admin.refused(400, "PUT", path, {"quota_set": {"instances": 0}})
    assert admin("DELETE", path).status_code == 202
    assert admin.ok("GET", path)["quota_set"]["instances"] == 10
    admin.refused(400, "GET", "/os-quota-sets/red?who=ann", version="2.75")


def test_limits_of_another_project_are_an_administrators(admin, user):
    user.server()
    user.ok("POST", "/os-server-groups", {"server_group": {"name": "g", "policy": "affinity"}})
    shown = admin.ok("GET", "/limits?tenant_id=red&reserved=1")["limits"]["absolute"]
    assert (shown["totalInstancesUsed"], shown["totalServerGroupsUsed"]) == (1, 1)
    user.refused(403, "GET", "/limits?tenant_id=blue")
    user.refused(400, "GET", "/limits?who=red", version="2.75")


def test_lists_of_no_length_and_of_named_projects(admin, user):
    user.server()
    assert user.ok("GET", "/servers?limit=0") == {"servers": []}
    assert user.ok("GET", "/flavors?limit=0") == {"flavors": []}
    assert admin.names("/servers?tenant_id=red") == []
    assert admin.names("/servers?all_tenants=1&project_id=red") == ["one"]
    assert admin.names("/servers?all_tenants=1&project_id=blue") == []


# -- certificates


def test_key_pairs_that_are_certificates(user):
    made = user.ok("POST", "/os-keypairs", {"keypair": {"name": "w", "type": "x509"}}, "2.2")["keypair"]
    certificate = x509.load_pem_x509_certificate(made["public_key"].encode())
    assert certificate.subject.rfc4514_string() == "CN=ann"
    assert certificate.verify_directly_issued_by(certificate) is None
    assert "PRIVATE KEY" in made["private_key"]
    assert (made["type"], made["fingerprint"].count(":")) == ("x509", 19)
    again = user.ok("POST", "/os-keypairs", {"keypair": {
        "name": "v", "type": "x509", "public_key": made["public_key"]}})["keypair"]
    assert again["fingerprint"] == made["fingerprint"]
    assert "private_key" not in again
    user.refused(400, "POST", "/os-keypairs", {"keypair": {"name": "u", "type": "x509", "public_key": "x"}})
    user.refused(400, "POST", "/os-keypairs", {"keypair": {"name": "u", "public_key": ""}})


# -- files for guests


def personality(*files: tuple[str, bytes]) -> dict:
    return {"server": {"name": "p", "imageRef": IMAGE, "flavorRef": "42", "personality": [
        {"path": path, "contents": base64.b64encode(content).decode()} for path, content in files]}}


def test_files_are_carried_by_the_config_drive(cloud, user):
    server_id = user.ok("POST", "/servers", personality(("/etc/a", b"A"), ("b", b"B")), "2.1")["server"]["id"]
    assert user.ok("GET", f"/servers/{server_id}")["server"]["config_drive"] == "True"
    with cloud.db.read() as tx:
        files = tree.config_drive(cloud.compute.owned(tx, cloud.identity.authenticate(user.token, ""), server_id), [], {})
    assert (files["openstack/content/0000"], files["openstack/content/0001"]) == (b"A", b"B")
    assert b'{"path": "/etc/a", "content_path": "/content/0000"}' in files["openstack/latest/meta_data.json"]


def test_files_are_bounded(admin, user):
    admin.ok("PUT", "/os-quota-sets/red", {"quota_set": {
        "injected_files": 1, "injected_file_content_bytes": 4, "injected_file_path_bytes": 3}}, "2.56")
    for files in ((("a", b""), ("b", b"")), (("a", b"12345"),), (("/abc", b""),)):
        user.refused(403, "POST", "/servers", personality(*files), "2.1")
    user.ok("POST", "/servers", personality(("/ab", b"1234")), "2.1")
    user.refused(400, "POST", "/servers", personality(("a", b"")), "2.57")
    bad = personality(("a", b""))
    bad["server"]["personality"][0]["contents"] = "?"
    user.refused(400, "POST", "/servers", bad, "2.1")
