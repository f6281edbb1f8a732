"""What Identity tidies up."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pilvi.engine.reconcilers import Reconciler

if TYPE_CHECKING:
    from pilvi.identity.service import Identity


class Expiry(Reconciler):
    """Deletes revocations of tokens that would by now hold no longer anyway, and request tokens that expired."""

    name = "identity expiry"
    period = 600.0

    def __init__(self, identity: Identity):
        self._identity = identity

    def reconcile(self) -> str:
        return f"{self._identity.expire()} expired rows deleted"
