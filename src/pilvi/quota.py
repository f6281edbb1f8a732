"""Limits on what a project may have, kept for all services in one table; what it has is counted, not kept.

Counting and inserting happen in one transaction under the project's lock, so a limit holds however many
requests arrive at once.
"""

from __future__ import annotations

from collections.abc import Mapping

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
    },
    "image": {  # sizes in MiB
        "image_count_total": 100,
        "image_size_total": 102400,
        "image_stage_total": 102400,
        "image_count_uploading": 100,
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


_LIMITS = sa.select(quotas.c.resource, quotas.c.limit).where(
    quotas.c.project_id == sa.bindparam("project_id"), quotas.c.service == sa.bindparam("service")
)


def limits(tx: Tx, service: str, project_id: str) -> dict[str, int]:
    """Every limit of a project in one service; UNLIMITED is -1."""
    own = tx.all(_LIMITS, {"project_id": project_id, "service": service})
    return {**DEFAULTS[service], **{row.resource: row.limit for row in own}}


def set_limits(tx: Tx, service: str, project_id: str, wanted: Mapping[str, int]) -> None:
    for resource, limit in wanted.items():
        key = (quotas.c.project_id == project_id, quotas.c.service == service, quotas.c.resource == resource)
        if not tx.execute(quotas.update().where(*key).values(limit=limit)).rowcount:
            tx.execute(
                quotas.insert(),
                {"project_id": project_id, "service": service, "resource": resource, "limit": limit},
            )


def reset(tx: Tx, service: str, project_id: str) -> None:
    """Back to the defaults."""
    tx.execute(quotas.delete().where(quotas.c.project_id == project_id, quotas.c.service == service))


def lock(tx: Tx, project_id: str) -> None:
    """Taken before counting, so that what was counted is still true at the commit."""
    tx.lock("quota", project_id)
