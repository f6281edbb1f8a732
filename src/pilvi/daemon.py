"""The process behind `pilvi up`: the cloud and its HTTP server, one at a time per state folder."""

from __future__ import annotations

import gc
import logging
import socket
import sys

import structlog
import uvicorn

from pilvi import credentials
from pilvi.cloud import Cloud
from pilvi.engine.clock import Ids
from pilvi.faults import ConfigurationError
from pilvi.lock import Lock
from pilvi.settings import Place


def serve(place: Place) -> None:
    """Runs the cloud until SIGTERM or SIGINT. Raises ConfigurationError."""
    place.root.mkdir(parents=True, exist_ok=True, mode=0o711)
    lock = Lock(place.pid_file)
    if not lock.take():
        raise ConfigurationError(f"Pilvi runs already on {place.root} (pid {lock.holder()}).")
    settings = place.load()
    configure_logging()
    listener = listen(settings.listen)
    secrets = credentials.passwords(place, Ids())
    cloud = Cloud(place, settings)
    cloud.bootstrap(secrets)
    cloud.start()
    credentials.write_client_files(place, settings, secrets)
    _spare_collections()
    config = uvicorn.Config(cloud.app(), http="httptools", ws="websockets-sansio", loop="uvloop",
                            lifespan="off", log_config=None, access_log=False, server_header=False, timeout_keep_alive=75,
                            timeout_graceful_shutdown=5)
    structlog.get_logger().info("pilvi is up", listen=settings.listen, state=str(place.root))
    try:
        uvicorn.Server(config).run(sockets=[listener])
    finally:
        cloud.stop()
        structlog.get_logger().info("pilvi is down")


def _spare_collections() -> None:
    """From here on the garbage collector looks for cycles, but seldom, and never at what a cloud is made of.

    Requests make many objects and few cycles: by default a list of 1,000 servers set off several collections, each
    of which went through all routes, tables and statements, for a third of the list's time."""
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)
    gc.enable()


def listen(address: str) -> socket.socket:
    host, _, port = address.rpartition(":")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host.strip("[]"), int(port)))
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"Pilvi cannot listen on {address}: {error}. Name another one with --listen."
                                 ) from None
    listener.listen(1024)
    return listener


def configure_logging() -> None:
    """One line an event, to standard error, which `pilvi up` leads into the state folder's pilvi.log."""
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(asctime)s %(name)s %(message)s")
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.LogfmtRenderer(key_order=["timestamp", "level", "event"]),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )
