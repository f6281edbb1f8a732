"""Identity's verbs: who is who, who may do what where, and where the services are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from pilvi.db import Tx
from pilvi.engine.engine import Engine
from pilvi.identity import passwords, store, tables
from pilvi.identity import store_delegation as sql
from pilvi.identity.application_credentials import ApplicationCredentials
from pilvi.identity.authentication import GRACE
from pilvi.identity.domain_config import DomainConfig
from pilvi.identity.ec2 import Ec2
from pilvi.identity.endpoint_filter import EndpointFilter
from pilvi.identity.federation import Federation
from pilvi.identity.limits import Limits
from pilvi.identity.policies import Policies
from pilvi.identity.reconcilers import Expiry
from pilvi.identity.trusts import Trusts
from pilvi.identity.users import Users
from pilvi.policy import IMPLIED
from pilvi.tenancy import Owned, left_behind

DEFAULT = "default"  # the first domain's id, as in OpenStack
SERVICES = (  # type, name, URL
    ("identity", "keystone", "$(base_url)s/identity"),
    ("compute", "nova", "$(base_url)s/compute/v2.1"),
    ("image", "glance", "$(base_url)s/image"),
    ("network", "neutron", "$(base_url)s/network"),
    ("placement", "placement", "$(base_url)s/placement"),
    ("block-storage", "cinder", "$(base_url)s/volume/v3"),
    ("volumev3", "cinderv3", "$(base_url)s/volume/v3/$(project_id)s"),
)
ROLES = ("admin", "manager", "member", "reader", "service")
USERS = (
    ("admin", "admin"),
    ("pilvi", "member"),
    ("oscloud", "member"),
)  # with their role in the project named alike


class Identity(
    Ec2, ApplicationCredentials, Trusts, Users, EndpointFilter, Policies, Limits, DomainConfig, Federation
):
    def register(self, engine: Engine) -> None:
        engine.add_reconciler(Expiry(self))

    def expire(self) -> int:
        """Forgets what could end no token any more, and what has expired; how many rows."""
        with self._db.transaction() as tx:
            life = int(self._settings.token_hours * 3600) * 1_000_000
            return store.delete_revocations(tx, tx.now - GRACE) + sql.forget(tx, tx.now - life - GRACE)

    def project_exists(self, tx: Tx, project_id: str) -> bool:
        """A domain is none."""
        row = store.get(tx, tables.projects, project_id)
        return row is not None and not row.is_domain

    def left_behind(self, tx: Tx, owned: list[Owned]) -> list[dict[str, Any]]:
        """What outlived its project: project_id, kind, count; in one query."""
        real = sa.select(tables.projects.c.id).where(~tables.projects.c.is_domain)
        found = tx.all(left_behind(owned, real).order_by("project_id", "kind"))
        return [dict(row._mapping) for row in found]

    def project_names(self, tx: Tx, ids: list[str]) -> dict[str, str]:
        """Name by id, of those that exist."""
        rows = store.listing(tx, tables.projects, [tables.projects.c.id.in_(ids)])
        return {row.id: row.name for row in rows}

    def bootstrap(self, passwords_by_user: Mapping[str, str]) -> None:
        """Makes what every cloud starts with, where it is missing; what an operator has changed stays so."""
        with self._db.transaction() as tx:
            tx.lock("identity", "bootstrap")
            self._bootstrap_project(tx, "Default", domain_id=None)
            roles = {
                name: self._bootstrap_row(
                    tx, tables.roles, name=name, domain_id=tables.ROOT, description=None, options={}, extra={}
                )
                for name in ROLES
            }
            for prior, implied in (("admin", "manager"), ("manager", "member"), ("member", "reader")):
                assert implied in IMPLIED[prior]
                store.ensure(tx, tables.implied, prior_id=roles[prior], implied_id=roles[implied])
            for name, role in USERS:
                self._bootstrap_user(tx, name, passwords_by_user[name], roles[role])
            self._bootstrap_catalog(tx)
            self._bootstrap_limits(tx)
            store.changed(tx)

    def _bootstrap_user(self, tx: Tx, name: str, password: str, role_id: str) -> None:
        """A user and a project of one name, and the role that joins them; admin's in the system as well."""
        project_id = self._bootstrap_project(tx, name, domain_id=DEFAULT)
        if (user := store.find(tx, tables.users, name=name, domain_id=DEFAULT)) is not None:
            user_id = user.id
        else:
            user_id = self._bootstrap_row(
                tx,
                tables.users,
                name=name,
                domain_id=DEFAULT,
                enabled=True,
                options={},
                password_hash=passwords.hashed(password),
                extra={},
            )
        targets = [("project", project_id), *([("system", store.ALL)] if name == "admin" else [])]
        for kind, target in targets:
            store.ensure(
                tx,
                tables.assignments,
                actor_type="user",
                actor_id=user_id,
                target_type=kind,
                target_id=target,
                role_id=role_id,
            )

    def _bootstrap_project(self, tx: Tx, name: str, domain_id: str | None) -> str:
        key = DEFAULT if domain_id is None else self._ids.hex()
        found = (
            store.get(tx, tables.projects, key)
            if domain_id is None
            else store.find(tx, tables.projects, name=name, domain_id=domain_id)
        )
        if found is None:
            tx.execute(
                tables.projects.insert(),
                {
                    "id": key,
                    "name": name,
                    "domain_id": domain_id or tables.ROOT,
                    "parent_id": domain_id,
                    "description": "",
                    "enabled": True,
                    "is_domain": domain_id is None,
                    "tags": [],
                    "options": {},
                    "extra": {},
                },
            )
        return found.id if found is not None else key

    def _bootstrap_catalog(self, tx: Tx) -> None:
        region = self._settings.region
        if store.get(tx, tables.regions, region) is None:
            tx.execute(tables.regions.insert(), {"id": region, "description": "", "extra": {}})
        for kind, name, url in SERVICES:
            if store.find(tx, tables.services, type=kind) is not None:
                continue
            service_id = self._bootstrap_row(
                tx, tables.services, type=kind, name=name, description=None, enabled=True, extra={}
            )
            for interface in ("public", "internal", "admin"):
                tx.execute(
                    tables.endpoints.insert(),
                    {
                        "id": self._ids.hex(),
                        "service_id": service_id,
                        "region_id": region,
                        "interface": interface,
                        "url": url,
                        "enabled": True,
                        "extra": {},
                    },
                )

    def _bootstrap_row(self, tx: Tx, table: sa.Table, **values: Any) -> str:
        """The id of the row of this name, made if need be."""
        key = {name: values[name] for name in ("name", "domain_id") if name in values}
        found = store.find(tx, table, **key)
        if found is not None:
            return found.id
        tx.execute(table.insert(), {"id": (new := self._ids.hex()), **values})
        return new
