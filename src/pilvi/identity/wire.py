"""What goes over Identity's wire. Fields beyond these are the client's own: kept, and given back."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

Name = Annotated[str, Meta(min_length=1, max_length=255, pattern=r"\S")]
ShortName = Annotated[str, Meta(min_length=1, max_length=64, pattern=r"\S")]
Text = Annotated[str, Meta(max_length=65535)]
Id = Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^[a-zA-Z0-9-]+$")]
AnyId = Annotated[str, Meta(max_length=255)]
Password = Annotated[str, Meta(max_length=4096)]
Url = Annotated[str, Meta(min_length=1, max_length=2048, pattern=r"\S")]
Tag = Annotated[str, Meta(min_length=1, max_length=255, pattern=r"^[^,/]*$")]
Tags = Annotated[list[Tag], Meta(max_length=80)]
Interface = Literal["public", "internal", "admin"]

# Asking for a token


class DomainRef(msgspec.Struct):
    id: AnyId | None = None
    name: AnyId | None = None


class UserRef(msgspec.Struct):
    id: AnyId | None = None
    name: AnyId | None = None
    domain: DomainRef | None = None


class PasswordUser(UserRef, kw_only=True):
    password: Password


class PasswordMethod(msgspec.Struct):
    user: PasswordUser


class TokenMethod(msgspec.Struct):
    id: Annotated[str, Meta(max_length=8192)]


class ApplicationCredentialMethod(msgspec.Struct):
    secret: Password
    id: AnyId | None = None
    name: AnyId | None = None
    user: UserRef | None = None


class TotpUser(UserRef, kw_only=True):
    passcode: Annotated[str, Meta(max_length=64)]


class TotpMethod(msgspec.Struct):
    user: TotpUser


class IdentityPart(msgspec.Struct):
    methods: Annotated[list[str], Meta(min_length=1, max_length=8)]
    password: PasswordMethod | None = None
    token: TokenMethod | None = None
    application_credential: ApplicationCredentialMethod | None = None
    totp: TotpMethod | None = None
    oauth1: dict[str, Any] | None = None


class ProjectRef(msgspec.Struct):
    id: AnyId | None = None
    name: AnyId | None = None
    domain: DomainRef | None = None


class SystemRef(msgspec.Struct):
    all: bool = False


class TrustRef(msgspec.Struct):
    id: AnyId


class ScopeRef(msgspec.Struct):
    project: ProjectRef | None = None
    domain: DomainRef | None = None
    system: SystemRef | None = None
    unscoped: dict[str, Any] | None = None
    trust: TrustRef | None = msgspec.field(default=None, name="OS-TRUST:trust")


class Auth(msgspec.Struct):
    identity: IdentityPart
    scope: ScopeRef | Literal["unscoped"] | None = None


class AuthBody(msgspec.Struct):
    auth: Auth


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Of a domain, project or role."""

    immutable: bool | UnsetType | None = UNSET


FactorRules = list[Annotated[list[Annotated[str, Meta(min_length=1, max_length=64)]], Meta(min_length=1)]]


class UserOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Exemptions from rules on passwords (settings.IdentitySettings), and rules of the user's own."""

    ignore_change_password_upon_first_use: bool | UnsetType | None = UNSET
    ignore_password_expiry: bool | UnsetType | None = UNSET
    ignore_lockout_failure_attempts: bool | UnsetType | None = UNSET
    ignore_user_inactivity: bool | UnsetType | None = UNSET
    lock_password: bool | UnsetType | None = UNSET  # the user may not change it
    multi_factor_auth_enabled: bool | UnsetType | None = UNSET
    multi_factor_auth_rules: FactorRules | UnsetType | None = (
        UNSET  # one rule's methods, all, let the user in
    )


# The things that are managed: what may be given to make one, and to change one


class DomainNew(msgspec.Struct):
    name: ShortName
    description: Text | None = None
    enabled: bool = True
    tags: Tags = []
    options: Options = Options()
    explicit_domain_id: Annotated[str, Meta(pattern=r"^[0-9a-f]{32}$")] | None = None


class DomainChange(msgspec.Struct):
    name: ShortName | UnsetType = UNSET
    description: Text | UnsetType | None = UNSET
    enabled: bool | UnsetType = UNSET
    tags: Tags | UnsetType = UNSET
    options: Options | UnsetType = UNSET


class ProjectNew(msgspec.Struct):
    name: ShortName
    description: Text | None = None
    enabled: bool = True
    is_domain: bool = False
    domain_id: Id | None = None
    parent_id: Id | None = None
    tags: Tags = []
    options: Options = Options()


class ProjectChange(msgspec.Struct):
    name: ShortName | UnsetType = UNSET
    description: Text | UnsetType | None = UNSET
    enabled: bool | UnsetType = UNSET
    is_domain: bool | UnsetType = UNSET
    domain_id: Id | UnsetType | None = UNSET
    parent_id: Id | UnsetType | None = UNSET
    tags: Tags | UnsetType = UNSET
    options: Options | UnsetType = UNSET


class UserNew(msgspec.Struct):
    name: Name
    password: Password | None = None
    enabled: bool = True
    domain_id: Id | None = None
    default_project_id: Id | None = None
    options: UserOptions = UserOptions()


class UserChange(msgspec.Struct):
    name: Name | UnsetType = UNSET
    password: Password | UnsetType | None = UNSET
    enabled: bool | UnsetType = UNSET
    domain_id: Id | UnsetType | None = UNSET
    default_project_id: Id | UnsetType | None = UNSET
    options: UserOptions | UnsetType = UNSET


class PasswordChange(msgspec.Struct):
    original_password: Password
    password: Annotated[str, Meta(min_length=1, max_length=4096)]


class GroupNew(msgspec.Struct):
    name: ShortName
    description: Text | None = None
    domain_id: Id | None = None


class GroupChange(msgspec.Struct):
    name: ShortName | UnsetType = UNSET
    description: Text | UnsetType | None = UNSET
    domain_id: Id | UnsetType | None = UNSET


class RoleNew(msgspec.Struct):
    name: Name
    description: Text | None = None
    domain_id: Id | None = None
    options: Options = Options()


class RoleChange(msgspec.Struct):
    name: Name | UnsetType = UNSET
    description: Text | UnsetType | None = UNSET
    domain_id: Id | UnsetType | None = UNSET
    options: Options | UnsetType = UNSET


class ServiceNew(msgspec.Struct):
    type: Name
    name: Annotated[str, Meta(max_length=255)] | None = None
    description: Text | None = None
    enabled: bool = True


class ServiceChange(msgspec.Struct):
    type: Name | UnsetType = UNSET
    name: Annotated[str, Meta(max_length=255)] | UnsetType | None = UNSET
    description: Text | UnsetType | None = UNSET
    enabled: bool | UnsetType = UNSET


class EndpointNew(msgspec.Struct):
    interface: Interface
    service_id: Id
    url: Url
    region: AnyId | None = None
    region_id: AnyId | None = None
    enabled: bool = True


class EndpointChange(msgspec.Struct):
    interface: Interface | UnsetType = UNSET
    service_id: Id | UnsetType = UNSET
    url: Url | UnsetType = UNSET
    region: AnyId | UnsetType | None = UNSET
    region_id: AnyId | UnsetType | None = UNSET
    enabled: bool | UnsetType = UNSET


RegionId = Annotated[str, Meta(max_length=255)]


class RegionNew(msgspec.Struct):
    id: RegionId | None = None
    description: Text | None = None
    parent_region_id: AnyId | None = None


class RegionChange(msgspec.Struct):
    description: Text | UnsetType | None = UNSET
    parent_region_id: AnyId | UnsetType | None = UNSET


class RoleRef(msgspec.Struct):
    id: AnyId | None = None
    name: AnyId | None = None


class ApplicationCredentialNew(msgspec.Struct):
    name: Name
    secret: Annotated[str, Meta(min_length=1, max_length=4096)] | None = None
    description: Text | None = None
    expires_at: str | None = None
    roles: list[RoleRef] | None = None
    unrestricted: bool = False
    access_rules: list[AccessRuleNew] | None = None


class CredentialNew(msgspec.Struct):
    type: Name
    blob: Text
    user_id: Id | None = None
    project_id: Id | None = None


class CredentialChange(msgspec.Struct):
    type: Name | UnsetType = UNSET
    blob: Text | UnsetType = UNSET
    user_id: Id | UnsetType = UNSET
    project_id: Id | UnsetType | None = UNSET


class TrustNew(msgspec.Struct):
    trustor_user_id: AnyId
    trustee_user_id: AnyId
    impersonation: bool
    project_id: AnyId | None = None
    roles: list[RoleRef] = []
    expires_at: str | None = None
    remaining_uses: Annotated[int, Meta(ge=1, lt=2**31)] | None = None
    allow_redelegation: bool = False
    redelegation_count: Annotated[int, Meta(ge=0, lt=2**31)] | None = None
    redelegated_trust_id: AnyId | None = None


class AccessRuleNew(msgspec.Struct, forbid_unknown_fields=True):
    """Either one there is already, by its id, or what it says."""

    id: AnyId | None = None
    service: Annotated[str, Meta(min_length=1, max_length=64)] | None = None
    method: Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"] | None = None
    path: Annotated[str, Meta(min_length=1, max_length=128, pattern=r"^/")] | None = None


class ConsumerNew(msgspec.Struct):
    description: Text | None = None


class ConsumerChange(msgspec.Struct):
    description: Text | UnsetType | None = UNSET


class Ec2New(msgspec.Struct):
    tenant_id: AnyId


class Ec2Signed(msgspec.Struct):
    """A request to an EC2 service, as far as its signature is about it."""

    access: AnyId
    signature: AnyId
    host: str = ""
    verb: str = ""
    path: str = ""
    params: dict[str, str] = {}
    headers: dict[str, str] = {}
    body_hash: str = ""


class S3Signed(msgspec.Struct):
    access: AnyId
    signature: AnyId
    token: Annotated[str, Meta(max_length=65535)]  # what was signed, base64
