"""Routers' flavors: names that an administrator gives to what makes routers. There is one such driver. The verbs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from pilvi.db import Tx
from pilvi.faults import BadRequest, Conflict, NotFound
from pilvi.network import store, wire
from pilvi.network.base import Base
from pilvi.network.nouns import FLAVOR, SERVICE_PROFILE
from pilvi.network.tables import flavor_profiles, routers
from pilvi.network.tables import service_profiles as profiles
from pilvi.network.views import shows
from pilvi.network.wire_flavors import FlavorChange, FlavorNew, ProfileChange, ProfileNew
from pilvi.policy import Context

SERVICE_TYPE, DRIVER = "L3_ROUTER_NAT", "ovn"
PROVIDERS = ({"service_type": SERVICE_TYPE, "name": DRIVER, "default": True},)


@shows(FLAVOR)
def _flavors(tx: Tx, _context: Context, rows: Sequence[Any], _labels: dict[str, list[str]]) -> list[dict[str, Any]]:
    has: dict[str, list[str]] = {row.id: [] for row in rows}
    for part in store.chunks(has):
        pairs = sa.select(flavor_profiles).where(flavor_profiles.c.flavor_id.in_(part))
        for pair in tx.all(pairs.order_by(flavor_profiles.c.profile_id)):
            has[pair.flavor_id].append(pair.profile_id)
    fields = ("id", "name", "description", "service_type", "enabled")
    return [{**{name: getattr(row, name) for name in fields}, "service_profiles": has[row.id]} for row in rows]


@shows(SERVICE_PROFILE)
def _profiles(_tx: Tx, _context: Context, rows: Sequence[Any], _labels: dict[str, list[str]]) -> list[dict[str, Any]]:
    fields = ("id", "description", "driver", "metainfo", "enabled")
    return [{name: getattr(row, name) for name in fields} for row in rows]


class FlavorVerbs(Base):
    def service_providers(self, query: Mapping[str, list[str]]) -> list[dict[str, Any]]:
        """Raises BadRequest for a filter that there is not."""
        for name in set(query) - {*PROVIDERS[0], "fields"}:
            raise BadRequest(f"['{name}'] is invalid attribute for filtering", kind="HTTPBadRequest")
        wanted = {name: [value.lower() for value in values] for name, values in query.items() if name != "fields"}
        return [one for one in PROVIDERS if all(str(one[name]).lower() in values for name, values in wanted.items())]

    def create_flavors(self, context: Context, wanted: Sequence[FlavorNew]) -> list[dict[str, Any]]:
        """Raises BadRequest for a service type that has no flavors."""
        return self._each(context, FLAVOR, wanted, self._create_flavor)

    def _create_flavor(self, tx: Tx, _context: Context, wanted: FlavorNew) -> str:
        if wanted.service_type != SERVICE_TYPE:
            raise BadRequest(
                f"Invalid input for service_type. Reason: '{wanted.service_type}' has no flavors: {SERVICE_TYPE} has.",
                kind="HTTPBadRequest",
            )
        flavor_id = self._ids.uuid()
        store.insert(tx, FLAVOR, {**wire.given(wanted), "id": flavor_id, "project_id": ""})
        return flavor_id

    def update_flavor(self, context: Context, flavor_id: str, change: FlavorChange) -> dict[str, Any]:
        with self._db.transaction() as tx:
            self._get(tx, FLAVOR, context, flavor_id)
            store.update(tx, FLAVOR, flavor_id, **wire.given(change))
            return self._fresh(tx, FLAVOR, context, [flavor_id])[0]

    def delete_flavor(self, context: Context, flavor_id: str) -> None:
        """Raises Conflict where a router has it."""
        with self._db.transaction() as tx:
            tx.lock("flavor", flavor_id)
            self._get(tx, FLAVOR, context, flavor_id)
            if tx.one(sa.select(routers.c.id).where(routers.c.flavor_id == flavor_id).limit(1)):
                raise Conflict(f"Flavor {flavor_id} is used by some service instance.", kind="FlavorInUse")
            tx.execute(flavor_profiles.delete().where(flavor_profiles.c.flavor_id == flavor_id))
            store.delete(tx, FLAVOR, flavor_id)

    # -- profiles

    def create_service_profiles(self, context: Context, wanted: Sequence[ProfileNew]) -> list[dict[str, Any]]:
        """Raises NotFound for another driver, BadRequest for what it does not know."""
        return self._each(context, SERVICE_PROFILE, wanted, self._create_profile)

    def _create_profile(self, tx: Tx, _context: Context, wanted: ProfileNew) -> str:
        profile_id, values = self._ids.uuid(), _known(wire.given(wanted))
        store.insert(tx, SERVICE_PROFILE, {**values, "id": profile_id, "project_id": ""})
        return profile_id

    def update_service_profile(self, context: Context, profile_id: str, change: ProfileChange) -> dict[str, Any]:
        with self._db.transaction() as tx:
            self._get(tx, SERVICE_PROFILE, context, profile_id)
            store.update(tx, SERVICE_PROFILE, profile_id, **_known(wire.given(change)))
            return self._fresh(tx, SERVICE_PROFILE, context, [profile_id])[0]

    def delete_service_profile(self, context: Context, profile_id: str) -> None:
        """Raises Conflict where a flavor has it."""
        with self._db.transaction() as tx:
            tx.lock("service profile", profile_id)
            self._get(tx, SERVICE_PROFILE, context, profile_id)
            if tx.one(sa.select(flavor_profiles.c.flavor_id).where(flavor_profiles.c.profile_id == profile_id).limit(1)):
                raise Conflict(
                    f"Service Profile {profile_id} is used by some service instance.", kind="ServiceProfileInUse"
                )
            store.delete(tx, SERVICE_PROFILE, profile_id)

    def add_service_profile(self, context: Context, flavor_id: str, profile_id: str) -> None:
        """Raises NotFound, and Conflict where the flavor has it."""
        with self._db.transaction() as tx:
            pair = self._pair(tx, context, flavor_id, profile_id)
            if tx.one(sa.select(flavor_profiles).filter_by(**pair)):
                raise Conflict(
                    f"Flavor {flavor_id} is already associated with service profile {profile_id}.",
                    kind="FlavorServiceProfileBindingExists",
                )
            tx.execute(flavor_profiles.insert(), pair)

    def remove_service_profile(self, context: Context, flavor_id: str, profile_id: str) -> None:
        with self._db.transaction() as tx:
            pair = self._pair(tx, context, flavor_id, profile_id)
            if not tx.execute(flavor_profiles.delete().filter_by(**pair)).rowcount:
                raise NotFound(
                    f"Flavor {flavor_id} is not associated with service profile {profile_id}.",
                    kind="FlavorServiceProfileBindingNotFound",
                )

    def _pair(self, tx: Tx, context: Context, flavor_id: str, profile_id: str) -> dict[str, str]:
        tx.lock("flavor", flavor_id)
        tx.lock("service profile", profile_id)
        self._get(tx, FLAVOR, context, flavor_id)
        self._get(tx, SERVICE_PROFILE, context, profile_id)
        return {"flavor_id": flavor_id, "profile_id": profile_id}


def check_flavor(tx: Tx, flavor_id: str | None) -> None:
    """Whether a new router may have it. Raises NotFound, BadRequest."""
    if flavor_id is None:
        return
    tx.lock("flavor", flavor_id)
    row = store.get(tx, FLAVOR, flavor_id)
    if row is None:
        raise NotFound(f"Flavor {flavor_id} could not be found.", kind="FlavorNotFound")
    if not row.enabled:
        raise BadRequest(f"Flavor {flavor_id} is not enabled.", kind="FlavorDisabled")
    joined = sa.select(profiles.c.id).join(flavor_profiles, flavor_profiles.c.profile_id == profiles.c.id)
    if tx.one(joined.where(flavor_profiles.c.flavor_id == flavor_id, profiles.c.enabled).limit(1)) is None:
        raise BadRequest(
            f"Flavor {flavor_id} has no service profile that is enabled: nothing says what makes the router.",
            kind="ServiceProfileDisabled",
        )


def _known(values: dict[str, Any]) -> dict[str, Any]:
    if values.get("driver", DRIVER) != DRIVER:
        raise NotFound(
            f"Service Profile driver {values['driver']} could not be found: there is {DRIVER}.",
            kind="ServiceProfileDriverNotFound",
        )
    if values.get("metainfo"):
        raise BadRequest(
            f"Invalid input for metainfo. Reason: the driver {DRIVER} has no options.", kind="HTTPBadRequest"
        )
    return values
