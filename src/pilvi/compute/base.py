"""What all parts of the Compute service share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pilvi.bus.base import Bus
from pilvi.db import Database
from pilvi.engine.clock import Clock, Ids
from pilvi.engine.engine import Engine
from pilvi.settings import Settings

if TYPE_CHECKING:
    from pilvi.identity.service import Identity
    from pilvi.image.service import Images
    from pilvi.network.service import Networks
    from pilvi.placement.service import Placement
    from pilvi.volume.service import Volumes


class Base:
    """The service's dependencies, for its operations and reconcilers as well."""

    def __init__(self, db: Database, clock: Clock, ids: Ids, engine: Engine, bus: Bus, settings: Settings, *,
                 identity: Identity, image: Images, network: Networks, placement: Placement, volume: Volumes):
        self.db, self.clock, self.ids = db, clock, ids
        self.engine, self.bus, self.settings = engine, bus, settings
        self.identity, self.image, self.network, self.placement = identity, image, network, placement
        self.volume = volume
