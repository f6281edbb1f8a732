"""The rules on passwords, each on its own (settings.IdentitySettings)."""

from __future__ import annotations

from contextlib import contextmanager
from urllib.parse import quote

import pytest

from pilvi.engine.clock import ManualClock
from pilvi.faults import ConfigurationError
from pilvi.identity.tables import users
from pilvi.settings import IdentitySettings, Place, Settings
from tests.support.identity import Api, identity_on

DAY = 86400


@pytest.fixture
def ruled(tmp_path):
    """An API where these rules hold, and a user "u" of password "first"."""

    @contextmanager
    def make(**rules):
        clock = ManualClock()
        settings = Settings(identity=IdentitySettings(**rules))
        api = Api(*identity_on(tmp_path, clock, settings=settings), clock)
        api.clock = clock
        try:
            yield api, api.made("users", api.token(), name="u", password="first")["id"]
        finally:
            api.close()

    return make


def login(api, password="first"):
    return api.login("u", password, scope="none").status_code


def change(api, user, original, wanted):
    body = {"user": {"original_password": original, "password": wanted}}
    return api.call("POST", f"/users/{user}/password", body).status_code


def update(api, user, **fields):
    answer = api.call("PATCH", f"/users/{user}", {"user": fields}, api.token())
    assert answer.status_code == 200, answer.text
    return answer.json["user"]


def test_without_rules_nothing_is_counted_or_kept(ruled):
    with ruled() as (api, user):
        assert [login(api, "wrong") for _ in range(9)] == [401] * 9
        assert login(api) == 201
        assert change(api, user, "first", "second") == 204
        assert change(api, user, "second", "second") == 204
        assert change(api, user, "second", "first") == 204
        assert update(api, user)["password_expires_at"] is None


def test_wrong_passwords_lock_a_user_out_for_a_while(ruled):
    with ruled(lockout_attempts=2, lockout_seconds=60) as (api, user):
        assert [login(api, "wrong"), login(api), login(api, "wrong")] == [401, 201, 401]
        assert login(api) == 201, "a right one ends the row"
        assert [login(api, "wrong"), login(api, "wrong"), login(api)] == [401, 401, 401]
        assert api.login("pilvi").status_code == 201
        api.clock.advance(61)
        assert login(api) == 201
        assert [login(api, "wrong"), login(api, "wrong"), login(api)] == [401, 401, 401]
        update(api, user, enabled=True)
        assert login(api) == 201
        update(api, user, options={"ignore_lockout_failure_attempts": True})
        assert [login(api, "wrong") for _ in range(3)] == [401] * 3
        assert login(api) == 201


def test_guesses_at_changing_a_password_count_as_well(ruled):
    with ruled(lockout_attempts=2, lockout_seconds=60) as (api, user):
        assert [change(api, user, "wrong", "x"), change(api, user, "wrong", "x")] == [401, 401]
        assert (change(api, user, "first", "second"), login(api)) == (401, 401)
        api.clock.advance(61)
        assert change(api, user, "first", "second") == 204


def test_a_row_of_failures_ends_with_time(ruled):
    with ruled(lockout_attempts=2, lockout_seconds=60) as (api, _):
        for _ in range(3):
            assert login(api, "wrong") == 401
            api.clock.advance(61)
        assert login(api, "wrong") == 401
        assert login(api) == 201


def test_locked_out_until_an_administrator_says_otherwise(ruled):
    with ruled(lockout_attempts=1, lockout_seconds=0) as (api, user):
        assert login(api, "wrong") == 401
        api.clock.advance(10 * DAY)
        assert login(api) == 401
        update(api, user, enabled=True)
        assert login(api) == 201


def test_former_passwords(ruled):
    with ruled(unique_passwords=3) as (api, user):
        assert change(api, user, "first", "first") == 400
        assert change(api, user, "first", "second") == 204
        assert change(api, user, "second", "third") == 204
        assert [change(api, user, "third", old) for old in ("first", "second", "third")] == [400, 400, 400]
        assert change(api, user, "third", "fourth") == 204
        assert change(api, user, "fourth", "first") == 204
        update(api, user, password="first")
        update(api, user, password="fifth")
        assert change(api, user, "fifth", "first") == 400, "what an administrator sets is remembered"


def test_a_password_has_to_age(ruled):
    with ruled(minimum_password_days=2) as (api, user):
        assert change(api, user, "first", "second") == 400
        api.clock.advance(2 * DAY)
        assert change(api, user, "first", "second") == 204
        assert change(api, user, "second", "third") == 400
        update(api, user, password="third")


def test_passwords_expire(ruled):
    with ruled(password_expires_days=2, minimum_password_days=5) as (api, user):
        body = api.login("u", "first", scope="none").json["token"]["user"]
        assert body["password_expires_at"] == update(api, user)["password_expires_at"]
        assert body["password_expires_at"].startswith("2023-11-16T22:13:20.")
        api.clock.advance(2 * DAY)
        answer = api.login("u", "first", scope="none")
        assert answer.status_code == 401
        assert "expired" in answer.json["error"]["message"]
        assert "expired" not in api.login("u", "wrong", scope="none").json["error"]["message"]
        assert change(api, user, "first", "second") == 204, "however young it is"
        assert login(api, "second") == 201
        api.clock.advance(2 * DAY)
        update(api, user, options={"ignore_password_expiry": True})
        assert login(api, "second") == 201


def test_a_password_that_was_set_is_changed_first(ruled):
    with ruled(change_password_upon_first_use=True) as (api, user):
        assert login(api) == 401
        assert change(api, user, "first", "second") == 204
        assert login(api, "second") == 201
        update(api, user, password="third")
        assert login(api, "third") == 401
        update(api, user, options={"ignore_change_password_upon_first_use": True}, password="fourth")
        assert login(api, "fourth") == 201


def test_what_a_password_looks_like(ruled):
    with ruled(password_regex="^[a-z]{5,}$", password_regex_description="Five letters.") as (api, user):
        assert change(api, user, "first", "123456") == 400
        for method, path in (("POST", "/users"), ("PATCH", f"/users/{user}")):
            answer = api.call(method, path, {"user": {"name": "v", "password": "x1"}}, api.token())
            assert answer.status_code == 400
            assert "Five letters." in answer.json["error"]["message"]
        assert change(api, user, "first", "second") == 204


def test_a_pattern_that_is_none_is_refused_when_it_is_read(tmp_path):
    (tmp_path / "pilvi.toml").write_text('[identity]\npassword_regex = "["\n')
    with pytest.raises(ConfigurationError, match="password_regex is no regular expression"):
        Place(tmp_path).load()


def test_a_locked_password(ruled):
    with ruled() as (api, user):
        update(api, user, options={"lock_password": True})
        assert change(api, user, "first", "second") == 403
        assert change(api, user, "wrong", "second") == 401
        update(api, user, password="second")
        assert login(api, "second") == 201


def test_users_who_stay_away(ruled):
    with ruled(inactive_days=10) as (api, user):
        assert login(api) == 201
        api.clock.advance(9 * DAY)
        assert login(api) == 201
        api.clock.advance(9 * DAY)
        assert login(api) == 201
        api.clock.advance(10 * DAY)
        assert login(api) == 401
        with api.db.transaction() as tx:  # the administrator has been away as long
            tx.execute(users.update().values(last_active_at=None))
        assert login(api) == 201
        update(api, user, options={"ignore_user_inactivity": True})
        api.clock.advance(30 * DAY)
        assert login(api) == 201


def test_users_by_when_their_password_expires(ruled):
    with ruled(password_expires_days=2) as (api, user):
        admin = api.token()
        group = api.made("groups", admin, name="g")["id"]
        api.call("PUT", f"/groups/{group}/users/{user}", token=admin)
        api.clock.advance(DAY)
        admin = api.token()
        later = api.made("users", admin, name="later", password="x")
        moment = quote("2023-11-17T00:00:00Z")

        def found(path, condition):
            answer = api.call("GET", f"{path}?password_expires_at={condition}", token=admin)
            assert answer.status_code == 200, answer.text
            return [each["name"] for each in answer.json["users"]]

        assert found("/users", f"lt:{moment}") == ["u"]
        assert found("/users", f"gte:{moment}") == ["later"]
        assert found("/users", f"eq:{quote(later['password_expires_at'])}") == ["later"]
        assert found("/users", f"neq:{quote(later['password_expires_at'])}") == ["u"]
        assert found(f"/groups/{group}/users", f"lte:{moment}") == ["u"]
        assert found(f"/groups/{group}/users", f"gt:{moment}") == []
        for wrong in ("lt:soon", "near:2023-11-17T00:00:00Z", "2023"):
            assert api.call("GET", f"/users?password_expires_at={wrong}", token=admin).status_code == 400
