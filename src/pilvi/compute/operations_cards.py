"""Network cards that come and go while a server is there."""

from __future__ import annotations

from pilvi.compute.operations_base import ServerOperation
from pilvi.compute.operations_boot import NETWORK_SECONDS
from pilvi.db import Tx
from pilvi.engine.operations import Progress, Retry, Step
from pilvi.faults import Fault
from pilvi.node.messages import CardOrder, PortSpec

DETACH_SECONDS = 60  # how long a guest may take to let go of a card


class CardOperation(ServerOperation):
    """Its memory has the "port". A server's rows stay as they are: it may be stopped or run meanwhile."""

    def attach(self, progress: Progress) -> None:
        with self.compute.db.read() as tx:
            cards = {card[0]: card for card in self.compute.network.cards_of(tx, progress.object_id)}
        card = cards.get(progress.memory["port"])
        if card is None:
            raise Fault(f"port {progress.memory['port']} is not the server's any more")
        self.call(progress, "attach_card", self._order(progress, PortSpec(*card)))

    def detached(self, progress: Progress, *, force: bool = False) -> bool:
        port = PortSpec(progress.memory["port"], "", 0)
        return self.call(progress, "detach_card", self._order(progress, port, force), bool)

    def _order(self, progress: Progress, port: PortSpec, force: bool = False) -> CardOrder:
        return CardOrder(progress.object_id, progress.memory["generation"], port, force)


class AttachInterface(CardOperation):
    kind, action = "server.attach_interface", "attach_interface"

    def steps(self) -> tuple[Step, ...]:
        return (
            Step("wait for the network", self.wait_network),
            Step("compute_attach_interface", self.attach, self.take_back),  # an event that clients look for
        )

    def wait_network(self, progress: Progress) -> None:
        port = progress.memory["port"]
        if not progress.wait(lambda: self.compute.network.realised([port]), NETWORK_SECONDS):
            raise Retry(f"the network does not know the port {port} after {NETWORK_SECONDS} s: "
                        'see the reconciler "network" in `pilvi status`')

    def take_back(self, progress: Progress) -> None:
        """What comes next, a delete above all, does not wait for a guest that may never let go."""
        self.detached(progress, force=True)

    def fail(self, tx: Tx, progress: Progress, reason: str) -> None:
        """The server is what it was; the trail has the reason."""
        if not progress.cancelled:
            self.compute.network.drop_card(tx, progress.object_id, progress.memory["port"])


class DetachInterface(CardOperation):
    kind, action = "server.detach_interface", "detach_interface"

    def steps(self) -> tuple[Step, ...]:
        return (Step("compute_detach_interface", self.detach, self.put_back),)  # an event that clients look for

    def detach(self, progress: Progress) -> None:
        if not progress.wait(lambda: self.detached(progress), DETACH_SECONDS, poll=0.25):
            raise Fault(f"the guest did not let go of the card within {DETACH_SECONDS} s: does its operating system "
                        "run? Stop the server to take the card out.")

    def put_back(self, progress: Progress) -> None:
        """It is the server's still, but for one whose port is gone."""
        with self.compute.db.read() as tx:
            cards = {card[0] for card in self.compute.network.cards_of(tx, progress.object_id)}
        if progress.memory["port"] in cards:
            self.attach(progress)

    def finish(self, tx: Tx, progress: Progress) -> None:
        self.compute.network.drop_card(tx, progress.object_id, progress.memory["port"])


OPERATIONS = (AttachInterface, DetachInterface)
