"""Puts the cloud together: which service is given what, and in which order things start and stop."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import falcon.asgi

from pilvi import schema
from pilvi.bus.local import LocalBus
from pilvi.compute import routes as compute_routes
from pilvi.compute.console_proxy import add_consoles
from pilvi.compute.service import Compute
from pilvi.db import Database
from pilvi.engine.clock import Clock, Ids, SystemClock
from pilvi.engine.engine import Engine
from pilvi.faces import operator, oscloud
from pilvi.http.app import build_app
from pilvi.identity import routes as identity_routes
from pilvi.identity.service import Identity
from pilvi.image import routes as image_routes
from pilvi.image.service import Images
from pilvi.keys import Keys
from pilvi.metadata.server import MetadataServer
from pilvi.metadata.service import Metadata
from pilvi.network import routes as network_routes
from pilvi.network.service import Networks
from pilvi.placement import routes as placement_routes
from pilvi.placement.service import Placement
from pilvi.settings import Place, Settings
from pilvi.site import Site, build_site
from pilvi.volume import routes as volume_routes
from pilvi.volume.service import Volumes

REQUEST_THREADS = 12


class Cloud:
    """Everything, put together. `site` is what depends on the drivers: engines, agents, the northbound driver."""

    def __init__(self, place: Place, settings: Settings, *, clock: Clock | None = None, ids: Ids | None = None,
                 make_site: Callable[[Cloud], Site] | None = None):
        self.place, self.settings = place, settings
        self.clock = clock or SystemClock()
        self.ids = ids or Ids()
        url = settings.database or f"sqlite:///{place / 'pilvi.db'}"
        self.db = Database(url, self.clock)
        self.engine = Engine(self.db, self.clock, self.ids, workers=settings.workers, alone=not self.db.postgresql)
        self.bus = LocalBus()
        self.identity = Identity(self.db, self.clock, self.ids, settings, keys=place / "identity")
        self.volume_keys = Keys(place / "volume-keys")  # never rotated: what they seal is kept
        self.placement = Placement(self.db)
        self.image = Images(self.db, self.clock, self.ids, self.engine, settings, root=place.images,
                            identity=self.identity)
        self.site = (make_site or build_site)(self)
        self.network = Networks(self.db, self.clock, self.ids, self.engine, settings, northbound=self.site.northbound)
        self.volume = Volumes(self.db, self.clock, self.ids, self.engine, self.bus, settings, identity=self.identity,
                              image=self.image, hosts=lambda: [agent.name for agent in self.site.agents],
                              folder=place / "volumes", keys=self.volume_keys)
        self.compute = Compute(self.db, self.clock, self.ids, self.engine, self.bus, settings, identity=self.identity,
                               image=self.image, network=self.network, placement=self.placement, volume=self.volume)
        self.auditors = (self.compute, self.network, self.volume, self.image)
        self.metadata_server = MetadataServer(Metadata(self.db, self.network, self.compute))
        self.oscloud = oscloud.OsCloud(self)
        self.requests = ThreadPoolExecutor(REQUEST_THREADS, thread_name_prefix="request")

    def bootstrap(self, passwords: dict[str, str]) -> None:
        """Makes what every cloud has: schema, first users, the external network, flavors. Idempotent."""
        schema.ensure(self.db)
        self.identity.bootstrap(passwords)
        owner = self.identity.internal_context("admin", "admin", "").project_id
        self.network.bootstrap(project_id=owner, **self.site.external_network())
        self.image.bootstrap()
        self.volume.bootstrap()
        self.compute.bootstrap()

    def start(self) -> None:
        for service in (self.identity, self.image, self.network, self.volume, self.compute):
            service.register(self.engine)
        self.site.start(self)
        self.engine.reconcilers["hosts"].run_once()  # from the first request on it is known what there is
        self.engine.start()

    def app(self) -> falcon.asgi.App:
        apis = [identity_routes.API, compute_routes.API, compute_routes.V2, network_routes.API, image_routes.API,
                placement_routes.API, volume_routes.API, oscloud.API, operator.API]
        app = build_app(self, apis, self.requests)
        add_consoles(app, self, self.requests)
        return app

    def stop(self) -> None:
        """Lets go of everything; guests and packets go on."""
        self.engine.stop()
        self.image.close()
        self.metadata_server.close()
        self.site.stop()
        self.requests.shutdown(wait=True, cancel_futures=True)
        self.bus.close()
        self.db.close()
