"""What Networking API v2.0 takes of RBAC policies."""

from __future__ import annotations

from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType, field

from pilvi.network.wire import Text, Uuid

Target = Annotated[str, Meta(min_length=1, max_length=255)]  # a project, or "*"


class RbacPolicyNew(Struct, kw_only=True):
    object_type: Text
    object_id: Uuid
    action: Text
    target: Target = field(name="target_tenant")
    project_id: Text | UnsetType = UNSET
    tenant_id: Text | UnsetType = UNSET


class RbacPolicyChange(Struct, kw_only=True):
    target: Target | UnsetType = field(name="target_tenant", default=UNSET)
