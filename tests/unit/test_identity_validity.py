"""When a token ceases to hold: at once, and on every controller that shares the database."""

from __future__ import annotations

import base64
import hashlib
import hmac
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from urllib.parse import quote

import msgspec
import pytest

from pilvi.db import metadata
from pilvi.engine.clock import ManualClock
from pilvi.faults import Forbidden, NotFound, Unauthorized
from pilvi.identity import store, wire
from pilvi.identity.oauth_signature import SignedRequest
from pilvi.identity.store_delegation import former_passwords
from pilvi.identity.store_grants import Assignment, Wanted
from pilvi.identity.tables import groups, projects, revocations, roles, users
from pilvi.policy import Context
from pilvi.settings import IdentitySettings
from tests.support.identity import PASSWORDS, identity_on
from tests.support.passwords import cheap_passwords
from tests.support.postgresql import postgresql

ROOT = Context(user_id="root", roles=frozenset({"admin"}))
HOURS = 3600
GRACE_HOURS = 48  # services may still ask about tokens that expired so long ago


@pytest.fixture(autouse=True, scope="module")
def passwords_at_little_cost():
    with cheap_passwords():
        yield


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
def database(request):
    if request.param == "sqlite":
        yield ""
        return
    with postgresql() as url:
        yield url


@pytest.fixture
def two(tmp_path, database):
    """Two controllers on one new database, and their clock."""
    clock = ManualClock()
    (db, first), (other, second) = (identity_on(tmp_path, clock, database) for _ in range(2))
    yield first, second, clock
    metadata.drop_all(db.engine)
    db.close()
    other.close()


def by_password(identity, user="pilvi", password=None, scope=None):
    scope = {"project": {"name": user, "domain": {"id": "default"}}} if scope is None else scope
    shown = {"name": user, "domain": {"name": "Default"}, "password": password or PASSWORDS[user]}
    return identity.issue(
        msgspec.convert(
            {"identity": {"methods": ["password"], "password": {"user": shown}}, "scope": scope}, wire.Auth
        )
    )


def holds(identity, text):
    try:
        return identity.authenticate(text, "req-1")
    except Unauthorized:
        return None


def key(identity, table, name):
    with identity._db.read() as tx:
        return store.find(tx, table, name=name).id


def test_a_context_says_who_asks(two):
    first, second, _ = two
    issued = by_password(first)
    context = second.authenticate(issued.text, "req-7")
    assert (context.user_name, context.project_name, context.request_id) == ("pilvi", "pilvi", "req-7")
    assert context.roles == {"member", "reader"}
    assert (context.user_domain_id, context.project_domain_id, context.domain_id) == (
        "default",
        "default",
        None,
    )
    assert context.expires_at == issued.token.expires_at
    assert first.authenticate(issued.text, "req-8") == msgspec.structs.replace(context, request_id="req-8")


def test_an_internal_context_is_that_of_a_token(two):
    first, _, _ = two
    context = first.internal_context("admin", "admin", "req-1")
    assert context.roles == {"admin", "manager", "member", "reader"}
    assert context.project_id == key(first, projects, "admin")


def disable_user(identity):
    identity.update_user(ROOT, key(identity, users, "pilvi"), {"enabled": False}, {})


def enable_user_again(identity):
    disable_user(identity)
    identity.update_user(ROOT, key(identity, users, "pilvi"), {"enabled": True}, {})


def change_password(identity):
    identity.change_password(key(identity, users, "pilvi"), "pilvi-secret", "another")


def reset_password(identity):
    identity.update_user(ROOT, key(identity, users, "pilvi"), {"password": "another"}, {})


def delete_user(identity):
    identity.delete_user(ROOT, key(identity, users, "pilvi"))


def disable_project(identity):
    identity.update_project(ROOT, key(identity, projects, "pilvi"), {"enabled": False}, {})


def enable_project_again(identity):
    disable_project(identity)
    identity.update_project(ROOT, key(identity, projects, "pilvi"), {"enabled": True}, {})


def delete_project(identity):
    identity.delete_project(ROOT, key(identity, projects, "pilvi"))


def disable_domain(identity):
    identity.update_domain(ROOT, "default", {"enabled": False}, {})


def take_role_away(identity):
    identity.take_away(
        ROOT,
        Assignment(
            "user",
            key(identity, users, "pilvi"),
            "project",
            key(identity, projects, "pilvi"),
            key(identity, roles, "member"),
        ),
    )


def delete_role(identity):
    identity.delete_role(ROOT, key(identity, roles, "member"))


@pytest.mark.parametrize(
    "end",
    [
        disable_user,
        enable_user_again,
        change_password,
        reset_password,
        delete_user,
        disable_project,
        enable_project_again,
        delete_project,
        disable_domain,
        take_role_away,
        delete_role,
    ],
    ids=lambda end: end.__name__,
)
def test_a_token_ends_everywhere_with_what_it_rests_on(two, end):
    first, second, _ = two
    text, other = by_password(first).text, by_password(first, "oscloud").text
    assert holds(first, text)
    assert holds(second, text)
    end(first)
    assert holds(second, text) is None
    assert holds(first, text) is None
    if end not in (disable_domain, delete_role):
        assert holds(second, other), "of another user, who has nothing to do with it"


def test_a_revoked_token_ends_everywhere_and_no_other_does(two):
    first, second, _ = two
    text, other = by_password(first).text, by_password(first).text
    context = holds(second, text)
    assert holds(second, other)
    first.revoke(context, text, text)
    assert holds(second, text) is None
    assert holds(first, text) is None
    assert holds(second, other)


def test_a_token_expires(two):
    first, _, clock = two
    text = by_password(first).text
    clock.advance(12 * HOURS - 60)
    assert holds(first, text)
    clock.advance(61)
    assert holds(first, text) is None


def test_a_new_role_shows_in_tokens_that_are_in_use(two):
    first, second, _ = two
    text = by_password(first).text
    assert not holds(second, text).is_admin
    first.grant(
        ROOT,
        Assignment(
            "user",
            key(first, users, "pilvi"),
            "project",
            key(first, projects, "pilvi"),
            key(first, roles, "admin"),
        ),
    )
    assert holds(second, text).is_admin


def test_a_group_gives_its_roles_to_its_members(two):
    first, second, _ = two
    group = first.create_group(ROOT, {"name": "staff", "description": None, "domain_id": "default"}, {}).id
    user = key(first, users, "oscloud")
    first.grant(
        ROOT,
        Assignment("group", group, "project", key(first, projects, "pilvi"), key(first, roles, "member")),
    )
    scope = {"project": {"name": "pilvi", "domain": {"id": "default"}}}
    with pytest.raises(Unauthorized):
        by_password(first, "oscloud", scope=scope)
    first.add_member(ROOT, group, user)
    text = by_password(first, "oscloud", scope=scope).text
    assert holds(second, text).roles == {"member", "reader"}
    first.remove_member(ROOT, group, user)
    assert holds(second, text) is None
    first.add_member(ROOT, group, user)
    assert holds(second, text)
    first.delete_group(ROOT, group)
    assert holds(second, text) is None
    assert not first.listing(groups, [], None, None)


def project_below(identity, parent, name):
    values = {"name": name, "description": None, "enabled": True, "is_domain": False, "domain_id": None, "tags": []}
    return identity.create_project(ROOT, {**values, "parent_id": parent, "options": {}}, {}).id


def test_an_inherited_role_holds_in_all_that_is_below(two):
    first, second, _ = two
    top = key(first, projects, "oscloud")
    below = project_below(first, project_below(first, top, "middle"), "bottom")
    user, role = key(first, users, "pilvi"), key(first, roles, "member")
    wanted = Assignment("user", user, "project", top, role, inherited=True)
    scope = {"project": {"id": below}}
    with pytest.raises(Unauthorized):
        by_password(first, scope=scope)
    first.grant(ROOT, wanted)
    text = by_password(first, scope=scope).text
    assert holds(second, text).roles == {"member", "reader"}
    assert {row.name for row in second.projects_of(user)} == {"pilvi", "middle", "bottom"}
    effective = second.assignments(Wanted(user_id=user, target_type="project", target_id=below, effective=True))
    assert {each.assignment.role_id for each in effective} == {role, key(first, roles, "reader")}
    everywhere = second.assignments(Wanted(user_id=user, role_id=role, effective=True))
    assert len(everywhere) == 3
    subtree = Wanted(target_type="project", target_id=top, subtree=True, effective=True, role_id=role, user_id=user)
    assert len(second.assignments(subtree)) == 2
    first.take_away(ROOT, wanted)
    assert holds(second, text) is None


def test_limits_of_the_same_thing_at_the_same_moment(two):
    first, second, _ = two
    rests_on = first.registered_limits([store.Filter("resource_name", "", "servers")])[0]
    values = {
        "service_id": rests_on.service_id,
        "region_id": rests_on.region_id,
        "resource_name": "servers",
        "resource_limit": 3,
        "project_id": key(first, projects, "pilvi"),
        "domain_id": None,
        "description": None,
    }
    with ThreadPoolExecutor(8) as pool:
        made = [pool.submit(identity.create_limits, [values]) for identity in (first, second) * 4]
    assert sorted(type(each.exception()).__name__ for each in made) == ["Conflict"] * 7 + ["NoneType"]
    assert len(second.limits(ROOT, {})) == 1


def test_a_domains_own_role_is_no_role_of_the_cloud(two):
    first, _, _ = two
    values = {"name": "admin", "domain_id": "default", "description": None, "options": {}}
    role = first.create_role(ROOT, values, {}).id
    user, project = key(first, users, "pilvi"), key(first, projects, "pilvi")
    first.grant(ROOT, Assignment("user", user, "project", project, role))
    assert holds(first, by_password(first).text).roles == {"member", "reader"}


def test_expired_revocations_are_forgotten_and_others_kept(two):
    first, _, clock = two
    early = by_password(first).text
    first.revoke(holds(first, early), early, early)
    clock.advance(6 * HOURS)
    late = by_password(first).text
    first.revoke(holds(first, late), late, late)
    assert first.expire() == 0
    clock.advance((6 + GRACE_HOURS) * HOURS + 1)
    assert first.expire() == 2  # the revocation, and the event that tells of it
    assert holds(first, late) is None
    clock.advance(6 * HOURS + 1)
    assert first.expire() == 2  # the revocation, and the event that tells of it
    with first._db.read() as tx:
        assert not tx.all(revocations.select())


def test_bootstrap_leaves_what_was_changed_since(two):
    first, _, _ = two
    reset_password(first)
    before = {table.name: len(first.listing(table, [], None, None)) for table in (projects, users, roles)}
    first.bootstrap(PASSWORDS)
    assert {
        table.name: len(first.listing(table, [], None, None)) for table in (projects, users, roles)
    } == before
    assert by_password(first, password="another")


def test_queries_for_a_token(two):
    first, _, _ = two
    text = by_password(first).text
    first._cache.clear()
    with first._db.counting() as cold:
        holds(first, text)
    with first._db.counting() as warm:
        holds(first, text)
    with first._db.counting() as issuing:
        by_password(first)
    assert len(warm) == 1, warm
    assert len(cold) <= 4, cold
    assert len(issuing) <= 5, issuing


def test_remembered_tokens_are_bounded(two, monkeypatch):
    first, _, _ = two
    monkeypatch.setattr("pilvi.identity.authentication.CACHED", 2)
    texts = [by_password(first).text for _ in range(3)]
    assert all(holds(first, text) for text in texts)
    assert len(first._cache) <= 2


def test_services_may_ask_about_a_token_that_has_just_expired(two):
    first, _, clock = two
    service = Context(user_id="service", roles=frozenset({"service"}))
    text, ended = by_password(first).text, by_password(first).text
    first.revoke(holds(first, ended), ended, ended)
    clock.advance(13 * HOURS)
    first.expire()
    with pytest.raises(NotFound):
        first.validate(service, "own", text)
    with pytest.raises(NotFound):
        first.validate(service, "own", ended, allow_expired=True)
    assert first.validate(service, "own", text, allow_expired=True).token.user_id == key(
        first, users, "pilvi"
    )
    clock.advance(GRACE_HOURS * HOURS)
    with pytest.raises(NotFound):
        first.validate(service, "own", text, allow_expired=True)


def test_the_same_grant_and_revocation_at_the_same_moment(two):
    first, second, _ = two
    group = first.create_group(ROOT, {"name": "g", "description": None, "domain_id": "default"}, {}).id
    user, role = key(first, users, "pilvi"), key(first, roles, "reader")
    text = by_password(first, "oscloud").text
    context = holds(first, text)
    wanted = Assignment("user", user, "project", key(first, projects, "admin"), role)
    with ThreadPoolExecutor(8) as pool:
        done = [pool.submit(identity.grant, ROOT, wanted) for identity in (first, second) * 4]
        done += [pool.submit(identity.add_member, ROOT, group, user) for identity in (first, second) * 4]
        ended = [pool.submit(identity.revoke, context, text, text) for identity in (first, second) * 4]
    assert [each.result() for each in done] == [None] * 16
    assert {type(each.exception()) for each in ended} <= {type(None), NotFound}
    assert holds(second, text) is None
    assert [row.id for row in second.granted(ROOT, wanted)] == [role]


# What may happen once only, tried by many at the same moment


def context_of(identity, name):
    return identity.internal_context(name, name, "req-1")


def outcomes(calls):
    """How many succeeded, and the kinds of what the others raised."""
    with ThreadPoolExecutor(8) as pool:
        done = [pool.submit(call) for call in calls]
    raised = [type(each.exception()) for each in done if each.exception() is not None]
    return len(done) - len(raised), set(raised)


def test_the_uses_of_a_trust_are_given_out_once(two):
    first, second, _ = two
    trustor, trustee = context_of(first, "pilvi"), context_of(first, "oscloud")
    wanted = wire.TrustNew(
        trustor.user_id, trustee.user_id, True, trustor.project_id, [wire.RoleRef(name="member")], remaining_uses=3
    )
    trust = first.create_trust(trustor, wanted, {})
    scope = {"OS-TRUST:trust": {"id": trust.id}}
    calls = [partial(by_password, identity, "oscloud", scope=scope) for identity in (first, second) * 4]
    assert outcomes(calls) == (3, {Forbidden})
    with pytest.raises(NotFound):
        second.trust(trustor, trust.id)


def test_a_password_is_changed_by_one_and_kept_for_comparison(two):
    first, second, _ = two
    for identity in two[:2]:
        rules = IdentitySettings(unique_passwords=3, lockout_attempts=100)
        identity._settings = msgspec.structs.replace(identity._settings, identity=rules)
    user = key(first, users, "pilvi")
    calls = [
        partial(identity.change_password, user, "pilvi-secret", f"new {number}")
        for number, identity in enumerate((first, second) * 4)
    ]
    changed, raised = outcomes(calls)
    assert (changed, raised) == (1, {Unauthorized})
    with first._db.read() as tx:
        assert len(former_passwords(tx, user, 9)) == 1
    before = first.row(users, user, "user").failed_count
    assert outcomes([partial(by_password, identity) for identity in (first, second) * 4]) == (0, {Unauthorized})
    assert first.row(users, user, "user").failed_count == before + 8


def test_a_signed_request_is_answered_once(two):
    first, second, clock = two
    consumer, secret = first.create_consumer("a program", {})
    said = {
        "oauth_consumer_key": consumer.id,
        "oauth_signature_method": "HMAC-SHA1",
        "oauth_timestamp": str(clock.now() // 1_000_000),
        "oauth_nonce": "n",
        "oauth_callback": "oob",
    }
    base = "&".join(f"{name}={value}" for name, value in sorted(said.items()))
    text = "&".join(quote(part, safe="~") for part in ("POST", "http://cloud/request_token", base))
    signature = base64.b64encode(hmac.new(f"{secret}&".encode(), text.encode(), hashlib.sha1).digest()).decode()
    parts = {**said, "oauth_signature": quote(signature, safe="")}
    header = "OAuth " + ", ".join(f'{name}="{value}"' for name, value in parts.items())
    request = SignedRequest("POST", "http://cloud/request_token", "", header)
    project = key(first, projects, "pilvi")
    calls = [partial(identity.request_token, request, project) for identity in (first, second) * 4]
    assert outcomes(calls) == (1, {Unauthorized})
    clock.advance(9 * HOURS)
    assert first.expire() == 2  # the request token, and that it was asked for


def test_queries_of_delegations(two):
    first, _, _ = two
    trustor, trustee = context_of(first, "pilvi"), context_of(first, "oscloud")
    wanted = wire.TrustNew(
        trustor.user_id, trustee.user_id, True, trustor.project_id, [wire.RoleRef(name="member")]
    )
    for _ in range(5):
        trust = first.create_trust(trustor, wanted, {})
    text = by_password(first, "oscloud", scope={"OS-TRUST:trust": {"id": trust.id}}).text
    first._cache.clear()
    with first._db.counting() as cold:
        holds(first, text)
    with first._db.counting() as warm:
        holds(first, text)
    with first._db.counting() as listing:
        assert len(first.trusts(trustor, trustor.user_id, None)) == 5
    assert (len(warm), len(listing)) == (1, 1)
    assert len(cold) <= 6, cold
