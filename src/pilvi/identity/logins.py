"""How somebody shows who they are, method by method, and the rules on passwords that may stand against it."""

from __future__ import annotations

from typing import Any, NamedTuple

import sqlalchemy as sa

from pilvi.faults import BadRequest, Forbidden, NotFound, Unauthorized
from pilvi.identity import delegations, passwords, store, totp, wire
from pilvi.identity import store_delegation as sql
from pilvi.identity.delegations import Delegation
from pilvi.identity.oauth import OAuth
from pilvi.identity.oauth_signature import SignedRequest
from pilvi.identity.scoping import REFUSED, user_key
from pilvi.identity.tokens import Token

DAY = 86_400 * 1_000_000  # microseconds
UNKNOWN = "Could not find token: it is unknown, has expired or was revoked."
METHODS = ("password", "token", "application_credential", "totp", "oauth1")


class Login(NamedTuple):
    """Who has shown that it is them, and what their new token inherits."""

    user_id: str
    epoch: int | None  # of the user, when the password was read; None: checked with the old token
    method: str
    parent: Token | None = None
    delegation: Delegation | None = None


class Logins(OAuth):
    def _login(self, method: str, identity: wire.IdentityPart, request: SignedRequest) -> Login:
        if method == "external":
            raise Unauthorized("No authenticated user: nothing in front of this service authenticates users.")
        if method not in METHODS:
            raise Unauthorized(f"Attempted to authenticate with an unsupported method: {method[:64]}.")
        shown = getattr(identity, method)
        if shown is None:
            raise BadRequest(
                f"Invalid input for field/attribute auth.identity.{method}. It is a required property."
            )
        if method == "oauth1":
            return self._login_by_oauth1(request)
        return getattr(self, "_login_by_" + method)(shown)

    def _login_by_password(self, shown: wire.PasswordMethod) -> Login:
        row, now = self._admitted(shown.user)
        if not passwords.matches(shown.user.password, row and row.password_hash):
            raise self._refused(row, now)
        expires = row.password_expires_at
        if expires is not None and expires <= now and not row.options.get("ignore_password_expiry"):
            raise Unauthorized(
                f"The password is expired and needs to be changed for user: {row.id} "
                f"(POST /v3/users/{row.id}/password)."
            )
        return Login(row.id, row.epoch, "password")

    def _login_by_totp(self, shown: wire.TotpMethod) -> Login:
        row, now = self._admitted(shown.user)
        with self._db.read() as tx:
            kept = sql.credentials_of(tx, row.id, "totp") if row is not None else []
        secrets = [self._secrets.decrypt(each.blob).decode() for each in kept]
        if not any(totp.matches(shown.user.passcode, secret, now // 1_000_000) for secret in secrets):
            raise self._refused(row, now)
        return Login(row.id, row.epoch, "totp")

    def _admitted(self, user: wire.UserRef) -> tuple[sa.Row | None, int]:
        """The user, who need not exist, and the moment. Raises Unauthorized for one who is locked out."""
        rules = self._settings.identity
        with self._db.read() as tx:
            row, now = store.login(tx, **user_key(user)), tx.now
        if row is not None and self._counts_failures(row) and row.failed_count >= rules.lockout_attempts:
            until = (row.failed_at or 0) + rules.lockout_seconds * 1_000_000
            if not rules.lockout_seconds or now < until:
                raise Unauthorized(REFUSED)
        return row, now

    def _refused(self, row: sa.Row | None, now: int) -> Unauthorized:
        """Counts the failure, where they are counted."""
        if row is not None and self._counts_failures(row):
            seconds = self._settings.identity.lockout_seconds
            with self._db.transaction() as tx:
                sql.count_failure(tx, row.id, since=now - seconds * 1_000_000 if seconds else 0)
        return Unauthorized(REFUSED)

    def _counts_failures(self, row: sa.Row) -> bool:
        exempt = row.options.get("ignore_lockout_failure_attempts")
        return bool(self._settings.identity.lockout_attempts) and not exempt

    def _login_by_token(self, shown: wire.TokenMethod) -> Login:
        with self._db.read() as tx:
            issued = self._validate(tx, shown.id, store.change_count(tx))
        if issued is None:
            raise NotFound(UNKNOWN)
        if issued.grant.delegation is not None:
            raise Forbidden("A token of a delegation cannot be exchanged for another: log in anew.")
        return Login(issued.token.user_id, None, "token", parent=issued.token)

    def _login_by_application_credential(self, shown: wire.ApplicationCredentialMethod) -> Login:
        with self._db.read() as tx:
            if shown.id is not None:
                row = store.application_credential(tx, key=shown.id)
            elif shown.name is not None and shown.user is not None:
                user = store.login(tx, **user_key(shown.user))
                row = user and store.application_credential(tx, name=shown.name, user_id=user.id)
            else:
                raise BadRequest("An application credential is named by its id, or by its name and user.")
            delegation, now = row and delegations.of_application_credential(tx, row), tx.now
        matches = passwords.matches(shown.secret, row and row.secret_hash)
        if not matches or (row.expires_at is not None and row.expires_at <= now):
            raise Unauthorized(REFUSED)
        return Login(row.user_id, None, "application_credential", delegation=delegation)

    def _login_by_oauth1(self, request: SignedRequest) -> Login:
        row = self._signed_by_access_token(request)
        return Login(row.user_id, None, "oauth1", delegation=delegations.of_access_token(row))

    def _rules_hold(self, login: Login, person: sa.Row, methods: tuple[str, ...], now: int) -> bool:
        """Whether these methods suffice for this user. Raises Unauthorized for one too long inactive.

        Who has signed with an EC2 key showed all that was needed when the key was made."""
        days, options = self._settings.identity.inactive_days, person.user_options
        last = person.last_active_at
        idle = bool(days) and last is not None and last + days * DAY <= now
        if idle and not options.get("ignore_user_inactivity"):
            raise Unauthorized(REFUSED)
        return login.method == "ec2credential" or enough(options, methods)

    def _must_be_noted(self, logins: list[Login], person: sa.Row, now: int) -> bool:
        """Whether the end of a row of failures, or the day of a login, has to be written down."""
        own = any(each.method in ("password", "totp") for each in logins)
        last = person.last_active_at
        idle = self._settings.identity.inactive_days > 0 and (last is None or last + DAY <= now)
        return idle or (own and person.failed_count > 0)


def enough(options: dict[str, Any], methods: tuple[str, ...]) -> bool:
    """Whether one of the user's rules on several factors is fulfilled, where there are any."""
    rules = required_methods(options)
    return not rules or any(set(rule) <= set(methods) for rule in rules)


def required_methods(options: dict[str, Any]) -> list[list[str]]:
    """The user's rules; one that names a method that is not served is passed over, as in OpenStack."""
    if not options.get("multi_factor_auth_enabled"):
        return []
    return [rule for rule in options.get("multi_factor_auth_rules") or [] if set(rule) <= set(METHODS)]
