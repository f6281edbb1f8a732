"""Where images' data lies, as the API shows it, and what clients may change about that."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import sqlalchemy as sa

from pilvi.db import Tx
from pilvi.faults import BadRequest, Conflict, Forbidden, NotFound
from pilvi.image import store, store_locations, wire
from pilvi.image.patch import Change
from pilvi.image.stores import WEB
from pilvi.policy import Context


class Locations:
    """The locations' verbs of Images."""

    def locations(self, image_id: str) -> list[dict[str, Any]]:
        """For services: every image's. Raises NotFound."""
        with self.db.read() as tx:
            row = store.any_image(tx, image_id)
            if row is None:
                raise NotFound(f"No image found with ID {image_id}")
            return self._shown(row, store_locations.of(tx, [image_id])[image_id])

    def delete_from_store(self, context: Context, name: str, image_id: str) -> None:
        """Raises NotFound for a store that the image is not in, Forbidden for its last one."""
        with self.db.transaction() as tx:
            store.lock(tx, image_id)
            row = self._own(tx, context, image_id)
            if name not in self.stores:
                raise NotFound(f"There is no store {name}.")
            if row.status != "active":
                raise Conflict(f"It's not allowed to remove locations if image status is {row.status}.")
            found = [each for each in store_locations.of(tx, [image_id])[image_id] if each.status == "active"]
            mine = [each for each in found if each.store == name]
            if not mine:
                raise NotFound(f"Image {image_id} is not stored on store {name}.")
            if len(found) == len(mine):
                raise Forbidden(f"Cannot delete image {image_id} from store {name}: it is in no other.")
            for each in mine:
                self._drop(tx, row, each)
            store.update(tx, image_id, updated_at=tx.now)

    def _drop(self, tx: Tx, row: sa.Row, location: sa.Row) -> None:
        store_locations.remove(tx, row.id, location.number)
        if location.url is None:
            tx.after_commit(lambda: self.stores.remove(row.data, [location.store]))

    def _shown(self, row: sa.Row, found: Sequence[sa.Row]) -> list[dict[str, Any]]:
        return [
            {"url": self._url(row, each), "metadata": {**each.meta, "store": each.store}}
            for each in found
            if each.status == "active"
        ]

    def _url(self, row: sa.Row, location: sa.Row) -> str:
        if location.url is not None:
            return location.url
        files = self.stores.files(location.store)
        return f"file://{files.path(row.data)}" if files is not None else f"file:///{location.store}/{row.data}"

    # -- changes by PATCH

    def _change_locations(self, tx: Tx, row: sa.Row, change: Change) -> None:
        """Raises Forbidden where locations are not shown, Conflict, BadRequest."""
        what = {"add": "add", "replace": "replace", "remove": "remove"}[change.operation]
        if not self.settings.image.show_multiple_locations:
            raise Forbidden(f"It's not allowed to {what} locations if locations are invisible.")
        allowed = ("active",) if what == "remove" else ("active", "queued")
        if row.status not in allowed:
            raise Conflict(f"It's not allowed to {what} locations if image status is {row.status}.")
        verbs: dict[str, Callable[..., None]] = {
            "add": self._add_location, "replace": self._replace_locations, "remove": self._remove_location}
        verbs[what](tx, row, change)

    def _add_location(self, tx: Tx, row: sa.Row, change: Change) -> None:
        if change.index is None:
            return self._replace_locations(tx, row, change)
        wanted = self._wanted(change.value)
        found = store_locations.of(tx, [row.id])[row.id]
        if wanted.url in [self._url(row, each) for each in found]:
            raise BadRequest(f"The location {wanted.url} is there already.")
        at = _position(change.index, len(found), adding=True)
        self._take_hashes(tx, row, wire.hashes(wanted.validation_data, checked=row.os_hash_value is None))
        store_locations.clear(tx, row.id)
        for number, each in enumerate([*found[:at], wanted, *found[at:]]):
            if each is wanted:
                store_locations.add(tx, row.id, WEB, "active", wanted.url, wanted.metadata, number)
            else:
                store_locations.add(tx, row.id, each.store, each.status, each.url, each.meta, number)
        if row.status == "queued":
            store.switch(tx, row.id, "queued", "active")
        tx.after_commit(self.poke_hashing)
        return None

    def _replace_locations(self, tx: Tx, row: sa.Row, change: Change) -> None:
        """Sets them where there are none; otherwise only their metadata may change."""
        if change.index is not None or not isinstance(change.value, list):
            raise BadRequest("Locations are replaced all at once, by a list of them: /locations.")
        found = store_locations.of(tx, [row.id])[row.id]
        if not found:
            for number, value in enumerate(change.value):
                self._add_location(tx, store.any_image(tx, row.id), Change("add", "locations", value, str(number)))
            return
        wanted = {self._url(row, each): each for each in found}
        given = [wire.decode(wire.Location, value) for value in change.value]
        if sorted(each.url for each in given) != sorted(wanted):
            raise BadRequest("Locations with data are neither replaced nor taken away by a replacement: add the new, "
                             "then remove the old.")
        for each in given:
            old = wanted[each.url]
            store_locations.set_meta(tx, row.id, old.number,
                                     {key: value for key, value in each.metadata.items() if key != "store"})

    def _remove_location(self, tx: Tx, row: sa.Row, change: Change) -> None:
        found = store_locations.of(tx, [row.id])[row.id]
        if change.index is None:
            raise BadRequest("A location is removed by its number: /locations/0.")
        found = [each for each in found if each.status == "active"]
        at = _position(change.index, len(found), adding=False)
        if len(found) == 1:
            raise Forbidden("Cannot remove last location in the image.")
        self._drop(tx, row, found[at])

    def _wanted(self, value: Any) -> wire.Location:
        """A new location, whose URL passes. Raises BadRequest."""
        if not self.stores.web:
            raise BadRequest("Images cannot stay on web servers here: the setting image.http_store is off.")
        wanted = wire.decode(wire.Location, value)
        self.fetcher.check(wanted.url)
        return wanted

    def _take_hashes(self, tx: Tx, row: sa.Row, given: dict[str, str]) -> None:
        """What is known already must not be contradicted. Raises Conflict."""
        for name, value in given.items():
            if row.status != "queued" and getattr(row, name) not in (None, value):
                raise Conflict(f"{name} is {getattr(row, name)}, and not {value}.")
        if given:
            store.update(tx, row.id, **given)


def _position(text: str, count: int, *, adding: bool) -> int:
    """Of a JSON pointer's last part. Raises BadRequest."""
    if adding and text == "-":
        return count
    if not text.isascii() or not text.isdigit() or len(text) > 6 or int(text) >= count + adding:
        raise BadRequest(f"Invalid position for a location: {text}.")
    return int(text)
