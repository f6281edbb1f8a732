"""Users, and the rules that their passwords are subject to (settings.IdentitySettings)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from pilvi.db import Tx
from pilvi.faults import BadRequest, Forbidden, Unauthorized
from pilvi.identity import passwords, store, wire
from pilvi.identity import store_delegation as sql
from pilvi.identity.base import may_manage, may_see
from pilvi.identity.directory import Directory, Values, merged, same_domain, taken
from pilvi.identity.logins import DAY, Logins
from pilvi.identity.scoping import REFUSED
from pilvi.identity.tables import users
from pilvi.policy import Context

Options = Mapping[str, Any]


class Users(Logins, Directory):
    def user(self, context: Context, user_id: str) -> sa.Row:
        with self._db.read() as tx:
            return self._seen_user(tx, context, user_id, "identity:get_user")

    def create_user(self, context: Context, values: Values, extra: Values) -> sa.Row:
        """Raises BadRequest for a password that is not as it should be."""
        password_hash = self._hashed(values["password"])
        with self._change() as tx:
            domain_id = self._domain_for(tx, context, values["domain_id"])
            may_manage(context, domain_id, "identity:create_user")
            key, options = self._ids.hex(), merged({}, values["options"])
            store.insert(
                tx,
                users,
                {
                    "id": key,
                    "domain_id": domain_id,
                    "options": options,
                    "extra": extra,
                    **{name: values[name] for name in ("name", "enabled", "default_project_id")},
                    **self._password(tx, password_hash, options, by_user=False),
                },
                taken("user", values["name"]),
            )
            return store.get(tx, users, key)

    def update_user(self, context: Context, user_id: str, values: Values, extra: Values) -> sa.Row:
        """A password is set whatever the former ones were; to enable a user is to let them in again."""
        changes = {name: values[name] for name in ("name", "enabled", "default_project_id") if name in values}
        password_hash = self._hashed(values.get("password"))
        with self._change() as tx:
            row = self._managed_user(tx, context, user_id, "identity:update_user")
            same_domain(row, values)
            changes["options"] = options = merged(row.options, values.get("options", {}))
            if "password" in values:
                self._remember(tx, row)
                changes |= self._password(tx, password_hash, options, by_user=False)
            if values.get("enabled"):
                changes |= {"failed_count": 0, "failed_at": None, "last_active_at": tx.now}
            if "password" in values or (row.enabled and not values.get("enabled", True)):
                store.end_tokens(tx, users, user_id)
                sql.note_revocation(tx, user_id=user_id)
            changes["extra"] = {**row.extra, **extra}
            store.update(tx, users, user_id, changes, taken("user", values.get("name", row.name)))
            return store.get(tx, users, user_id)

    def change_password(self, user_id: str, original: str, wanted: str) -> None:
        """By the user, who shows the old one, not a token; ends all their tokens.

        Raises Unauthorized, Forbidden for one that is locked, BadRequest for one that the rules refuse."""
        login, now = self._admitted(wire.UserRef(id=user_id))
        with self._db.read() as tx:
            row = store.get(tx, users, user_id)
            former = sql.former_passwords(tx, user_id, max(0, self._settings.identity.unique_passwords - 1))
        if not passwords.matches(original, row and row.password_hash):
            raise self._refused(login, now)
        if row.options.get("lock_password"):
            raise Forbidden("The password is locked: only an administrator may change it.")
        if not row.enabled:
            raise Unauthorized(REFUSED)
        self._may_change(row, now)
        self._is_unlike(wanted, [row.password_hash, *(each.password_hash for each in former)])
        new = self._hashed(wanted)
        with self._change() as tx:
            self._remember(tx, row)
            if not store.replace_password(tx, user_id, row.password_hash, new):
                raise Unauthorized(REFUSED)
            store.update(tx, users, user_id, self._password(tx, new, row.options, by_user=True))
            store.end_tokens(tx, users, user_id)
            sql.note_revocation(tx, user_id=user_id)

    def delete_user(self, context: Context, user_id: str) -> None:
        with self._change() as tx:
            self._managed_user(tx, context, user_id, "identity:delete_user")
            store.delete_actor(tx, users, "user", user_id)
            sql.note_revocation(tx, user_id=user_id)

    def projects_of_user(self, context: Context, user_id: str) -> list[sa.Row]:
        """Raises Forbidden where it is neither oneself nor somebody who sees all who asks."""
        with self._db.read() as tx:
            self._seen_user(tx, context, user_id, "identity:list_user_projects")
            return list(store.targets_of(tx, user_id, "project"))

    def _seen_user(self, tx: Tx, context: Context, user_id: str, action: str) -> sa.Row:
        row = store.get(tx, users, user_id)
        if user_id != context.user_id:
            may_see(context, row and row.domain_id, action)
        return self._get(tx, users, user_id, "user")

    def _managed_user(self, tx: Tx, context: Context, user_id: str, action: str) -> sa.Row:
        row = store.get(tx, users, user_id)
        may_manage(context, row and row.domain_id, action)
        self._is_below(tx, context, "user", user_id, action)
        return self._get(tx, users, user_id, "user")

    # The rules

    def _hashed(self, password: str | None) -> str | None:
        if password is None:
            return None
        rules = self._settings.identity
        if rules.password_regex and not re.match(rules.password_regex, password):
            said = rules.password_regex_description or f"It does not match {rules.password_regex}."
            raise BadRequest(f"The password does not match the requirements: {said}")
        return passwords.hashed(password)

    def _password(self, tx: Tx, password_hash: str | None, options: Options, *, by_user: bool) -> dict[str, Any]:
        """Columns of a user whose password this is from now on."""
        rules, expires = self._settings.identity, None
        if rules.password_expires_days and not options.get("ignore_password_expiry"):
            expires = tx.now + rules.password_expires_days * DAY
        first = rules.change_password_upon_first_use and not options.get("ignore_change_password_upon_first_use")
        if first and not by_user:
            expires = tx.now
        return {
            "password_hash": password_hash,
            "password_created_at": tx.now,
            "password_expires_at": expires if password_hash is not None else None,
            "failed_count": 0,
            "failed_at": None,
        }

    def _may_change(self, row: sa.Row, now: int) -> None:
        """Raises BadRequest within the least age of a password, unless it is one that has to be changed."""
        days = self._settings.identity.minimum_password_days
        since, expires = row.password_created_at, row.password_expires_at
        if not days or since is None or (expires is not None and expires <= now):
            return
        if now < since + days * DAY:
            raise BadRequest(f"Cannot change password before minimum age {days} day(s) is met.")

    def _is_unlike(self, wanted: str, hashes: list[str]) -> None:
        """Raises BadRequest for one of the newest passwords."""
        count = self._settings.identity.unique_passwords
        if any(passwords.matches(wanted, each) for each in hashes[:count]):
            raise BadRequest(
                f"The new password cannot be identical to a previous password. The total number of previous "
                f"passwords that cannot be reused is {count}."
            )

    def _remember(self, tx: Tx, row: sa.Row) -> None:
        """Keeps the present password among the former ones, as many as are compared with."""
        kept = self._settings.identity.unique_passwords - 1
        if kept > 0 and row.password_hash is not None:
            sql.remember_password(tx, row.id, row.password_hash, kept)
