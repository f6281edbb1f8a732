"""Routes of aggregates, server groups, shares and assisted snapshots; and of a second name for servers."""

from __future__ import annotations

from pilvi.compute import handlers_actions as act
from pilvi.compute import handlers_aggregates as aggregates
from pilvi.compute import handlers_assisted as assisted
from pilvi.compute import handlers_servers as servers
from pilvi.compute import handlers_shares as shares
from pilvi.http.routing import Route

AGGREGATE = "/v2.1/os-aggregates/{aggregate_id}"
GROUP = "/v2.1/os-server-groups/{group_id}"
ASSISTED = "/v2.1/os-assisted-volume-snapshots"
SHARES = "/v2.1/servers/{server_id}/shares"
BOOT = "/v2.1/os-volumes_boot"  # another name of servers, until 2.102

ROUTES = (
    Route("GET", "/v2.1/os-aggregates", aggregates.aggregates, "aggregates"),
    Route("POST", "/v2.1/os-aggregates", aggregates.create_aggregate, "aggregates"),
    Route("GET", AGGREGATE, aggregates.aggregate, "aggregates"),
    Route("PUT", AGGREGATE, aggregates.update_aggregate, "aggregates"),
    Route("DELETE", AGGREGATE, aggregates.delete_aggregate, "aggregates"),
    Route("POST", AGGREGATE + "/action", aggregates.aggregate_action, "aggregates"),
    Route("POST", AGGREGATE + "/images", aggregates.cache_images, "aggregates", since="2.81"),
    Route("GET", "/v2.1/os-server-groups", aggregates.groups, "server_groups:show"),
    Route("POST", "/v2.1/os-server-groups", aggregates.create_group, "server_groups:change"),
    Route("GET", GROUP, aggregates.group, "server_groups:show"),
    Route("DELETE", GROUP, aggregates.delete_group, "server_groups:change"),

    Route("GET", SHARES, shares.shares, "servers:show", since="2.97"),
    Route("POST", SHARES, shares.attach_share, "servers:update", since="2.97"),
    Route("GET", SHARES + "/{share_id}", shares.share, "servers:show", since="2.97"),
    Route("DELETE", SHARES + "/{share_id}", shares.share, "servers:update", since="2.97"),

    Route("POST", ASSISTED, assisted.create, "assisted_snapshots"),
    Route("DELETE", ASSISTED + "/{snapshot_id}", assisted.delete, "assisted_snapshots"),

    Route("GET", BOOT, servers.index, "servers:index", until="2.102"),
    Route("POST", BOOT, servers.create, "servers:create", until="2.102"),
    Route("GET", BOOT + "/detail", servers.detail, "servers:index", until="2.102"),
    Route("GET", BOOT + "/{server_id}", servers.show, "servers:show", until="2.102"),
    Route("PUT", BOOT + "/{server_id}", servers.update, "servers:update", until="2.102"),
    Route("DELETE", BOOT + "/{server_id}", servers.delete, "servers:delete", until="2.102"),
    Route("POST", BOOT + "/{server_id}/action", act.act, "servers:action", until="2.102"),
)
