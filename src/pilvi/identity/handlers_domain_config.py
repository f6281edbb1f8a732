"""Configuration of domains: all of it, a group, or an option of a group."""

from __future__ import annotations

import msgspec

from pilvi.http.request import Request, Response
from pilvi.http.routing import Route
from pilvi.identity import wire_registry as wire
from pilvi.identity.domain_config import COMPLIANCE


class ConfigBody(msgspec.Struct):
    config: wire.Config


class OptionBody(msgspec.Struct):
    config: wire.OneOption


def _place(request: Request) -> tuple[str | None, str | None]:
    return request.params.get("group"), request.params.get("option")


def show_default(request: Request) -> Response:
    return Response(200, {"config": request.cloud.identity.default_config(*_place(request))})


def show(request: Request) -> Response:
    config = request.cloud.identity.domain_config(request.params["domain_id"], *_place(request))
    return Response(200, {"config": config})


def show_compliance(request: Request) -> Response:
    """The rules for passwords, which everybody may read."""
    option = request.params.get("option")
    config = request.cloud.identity.domain_config(request.params["domain_id"], COMPLIANCE, option)
    return Response(200, {"config": config})


def put(request: Request) -> Response:
    config = request.decode(ConfigBody).config
    new, config = request.cloud.identity.set_domain_config(request.params["domain_id"], config)
    return Response(201 if new else 200, {"config": config})


def change(request: Request) -> Response:
    group, option = _place(request)
    wanted = request.decode(ConfigBody if option is None else OptionBody).config
    config = wanted if option is None else {group: wanted}
    config = request.cloud.identity.update_domain_config(request.params["domain_id"], config, group, option)
    return Response(200, {"config": config})


def delete(request: Request) -> Response:
    request.cloud.identity.delete_domain_config(request.params["domain_id"], *_place(request))
    return Response(204)


_DEFAULT, _CONFIG = "/v3/domains/config", "/v3/domains/{domain_id}/config"
_COMPLIANCE = f"{_CONFIG}/{COMPLIANCE}"
_PLACES = ("", "/{group}", "/{group}/{option}")

ROUTES = (
    *(Route("GET", f"{_DEFAULT}{place}/default", show_default, "identity:get_domain_config_default")
      for place in _PLACES),
    Route("GET", _COMPLIANCE, show_compliance, "identity:get_security_compliance_domain_config"),
    Route("GET", _COMPLIANCE + "/{option}", show_compliance, "identity:get_security_compliance_domain_config"),
    Route("PUT", _CONFIG, put, "identity:create_domain_config"),
    *(Route("GET", _CONFIG + place, show, "identity:get_domain_config") for place in _PLACES),
    *(Route("PATCH", _CONFIG + place, change, "identity:update_domain_config") for place in _PLACES),
    *(Route("DELETE", _CONFIG + place, delete, "identity:delete_domain_config") for place in _PLACES),
)  # fmt: skip
