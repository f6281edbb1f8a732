"""Tokens: issuing, validating and revoking them.

A token is complete in itself. Whether it still holds is found out from rows, and what was found out is kept
until the change count moves: a request costs one read of one row, and a change takes effect at once on all
controllers.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec
import sqlalchemy as sa

from pilvi.db import Tx
from pilvi.engine.clock import parse_time
from pilvi.faults import BadRequest, Forbidden, NotFound, Unauthorized
from pilvi.identity import delegations, store, tokens, wire
from pilvi.identity import store_delegation as sql
from pilvi.identity.delegations import ACCESS_TOKEN, APPLICATION_CREDENTIAL, TRUST, Delegation
from pilvi.identity.logins import UNKNOWN, Login, Logins, required_methods
from pilvi.identity.oauth_signature import UNSIGNED, SignedRequest
from pilvi.identity.scoping import REFUSED, Grant
from pilvi.identity.tokens import DOMAIN, PROJECT, SYSTEM, Receipt, Token
from pilvi.policy import Context

CACHED = 4096  # tokens of which it is remembered what they mean
GRACE = 48 * 3600 * 1_000_000  # how long a service may still use an expired token, as in OpenStack, microseconds
RECEIPT = 300 * 1_000_000  # how long the first of several factors counts, as in OpenStack, microseconds


class Issued(NamedTuple):
    text: str
    token: Token
    grant: Grant


class MoreFactors(Unauthorized):
    """What was shown is right, and not enough: the receipt stands for it when the rest is shown."""

    def __init__(self, receipt: Receipt, text: str, person: sa.Row):
        super().__init__(REFUSED)
        self.receipt, self.text, self.person = receipt, text, person
        self.required = required_methods(person.user_options)


class _Known(NamedTuple):
    count: int
    issued: Issued
    context: Context


class Authentication(Logins):
    def __init__(self, *args: Any, **options: Any):
        super().__init__(*args, **options)
        self._cache: dict[str, _Known] = {}

    def authenticate(self, token: str, request_id: str) -> Context:
        """Who holds this token. Raises Unauthorized where it does not hold (any more)."""
        with self._db.read() as tx:
            known = self._known(tx, token)
        if known is None:
            raise Unauthorized(REFUSED)
        return msgspec.structs.replace(known.context, request_id=request_id)

    def _known(self, tx: Tx, text: str) -> _Known | None:
        """What a token means, remembered or found out; None where it does not hold."""
        count, known = store.change_count(tx), self._cache.get(text)
        if known is not None and known.count == count and known.context.expires_at > tx.now:
            return known
        self._cache.pop(text, None)
        issued = self._validate(tx, text, count)
        if issued is None:
            return None
        if len(self._cache) >= CACHED:
            self._cache.clear()
        known = self._cache[text] = _Known(count, issued, _context(issued))
        return known

    def internal_context(self, project_name: str, user_name: str, request_id: str) -> Context:
        """A user of the default domain, at work in a project of it, without a token. Raises NotFound."""
        with self._db.read() as tx:
            user = store.login(tx, name=user_name, domain_id="default")
            project_id = store.project_key(tx, name=project_name, domain_id="default")
            grant = (
                user and project_id and self._grant(tx, user.id, PROJECT, project_id, store.change_count(tx))
            )
            if not grant:
                raise NotFound(
                    f"The user {user_name} has no role in a project {project_name} of the default domain."
                )
            token = Token(user.id, PROJECT, project_id, (), (), tx.now, tx.now, grant.epoch)
        return msgspec.structs.replace(_context(Issued("", token, grant)), request_id=request_id)

    # Issuing

    def issue(self, auth: wire.Auth, request: SignedRequest = UNSIGNED, receipt: str = "") -> Issued:
        """`receipt` stands for what was shown before. Raises Unauthorized, without saying what was wrong,
        MoreFactors, Forbidden, and BadRequest for a request that is none."""
        names = dict.fromkeys(auth.identity.methods)
        logins = [self._login(method, auth.identity, request) for method in names]
        earlier = tokens.unseal_receipt(receipt, self._keys) if receipt else None
        if any(other.user_id != logins[0].user_id for other in logins):
            raise Unauthorized(REFUSED)
        return self._issue(logins, auth.scope, earlier)

    def _issue(
        self, logins: list[Login], scope: wire.ScopeRef | str | None, earlier: Receipt | None = None
    ) -> Issued:
        login = logins[0]
        parent = next((other.parent for other in logins if other.parent), None)
        delegation = next((other.delegation for other in logins if other.delegation), None)
        methods = tuple(dict.fromkeys([*(parent.methods if parent else ()), *(each.method for each in logins)]))
        with self._db.read() as tx:
            now = tx.now
            if earlier is not None and earlier.user_id == login.user_id and earlier.expires_at > now:
                methods = tuple(dict.fromkeys([*earlier.methods, *methods]))
            grant = self._scoped(tx, login.user_id, scope, delegation)
            same = grant.subject.user_id == login.user_id
            person = grant.subject if same else store.subject(tx, login.user_id, None)
            if any(other.epoch not in (None, person.user_epoch) for other in logins):
                raise Unauthorized(REFUSED)
        if not self._rules_hold(login, person, methods, now):
            raise self._more_factors(person, methods, now)
        token = self._token(now, grant, methods, parent)
        self._note_use(logins, person, grant.delegation, now)
        return Issued(tokens.seal(token, self._keys), token, grant)

    def _note_use(
        self, logins: list[Login], person: sa.Row, delegation: Delegation | None, now: int
    ) -> None:
        """Raises Forbidden where it was somebody else who had the last use of a trust."""
        counted = delegation is not None and delegation.kind == TRUST and delegation.row.remaining_uses is not None
        noted = self._must_be_noted(logins, person, now)
        if not counted and not noted:
            return
        with self._db.transaction() as tx:
            if counted and not sql.use_trust(tx, delegation.id):
                raise Forbidden(f"No remaining uses for trust {delegation.id}.")
            if noted:
                sql.note_login(tx, person.user_id)

    def _more_factors(self, person: sa.Row, methods: tuple[str, ...], now: int) -> MoreFactors:
        receipt = Receipt(person.user_id, methods, now, now + RECEIPT)
        return MoreFactors(receipt, tokens.seal_receipt(receipt, self._keys), person)

    def _token(self, now: int, grant: Grant, methods: tuple[str, ...], parent: Token | None) -> Token:
        delegation = grant.delegation
        expires = (now // 1_000_000 + int(self._settings.token_hours * 3600)) * 1_000_000
        audits = [tokens.new_audit_id()]
        if parent is not None:
            audits.append(parent.audit_ids[-1])
            expires = min(expires, parent.expires_at)
        if delegation is not None and delegation.expires_at is not None:
            expires = min(expires, delegation.expires_at)
        by = {} if delegation is None else {_FIELDS[delegation.kind]: delegation.id}
        scope_id = grant.subject.project_id if grant.scope in (PROJECT, DOMAIN) else ""
        return Token(
            grant.subject.user_id,
            grant.scope,
            scope_id,
            methods,
            tuple(audits),
            now,
            expires,
            grant.epoch,
            **by,
        )

    # Validating

    def validate(
        self, context: Context, own: str, subject: str, allow_expired: bool = False, rules: bool = True
    ) -> Issued:
        """What the token `subject` says; `own` is the asking one. `rules`: who asks knows access rules, and
        heeds them. Raises Forbidden, NotFound."""
        trusted = context.is_auditor or "service" in context.roles
        with self._db.read() as tx:
            known = self._known(tx, subject)
            issued = known and known.issued
            if issued is None and allow_expired and trusted:
                issued = self._validate(tx, subject, store.change_count(tx), GRACE)
        delegation = issued and issued.grant.delegation
        limited = delegation is not None and delegation.access_rules is not None
        if issued is None or (limited and not rules):
            raise NotFound(UNKNOWN)
        if not trusted and subject != own and issued.token.user_id != context.user_id:
            raise Forbidden(
                "You are not authorized to perform the requested action: identity:validate_token."
            )
        return issued

    def revoke(self, context: Context, own: str, subject: str) -> None:
        """Ends one token, on all controllers at once. Raises Forbidden, NotFound."""
        issued = self.validate(context, own, subject)
        if issued.token.user_id != context.user_id and not context.is_admin:
            raise Forbidden("You are not authorized to perform the requested action: identity:revoke_token.")
        with self._db.transaction() as tx:
            store.revoke(tx, issued.token.audit_ids[0], issued.token.expires_at)
            sql.note_revocation(tx, audit_id=issued.token.audit_ids[0])
            store.changed(tx)

    def revocations(self, since: str | None) -> list[sa.Row]:
        """What ended tokens since then, all that is known where that is None. Raises BadRequest for no time."""
        try:
            moment = 0 if since is None else parse_time(since)
        except (ValueError, OverflowError):
            raise BadRequest(f"Invalid input for field/attribute since. Value: {since}. It is not a time.") from None
        with self._db.read() as tx:
            return list(sql.revocations_since(tx, moment))

    def _validate(self, tx: Tx, text: str, count: int, grace: int = 0) -> Issued | None:
        token = tokens.unseal(text, self._keys)
        if token is None or token.expires_at + grace <= tx.now or store.is_revoked(tx, token.audit_ids[:1]):
            return None
        delegation = None
        if token.application_credential_id or token.trust_id or token.access_token_id:
            delegation = delegations.of_token(tx, token)
            if delegation is None:
                return None
        grant = self._grant(tx, token.user_id, token.scope, token.scope_id, count, delegation)
        if grant is None or grant.epoch != token.epoch:
            return None
        return Issued(text, token, grant)

    # What one could be scoped to

    def projects_of(self, user_id: str) -> list[sa.Row]:
        with self._db.read() as tx:
            return list(store.targets_of(tx, user_id, "project"))

    def domains_of(self, user_id: str) -> list[sa.Row]:
        with self._db.read() as tx:
            return list(store.targets_of(tx, user_id, "domain"))

    def has_system_role(self, user_id: str) -> bool:
        with self._db.read() as tx:
            return bool(store.granted_roles(tx, user_id, "system", store.ALL))


_FIELDS = {
    APPLICATION_CREDENTIAL: "application_credential_id",
    TRUST: "trust_id",
    ACCESS_TOKEN: "access_token_id",
}


def _context(issued: Issued) -> Context:
    token, grant = issued.token, issued.grant
    row = grant.subject
    in_project = grant.scope == PROJECT
    return Context(
        user_id=row.user_id,
        user_name=row.user_name,
        user_domain_id=row.user_domain_id,
        project_id=row.project_id if in_project else None,
        project_name=row.project_name if in_project else None,
        project_domain_id=row.project_domain_id if in_project else None,
        domain_id=row.project_id if grant.scope == DOMAIN else None,
        system=grant.scope == SYSTEM,
        roles=frozenset(grant.roles.values()),
        audit_id=token.audit_ids[0] if token.audit_ids else "",
        expires_at=token.expires_at,
        issued_at=token.issued_at,
        methods=token.methods,
        restricted=grant.restricted,
        access_rules=None if grant.delegation is None else grant.delegation.access_rules,
        application_credential_id=token.application_credential_id,
        trust_id=token.trust_id,
        access_token_id=token.access_token_id,
    )
