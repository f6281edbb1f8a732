"""Who may do what: each domain's `policy.py` is a table from an action to one of these rules.

Roles imply each other: admin > manager > member > reader. Whose things a rule lets one touch is not decided here but by
the domain's queries, which look at the caller's project only, unless the caller is an administrator.
"""

from __future__ import annotations

import enum

import msgspec

from pilvi.access_rules import AccessRule


class Rule(enum.Enum):
    ANYONE = "anyone with a token"
    READER = "reader"
    MEMBER = "member"
    MANAGER = "manager"
    ADMIN = "admin"
    AUDITOR = "admin, or reader of the system"
    DOMAIN_READER = "admin, or reader of the system or of a domain"
    DOMAIN_MANAGER = "admin, or manager of a domain"
    SERVICE = "admin or service"


ANYONE, READER, MEMBER, MANAGER, ADMIN = Rule.ANYONE, Rule.READER, Rule.MEMBER, Rule.MANAGER, Rule.ADMIN
AUDITOR, SERVICE = Rule.AUDITOR, Rule.SERVICE
DOMAIN_READER, DOMAIN_MANAGER = Rule.DOMAIN_READER, Rule.DOMAIN_MANAGER

_SIMPLE = frozenset({READER, MEMBER, MANAGER})

IMPLIED = {
    "admin": frozenset({"admin", "manager", "member", "reader"}),
    "manager": frozenset({"manager", "member", "reader"}),
    "member": frozenset({"member", "reader"}),
    "reader": frozenset({"reader"}),
}


class Context(msgspec.Struct, frozen=True, gc=False):
    """Who asks: what a token says, and the request's id."""

    user_id: str
    user_name: str = ""
    user_domain_id: str = "default"
    project_id: str | None = None
    project_name: str | None = None
    project_domain_id: str | None = None
    domain_id: str | None = None  # of a token that is scoped to a domain
    system: bool = False  # scoped to the whole system
    roles: frozenset[str] = frozenset()  # names, implied ones included
    request_id: str = ""
    token_id: str = ""
    audit_id: str = ""
    expires_at: int = 0
    issued_at: int = 0
    methods: tuple[str, ...] = ()
    restricted: bool = False  # by a restricted application credential, which must not make further credentials
    access_rules: tuple[AccessRule, ...] | None = None  # the only requests that an application credential is for
    application_credential_id: str = ""  # at most one of these three: by whose leave the roles are used
    trust_id: str = ""
    access_token_id: str = ""

    @property
    def is_admin(self) -> bool:
        """Of the whole cloud: who is admin in the scope of a domain manages that domain and no more."""
        return "admin" in self.roles and self.domain_id is None

    @property
    def is_auditor(self) -> bool:
        """May see everything, and change nothing by that."""
        return self.is_admin or (self.system and "reader" in self.roles)

    @property
    def read_domain(self) -> str | None:
        """The one domain whose directory the token lets one see."""
        return self.domain_id if "reader" in self.roles else None

    @property
    def managed_domain(self) -> str | None:
        """The one domain whose directory the token lets one change."""
        return self.domain_id if "manager" in self.roles else None

    def permits(self, rule: Rule) -> bool:
        if rule is ANYONE:
            return True
        if rule in _SIMPLE:
            return rule.value in self.roles
        if rule is ADMIN:
            return self.is_admin
        if rule is AUDITOR:
            return self.is_auditor
        if rule is SERVICE:
            return self.is_admin or "service" in self.roles
        if rule is DOMAIN_READER:
            return self.is_auditor or self.read_domain is not None
        return self.is_admin or self.managed_domain is not None


def with_implied(roles: frozenset[str]) -> frozenset[str]:
    return frozenset().union(*(IMPLIED.get(role, frozenset({role})) for role in roles)) if roles else roles
