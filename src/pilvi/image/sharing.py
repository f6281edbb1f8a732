"""Sharing images with other projects: the owner offers, the member accepts."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from pilvi.db import Tx
from pilvi.faults import Conflict, Forbidden, NotFound, TooLarge
from pilvi.image import store, wire
from pilvi.policy import Context

MAX_MEMBERS = 128


class Sharing:
    """The members' verbs of Images."""

    def members(self, context: Context, image_id: str) -> list[dict[str, Any]]:
        """All of them for the owner; a member sees itself only."""
        with self.db.read() as tx:
            row = self._shared(tx, context, image_id)
            own = context.is_admin or row.owner == context.project_id
            return [
                wire.member(found)
                for found in store.members_of(tx, image_id, None if own else context.project_id)
            ]

    def member(self, context: Context, image_id: str, member_id: str) -> dict[str, Any]:
        with self.db.read() as tx:
            row = self._shared(tx, context, image_id)
            if not context.is_admin and context.project_id not in (row.owner, member_id):
                raise _unknown(image_id, member_id)
            return self._member(tx, image_id, member_id)

    def add_member(self, context: Context, image_id: str, member_id: str) -> dict[str, Any]:
        """Raises Conflict for one that is there already, TooLarge for more than 128."""
        with self.db.transaction() as tx:
            self._offered(tx, context, image_id)
            if len(store.members_of(tx, image_id)) >= MAX_MEMBERS:
                raise TooLarge(f"The limit of {MAX_MEMBERS} members of an image has been exceeded.")
            try:
                store.add_member(tx, image_id, member_id)
            except sa.exc.IntegrityError:
                raise Conflict(f"Member {member_id} is duplicated for image {image_id}") from None
            return self._member(tx, image_id, member_id)

    def set_member_status(
        self, context: Context, image_id: str, member_id: str, status: str
    ) -> dict[str, Any]:
        """Raises Forbidden for everybody but the member itself."""
        with self.db.transaction() as tx:
            self._shared(tx, context, image_id)
            if not context.is_admin and context.project_id != member_id:
                raise Forbidden("You are not permitted to modify 'status' on this image member.")
            if not store.set_member_status(tx, image_id, member_id, status):
                raise _unknown(image_id, member_id)
            return self._member(tx, image_id, member_id)

    def delete_member(self, context: Context, image_id: str, member_id: str) -> None:
        with self.db.transaction() as tx:
            self._offered(tx, context, image_id)
            if not store.delete_member(tx, image_id, member_id):
                raise _unknown(image_id, member_id)

    def _shared(self, tx: Tx, context: Context, image_id: str) -> sa.Row:
        row = self._get(tx, context, image_id)
        if row.visibility != "shared":
            raise Forbidden("Only shared images have members.")
        return row

    def _offered(self, tx: Tx, context: Context, image_id: str) -> None:
        self._own(tx, context, image_id)
        self._shared(tx, context, image_id)

    def _member(self, tx: Tx, image_id: str, member_id: str) -> dict[str, Any]:
        found = store.members_of(tx, image_id, member_id)
        if not found:
            raise _unknown(image_id, member_id)
        return wire.member(found[0])


def _unknown(image_id: str, member_id: str) -> NotFound:
    return NotFound(f"{member_id} not found in the member list of the image {image_id}.")
