"""Routes as data: each domain's `routes.py` lists what it answers, and an `Api` says how."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from pilvi.faults import BadRequest, Fault, NotAcceptable
from pilvi.http.request import Version
from pilvi.policy import Rule


class Route(NamedTuple):
    method: str
    path: str  # below the API's prefix: "/v2.1/servers/{server_id}"
    handler: Callable[..., Any]  # (Request) -> Response; a coroutine function where `stream`
    action: str | None  # looked up in the domain's policy table; None: answered without a token
    since: str | None = None  # the microversions it is there for, both included
    until: str | None = None
    stream: bool = False  # the handler reads the body itself


def version(text: str) -> Version:
    """(2, 96) of "2.96". Raises ValueError."""
    major, _, minor = text.partition(".")
    if not (major.isascii() and major.isdigit() and minor.isascii() and minor.isdigit()):
        raise ValueError(text)
    return int(major), int(minor)


class Microversions:
    """How a service negotiates: API-WG microversion guideline, and Compute's older header."""

    def __init__(self, service: str, lowest: str, highest: str, legacy_header: str | None = None):
        self.service, self.lowest, self.highest = service, version(lowest), version(highest)
        self.legacy_header = legacy_header
        names = ["OpenStack-API-Version"] + ([legacy_header] if legacy_header else [])
        self._vary = ", ".join(names)
        self._answers: dict[Version, dict[str, str]] = {}

    def negotiate(self, headers: Mapping[str, str]) -> Version:
        """Raises BadRequest for something that is no version, NotAcceptable for one not served."""
        wanted = None
        for part in headers.get("openstack-api-version", "").split(","):
            service, _, number = part.strip().partition(" ")
            if service == self.service:
                wanted = number.strip()
        if wanted is None and self.legacy_header:
            wanted = headers.get(self.legacy_header.lower())
        if wanted is None:
            return self.lowest
        if wanted == "latest":
            return self.highest
        try:
            number = version(wanted)
        except ValueError:
            raise BadRequest(f"API Version String {wanted} is of invalid format. Must be of format MajorNum.MinorNum."
                             ) from None
        if not self.lowest <= number <= self.highest:
            low, high = (".".join(map(str, end)) for end in (self.lowest, self.highest))
            raise NotAcceptable(f"Version {wanted} is not supported by the API. Minimum is {low} and maximum is {high}.")
        return number

    def headers(self, number: Version) -> dict[str, str]:
        if number not in self._answers:
            text = f"{number[0]}.{number[1]}"
            answer = {"OpenStack-API-Version": f"{self.service} {text}", "Vary": self._vary}
            if self.legacy_header:
                answer[self.legacy_header] = text
            self._answers[number] = answer
        return self._answers[number]


class OneVersion(Microversions):
    """Of an API that was there before microversions: it has one, whatever is asked for, and says nothing of it."""

    def __init__(self, service: str, number: str):
        super().__init__(service, number, number)

    def negotiate(self, headers: Mapping[str, str]) -> Version:
        return self.lowest

    def headers(self, number: Version) -> dict[str, str]:
        return {}


def plain_fault(fault: Fault) -> dict[str, Any]:
    """The shape of Identity's faults, and of paths that belong to no service."""
    return {"error": {"code": fault.status, "message": fault.message, "title": fault.title}}


class Api(NamedTuple):
    """One service's HTTP face."""

    name: str  # "compute"
    prefix: str  # "/compute"
    routes: tuple[Route, ...]
    policy: Mapping[str, Rule]
    fault: Callable[[Fault], Any] = plain_fault  # the JSON body of a fault
    microversions: Microversions | None = None
    extra_headers: Callable[[str], dict[str, str]] | None = None  # of the request id
    strict_slash: bool = False  # "/v2/images/" asks for an image with an empty id, and so for nothing
