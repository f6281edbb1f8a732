"""OAuth 1: a program (consumer) is given some of a user's roles in a project without their password (OS-OAUTH1)."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa

from pilvi.db import Tx
from pilvi.faults import BadRequest, Conflict, Forbidden, Unauthorized
from pilvi.identity import store, wire
from pilvi.identity import store_delegation as sql
from pilvi.identity.base import missing, own_or_admin, own_or_auditor, role_ids_of
from pilvi.identity.oauth_signature import SignedRequest, is_signed, parameters
from pilvi.identity.scoping import REFUSED, Scoping
from pilvi.identity.tables import projects
from pilvi.identity.tables_delegation import access_tokens, consumers, request_tokens
from pilvi.identity.tokens import PROJECT
from pilvi.policy import Context

REQUEST_SECONDS, ACCESS_SECONDS = 8 * 3600, 24 * 3600  # as in OpenStack
SKEW_SECONDS = 600  # how far a signed request's clock may be from ours


class TokenPair(NamedTuple):
    key: str
    secret: str
    expires_at: int


class OAuth(Scoping):
    def create_consumer(self, description: str | None, extra: dict[str, Any]) -> tuple[sa.Row, str]:
        """The new row and its secret, which is shown this once."""
        secret = self._ids.hex()
        with self._db.transaction() as tx:
            key = self._ids.hex()
            values = {"id": key, "description": description, "secret": self._sealed(tx, secret), "extra": extra}
            tx.execute(consumers.insert(), values)
            return store.get(tx, consumers, key), secret

    def update_consumer(self, key: str, values: dict[str, Any], extra: dict[str, Any]) -> sa.Row:
        with self._db.transaction() as tx:
            row = self._get(tx, consumers, key, "consumer")
            store.update(tx, consumers, key, {**values, "extra": {**row.extra, **extra}})
            return store.get(tx, consumers, key)

    def delete_consumer(self, key: str) -> None:
        """Ends all that was authorised for it."""
        with self._change() as tx:
            if not store.delete(tx, consumers, key):
                raise missing("consumer", key)
            sql.note_revocation(tx, consumer_id=key)

    # The three steps to an access token

    def request_token(self, request: SignedRequest, project_id: str) -> TokenPair:
        """By a consumer, for a project. Raises Unauthorized, BadRequest, NotFound."""
        with self._db.transaction() as tx:
            found = parameters(request)
            if found.get("oauth_callback") != "oob":
                raise BadRequest("oauth_callback must be oob: the verifier is handed over by the user.")
            consumer = store.get(tx, consumers, found["oauth_consumer_key"])
            self._check(tx, request, found, consumer)
            self._get(tx, projects, project_id, "project", is_domain=False)
            pair = self._pair(tx, REQUEST_SECONDS)
            values = {"consumer_id": consumer.id, "project_id": project_id, "role_ids": []}
            tx.execute(request_tokens.insert(), {**values, **self._row(tx, pair)})
            return pair

    def authorise(self, context: Context, key: str, roles: Sequence[wire.RoleRef]) -> str:
        """By the user whose roles they are; the verifier that the program is to be told."""
        if context.application_credential_id or context.trust_id or context.access_token_id:
            raise Forbidden("A request token is authorised with a token of one's own, not with a delegated one.")
        with self._db.transaction() as tx:
            row = self._get(tx, request_tokens, key, "request token")
            if row.expires_at <= tx.now:
                raise Unauthorized("Request token is expired.")
            grant = self._grant(tx, context.user_id, PROJECT, row.project_id, store.change_count(tx))
            wanted = role_ids_of(grant.roles if grant is not None else {}, roles)
            if wanted is None:
                raise Unauthorized("Authorizing user does not have role required.")
            verifier = self._ids.secret(12)
            if not sql.authorise(tx, key, context.user_id, wanted, verifier):
                raise Conflict(f"The request token {key} has been authorised already.")
            return verifier

    def access_token(self, request: SignedRequest) -> TokenPair:
        """By the consumer, for an authorised request token, which is over with that. Raises Unauthorized."""
        with self._db.transaction() as tx:
            found = parameters(request)
            row = self._signed_by(tx, request, found, request_tokens)
            shown = found.get("oauth_verifier", "")
            if row.verifier is None or not hmac.compare_digest(row.verifier.encode(), shown.encode()):
                raise Unauthorized("The request token is not authorised, or the verifier is not right.")
            store.delete(tx, request_tokens, row.id)
            pair = self._pair(tx, ACCESS_SECONDS)
            kept = ("consumer_id", "project_id", "user_id", "role_ids")
            values = {name: getattr(row, name) for name in kept}
            tx.execute(access_tokens.insert(), {**values, **self._row(tx, pair)})
            return pair

    def _signed_by_access_token(self, request: SignedRequest) -> sa.Row:
        """The access token that a login is signed with."""
        with self._db.transaction() as tx:
            return self._signed_by(tx, request, parameters(request), access_tokens)

    # What a user has authorised

    def access_tokens_of(self, context: Context, user_id: str) -> list[sa.Row]:
        own_or_auditor(context, user_id, "identity:list_access_tokens")
        with self._db.read() as tx:
            return list(sql.oauth_of_user(tx, user_id))

    def access_token_of(self, context: Context, user_id: str, key: str) -> sa.Row:
        own_or_auditor(context, user_id, "identity:get_access_token")
        with self._db.read() as tx:
            return self._get(tx, access_tokens, key, "OAuth access token", user_id=user_id)

    def delete_access_token(self, context: Context, user_id: str, key: str) -> None:
        """Ends the tokens that were issued for it."""
        own_or_admin(context, user_id, "identity:delete_access_token")
        with self._change() as tx:
            row = self._get(tx, access_tokens, key, "OAuth access token", user_id=user_id)
            store.delete(tx, access_tokens, key)
            sql.note_revocation(tx, consumer_id=row.consumer_id, access_token_id=key)

    def roles_of(self, row: sa.Row) -> dict[str, sa.Row]:
        """Of a trust or an access token, by id, without those that were deleted since."""
        with self._db.read() as tx:
            return sql.roles_by_id(tx, row.role_ids)

    # Signatures

    def _signed_by(
        self, tx: Tx, request: SignedRequest, found: dict[str, str], table: sa.Table
    ) -> sa.Row:
        """The request or access token with which it is signed, not expired."""
        pair = sql.consumer_of(tx, table, found.get("oauth_token", ""))
        if pair is None or pair[1].id != found["oauth_consumer_key"] or pair[0].expires_at <= tx.now:
            raise Unauthorized(REFUSED)
        self._check(tx, request, found, pair[1], self._secrets.decrypt(pair[0].secret).decode())
        return pair[0]

    def _check(
        self, tx: Tx, request: SignedRequest, found: dict[str, str], consumer: sa.Row | None, secret: str = ""
    ) -> None:
        """Raises Unauthorized for a wrong signature, for one too old, and for one that was shown before."""
        moment = int(found["oauth_timestamp"][:12])
        if consumer is None or abs(moment - tx.now // 1_000_000) > SKEW_SECONDS:
            raise Unauthorized(REFUSED)
        if not is_signed(request, found, self._secrets.decrypt(consumer.secret).decode(), secret):
            raise Unauthorized(REFUSED)
        shown = (consumer.id, found.get("oauth_token", ""), str(moment), found["oauth_nonce"])
        digest = hashlib.sha256("\0".join(shown).encode()).hexdigest()
        if not sql.is_new_nonce(tx, digest, (moment + 2 * SKEW_SECONDS) * 1_000_000):
            raise Unauthorized(REFUSED)

    def _pair(self, tx: Tx, seconds: int) -> TokenPair:
        return TokenPair(self._ids.hex(), self._ids.hex(), tx.now + seconds * 1_000_000)

    def _row(self, tx: Tx, pair: TokenPair) -> dict[str, Any]:
        return {"id": pair.key, "secret": self._sealed(tx, pair.secret), "expires_at": pair.expires_at}

    def _sealed(self, tx: Tx, secret: str) -> str:
        return self._secrets.encrypt(secret.encode(), tx.now // 1_000_000)
