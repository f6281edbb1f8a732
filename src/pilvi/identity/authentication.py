"""Tokens: issuing, validating and revoking them, and the catalog that comes with them.

A token is complete in itself. Whether it still holds is found out from rows, and what was found out is kept
until the change count moves: a request costs one read of one row, and a change takes effect at once on all
controllers.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec
import sqlalchemy as sa

from pilvi.db import Tx
from pilvi.engine.clock import micros_text
from pilvi.faults import BadRequest, Forbidden, NotFound, Unauthorized
from pilvi.identity import passwords, store, tokens, wire
from pilvi.identity.base import Base, own_or_admin
from pilvi.identity.tokens import DOMAIN, PROJECT, SYSTEM, UNSCOPED, Token
from pilvi.policy import Context

CACHED = 4096  # tokens of which it is remembered what they mean
GRACE = (
    48 * 3600 * 1_000_000
)  # how long a service may still use an expired token, as in OpenStack, microseconds
REFUSED = "The request you have made requires authentication."
_TARGETS = {PROJECT: "project", DOMAIN: "domain", SYSTEM: "system"}


class Grant(NamedTuple):
    """What a user may be, right now, in one scope."""

    subject: sa.Row
    scope: int
    roles: dict[str, str]  # name by id, implied ones included
    epoch: int
    restricted: bool = False


class Issued(NamedTuple):
    text: str
    token: Token
    grant: Grant


class _Login(NamedTuple):
    """Who has shown that it is them, and what their new token inherits."""

    user_id: str
    epoch: int | None  # of the user, when the password was read; None: checked with the old token
    method: str
    parent: Token | None = None
    credential: sa.Row | None = None


class _Known(NamedTuple):
    count: int
    issued: Issued
    context: Context


class Authentication(Base):
    def __init__(self, *args: Any, **options: Any):
        super().__init__(*args, **options)
        self._cache: dict[str, _Known] = {}
        self._endpoints: tuple[int, list[sa.Row]] | None = None

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

    def issue(self, auth: wire.Auth) -> Issued:
        """Raises Unauthorized, without saying what was wrong, and BadRequest for a request that is none."""
        logins = [self._login(method, auth.identity) for method in dict.fromkeys(auth.identity.methods)]
        login = logins[0]
        if any(other.user_id != login.user_id for other in logins):
            raise Unauthorized(REFUSED)
        parent = next((other.parent for other in logins if other.parent), None)
        credential = next((other.credential for other in logins if other.credential), None)
        with self._db.read() as tx:
            grant = self._scoped(tx, login.user_id, auth.scope, credential)
            if any(other.epoch not in (None, grant.subject.user_epoch) for other in logins):
                raise Unauthorized(REFUSED)
            token = self._token(tx.now, grant, [other.method for other in logins], parent, credential)
        return Issued(tokens.seal(token, self._keys), token, grant)

    def _token(
        self, now: int, grant: Grant, methods: list[str], parent: Token | None, credential: sa.Row | None
    ) -> Token:
        expires = (now // 1_000_000 + int(self._settings.token_hours * 3600)) * 1_000_000
        audits = [tokens.new_audit_id()]
        if parent is not None:
            methods = [*parent.methods, *(method for method in methods if method not in parent.methods)]
            audits.append(parent.audit_ids[-1])
            expires = min(expires, parent.expires_at)
        if credential is not None and credential.expires_at is not None:
            expires = min(expires, credential.expires_at)
        scope_id = grant.subject.project_id if grant.scope in (PROJECT, DOMAIN) else ""
        return Token(
            grant.subject.user_id,
            grant.scope,
            scope_id,
            tuple(methods),
            tuple(audits),
            now,
            expires,
            grant.epoch,
            credential.id if credential is not None else "",
        )

    def _login(self, method: str, identity: wire.IdentityPart) -> _Login:
        if method not in tokens.METHODS:
            raise Unauthorized(f"Attempted to authenticate with an unsupported method: {method[:64]}.")
        shown = getattr(identity, method)
        if shown is None:
            raise BadRequest(
                f"Invalid input for field/attribute auth.identity.{method}. It is a required property."
            )
        return getattr(self, "_login_by_" + method)(shown)

    def _login_by_password(self, shown: wire.PasswordMethod) -> _Login:
        with self._db.read() as tx:
            row = store.login(tx, **_user_key(shown.user))
        if not passwords.matches(shown.user.password, row and row.password_hash):
            raise Unauthorized(REFUSED)
        return _Login(row.id, row.epoch, "password")

    def _login_by_token(self, shown: wire.TokenMethod) -> _Login:
        with self._db.read() as tx:
            issued = self._validate(tx, shown.id, store.change_count(tx))
        if issued is None:
            raise Unauthorized(REFUSED)
        if issued.token.application_credential_id:
            raise Forbidden("A token of an application credential cannot be exchanged for another.")
        return _Login(issued.token.user_id, None, "token", parent=issued.token)

    def _login_by_application_credential(self, shown: wire.ApplicationCredentialMethod) -> _Login:
        with self._db.read() as tx:
            if shown.id is not None:
                row = store.application_credential(tx, key=shown.id)
            elif shown.name is not None and shown.user is not None:
                user = store.login(tx, **_user_key(shown.user))
                row = user and store.application_credential(tx, name=shown.name, user_id=user.id)
            else:
                raise BadRequest("An application credential is named by its id, or by its name and user.")
            now = tx.now
        matches = passwords.matches(shown.secret, row and row.secret_hash)
        if not matches or (row.expires_at is not None and row.expires_at <= now):
            raise Unauthorized(REFUSED)
        return _Login(row.user_id, None, "application_credential", credential=row)

    def _scoped(
        self, tx: Tx, user_id: str, wanted: wire.ScopeRef | str | None, credential: sa.Row | None
    ) -> Grant:
        """Raises Unauthorized where the user has no part in the scope."""
        count = store.change_count(tx)
        if wanted is None and credential is None:
            return self._default_scope(tx, user_id, count)
        scope, scope_id = (
            _resolve_scope(tx, wanted) if wanted is not None else (PROJECT, credential.project_id)
        )
        if credential is not None and (scope, scope_id) != (PROJECT, credential.project_id):
            raise Unauthorized(REFUSED)
        grant = self._grant(
            tx, user_id, scope, scope_id, count, credential.id if credential is not None else ""
        )
        if grant is None:
            raise Unauthorized(REFUSED)
        return grant

    def _default_scope(self, tx: Tx, user_id: str, count: int) -> Grant:
        """The user's default project where they can work there, otherwise none."""
        unscoped = self._grant(tx, user_id, UNSCOPED, "", count)
        if unscoped is None:
            raise Unauthorized(REFUSED)
        default = unscoped.subject.default_project_id
        return (default and self._grant(tx, user_id, PROJECT, default, count)) or unscoped

    # Validating

    def validate(self, context: Context, own: str, subject: str, allow_expired: bool = False) -> Issued:
        """What the token `subject` says; `own` is the asking one. Raises Forbidden, NotFound."""
        trusted = context.is_admin or "service" in context.roles
        with self._db.read() as tx:
            known = self._known(tx, subject)
            issued = known and known.issued
            if issued is None and allow_expired and trusted:
                issued = self._validate(tx, subject, store.change_count(tx), GRACE)
        if not trusted and subject != own and (issued is None or issued.token.user_id != context.user_id):
            raise Forbidden(
                "You are not authorized to perform the requested action: identity:validate_token."
            )
        if issued is None:
            raise NotFound("Could not find token: it is unknown, has expired or was revoked.")
        return issued

    def revoke(self, context: Context, own: str, subject: str) -> None:
        """Ends one token, on all controllers at once. Raises Forbidden, NotFound."""
        issued = self.validate(context, own, subject)
        if issued.token.user_id != context.user_id and not context.is_admin:
            raise Forbidden("You are not authorized to perform the requested action: identity:revoke_token.")
        with self._db.transaction() as tx:
            store.revoke(tx, issued.token.audit_ids[0], issued.token.expires_at)
            store.changed(tx)

    def _validate(self, tx: Tx, text: str, count: int, grace: int = 0) -> Issued | None:
        token = tokens.unseal(text, self._keys)
        if token is None or token.expires_at + grace <= tx.now or store.is_revoked(tx, token.audit_ids[:1]):
            return None
        grant = self._grant(
            tx, token.user_id, token.scope, token.scope_id, count, token.application_credential_id
        )
        if grant is None or grant.epoch != token.epoch:
            return None
        return Issued(text, token, grant)

    def _grant(
        self, tx: Tx, user_id: str, scope: int, scope_id: str, count: int, credential_id: str = ""
    ) -> Grant | None:
        """None where a user, project or domain is gone or disabled, or the user has no role there."""
        row = store.subject(tx, user_id, scope_id or None)
        if row is None or not row.user_enabled or not row.user_domain_enabled:
            return None
        epoch = row.user_epoch + row.user_domain_epoch
        if scope == UNSCOPED:
            return Grant(row, scope, {}, epoch)
        if scope in (PROJECT, DOMAIN):
            if (
                not row.project_enabled
                or row.project_domain_enabled is False
                or row.is_domain != (scope == DOMAIN)
            ):
                return None
            epoch += row.project_epoch + (row.project_domain_epoch or 0)
        roles = self._roles(tx, count).expand(
            store.granted_roles(tx, user_id, _TARGETS[scope], scope_id or store.ALL)
        )
        restricted = False
        if credential_id:
            credential = store.application_credential(tx, key=credential_id)
            if credential is None or (credential.expires_at is not None and credential.expires_at <= tx.now):
                return None
            allowed = self._roles(tx, count).expand(set(credential.role_ids))
            roles = {role: name for role, name in roles.items() if role in allowed}
            restricted = not credential.unrestricted
        return Grant(row, scope, roles, epoch, restricted) if roles else None

    # What a token says, in OpenStack's words

    def token_body(self, issued: Issued, base_url: str, with_catalog: bool = True) -> dict[str, Any]:
        token, grant = issued.token, issued.grant
        row = grant.subject
        body: dict[str, Any] = {
            "methods": list(token.methods),
            "user": {
                "id": row.user_id,
                "name": row.user_name,
                "password_expires_at": None,
                "domain": {"id": row.user_domain_id, "name": row.user_domain_name},
            },
            "audit_ids": list(token.audit_ids),
            "expires_at": micros_text(token.expires_at) + "Z",
            "issued_at": micros_text(token.issued_at) + "Z",
        }
        if grant.scope == PROJECT:
            body["project"] = {
                "id": row.project_id,
                "name": row.project_name,
                "domain": {"id": row.project_domain_id, "name": row.project_domain_name},
            }
            body["is_domain"] = False
        elif grant.scope == DOMAIN:
            body["domain"] = {"id": row.project_id, "name": row.project_name}
        elif grant.scope == SYSTEM:
            body["system"] = {"all": True}
        if grant.scope != UNSCOPED:
            body["roles"] = [{"id": role, "name": name} for role, name in grant.roles.items()]
            if with_catalog:
                body["catalog"] = self.catalog(base_url, token.scope_id if grant.scope == PROJECT else None)
        if token.application_credential_id:
            body["application_credential"] = {
                "id": token.application_credential_id,
                "restricted": grant.restricted,
            }
        return body

    def catalog(self, base_url: str, project_id: str | None) -> list[dict[str, Any]]:
        """The services with their endpoints; where there is no project, without those that need one."""
        found: dict[str, dict[str, Any]] = {}
        for row in self._catalog_rows():
            url = filled(row.url, base_url, project_id)
            if "$(" in url:
                continue
            service = found.setdefault(
                row.service_id,
                {"id": row.service_id, "type": row.type, "name": row.name or "", "endpoints": []},
            )
            service["endpoints"].append(
                {
                    "id": row.id,
                    "interface": row.interface,
                    "region": row.region_id,
                    "region_id": row.region_id,
                    "url": url,
                }
            )
        return list(found.values())

    def _catalog_rows(self) -> list[sa.Row]:
        with self._db.read() as tx:
            count = store.change_count(tx)
            if self._endpoints is None or self._endpoints[0] != count:
                self._endpoints = (count, list(store.catalog(tx)))
        return self._endpoints[1]

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

    def projects_of_user(self, context: Context, user_id: str) -> list[sa.Row]:
        """Raises Forbidden where it is neither oneself nor an administrator who asks."""
        own_or_admin(context, user_id, "identity:list_user_projects")
        return self.projects_of(user_id)


def filled(template: str, base_url: str, project_id: str | None = None) -> str:
    """An endpoint's URL with what can be put in put in."""
    url = template.replace("$(base_url)s", base_url)
    if project_id is not None:
        for name in ("project_id", "tenant_id"):
            url = url.replace(f"$({name})s", project_id).replace(f"%({name})s", project_id)
    return url


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
    )


def _domain_key(domain: wire.DomainRef | None, what: str) -> dict[str, str | None]:
    if domain is None or (domain.id is None and domain.name is None):
        raise BadRequest(f"A {what} that is given by name needs the domain it is in, by id or by name.")
    return {"domain_id": domain.id} if domain.id is not None else {"domain_name": domain.name}


def _user_key(user: wire.UserRef) -> dict[str, str | None]:
    if user.id is not None:
        return {"user_id": user.id}
    if user.name is None:
        raise BadRequest("A user is given by id, or by name and domain.")
    return {"name": user.name, **_domain_key(user.domain, "user")}


def _resolve_scope(tx: Tx, wanted: wire.ScopeRef | str) -> tuple[int, str]:
    """Raises Unauthorized for what does not exist, BadRequest for none or several scopes."""
    if isinstance(wanted, str) or wanted.unscoped is not None:
        return UNSCOPED, ""
    if wanted.trust is not None:
        raise BadRequest("Trusts are not served here: use an application credential.")
    if [wanted.project, wanted.domain, wanted.system].count(None) != 2:
        raise BadRequest(
            "Invalid input for field/attribute auth.scope. Give one of project, domain and system."
        )
    if wanted.system is not None:
        if not wanted.system.all:
            raise BadRequest(
                "Invalid input for field/attribute auth.scope.system. The only system is 'all': true."
            )
        return SYSTEM, ""
    if wanted.domain is not None:
        found = wanted.domain.id or store.domain_key(tx, wanted.domain.name or "")
    elif wanted.project.id is not None:
        found = wanted.project.id
    elif wanted.project.name is None:
        raise BadRequest("A project is given by id, or by name and domain.")
    else:
        found = store.project_key(
            tx, name=wanted.project.name, **_domain_key(wanted.project.domain, "project")
        )
    if not found:
        raise Unauthorized(REFUSED)
    return (DOMAIN if wanted.domain is not None else PROJECT), found
