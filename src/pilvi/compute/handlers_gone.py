"""What Compute's API had once: answered as Nova answers it since the services behind it went away."""

from __future__ import annotations

from pilvi.faults import Gone, NotImplementedHere
from pilvi.http.request import Request, Response
from pilvi.http.routing import Route


def gone(request: Request) -> Response:
    raise Gone("This resource is no longer available. No forwarding address is given.")


def no_bare_metal(request: Request) -> Response:
    raise NotImplementedHere("Bare metal nodes are not served: there is no Bare Metal service here.")


# Path, and the methods that it had.
PATHS = (
    ("/os-agents", "GET POST"), ("/os-agents/{id}", "PUT DELETE"),
    ("/os-cells", "GET POST"), ("/os-cells/detail", "GET"), ("/os-cells/info", "GET"),
    ("/os-cells/capacities", "GET"), ("/os-cells/sync_instances", "POST"), ("/os-cells/{id}", "GET PUT DELETE"),
    ("/os-cells/{id}/capacities", "GET"),
    ("/os-certificates", "POST"), ("/os-certificates/{id}", "GET"),
    ("/os-cloudpipe", "GET POST"), ("/os-cloudpipe/{id}", "PUT"),
    ("/os-fixed-ips/{id}", "GET"), ("/os-fixed-ips/{id}/action", "POST"),
    ("/os-floating-ip-dns", "GET"), ("/os-floating-ip-dns/{id}", "PUT DELETE"),
    ("/os-floating-ip-dns/{id}/entries/{entry}", "GET PUT DELETE"),
    ("/os-floating-ips-bulk", "GET POST"), ("/os-floating-ips-bulk/{id}", "GET PUT"),
    ("/os-fping", "GET"), ("/os-fping/{id}", "GET"),
    ("/os-networks", "POST"), ("/os-networks/add", "POST"), ("/os-networks/{network_id}", "DELETE"),
    ("/os-networks/{network_id}/action", "POST"),
    ("/os-tenant-networks", "POST"), ("/os-tenant-networks/{network_id}", "DELETE"),
    ("/os-security-group-default-rules", "GET POST"), ("/os-security-group-default-rules/{id}", "GET DELETE"),
    ("/servers/{server_id}/consoles", "GET POST"), ("/servers/{server_id}/consoles/{id}", "GET DELETE"),
)
BARE_METAL = (("/os-baremetal-nodes", "GET POST"), ("/os-baremetal-nodes/{id}", "GET DELETE"),
              ("/os-baremetal-nodes/{id}/action", "POST"))

ROUTES = (
    *(Route(method, "/v2.1" + path, gone, "gone") for path, methods in PATHS for method in methods.split()),
    *(Route(method, "/v2.1" + path, no_bare_metal, "hypervisors", until="2.35")
      for path, methods in BARE_METAL for method in methods.split()),
)
