"""What Networking API v2.0 takes. Values are read leniently, as Neutron does: "true" and 1 are true, "80" is 80."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType, field

from pilvi.faults import BadRequest
from pilvi.http.request import Request
from pilvi.network.nouns import Noun

T = TypeVar("T", bound=Struct)

Text = Annotated[str, Meta(max_length=255)]
Uuid = Annotated[str, Meta(pattern=r"^[0-9a-fA-F]{8}-([0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}\Z")]
Mac = Annotated[str, Meta(pattern=r"^([0-9a-fA-F]{2}:){5}[0-9a-fA-F]{2}\Z")]
DnsName = Annotated[str, Meta(max_length=63, pattern=r"^([A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)?\Z")]
_LABEL = "[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
DnsDomain = Annotated[str, Meta(max_length=253, pattern=rf"^({_LABEL}\.)*\Z")]  # ends in a dot, or is empty
Ip = Annotated[str, Meta(max_length=64)]
PrefixLength = Annotated[int, Meta(ge=0, le=128)]
Limit = Annotated[int, Meta(ge=-1, le=2**31 - 1)]
Tag = Annotated[str, Meta(min_length=1, max_length=255)]
Mode = Annotated[str, Meta(pattern=r"^(slaac|dhcpv6-stateful|dhcpv6-stateless)\Z")]

# Attributes that are shown, and that nobody sets.
READ_ONLY = frozenset(
    {
        "id",
        "status",
        "subnets",
        "created_at",
        "updated_at",
        "revision_number",
        "tags",
        "router_id",
        "floating_port_id",
        "dns_assignment",
        "binding:vif_type",
        "binding:vif_details",
        "network_id",
        "ip_version",
        "cidr",
        "tenant_id",
        "project_id",
        "availability_zones",
        "floating_network_id",
        "floating_ip_address",
        "subnet_id",
        "subnetpool_id",
        "qos_network_policy_id",
        "rules",
        "vlan_transparent",
        "flavor_id",
        "service_type",
    }
)


class _Named(Struct, kw_only=True):
    name: Text | UnsetType = UNSET
    description: Text | UnsetType = UNSET


class _Network(_Named, kw_only=True):
    admin_state_up: bool | UnsetType = UNSET
    shared: bool | UnsetType = UNSET
    external: bool | UnsetType = field(name="router:external", default=UNSET)
    is_default: bool | UnsetType = UNSET
    mtu: Annotated[int, Meta(ge=0, le=65535)] | UnsetType = UNSET
    port_security_enabled: bool | UnsetType = UNSET
    dns_domain: DnsDomain | UnsetType = UNSET
    qos_policy_id: Uuid | UnsetType | None = UNSET


class NetworkNew(_Network, kw_only=True):
    project_id: Text | UnsetType = UNSET
    tenant_id: Text | UnsetType = UNSET
    network_type: Text | UnsetType | None = field(name="provider:network_type", default=UNSET)
    physical_network: Text | UnsetType | None = field(name="provider:physical_network", default=UNSET)
    segmentation_id: int | UnsetType | None = field(name="provider:segmentation_id", default=UNSET)
    vlan_transparent: bool | UnsetType | None = UNSET
    availability_zone_hints: list[Text] | UnsetType = UNSET


class NetworkChange(_Network, kw_only=True):
    pass


class Pool(Struct, forbid_unknown_fields=True):
    start: Ip
    end: Ip


class HostRoute(Struct, forbid_unknown_fields=True):
    destination: Ip
    nexthop: Ip


class _Subnet(_Named, kw_only=True):
    gateway_ip: Ip | UnsetType | None = UNSET
    enable_dhcp: bool | UnsetType = UNSET
    dns_nameservers: Annotated[list[Ip], Meta(max_length=5)] | UnsetType | None = UNSET
    host_routes: Annotated[list[HostRoute], Meta(max_length=20)] | UnsetType | None = UNSET
    allocation_pools: Annotated[list[Pool], Meta(max_length=100)] | UnsetType | None = UNSET
    service_types: Annotated[list[Text], Meta(max_length=20)] | UnsetType = UNSET


class SubnetNew(_Subnet, kw_only=True):
    project_id: Text | UnsetType = UNSET
    tenant_id: Text | UnsetType = UNSET
    network_id: Uuid
    ip_version: Annotated[int, Meta(ge=4, le=6)]
    cidr: Ip | UnsetType | None = UNSET
    subnetpool_id: Uuid | UnsetType | None = UNSET
    use_default_subnetpool: bool | UnsetType = UNSET
    prefixlen: PrefixLength | UnsetType | None = UNSET
    ipv6_ra_mode: Mode | UnsetType | None = UNSET
    ipv6_address_mode: Mode | UnsetType | None = UNSET


class SubnetChange(_Subnet, kw_only=True):
    pass


class _SubnetPool(_Named, kw_only=True):
    min_prefixlen: PrefixLength | UnsetType = UNSET
    max_prefixlen: PrefixLength | UnsetType = UNSET
    default_prefixlen: PrefixLength | UnsetType = UNSET
    default_quota: Annotated[int, Meta(ge=0, le=2**31 - 1)] | UnsetType | None = UNSET
    address_scope_id: Uuid | UnsetType | None = UNSET
    is_default: bool | UnsetType = UNSET


class SubnetPoolNew(_SubnetPool, kw_only=True):
    project_id: Text | UnsetType = UNSET
    tenant_id: Text | UnsetType = UNSET
    name: Annotated[str, Meta(min_length=1, max_length=255)]
    prefixes: Annotated[list[Ip], Meta(max_length=200)]
    shared: bool | UnsetType = UNSET


class SubnetPoolChange(_SubnetPool, kw_only=True):
    prefixes: Annotated[list[Ip], Meta(max_length=200)] | UnsetType = UNSET


class FixedIp(Struct, forbid_unknown_fields=True):
    subnet_id: Uuid | None = None
    ip_address: Ip | None = None


class AddressPair(Struct, forbid_unknown_fields=True):
    ip_address: Ip
    mac_address: Mac | None = None


class DhcpOption(Struct, forbid_unknown_fields=True):
    opt_name: Annotated[str, Meta(min_length=1, max_length=64)]
    opt_value: Annotated[str, Meta(min_length=1, max_length=255)] | None = None
    ip_version: Literal[4, 6] = 4


class _Port(_Named, kw_only=True):
    admin_state_up: bool | UnsetType = UNSET
    mac_address: Mac | UnsetType | None = UNSET
    fixed_ips: Annotated[list[FixedIp], Meta(max_length=50)] | UnsetType | None = UNSET
    device_id: Text | UnsetType = UNSET
    device_owner: Text | UnsetType = UNSET
    security_groups: list[Uuid] | UnsetType | None = UNSET
    allowed_address_pairs: Annotated[list[AddressPair], Meta(max_length=10)] | UnsetType | None = UNSET
    port_security_enabled: bool | UnsetType = UNSET
    dns_name: DnsName | UnsetType = UNSET
    qos_policy_id: Uuid | UnsetType | None = UNSET
    extra_dhcp_opts: Annotated[list[DhcpOption], Meta(max_length=20)] | UnsetType | None = UNSET
    host: Text | UnsetType | None = field(name="binding:host_id", default=UNSET)
    vnic_type: Annotated[str, Meta(pattern=r"^normal\Z")] | UnsetType = field(name="binding:vnic_type", default=UNSET)
    profile: dict[str, Any] | UnsetType | None = field(name="binding:profile", default=UNSET)


class PortNew(_Port, kw_only=True):
    tags: Annotated[list[Tag], Meta(max_length=50)] | UnsetType = UNSET
    project_id: Text | UnsetType = UNSET
    tenant_id: Text | UnsetType = UNSET
    network_id: Uuid


class PortChange(_Port, kw_only=True):
    pass


class Gateway(Struct, forbid_unknown_fields=True):
    network_id: Uuid | None = None
    enable_snat: bool | UnsetType = UNSET
    external_fixed_ips: Annotated[list[FixedIp], Meta(max_length=5)] | UnsetType = UNSET
    qos_policy_id: Uuid | UnsetType | None = UNSET


class _Router(_Named, kw_only=True):
    admin_state_up: bool | UnsetType = UNSET
    external_gateway_info: Gateway | UnsetType | None = UNSET


class RouterNew(_Router, kw_only=True):
    flavor_id: Uuid | UnsetType | None = UNSET
    project_id: Text | UnsetType = UNSET
    tenant_id: Text | UnsetType = UNSET
    availability_zone_hints: list[Text] | UnsetType = UNSET


class RouterChange(_Router, kw_only=True):
    routes: Annotated[list[HostRoute], Meta(max_length=30)] | UnsetType | None = UNSET


class RoutesChange(Struct, forbid_unknown_fields=True):
    routes: Annotated[list[HostRoute], Meta(max_length=30)]


class RoutesRequest(Struct, forbid_unknown_fields=True):
    router: RoutesChange


class Interface(Struct, forbid_unknown_fields=True):
    subnet_id: Uuid | None = None
    port_id: Uuid | None = None


class FloatingIpNew(Struct, kw_only=True):
    description: Text | UnsetType = UNSET
    project_id: Text | UnsetType = UNSET
    tenant_id: Text | UnsetType = UNSET
    floating_network_id: Uuid
    subnet_id: Uuid | None = None
    floating_ip_address: Ip | None = None
    port_id: Uuid | None = None
    fixed_ip_address: Ip | None = None
    qos_policy_id: Uuid | None = None


class FloatingIpChange(Struct, kw_only=True):
    description: Text | UnsetType = UNSET
    port_id: Uuid | UnsetType | None = UNSET
    fixed_ip_address: Ip | UnsetType | None = UNSET
    qos_policy_id: Uuid | UnsetType | None = UNSET


class SecurityGroupNew(_Named, kw_only=True):
    project_id: Text | UnsetType = UNSET
    tenant_id: Text | UnsetType = UNSET
    stateful: bool | UnsetType = UNSET


class SecurityGroupChange(_Named, kw_only=True):
    stateful: bool | UnsetType = UNSET


class RuleFields(Struct, kw_only=True):
    direction: Annotated[str, Meta(pattern=r"^(ingress|egress)\Z")]
    ethertype: str | None = "IPv4"
    protocol: str | int | None = None
    port_range_min: int | None = None
    port_range_max: int | None = None
    remote_group_id: Text | None = None
    remote_ip_prefix: Ip | None = None
    remote_address_group_id: Text | None = None
    description: Text = ""
    project_id: Text | UnsetType = UNSET
    tenant_id: Text | UnsetType = UNSET


class RuleNew(RuleFields, kw_only=True):
    security_group_id: Uuid


class TagsRequest(Struct, forbid_unknown_fields=True):
    tags: Annotated[list[Tag], Meta(max_length=50)]


def given(struct: Struct) -> dict[str, Any]:
    """What was said, by the names of the columns."""
    return {name: value for name in struct.__struct_fields__ if (value := getattr(struct, name)) is not UNSET}


def items(request: Request, noun: Noun, shape: type[T]) -> tuple[list[T], bool]:
    """The objects of a body, and whether there may be many. Raises BadRequest."""
    body = request.decode(dict[str, Any])
    if len(body) == 1 and isinstance(many := body.get(noun.plural), list):
        if not many:
            raise BadRequest("Resources required.", kind="HTTPBadRequest")
        # Neutron takes both {"networks": [{...}]} and, from older clients, {"networks": [{"network": {...}}]}.
        return [convert(one.get(noun.name, one) if isinstance(one, dict) else one, shape) for one in many], True
    return [item(body, noun, shape)], False


def item(body: Any, noun: Noun, shape: type[T], method: str = "POST") -> T:
    if not isinstance(body, dict) or set(body) != {noun.name}:
        raise BadRequest(f"Unable to find '{noun.name}' in request body.", kind="HTTPBadRequest")
    return convert(body[noun.name], shape, method)


def convert(value: Any, shape: type[T], method: str = "POST") -> T:
    if not isinstance(value, dict):
        raise BadRequest("Invalid input. Reason: the object is no JSON object.", kind="HTTPBadRequest")
    unknown = sorted(set(value) - set(shape.__struct_encode_fields__))
    if unknown and method == "PUT" and unknown[0] in READ_ONLY:
        raise BadRequest(f"Cannot update read-only attribute {unknown[0]}", kind="HTTPBadRequest")
    if unknown and unknown[0] in READ_ONLY:
        raise BadRequest(f"Attribute '{unknown[0]}' not allowed in POST", kind="HTTPBadRequest")
    if unknown:
        names = ", ".join(f"'{name}'" for name in unknown)
        raise BadRequest(f"Unrecognized attribute(s) {names}", kind="HTTPBadRequest")
    try:
        return msgspec.convert(value, shape, strict=False)
    except msgspec.ValidationError as error:
        text, _, path = str(error).partition(" - at ")
        name = path.strip("`").removeprefix("$").removeprefix(".")
        missing = f"Failed to parse request. {text}" if not name else f"Invalid input for {name}. Reason: {text}"
        raise BadRequest(missing.replace("`", "'") + ".", kind="HTTPBadRequest") from None


def tag(text: str) -> str:
    """Raises BadRequest."""
    if not 1 <= len(text) <= 255 or "\0" in text:
        raise BadRequest("Invalid input for tags. Reason: a tag has 1 to 255 characters.", kind="HTTPBadRequest")
    return text


def quota(request: Request) -> dict[str, int]:
    """The limits of a body; Neutron's clients also send the project's id. Raises BadRequest."""
    body = request.decode(dict[str, Any])
    if set(body) != {"quota"} or not isinstance(body["quota"], dict):
        raise BadRequest("Unable to find 'quota' in request body.", kind="HTTPBadRequest")
    limits = {name: limit for name, limit in body["quota"].items() if name not in ("tenant_id", "project_id")}
    try:
        return msgspec.convert(limits, dict[str, Limit], strict=False)
    except msgspec.ValidationError as error:
        raise BadRequest(f"Invalid input for quota. Reason: {error}.", kind="HTTPBadRequest") from None
