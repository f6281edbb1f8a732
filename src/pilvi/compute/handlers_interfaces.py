"""Servers' network cards over the API: os-interface, ips, os-security-groups, os-virtual-interfaces, and actions."""

from __future__ import annotations

from typing import Any

from msgspec import UNSET

from pilvi.compute import views, views_interfaces, wire, wire_interfaces
from pilvi.compute.handlers_base import ACCEPTED, Action, argument
from pilvi.compute.handlers_networks import group_views
from pilvi.faults import BadRequest, NotFound
from pilvi.http.pagination import limit_of
from pilvi.http.request import Request, Response
from pilvi.network.service import NicRequest

# -- os-interface


def ports_of(request: Request) -> list[Any]:
    found = request.cloud.compute.server_with_ports(request.context, request.params["server_id"])
    return found.ports.get(found.rows[0].id, [])


def interfaces(request: Request) -> Response:
    shown = [views_interfaces.interface(request, port) for port in ports_of(request)]
    return Response(200, {"interfaceAttachments": shown})


def interface(request: Request) -> Response:
    for port in ports_of(request):
        if port.id == request.params["port_id"]:
            return Response(200, {"interfaceAttachment": views_interfaces.interface(request, port)})
    raise NotFound(f"Instance does not have any port with id {request.params['port_id']}")


def attach(request: Request) -> Response:
    wanted = request.decode(wire_interfaces.AttachInterface).interfaceAttachment if request.body else UNSET
    nic = None if wanted is UNSET else nic_request(request, wanted)
    port = request.cloud.compute.attach_interface(request.context, request.params["server_id"], nic)
    return Response(200, {"interfaceAttachment": views_interfaces.interface(request, port)})


def nic_request(request: Request, wanted: wire_interfaces.Attachment) -> NicRequest | None:
    """Raises BadRequest for what does not go together."""
    if wanted.tag is not UNSET and not request.at_least(2, 49):
        raise wire.unexpected("interfaceAttachment", "tag")
    if wanted.net_id is not UNSET and wanted.port_id is not UNSET:
        raise BadRequest("Must not input both network_id and port_id")
    fixed = None
    if wanted.fixed_ips is not UNSET:
        if wanted.net_id is UNSET:
            raise BadRequest("Must input network_id when request IP address")
        fixed = wire_interfaces.address(wanted.fixed_ips[0].ip_address, "fixed_ips")
    network, port, tag = (None if each is UNSET else each for each in (wanted.net_id, wanted.port_id, wanted.tag))
    return NicRequest(network, port, fixed, tag) if network or port or tag else None


def detach(request: Request) -> Response:
    request.cloud.compute.detach_interface(request.context, request.params["server_id"], request.params["port_id"])
    return ACCEPTED


# -- addresses


def ips(request: Request) -> Response:
    return Response(200, {"addresses": views.addresses(ports_of(request), False)})


def ips_of_network(request: Request) -> Response:
    by_network, name = views.addresses(ports_of(request), False), request.params["network"]
    if name not in by_network:
        raise NotFound("Instance is not a member of specified network")
    return Response(200, {name: by_network[name]})


def virtual_interfaces(request: Request) -> Response:
    """As Nova's before 2.44; with the Networking API as the network's keeper it has the ports' ids and addresses."""
    shown = [views_interfaces.virtual_interface(request, port) for port in ports_of(request)]
    return Response(200, {"virtual_interfaces": shown[:limit_of(request)]})


def security_groups(request: Request) -> Response:
    groups = request.cloud.compute.security_groups_of(request.context, request.params["server_id"])
    return Response(200, {"security_groups": group_views(request, groups)})


# -- actions


def add_security_group(request: Request, server_id: str, value: Any) -> Response:
    request.cloud.compute.add_security_group(request.context, server_id, group_name("addSecurityGroup", value))
    return ACCEPTED


def remove_security_group(request: Request, server_id: str, value: Any) -> Response:
    request.cloud.compute.remove_security_group(request.context, server_id, group_name("removeSecurityGroup", value))
    return ACCEPTED


def group_name(action: str, value: Any) -> str:
    name = argument(action, value, wire_interfaces.GroupAction).name
    if not name.strip():
        raise BadRequest("Security group name cannot be empty")
    return name


def add_fixed_ip(request: Request, server_id: str, value: Any) -> Response:
    network = str(argument("addFixedIp", value, wire_interfaces.AddFixedIp).networkId)
    request.cloud.compute.add_fixed_ip(request.context, server_id, network)
    return ACCEPTED


def remove_fixed_ip(request: Request, server_id: str, value: Any) -> Response:
    text = argument("removeFixedIp", value, wire_interfaces.RemoveFixedIp).address
    address = wire_interfaces.address(text, "address")
    request.cloud.compute.remove_fixed_ip(request.context, server_id, address)
    return ACCEPTED


def add_floating_ip(request: Request, server_id: str, value: Any) -> Response:
    wanted = argument("addFloatingIp", value, wire_interfaces.AddFloatingIp)
    fixed = None if wanted.fixed_address is UNSET else wire_interfaces.address(wanted.fixed_address, "fixed_address")
    address = wire_interfaces.address(wanted.address, "address")
    request.cloud.compute.add_floating_ip(request.context, server_id, address, fixed)
    return ACCEPTED


def remove_floating_ip(request: Request, server_id: str, value: Any) -> Response:
    text = argument("removeFloatingIp", value, wire_interfaces.RemoveFloatingIp).address
    address = wire_interfaces.address(text, "address")
    request.cloud.compute.remove_floating_ip(request.context, server_id, address)
    return ACCEPTED


UNTIL = (2, 43)  # from 2.44 on the Networking API alone does it
ACTIONS = {
    "addSecurityGroup": Action(add_security_group, rule="servers:security_groups:change"),
    "removeSecurityGroup": Action(remove_security_group, rule="servers:security_groups:change"),
    "addFixedIp": Action(add_fixed_ip, until=UNTIL, rule="servers:interfaces:change"),
    "removeFixedIp": Action(remove_fixed_ip, until=UNTIL, rule="servers:interfaces:change"),
    "addFloatingIp": Action(add_floating_ip, until=UNTIL, rule="servers:interfaces:change"),
    "removeFloatingIp": Action(remove_floating_ip, until=UNTIL, rule="servers:interfaces:change"),
}
