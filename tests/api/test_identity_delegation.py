"""Rights that are passed on: trusts, OAuth 1, EC2 keys, access rules of application credentials."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from urllib.parse import parse_qs, quote

import pytest

from pilvi.engine.clock import ManualClock, micros_text
from pilvi.identity import totp
from tests.support.identity import Api, identity_on

TRUSTS = "/OS-TRUST/trusts"


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
def api(tmp_path, clock):
    api = Api(*identity_on(tmp_path, clock), clock)
    yield api
    api.close()


@pytest.fixture
def admin(api):
    return api.token()


@pytest.fixture
def pilvi(api):
    """The trustor: the token's body, and the token as `text`."""
    return whole(api.login("pilvi"))


@pytest.fixture
def oscloud(api):
    """The trustee."""
    return whole(api.login("oscloud"))


def whole(answer):
    assert answer.status_code in (200, 201), answer.text
    return {**answer.json["token"], "text": answer.headers["X-Subject-Token"]}


def later(clock, seconds):
    return micros_text(clock.now() + seconds * 1_000_000) + "Z"


@pytest.fixture
def trust(api, pilvi, oscloud):
    """Makes a trust of pilvi for oscloud, unless fields say otherwise."""

    def make(token=None, status=201, **fields):
        wanted = {
            "trustor_user_id": pilvi["user"]["id"],
            "trustee_user_id": oscloud["user"]["id"],
            "project_id": pilvi["project"]["id"],
            "impersonation": True,
            "roles": [{"name": "member"}],
        }
        answer = api.call("POST", TRUSTS, {"trust": {**wanted, **fields}}, token or pilvi["text"])
        assert answer.status_code == status, answer.text
        return answer.json.get("trust")

    return make


def by_trust(api, trust, user="oscloud"):
    return api.login(user, scope={"OS-TRUST:trust": {"id": trust["id"]}})


def holds(api, token):
    return api.call("GET", "/auth/projects", token=token["text"]).status_code == 200


# Trusts


def test_a_trust_is_made_shown_and_deleted(api, admin, trust, pilvi, oscloud):
    made = trust(note="extra")
    assert made["links"]["self"].endswith(f"/identity/v3{TRUSTS}/{made['id']}")
    assert (made["expires_at"], made["remaining_uses"], made["deleted_at"], made["note"]) == (None, None, None, "extra")
    assert [role["name"] for role in made["roles"]] == ["member"]
    one = f"{TRUSTS}/{made['id']}"
    for token in (pilvi["text"], oscloud["text"], admin):
        assert api.call("GET", one, token=token).json["trust"] == made
    role = made["roles"][0]
    assert api.call("GET", f"{one}/roles", token=pilvi["text"]).json["roles"] == [role]
    assert api.call("GET", f"{one}/roles/{role['id']}", token=pilvi["text"]).json["role"] == role
    assert api.call("HEAD", f"{one}/roles/{role['id']}", token=pilvi["text"]).status_code == 200
    reader = api.role(admin, "reader")
    assert api.call("GET", f"{one}/roles/{reader}", token=pilvi["text"]).status_code == 404
    assert api.call("DELETE", one, token=oscloud["text"]).status_code == 403
    assert api.call("DELETE", one, token=pilvi["text"]).status_code == 204
    assert api.call("GET", one, token=pilvi["text"]).status_code == 404


def test_who_sees_which_trusts(api, admin, trust, pilvi, oscloud):
    made = trust()
    summary = {key: value for key, value in made.items() if key not in ("roles", "roles_links")}
    trustor, trustee = (f"{TRUSTS}?{name}_user_id={user['user']['id']}"
                        for name, user in (("trustor", pilvi), ("trustee", oscloud)))
    for path, token in ((trustor, pilvi["text"]), (trustee, oscloud["text"]), (TRUSTS, admin)):
        assert api.call("GET", path, token=token).json["trusts"] == [summary]
    assert api.call("GET", trustee.replace("trustee", "trustor"), token=admin).json["trusts"] == []
    for path, token in ((trustor, oscloud["text"]), (TRUSTS, pilvi["text"])):
        assert api.call("GET", path, token=token).status_code == 403
    third = api.made("users", admin, name="third", password="third")["id"]
    api.call("PUT", f"/system/users/{third}/roles/{api.role(admin, 'reader')}", token=admin)
    auditor = api.token("third", scope={"system": {"all": True}})
    assert api.call("GET", TRUSTS, token=auditor).json["trusts"] == [summary]
    nobody = api.token("third", scope="unscoped")
    assert api.call("GET", f"{TRUSTS}/{made['id']}", token=nobody).status_code == 403


@pytest.mark.parametrize("impersonation", [True, False])
def test_a_token_by_trust(api, admin, trust, pilvi, oscloud, impersonation):
    made = trust(impersonation=impersonation)
    token = whole(by_trust(api, made))
    assert token["user"]["name"] == ("pilvi" if impersonation else "oscloud")
    assert token["project"]["id"] == pilvi["project"]["id"]
    assert [role["name"] for role in token["roles"]] == ["member", "reader"]
    assert token["OS-TRUST:trust"] == {
        "id": made["id"],
        "impersonation": impersonation,
        "trustor_user": {"id": pilvi["user"]["id"]},
        "trustee_user": {"id": oscloud["user"]["id"]},
    }
    shown = api.call("GET", "/auth/tokens", token=admin, X_Subject_Token=token["text"]).json["token"]
    assert shown == {key: value for key, value in token.items() if key != "text"}
    exchange = {"identity": {"methods": ["token"], "token": {"id": token["text"]}}}
    assert api.call("POST", "/auth/tokens", {"auth": exchange}).status_code == 403
    own = f"/users/{token['user']['id']}"
    made = {"application_credential": {"name": "x"}}
    assert api.call("POST", f"{own}/application_credentials", made, token["text"]).status_code == 403


def test_a_trust_is_for_its_trustee(api, trust, pilvi):
    made = trust()
    assert by_trust(api, made, "pilvi").status_code == 403
    assert by_trust(api, {"id": "0" * 32}).status_code == 401
    both = {"OS-TRUST:trust": {"id": made["id"]}, "project": {"id": pilvi["project"]["id"]}}
    assert api.login("oscloud", scope=both).status_code == 400


def test_uses_of_a_trust_run_out(api, trust, pilvi):
    made = trust(remaining_uses=2)
    token = whole(by_trust(api, made))
    one = f"{TRUSTS}/{made['id']}"
    assert api.call("GET", one, token=pilvi["text"]).json["trust"]["remaining_uses"] == 1
    assert by_trust(api, made).status_code == 201
    assert by_trust(api, made).status_code == 403
    assert holds(api, token), "was issued in time"
    assert api.call("GET", one, token=pilvi["text"]).status_code == 404
    assert api.call("DELETE", one, token=pilvi["text"]).status_code == 204
    assert not holds(api, token)


def test_a_trust_expires(api, clock, trust):
    made = trust(expires_at=later(clock, 600))
    assert re.fullmatch(r"....-..-..T..:..:..\.\d{6}Z", made["expires_at"])
    token = whole(by_trust(api, made))
    assert token["expires_at"] == made["expires_at"]
    clock.advance(601)
    assert not holds(api, token)
    assert by_trust(api, made).status_code == 401


def take_role_away(api, admin, pilvi, oscloud):
    role = api.role(admin, "member")
    path = f"/projects/{pilvi['project']['id']}/users/{pilvi['user']['id']}/roles/{role}"
    return api.call("DELETE", path, token=admin)


def disable(which):
    def end(api, admin, pilvi, oscloud):
        user = {"pilvi": pilvi, "oscloud": oscloud}[which]["user"]["id"]
        return api.call("PATCH", f"/users/{user}", {"user": {"enabled": False}}, admin)

    return end


def new_password(which):
    def end(api, admin, pilvi, oscloud):
        user = {"pilvi": pilvi, "oscloud": oscloud}[which]["user"]["id"]
        return api.call("PATCH", f"/users/{user}", {"user": {"password": "another"}}, admin)

    return end


def delete_trust(api, admin, pilvi, oscloud):
    made = api.call("GET", TRUSTS, token=admin).json["trusts"][0]
    return api.call("DELETE", f"{TRUSTS}/{made['id']}", token=admin)


def delete_user(which):
    def end(api, admin, pilvi, oscloud):
        user = {"pilvi": pilvi, "oscloud": oscloud}[which]["user"]["id"]
        return api.call("DELETE", f"/users/{user}", token=admin)

    return end


def delete_project(api, admin, pilvi, oscloud):
    return api.call("DELETE", f"/projects/{pilvi['project']['id']}", token=admin)


ENDS = {
    "role": take_role_away,
    "trust": delete_trust,
    "trustor disabled": disable("pilvi"),
    "trustee disabled": disable("oscloud"),
    "trustor's password": new_password("pilvi"),
    "trustee's password": new_password("oscloud"),
    "trustor deleted": delete_user("pilvi"),
    "trustee deleted": delete_user("oscloud"),
    "project": delete_project,
}


@pytest.mark.parametrize("impersonation", [True, False])
@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
def test_a_token_by_trust_ends_with_what_it_rests_on(api, admin, trust, pilvi, oscloud, end, impersonation):
    made = trust(impersonation=impersonation)
    token = whole(by_trust(api, made))
    assert holds(api, token)
    assert end(api, admin, pilvi, oscloud).status_code in (200, 204)
    assert not holds(api, token)


def test_trusts_that_cannot_be(api, clock, admin, trust, oscloud):
    trust(status=403, trustor_user_id=oscloud["user"]["id"])
    trust(status=403, token=admin)
    trust(status=404, trustee_user_id="0" * 32)
    trust(status=404, project_id="0" * 32)
    trust(status=404, roles=[{"name": "admin"}])
    trust(status=403, roles=[])
    trust(status=400, project_id=None)
    for fields in (
        {"expires_at": "bad.123Z"},
        {"expires_at": later(clock, -5)},
        {"remaining_uses": 0},
        {"remaining_uses": -1},
        {"remaining_uses": "2"},
        {"impersonation": "yes"},
        {"trustee_user_id": None},
        {"allow_redelegation": True, "remaining_uses": 3},
        {"redelegation_count": -1},
        {"roles": "member"},
    ):
        trust(status=400, **fields)
    trust(status=403, allow_redelegation=True, redelegation_count=4)


def test_a_trust_without_a_project(api, trust):
    token = whole(by_trust(api, trust(project_id=None, roles=[])))
    assert token["user"]["name"] == "pilvi"
    assert not {"project", "roles", "catalog"} & set(token)


def test_a_trust_is_passed_on(api, admin, clock, trust, pilvi, oscloud):
    third = api.made("users", admin, name="third", password="third")["id"]
    closed = whole(by_trust(api, trust()))
    wanted = {"trustee_user_id": third, "allow_redelegation": True}
    trust(status=403, token=closed["text"], **wanted)
    first = trust(allow_redelegation=True, redelegation_count=2, expires_at=later(clock, 3600),
                  roles=[{"name": "reader"}])
    token = whole(by_trust(api, first))
    trust(status=404, token=token["text"], **wanted)  # member was not among the roles
    wanted["roles"] = [{"name": "reader"}]
    trust(status=403, token=token["text"], redelegation_count=2, **wanted)
    trust(status=403, token=token["text"], expires_at=later(clock, 7200), **wanted)
    trust(status=400, token=token["text"], remaining_uses=1, **wanted)
    trust(status=403, redelegated_trust_id=first["id"])
    second = trust(token=token["text"], redelegated_trust_id=first["id"], **wanted)
    assert (second["redelegation_count"], second["redelegated_trust_id"]) == (1, first["id"])
    assert second["expires_at"] == first["expires_at"]
    last = whole(by_trust(api, second, "third"))
    assert (last["user"]["name"], [role["name"] for role in last["roles"]]) == ("pilvi", ["reader"])
    assert api.call("DELETE", f"{TRUSTS}/{first['id']}", token=pilvi["text"]).status_code == 204
    assert not holds(api, last)
    assert api.call("GET", f"{TRUSTS}/{second['id']}", token=admin).status_code == 404


def test_impersonation_is_not_won_by_passing_on(api, trust, oscloud, admin):
    third = api.made("users", admin, name="third", password="third")["id"]
    first = trust(allow_redelegation=True, impersonation=False)
    token = whole(by_trust(api, first))
    wanted = {"trustor_user_id": oscloud["user"]["id"], "trustee_user_id": third, "token": token["text"]}
    trust(status=403, **wanted)
    second = trust(impersonation=False, **wanted)
    last = whole(by_trust(api, second, "third"))
    assert (last["user"]["name"], [role["name"] for role in last["roles"]]) == ("third", ["member", "reader"])


# OAuth 1


def escaped(text):
    return quote(text, safe="~")


def sign(clock, method, path, consumer, token=None, nonce="n", **more):
    """The Authorization header of a request to Api's host."""
    found = {
        "oauth_consumer_key": consumer["id"],
        "oauth_signature_method": "HMAC-SHA1",
        "oauth_timestamp": str(clock.now() // 1_000_000),
        "oauth_nonce": nonce,
        **({"oauth_token": token["oauth_token"]} if token else {}),
        **more,
    }
    normal = "&".join(f"{escaped(name)}={escaped(value)}" for name, value in sorted(found.items()))
    base = "&".join(map(escaped, (method, f"http://cloud/identity/v3{path}", normal)))
    key = f"{consumer['secret']}&{token['oauth_token_secret'] if token else ''}"
    digest = hmac.new(key.encode(), base.encode(), hashlib.sha1).digest()
    found["oauth_signature"] = base64.b64encode(digest).decode()
    return "OAuth " + ", ".join(f'{name}="{escaped(value)}"' for name, value in found.items())


def form(answer):
    assert answer.status_code == 201, answer.text
    assert answer.headers["Content-Type"] == "application/x-www-form-urlencoded"
    return {name: values[0] for name, values in parse_qs(answer.text).items()}


@pytest.fixture
def consumer(api, admin):
    answer = api.call("POST", "/OS-OAUTH1/consumers", {"consumer": {"description": "a program"}}, admin)
    assert answer.status_code == 201, answer.text
    return answer.json["consumer"]


def request_token(api, clock, consumer, project_id, status=201, nonce="n", **more):
    path = "/OS-OAUTH1/request_token"
    header = sign(clock, "POST", path, consumer, nonce=nonce, oauth_callback="oob", **more)
    answer = api.call("POST", path, Authorization=header, Requested_Project_Id=project_id)
    assert answer.status_code == status, answer.text
    return form(answer) if status == 201 else header


def authorised(api, clock, consumer, user):
    asked = request_token(api, clock, consumer, user["project"]["id"])
    roles = {"roles": [{"id": role["id"]} for role in user["roles"] if role["name"] == "reader"]}
    answer = api.call("PUT", f"/OS-OAUTH1/authorize/{asked['oauth_token']}", roles, user["text"])
    assert answer.status_code == 200, answer.text
    return asked, answer.json["token"]["oauth_verifier"]


def access_token(api, clock, consumer, asked, verifier, status=201, nonce="a"):
    path = "/OS-OAUTH1/access_token"
    header = sign(clock, "POST", path, consumer, asked, nonce, oauth_verifier=verifier)
    answer = api.call("POST", path, Authorization=header)
    assert answer.status_code == status, answer.text
    return form(answer) if status == 201 else None


def by_oauth(api, clock, consumer, access, nonce="l", scope=None):
    auth = {"identity": {"methods": ["oauth1"], "oauth1": {}}, **({"scope": scope} if scope else {})}
    header = sign(clock, "POST", "/auth/tokens", consumer, access, nonce)
    return api.call("POST", "/auth/tokens", {"auth": auth}, Authorization=header)


def test_consumers(api, admin, consumer, pilvi):
    one = f"/OS-OAUTH1/consumers/{consumer['id']}"
    shown = {key: value for key, value in consumer.items() if key != "secret"}
    assert api.call("GET", one, token=admin).json["consumer"] == shown
    assert api.call("GET", "/OS-OAUTH1/consumers", token=admin).json["consumers"] == [shown]
    changed = api.call("PATCH", one, {"consumer": {"description": "new"}}, admin).json["consumer"]
    assert changed == {**shown, "description": "new"}
    assert api.call("PATCH", one, {"consumer": {"secret": "mine"}}, admin).status_code == 400
    for method, path in (("GET", one), ("DELETE", one), ("GET", "/OS-OAUTH1/consumers")):
        assert api.call(method, path, token=pilvi["text"]).status_code == 403
    assert api.call("DELETE", one, token=admin).status_code == 204
    assert api.call("GET", one, token=admin).status_code == 404


def test_a_program_gets_a_users_role(api, clock, admin, consumer, pilvi):
    asked, verifier = authorised(api, clock, consumer, pilvi)
    access = access_token(api, clock, consumer, asked, verifier)
    token = whole(by_oauth(api, clock, consumer, access))
    assert (token["user"]["name"], token["methods"]) == ("pilvi", ["oauth1"])
    assert [role["name"] for role in token["roles"]] == ["reader"]
    assert token["OS-OAUTH1"] == {"access_token_id": access["oauth_token"], "consumer_id": consumer["id"]}
    elsewhere = {"project": {"id": api.login().json["token"]["project"]["id"]}}
    assert by_oauth(api, clock, consumer, access, "l2", elsewhere).status_code == 401
    own = f"/users/{pilvi['user']['id']}/OS-OAUTH1/access_tokens"
    [listed] = api.call("GET", own, token=pilvi["text"]).json["access_tokens"]
    assert listed["authorizing_user_id"] == pilvi["user"]["id"]
    one = f"{own}/{listed['id']}"
    assert api.call("GET", one, token=pilvi["text"]).json["access_token"] == listed
    [role] = api.call("GET", f"{one}/roles", token=pilvi["text"]).json["roles"]
    assert api.call("GET", f"{one}/roles/{role['id']}", token=pilvi["text"]).json["role"] == role
    assert api.call("GET", f"{one}/roles/{api.role(admin, 'member')}", token=pilvi["text"]).status_code == 404
    assert api.call("DELETE", one, token=api.token("oscloud")).status_code == 403
    assert api.call("DELETE", one, token=pilvi["text"]).status_code == 204
    assert not holds(api, token)
    assert by_oauth(api, clock, consumer, access, "l3").status_code == 401


def test_requests_that_are_not_the_consumers(api, clock, consumer, pilvi):
    project = pilvi["project"]["id"]
    request_token(api, clock, {**consumer, "secret": "wrong"}, project, 401, "1")
    request_token(api, clock, {**consumer, "id": "0" * 32}, project, 401, "2")
    request_token(api, clock, consumer, project, 401, "3", oauth_timestamp=str(clock.now() // 1_000_000 - 700))
    request_token(api, clock, consumer, "0" * 32, 404, "4")
    request_token(api, clock, consumer, project, 201, "5")
    request_token(api, clock, consumer, project, 401, "5")  # the same once more
    path = "/OS-OAUTH1/request_token"
    assert api.call("POST", path, Requested_Project_Id=project).status_code == 400
    header = sign(clock, "POST", path, consumer, nonce="6", oauth_callback="http://elsewhere")
    assert api.call("POST", path, Authorization=header, Requested_Project_Id=project).status_code == 400
    assert api.call("POST", path, Authorization=header).status_code == 400


def test_a_user_authorises_only_what_is_theirs(api, clock, admin, consumer, pilvi):
    asked = request_token(api, clock, consumer, pilvi["project"]["id"])
    path = f"/OS-OAUTH1/authorize/{asked['oauth_token']}"
    access_token(api, clock, consumer, asked, "guess", 401, "0")
    for roles in ([], [{"id": api.role(admin, "admin")}], [{"name": "nothing"}]):
        assert api.call("PUT", path, {"roles": roles}, pilvi["text"]).status_code == 401
    assert api.call("PUT", path, {"roles": [{"name": "member"}]}, api.token("oscloud")).status_code == 401
    assert api.call("PUT", path + "0", {"roles": [{"name": "member"}]}, pilvi["text"]).status_code == 404
    assert api.call("PUT", path, {"roles": [{"name": "member"}]}, pilvi["text"]).status_code == 200
    assert api.call("PUT", path, {"roles": [{"name": "member"}]}, pilvi["text"]).status_code == 409
    access_token(api, clock, consumer, asked, "guess", 401, "1")


def test_a_request_token_is_good_once_and_for_a_while(api, clock, consumer, pilvi):
    asked, verifier = authorised(api, clock, consumer, pilvi)
    access_token(api, clock, consumer, asked, verifier, nonce="1")
    access_token(api, clock, consumer, asked, verifier, 401, nonce="2")
    clock.advance(60)
    asked, verifier = authorised(api, clock, consumer, pilvi)
    clock.advance(9 * 3600)
    access_token(api, clock, consumer, asked, verifier, 401)


def test_with_its_consumer_all_is_over(api, clock, admin, consumer, pilvi):
    asked, verifier = authorised(api, clock, consumer, pilvi)
    token = whole(by_oauth(api, clock, consumer, access_token(api, clock, consumer, asked, verifier)))
    assert holds(api, token)
    api.call("DELETE", f"/OS-OAUTH1/consumers/{consumer['id']}", token=admin)
    assert not holds(api, token)


# EC2


def signature_2(secret, params):
    query = "&".join(f"{quote(name, safe='-_.~')}={quote(value, safe='-_.~')}" for name, value in sorted(params.items()))
    text = f"GET\ncloud\n/services/Cloud\n{query}"
    return base64.b64encode(hmac.new(secret.encode(), text.encode(), hashlib.sha256).digest()).decode()


def ec2_body(clock, key, secret=None, seconds=0):
    moment = micros_text(clock.now() + seconds * 1_000_000)[:19] + "Z"
    params = {"Action": "X", "SignatureVersion": "2", "SignatureMethod": "HmacSHA256", "Timestamp": moment}
    shown = {"access": key["access"], "verb": "GET", "host": "cloud", "path": "/services/Cloud", "params": params}
    return {"credentials": {**shown, "signature": signature_2(secret or key["secret"], params)}}


@pytest.fixture
def ec2(api, pilvi):
    """Makes a key for pilvi."""

    def make(token=None, status=201, project=None):
        body = {"tenant_id": project or pilvi["project"]["id"]}
        path = f"/users/{pilvi['user']['id']}/credentials/OS-EC2"
        answer = api.call("POST", path, body, token or pilvi["text"])
        assert answer.status_code == status, answer.text
        return answer.json.get("credential")

    return make


def test_ec2_keys(api, admin, ec2, pilvi):
    made, other = ec2(), ec2()
    path = f"/users/{pilvi['user']['id']}/credentials/OS-EC2"
    assert set(made) == {"access", "secret", "user_id", "tenant_id", "trust_id", "links"}
    listed = api.call("GET", path, token=pilvi["text"]).json["credentials"]
    assert sorted(key["access"] for key in listed) == sorted([made["access"], other["access"]])
    one = f"{path}/{made['access']}"
    assert api.call("GET", one, token=pilvi["text"]).json["credential"] == made
    for method, token in (("GET", api.token("oscloud")), ("DELETE", api.token("oscloud"))):
        assert api.call(method, one, token=token).status_code == 403
    assert api.call("DELETE", one, token=pilvi["text"]).status_code == 204
    assert api.call("GET", one, token=pilvi["text"]).status_code == 404
    assert api.call("DELETE", one, token=admin).status_code == 404
    ec2(status=404, project="0" * 32)
    ec2(status=403, token=api.token("oscloud"))
    assert len(api.call("GET", "/credentials?type=ec2", token=pilvi["text"]).json["credentials"]) == 1


def test_a_token_for_a_signature(api, clock, admin, ec2, pilvi):
    key = ec2()
    token = whole(api.call("POST", "/ec2tokens", ec2_body(clock, key), admin))
    assert (token["user"]["name"], token["project"]["name"]) == ("pilvi", "pilvi")
    assert token["methods"] == ["ec2credential"]
    assert holds(api, token)
    for body in (ec2_body(clock, key, "wrong"), ec2_body(clock, key, seconds=-1000), {},
                 ec2_body(clock, {**key, "access": "unknown"})):
        assert api.call("POST", "/ec2tokens", body, admin).status_code == 401, body
    assert api.call("POST", "/ec2tokens", ec2_body(clock, key), pilvi["text"]).status_code == 403
    assert api.call("POST", "/ec2tokens", ec2_body(clock, key)).status_code == 401


def test_a_token_for_what_an_object_store_got(api, admin, ec2):
    key, text = ec2(), b"GET\n\n\nTue, 27 Mar 2007 19:36:42 +0000\n/bucket/thing"
    signature = base64.b64encode(hmac.new(key["secret"].encode(), text, hashlib.sha1).digest()).decode()
    shown = {"access": key["access"], "signature": signature, "token": base64.urlsafe_b64encode(text).decode()}
    assert whole(api.call("POST", "/s3tokens", {"credentials": shown}, admin))["user"]["name"] == "pilvi"
    for changed in ({"signature": "x"}, {"access": "unknown"}, {"token": "AAAA"}):
        assert api.call("POST", "/s3tokens", {"credentials": {**shown, **changed}}, admin).status_code == 401


def test_a_key_by_trust_is_worth_no_more_than_the_trust(api, clock, admin, trust, ec2, pilvi):
    made = trust(roles=[{"name": "reader"}])
    trusted = whole(by_trust(api, made))
    ec2(token=trusted["text"], status=403, project=api.login().json["token"]["project"]["id"])
    key = ec2(token=trusted["text"])
    assert key["trust_id"] == made["id"]
    token = whole(api.call("POST", "/ec2tokens", ec2_body(clock, key), admin))
    assert [role["name"] for role in token["roles"]] == ["reader"]
    blob = f'{{"access": "{key["access"]}", "secret": "s"}}'
    credential = api.call("GET", "/credentials?type=ec2", token=admin).json["credentials"][0]["id"]
    freed = api.call("PATCH", f"/credentials/{credential}", {"credential": {"blob": blob}}, pilvi["text"])
    assert freed.status_code == 400
    api.call("DELETE", f"{TRUSTS}/{made['id']}", token=admin)
    assert not holds(api, token)
    assert api.call("POST", "/ec2tokens", ec2_body(clock, key), admin).status_code == 401


def test_keys_as_credentials(api, clock, admin, pilvi):
    project = pilvi["project"]["id"]
    fields = {"type": "ec2", "project_id": project, "blob": '{"access": "AK", "secret": "SK"}'}
    made = api.made("credentials", pilvi["text"], **fields)
    assert made["id"] == hashlib.sha256(b"AK").hexdigest()
    assert api.call("POST", "/credentials", {"credential": fields}, admin).status_code == 409
    token = whole(api.call("POST", "/ec2tokens", ec2_body(clock, {"access": "AK", "secret": "SK"}), admin))
    assert token["user"]["name"] == "pilvi"
    one = f"/credentials/{made['id']}"
    changed = {"blob": '{"access": "AK2", "secret": "SK2"}'}
    assert api.call("PATCH", one, {"credential": changed}, pilvi["text"]).json["credential"] == {**made, **changed}
    assert api.call("POST", "/ec2tokens", ec2_body(clock, {"access": "AK2", "secret": "SK2"}), admin).status_code == 200
    assert api.call("POST", "/ec2tokens", ec2_body(clock, {"access": "AK", "secret": "SK"}), admin).status_code == 401
    for wrong in ({"blob": "x"}, {"type": "cert"}, {"project_id": None}, {"user_id": "0" * 32}):
        assert api.call("PATCH", one, {"credential": wrong}, admin).status_code == 400, wrong
    for wrong in ({"blob": "{}"}, {"project_id": None}, {"blob": '{"access": "a", "secret": "s", "trust_id": "t"}'}):
        wrong = {"credential": {**fields, **wrong}}
        assert api.call("POST", "/credentials", wrong, pilvi["text"]).status_code == 400, wrong


# Access rules


RULES = [{"service": "identity", "method": "GET", "path": "/v3/auth/*"}]


def program(api, made):
    shown = {"id": made["id"], "secret": made["secret"]}
    identity = {"methods": ["application_credential"], "application_credential": shown}
    return whole(api.call("POST", "/auth/tokens", {"auth": {"identity": identity}}))


def test_an_application_credential_is_for_what_its_rules_say(api, admin, pilvi):
    path = f"/users/{pilvi['user']['id']}/application_credentials"
    wanted = {"application_credential": {"name": "ci", "access_rules": RULES}}
    made = api.call("POST", path, wanted, pilvi["text"]).json["application_credential"]
    [rule] = made["access_rules"]
    assert rule == {**RULES[0], "id": rule["id"]}
    shown = api.call("GET", f"{path}/{made['id']}", token=pilvi["text"]).json["application_credential"]
    assert shown["access_rules"] == [rule]
    token = program(api, made)
    assert token["application_credential"]["access_rules"] == [rule]
    assert api.call("GET", "/auth/projects", token=token["text"]).status_code == 200
    for method, refused in (("GET", f"/users/{pilvi['user']['id']}"), ("DELETE", "/auth/tokens"), ("GET", "/regions")):
        assert api.call(method, refused, token=token["text"]).status_code == 401
    # A service that does not heed the rules must not take the token for one without.
    heed = {"OpenStack_Identity_Access_Rules": "1"}
    assert api.call("GET", "/auth/tokens", token=admin, X_Subject_Token=token["text"]).status_code == 404
    assert api.call("GET", "/auth/tokens", token=admin, X_Subject_Token=token["text"], **heed).status_code == 200


def test_access_rules_hold_in_every_service(served):
    session, image = served.login(), served.image()
    user = served.cloud.identity.authenticate(session.token, "").user_id
    rules = [
        {"service": "compute", "method": "GET", "path": "/v2.1/servers"},
        {"service": "network", "method": "GET", "path": "/v2.0/**"},
        {"service": "image", "method": "GET", "path": "/v2/images/{image_id}/file"},
    ]
    wanted = {"application_credential": {"name": "ci", "access_rules": rules}}
    made = session.post(f"/identity/v3/users/{user}/application_credentials", wanted)["application_credential"]
    shown = {"methods": ["application_credential"], "application_credential": {key: made[key] for key in ("id", "secret")}}
    answer = session.request("POST", "/identity/v3/auth/tokens", {"auth": {"identity": shown}})
    program = type(session)(session.port, answer.headers["X-Subject-Token"])
    for method, path, status in (
        ("GET", "/compute/v2.1/servers", 200),
        ("POST", "/compute/v2.1/servers", 401),
        ("GET", "/compute/v2.1/servers/detail", 401),
        ("GET", "/network/v2.0/networks", 200),
        ("DELETE", "/network/v2.0/networks/x", 401),
        ("GET", f"/image/v2/images/{image}/file", 200),
        ("PUT", f"/image/v2/images/{image}/file", 401),
        ("GET", f"/image/v2/images/{image}", 401),
        ("GET", "/identity/v3/auth/projects", 401),
    ):
        assert program.request(method, path).status == status, (method, path)


def test_access_rules_are_kept_and_used_again(api, pilvi):
    own = f"/users/{pilvi['user']['id']}"

    def make(name, rules, status=201):
        wanted = {"application_credential": {"name": name, "access_rules": rules}}
        answer = api.call("POST", f"{own}/application_credentials", wanted, pilvi["text"])
        assert answer.status_code == status, answer.text
        return answer.json.get("application_credential")

    first = make("one", RULES)
    [rule] = first["access_rules"]
    second = make("two", [{"id": rule["id"]}])
    assert second["access_rules"] == make("three", RULES)["access_rules"] == [rule]
    assert "access_rules" not in make("none", [])
    make("bad", [{"id": "0" * 32}], 404)
    for wrong in ({"path": "/"}, {**RULES[0], "method": "LOOK"}, {**RULES[0], "path": "x"}, {**RULES[0], "more": 1}):
        make("bad", [wrong], 400)
    [listed] = api.call("GET", f"{own}/access_rules", token=pilvi["text"]).json["access_rules"]
    assert {**rule, "links": listed["links"]} == listed
    assert api.call("GET", f"{own}/access_rules?service=compute", token=pilvi["text"]).json["access_rules"] == []
    one = f"{own}/access_rules/{rule['id']}"
    assert api.call("GET", one, token=pilvi["text"]).json["access_rule"] == listed
    assert api.call("GET", one, token=api.token("oscloud")).status_code == 403
    assert api.call("DELETE", one, token=pilvi["text"]).status_code == 403
    for each in api.call("GET", f"{own}/application_credentials", token=pilvi["text"]).json["application_credentials"]:
        api.call("DELETE", f"{own}/application_credentials/{each['id']}", token=pilvi["text"])
    assert api.call("DELETE", one, token=pilvi["text"]).status_code == 204
    assert api.call("GET", one, token=pilvi["text"]).status_code == 404


# OAuth 2


def test_an_application_credential_by_oauth2(api, pilvi):
    path = f"/users/{pilvi['user']['id']}/application_credentials"
    made = api.call("POST", path, {"application_credential": {"name": "ci"}}, pilvi["text"])
    made = made.json["application_credential"]

    def ask(body="grant_type=client_credentials", user=made["id"], secret=made["secret"], kind="Basic"):
        shown = base64.b64encode(f"{user}:{secret}".encode()).decode()
        return api.call("POST", "/OS-OAUTH2/token", body, Authorization=f"{kind} {shown}")

    answer = ask()
    assert answer.status_code == 200, answer.text
    assert answer.json["token_type"] == "Bearer"
    assert 12 * 3600 - 1 <= answer.json["expires_in"] <= 12 * 3600
    assert answer.headers["Cache-Control"] == "no-store"
    bearer = {"Authorization": f"Bearer {answer.json['access_token']}"}
    assert api.call("GET", "/auth/projects", **bearer).json["projects"][0]["name"] == "pilvi"
    shown = api.call("GET", "/auth/tokens", X_Subject_Token=answer.json["access_token"], **bearer)
    assert shown.json["token"]["application_credential"]["id"] == made["id"]
    assert api.call("GET", "/auth/projects", Authorization="Bearer nonsense").status_code == 401
    for refused in (ask(secret="wrong"), ask(user="0" * 32), ask(kind="Digest"), ask(user="a\0b")):
        assert (refused.status_code, refused.json["error"]) == (401, "invalid_client")
        assert refused.headers["WWW-Authenticate"].startswith("Basic")
    assert ask("grant_type=password").json["error"] == "unsupported_grant_type"
    assert ask("").json["error"] == "invalid_request"


def test_what_is_gone(api):
    for path in ("/auth/tokens/OS-PKI/revoked", "/OS-SIMPLE-CERT/ca", "/OS-SIMPLE-CERT/certificates"):
        assert api.call("GET", path).status_code == 410


# What ended tokens


def test_what_ended_tokens_is_told_to_services(api, admin, clock, trust, pilvi, oscloud):
    started = later(clock, 0)
    made = trust()
    api.call("DELETE", f"{TRUSTS}/{made['id']}", token=pilvi["text"])
    api.call("DELETE", "/auth/tokens", token=pilvi["text"], X_Subject_Token=pilvi["text"])
    api.call("PATCH", f"/users/{oscloud['user']['id']}", {"user": {"enabled": False}}, admin)
    api.call("PATCH", f"/projects/{oscloud['project']['id']}", {"project": {"enabled": False}}, admin)
    events = api.call("GET", f"/OS-REVOKE/events?since={quote(started)}", token=admin).json["events"]
    about = [{key: value for key, value in event.items() if key != "issued_before"} for event in events]
    assert about == [
        {"OS-TRUST:trust_id": made["id"]},
        {"audit_id": pilvi["audit_ids"][0]},
        {"user_id": oscloud["user"]["id"]},
        {"project_id": oscloud["project"]["id"]},
    ]
    nothing = api.call("GET", f"/OS-REVOKE/events?since={quote(later(clock, 5))}", token=admin).json["events"]
    assert nothing == []
    assert api.call("GET", "/OS-REVOKE/events?since=then", token=admin).status_code == 400
    assert api.call("GET", "/OS-REVOKE/events", token=api.token("pilvi")).status_code == 403


# Several factors


def passcode(secret, clock):
    return totp._code(totp.decoded(secret), clock.now() // 1_000_000 // totp.STEP)


def shown(user, **more):
    return {"user": {"name": user, "domain": {"id": "default"}, **more}}


def test_a_second_factor_may_be_needed(api, admin, clock, pilvi):
    user, secret = pilvi["user"]["id"], base64.b32encode(b"a seed of 20 bytes..").decode()
    api.made("credentials", pilvi["text"], type="totp", blob=secret)
    rules = {"multi_factor_auth_enabled": True, "multi_factor_auth_rules": [["password", "totp"], ["magic"]]}
    answer = api.call("PATCH", f"/users/{user}", {"user": {"options": rules}}, admin)
    assert answer.json["user"]["options"] == rules
    half = api.login("pilvi")
    assert half.status_code == 401
    assert half.json["required_auth_methods"] == [["password", "totp"]]
    assert half.json["receipt"]["methods"] == ["password"]
    receipt = half.headers["Openstack-Auth-Receipt"]
    assert api.call("GET", "/auth/projects", token=receipt).status_code == 401
    second = {"methods": ["totp"], "totp": shown("pilvi", passcode=passcode(secret, clock))}
    both = {**second, "methods": ["password", "totp"], "password": shown("pilvi", password="pilvi-secret")}
    assert api.call("POST", "/auth/tokens", {"auth": {"identity": second}}).status_code == 401
    for identity, headers in ((second, {"Openstack_Auth_Receipt": receipt}), (both, {})):
        token = whole(api.call("POST", "/auth/tokens", {"auth": {"identity": identity}}, **headers))
        assert token["methods"] == ["password", "totp"]
    again = {"identity": {"methods": ["token"], "token": {"id": token["text"]}}}
    assert api.call("POST", "/auth/tokens", {"auth": again}).status_code == 201
    wrong = {**both, "totp": shown("pilvi", passcode="000000")}
    assert api.call("POST", "/auth/tokens", {"auth": {"identity": wrong}}).status_code == 401
    clock.advance(301)
    second["totp"] = shown("pilvi", passcode=passcode(secret, clock))
    late = api.call("POST", "/auth/tokens", {"auth": {"identity": second}}, Openstack_Auth_Receipt=receipt)
    assert late.status_code == 401
    for bad in ([[]], [["password", 1]], "password", [[""]]):
        body = {"user": {"options": {"multi_factor_auth_rules": bad}}}
        assert api.call("PATCH", f"/users/{user}", body, admin).status_code == 400, bad


def test_an_ec2_key_needs_no_second_factor(api, admin, clock, ec2, pilvi):
    key = ec2()
    rules = {"multi_factor_auth_enabled": True, "multi_factor_auth_rules": [["password", "totp"]]}
    api.call("PATCH", f"/users/{pilvi['user']['id']}", {"user": {"options": rules}}, admin)
    assert api.call("POST", "/ec2tokens", ec2_body(clock, key), admin).status_code == 200


def test_a_receipt_is_its_users_own(api, admin, clock, pilvi, oscloud):
    secret = base64.b32encode(b"a seed of 20 bytes..").decode()
    api.made("credentials", oscloud["text"], type="totp", blob=secret)
    rules = {"multi_factor_auth_enabled": True, "multi_factor_auth_rules": [["password", "totp"]]}
    for user in (pilvi, oscloud):
        api.call("PATCH", f"/users/{user['user']['id']}", {"user": {"options": rules}}, admin)
    receipt = api.login("pilvi").headers["Openstack-Auth-Receipt"]
    second = {"methods": ["totp"], "totp": shown("oscloud", passcode=passcode(secret, clock))}
    answer = api.call("POST", "/auth/tokens", {"auth": {"identity": second}}, Openstack_Auth_Receipt=receipt)
    assert answer.status_code == 401


@pytest.mark.parametrize("method", ["external", "mapped", "saml2", "openid", "kerberos", "x509", "ec2credential"])
def test_methods_that_need_what_is_not_there(api, method):
    auth = {"auth": {"identity": {"methods": [method], method: {}}}}
    assert api.call("POST", "/auth/tokens", auth).status_code == 401
