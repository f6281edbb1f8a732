"""Metadata definitions: which keys have a meaning on images, servers and the like, for those who choose them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec
import sqlalchemy as sa

from pilvi.db import Tx
from pilvi.faults import BadRequest, Conflict, Forbidden, NotFound
from pilvi.image import store_metadefs as store
from pilvi.image import wire_metadefs as wire
from pilvi.policy import Context

RESOURCE_TYPES = ("OS::Cinder::Volume", "OS::Glance::Image", "OS::Nova::Aggregate", "OS::Nova::Flavor",
                  "OS::Nova::Server")


class Kind(NamedTuple):
    """What the kinds of definitions differ in."""

    kind: str
    noun: str
    show: Any


OBJECT = Kind("object", "Metadata definition object", wire.object_)
PROPERTY = Kind("property", "Metadata definition property", wire.property_)
TAG = Kind("tag", "Metadata definition tag", wire.tag)
RESOURCE_TYPE = Kind("resource_type", "Metadata definition resource type association", wire.resource_type)


class Metadefs:
    """The verbs of Images about metadata definitions."""

    def bootstrap(self) -> None:
        """Makes the resource types that there always are. Idempotent."""
        with self.db.transaction() as tx:
            for name in RESOURCE_TYPES:
                store.ensure_type(tx, name)

    def resource_types(self) -> list[dict[str, Any]]:
        with self.db.read() as tx:
            return [wire.tag(row) for row in store.types(tx)]

    # -- namespaces

    def namespaces(
        self, context: Context, *, marker: str | None, **wanted: Any
    ) -> list[dict[str, Any]]:
        """One page. Raises NotFound for a marker that the caller does not see."""
        with self.db.read() as tx:
            after = None if marker is None else self._namespace(tx, context, marker)
            rows = store.page(tx, context, after=after, **wanted)
            found = store.of(tx, [row.id for row in rows], "resource_type")
        return [wire.namespace(row, found[row.id, "resource_type"]) for row in rows]

    def create_namespace(self, context: Context, wanted: wire.NamespaceCreate) -> dict[str, Any]:
        """Raises Conflict where the name is taken."""
        namespace_id = self._ids.uuid()
        values = {"visibility": "private", "protected": False, "owner": context.project_id, **_given(wanted)}
        with self.db.transaction() as tx:
            try:
                store.insert_namespace(tx, id=namespace_id, **values)
            except sa.exc.IntegrityError:
                raise Conflict(f"The metadata definition namespace={wanted.namespace} already exists.") from None
            for each in wanted.resource_type_associations:
                store.ensure_type(tx, each.name)
            contents = [
                *((RESOURCE_TYPE, each) for each in wanted.resource_type_associations),
                *((OBJECT, each) for each in wanted.objects),
                *((TAG, each) for each in wanted.tags),
                *((PROPERTY, msgspec.structs.replace(each, name=name)) for name, each in wanted.properties.items()),
            ]
            for kind, each in contents:
                self._insert_definition(tx, namespace_id, wanted.namespace, kind, each)
            return self._shown_namespace(tx, store.namespace(tx, context, wanted.namespace))

    def namespace(self, context: Context, name: str, resource_type: str | None = None) -> dict[str, Any]:
        """With all that is in it; the names of properties as they are on this resource type, if one is named."""
        with self.db.read() as tx:
            return self._shown_namespace(tx, self._namespace(tx, context, name), resource_type)

    def update_namespace(self, context: Context, name: str, wanted: wire.NamespaceUpdate) -> dict[str, Any]:
        with self.db.transaction() as tx:
            row = self._own_namespace(tx, context, name)
            try:
                store.update_namespace(tx, row.id, **_given(wanted))
            except sa.exc.IntegrityError:
                raise Conflict(f"The metadata definition namespace={wanted.namespace} already exists.") from None
            row = self._namespace(tx, context, wanted.namespace)
            return wire.namespace(row, store.of(tx, [row.id], "resource_type")[row.id, "resource_type"])

    def delete_namespace(self, context: Context, name: str) -> None:
        """With all that is in it. Raises Forbidden for a protected one."""
        with self.db.transaction() as tx:
            store.delete_namespace(tx, self._unprotected(tx, context, name).id)

    # -- objects, properties, tags and associations with resource types

    def definitions(self, context: Context, namespace: str, kind: Kind) -> list[dict[str, Any]]:
        with self.db.read() as tx:
            row = self._namespace(tx, context, namespace)
            return [kind.show(each, namespace) for each in store.of(tx, [row.id], kind.kind)[row.id, kind.kind]]

    def definition(self, context: Context, namespace: str, kind: Kind, name: str) -> dict[str, Any]:
        with self.db.read() as tx:
            row = self._namespace(tx, context, namespace)
            return kind.show(self._definition(tx, row, kind, name), namespace)

    def property_on(self, context: Context, namespace: str, name: str, resource_type: str) -> dict[str, Any]:
        """A property by the name that it has on a resource type. Raises NotFound."""
        with self.db.read() as tx:
            row = self._namespace(tx, context, namespace)
            prefix = self._definition(tx, row, RESOURCE_TYPE, resource_type).body.get("prefix", "")
            if not name.startswith(prefix):
                raise NotFound(f"{PROPERTY.noun} {name!r} does not begin with the prefix {prefix!r}.")
            found = self._definition(tx, row, PROPERTY, name.removeprefix(prefix))
            return {**wire.property_(found, namespace), "name": name}

    def create_definition(self, context: Context, namespace: str, kind: Kind, wanted: Any) -> dict[str, Any]:
        """Raises Conflict where the name is taken."""
        with self.db.transaction() as tx:
            row = self._own_namespace(tx, context, namespace)
            if kind is RESOURCE_TYPE:
                store.ensure_type(tx, wanted.name)
            self._insert_definition(tx, row.id, namespace, kind, wanted)
            return kind.show(store.one(tx, row.id, kind.kind, wanted.name), namespace)

    def update_definition(self, context: Context, namespace: str, kind: Kind, name: str, wanted: Any) -> dict[str, Any]:
        """Raises Conflict where it is to have a name that is taken."""
        with self.db.transaction() as tx:
            row = self._own_namespace(tx, context, namespace)
            self._definition(tx, row, kind, name)
            try:
                store.update(tx, row.id, kind.kind, name, name=wanted.name, body=_body(wanted))
            except sa.exc.IntegrityError:
                raise _taken(kind, namespace, wanted.name) from None
            return kind.show(store.one(tx, row.id, kind.kind, wanted.name), namespace)

    def delete_definition(self, context: Context, namespace: str, kind: Kind, name: str | None = None) -> None:
        """One, or all of a kind. Raises Forbidden where the namespace is protected."""
        with self.db.transaction() as tx:
            row = self._unprotected(tx, context, namespace)
            if not store.delete(tx, row.id, kind.kind, name) and name is not None:
                raise _unknown(kind, namespace, name)

    def set_tags(self, context: Context, namespace: str, wanted: Sequence[wire.Tag], append: bool
                 ) -> list[dict[str, Any]]:
        """In place of those that there are, or beside them. Raises BadRequest for one said twice, Conflict."""
        names = [each.name for each in wanted]
        if len(set(names)) != len(names):
            raise BadRequest("A metadata definition tag is named twice.")
        with self.db.transaction() as tx:
            row = self._own_namespace(tx, context, namespace)
            if not append:
                store.delete(tx, row.id, TAG.kind)
            for each in wanted:
                self._insert_definition(tx, row.id, namespace, TAG, each)
            return [{"name": name} for name in names]

    # -- inside

    def _namespace(self, tx: Tx, context: Context, name: str) -> sa.Row:
        row = store.namespace(tx, context, name)
        if row is None:
            raise NotFound(f"Metadata definition namespace={name} was not found.")
        return row

    def _own_namespace(self, tx: Tx, context: Context, name: str) -> sa.Row:
        row = self._namespace(tx, context, name)
        if not context.is_admin and row.owner != context.project_id:
            raise Forbidden(f"You are not permitted to change the metadata definition namespace={name}.")
        return row

    def _unprotected(self, tx: Tx, context: Context, name: str) -> sa.Row:
        row = self._own_namespace(tx, context, name)
        if row.protected:
            raise Forbidden(f"Metadata definition namespace={name} is protected and cannot be deleted.")
        return row

    def _definition(self, tx: Tx, namespace: sa.Row, kind: Kind, name: str) -> sa.Row:
        row = store.one(tx, namespace.id, kind.kind, name)
        if row is None:
            raise _unknown(kind, namespace.namespace, name)
        return row

    def _insert_definition(self, tx: Tx, namespace_id: str, namespace: str, kind: Kind, wanted: Any) -> None:
        try:
            store.insert(tx, namespace_id, kind.kind, wanted.name, _body(wanted))
        except sa.exc.IntegrityError:
            raise _taken(kind, namespace, wanted.name) from None

    def _shown_namespace(self, tx: Tx, row: sa.Row, resource_type: str | None = None) -> dict[str, Any]:
        found, name, prefix = store.of(tx, [row.id]), row.namespace, ""
        if resource_type is not None:
            prefix = next((each.body.get("prefix", "") for each in found[row.id, "resource_type"]
                           if each.name == resource_type), "")
        objects = [wire.object_(each, name) for each in found[row.id, "object"]]
        for each in objects:
            each["properties"] = wire.prefixed(each["properties"], prefix)
            each["required"] = [prefix + required for required in each["required"]]
        contents = {
            "objects": objects,
            "properties": wire.prefixed({each.name: each.body for each in found[row.id, "property"]}, prefix),
            "tags": [wire.tag(each) for each in found[row.id, "tag"]],
        }
        shown = wire.namespace(row, found[row.id, "resource_type"])
        return shown | {key: value for key, value in contents.items() if value}


def _given(wanted: wire.NamespaceUpdate) -> dict[str, Any]:
    values = {name: getattr(wanted, name) for name in wire.NamespaceUpdate.__struct_fields__}
    return {name: value for name, value in values.items() if value is not msgspec.UNSET}


def _body(wanted: Any) -> dict[str, Any]:
    found = msgspec.to_builtins(wanted)
    return {name: value for name, value in found.items() if name != "name"}


def _taken(kind: Kind, namespace: str, name: str) -> Conflict:
    return Conflict(f"{kind.noun} {name!r} already exists in namespace={namespace}.")


def _unknown(kind: Kind, namespace: str, name: str) -> NotFound:
    return NotFound(f"{kind.noun} {name!r} was not found in namespace={namespace}.")
