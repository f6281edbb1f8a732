"""The networks of OS Cloud's machines: found by name, and made where there is none of it.

A network that is made has one subnet, 10.200.N.0/24, behind the project's router `oscloud`, which
translates addresses towards the external network. Each step is done only where it is still missing, so
a killed request is made up for by the next one.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from pilvi.engine import store
from pilvi.faces.inside import Inside
from pilvi.faults import Conflict, OverLimit
from pilvi.network import routes
from pilvi.policy import Context

if TYPE_CHECKING:
    from pilvi.cloud import Cloud

OURS = "Made by the OS Cloud API"  # the description of what is completed where it was left half made
ROUTER = "oscloud"
CIDRS = [f"10.200.{number}.0/24" for number in range(256)]
LEASE_SECONDS = 30


class Lan:
    def __init__(self, cloud: Cloud):
        self._cloud, self._api = cloud, Inside(cloud, routes.API)
        self._making = threading.Lock()

    def ensure(self, context: Context, name_or_id: str) -> str:
        """The id of the network of this name or id. Raises Conflict where several have the name."""
        found = self._find(context, name_or_id)
        if found is not None and found["description"] != OURS:
            return found["id"]
        with self._alone():
            found = (
                self._find(context, name_or_id)
                or self._api(
                    context, "POST", "/v2.0/networks", {"network": {"name": name_or_id, "description": OURS}}
                )["network"]
            )
            self._complete(context, found)
        return found["id"]

    def _find(self, context: Context, name_or_id: str) -> dict[str, Any] | None:
        """Among the project's own and shared networks; servers are not put on external ones."""
        for key in ("id", "name"):
            found = [
                network
                for network in self._api(context, "GET", "/v2.0/networks", **{key: name_or_id})["networks"]
                if not network["router:external"]
            ]
            if len(found) > 1:
                raise Conflict(f"More than one network has the name {name_or_id}: use its id.")
            if found:
                return found[0]
        return None

    def _complete(self, context: Context, network: dict[str, Any]) -> None:
        subnets = self._api(context, "GET", "/v2.0/subnets", project_id=context.project_id)["subnets"]
        subnet = next((each for each in subnets if each["network_id"] == network["id"]), None)
        if subnet is None:
            cidr = next((cidr for cidr in CIDRS if cidr not in {each["cidr"] for each in subnets}), None)
            if cidr is None:
                raise OverLimit(
                    "All addresses for networks of the OS Cloud API are in use: delete a network."
                )
            subnet = self._api(
                context,
                "POST",
                "/v2.0/subnets",
                {
                    "subnet": {
                        "name": network["name"],
                        "network_id": network["id"],
                        "ip_version": 4,
                        "cidr": cidr,
                    }
                },
            )["subnet"]
        ports = self._api(context, "GET", "/v2.0/ports", network_id=network["id"])["ports"]
        if not any(port["device_owner"] == "network:router_interface" for port in ports):
            self._api(
                context,
                "PUT",
                f"/v2.0/routers/{self._router(context)}/add_router_interface",
                {"subnet_id": subnet["id"]},
            )

    def _router(self, context: Context) -> str:
        """The project's router, with a gateway where the cloud has an external network."""
        routers = self._api(context, "GET", "/v2.0/routers", name=ROUTER, project_id=context.project_id)[
            "routers"
        ]
        if routers:
            return routers[0]["id"]
        external = self._api(context, "GET", "/v2.0/networks", **{"router:external": "true"})["networks"]
        gateway = {"external_gateway_info": {"network_id": external[0]["id"]}} if external else {}
        return self._api(
            context, "POST", "/v2.0/routers", {"router": {"name": ROUTER, "description": OURS, **gateway}}
        )["router"]["id"]

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """One request at a time makes networks. Raises Conflict while another controller does."""
        db, owner = self._cloud.db, self._cloud.engine.id
        with self._making:
            with db.transaction() as tx:
                if not store.take_lease(tx, "oscloud networks", owner, tx.now + LEASE_SECONDS * 1_000_000):
                    raise Conflict("Another controller is making networks at this moment: try again.")
            try:
                yield
            finally:
                with db.transaction() as tx:
                    store.take_lease(tx, "oscloud networks", owner, tx.now)
