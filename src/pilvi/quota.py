"""Limits on what a project may have, kept for all services in one table; what it has is counted, not kept.

Counting and inserting happen in one transaction under the project's lock, so a limit holds however many
requests arrive at once.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import sqlalchemy as sa

from pilvi.db import Tx, metadata

DEFAULTS: dict[str, dict[str, int]] = {
    "compute": {
        "instances": 10,
        "cores": 20,
        "ram": 51200,
        "metadata_items": 128,
        "key_pairs": 100,
        "server_groups": 10,
        "server_group_members": 10,
        "injected_files": 5,
        "injected_file_content_bytes": 10240,
        "injected_file_path_bytes": 255,
        # Kept and shown, but these are the Network service's since Compute has no networks of its own.
        "fixed_ips": -1,
        "floating_ips": -1,
        "security_groups": -1,
        "security_group_rules": -1,
    },
    "network": {
        "network": 100,
        "subnet": 100,
        "port": 500,
        "router": 10,
        "floatingip": 50,
        "security_group": 10,
        "security_group_rule": 100,
        "subnetpool": -1,
        "rbac_policy": 10,
        "trunk": -1,
    },
    "image": {  # sizes in MiB
        "image_count_total": 100,
        "image_size_total": 102400,
        "image_stage_total": 102400,
        "image_count_uploading": 100,
    },
    "volume": {  # sizes in GiB
        "volumes": 10,
        "snapshots": 10,
        "gigabytes": 1000,
        "backups": 10,
        "backup_gigabytes": 1000,
        "groups": 10,
        "per_volume_gigabytes": -1,
    },
}
UNLIMITED = -1

quotas = sa.Table(
    "quotas",
    metadata,
    sa.Column("project_id", sa.String(64), primary_key=True),
    sa.Column("service", sa.String(16), primary_key=True),
    sa.Column("resource", sa.String(64), primary_key=True),
    sa.Column("limit", sa.BigInteger, nullable=False),
)


user_quotas = sa.Table(
    "user_quotas",
    metadata,
    sa.Column("project_id", sa.String(64), primary_key=True),
    sa.Column("user_id", sa.String(64), primary_key=True),
    sa.Column("service", sa.String(16), primary_key=True),
    sa.Column("resource", sa.String(64), primary_key=True),
    sa.Column("limit", sa.BigInteger, nullable=False),
)

# Limits of a quota class are kept as those of a project of this name, which no project has.
CLASS = "class:"
DEFAULT_CLASS = CLASS + "default"  # what a project has that nobody gave limits of its own

_LIMITS = sa.select(quotas.c.project_id, quotas.c.resource, quotas.c.limit).where(
    quotas.c.project_id.in_([sa.bindparam("project_id"), DEFAULT_CLASS]),
    quotas.c.service == sa.bindparam("service"),
)


def limits(tx: Tx, service: str, project_id: str) -> dict[str, int]:
    """Every limit of a project, or of a quota class, in one service; UNLIMITED is -1."""
    rows = tx.all(_LIMITS, {"project_id": project_id, "service": service})
    found = dict(DEFAULTS[service])
    for row in sorted(rows, key=lambda row: row.project_id == project_id and project_id != DEFAULT_CLASS):
        found[row.resource] = row.limit
    return found


_USER_LIMITS = sa.select(user_quotas.c.resource, user_quotas.c.limit).where(
    user_quotas.c.project_id == sa.bindparam("project_id"), user_quotas.c.user_id == sa.bindparam("user_id"),
    user_quotas.c.service == sa.bindparam("service"))


def user_limits(tx: Tx, service: str, project_id: str, user_id: str) -> dict[str, int]:
    """The limits that one user of a project was given."""
    rows = tx.all(_USER_LIMITS, {"project_id": project_id, "user_id": user_id, "service": service})
    return {row.resource: row.limit for row in rows}


def set_user_limits(tx: Tx, service: str, project_id: str, user_id: str, wanted: Mapping[str, int]) -> None:
    reset_user(tx, service, project_id, user_id, list(wanted))
    if wanted:
        tx.execute(user_quotas.insert(), [
            {"project_id": project_id, "user_id": user_id, "service": service, "resource": resource, "limit": limit}
            for resource, limit in wanted.items()])


def reset_user(tx: Tx, service: str, project_id: str, user_id: str, resources: Collection[str] | None = None) -> None:
    """Takes a user's limits away (of these resources only)."""
    only = [] if resources is None else [user_quotas.c.resource.in_(resources)]
    tx.execute(user_quotas.delete().where(
        user_quotas.c.project_id == project_id, user_quotas.c.user_id == user_id,
        user_quotas.c.service == service, *only))


def set_limits(tx: Tx, service: str, project_id: str, wanted: Mapping[str, int]) -> None:
    for resource, limit in wanted.items():
        key = (quotas.c.project_id == project_id, quotas.c.service == service, quotas.c.resource == resource)
        if not tx.execute(quotas.update().where(*key).values(limit=limit)).rowcount:
            tx.execute(
                quotas.insert(),
                {"project_id": project_id, "service": service, "resource": resource, "limit": limit},
            )


def reset(tx: Tx, service: str, project_id: str) -> None:
    """Back to the defaults, for the project and for every user in it."""
    tx.execute(user_quotas.delete().where(user_quotas.c.project_id == project_id, user_quotas.c.service == service))
    tx.execute(quotas.delete().where(quotas.c.project_id == project_id, quotas.c.service == service))


def set_limit(tx: Tx, service: str, project_id: str, resource: str, limit: int | None) -> None:
    """One, of a project or of a quota class; None: it has no limit of its own any more."""
    if limit is not None:
        return set_limits(tx, service, project_id, {resource: limit})
    key = (quotas.c.project_id == project_id, quotas.c.service == service, quotas.c.resource == resource)
    tx.execute(quotas.delete().where(*key))
    return None


def forget(tx: Tx, project_ids: Sequence[str] | sa.Select) -> None:
    """Projects that are gone have no limits, in no service, nor has anybody in them."""
    for table in (quotas, user_quotas):
        tx.execute(table.delete().where(table.c.project_id.in_(project_ids)))


def lock(tx: Tx, project_id: str) -> None:
    """Taken before counting, so that what was counted is still true at the commit."""
    tx.lock("quota", project_id)
