"""Reading from web servers on a user's behalf, without becoming a way into the network around the cloud.

The address that was checked is the address that is connected to, redirects are checked like the first URL, and only
public addresses pass unless the administrator has named the host or its network.
"""

from __future__ import annotations

import fnmatch
import http.client
import ipaddress
import socket
import ssl
from collections.abc import Callable, Sequence
from typing import NamedTuple
from urllib.parse import SplitResult, urljoin, urlsplit

from pilvi.faults import BadRequest

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

SCHEMES = {"http": 80, "https": 443}
REDIRECTS = 5
SECONDS = 30  # to connect, and between two parts of an answer
MAX_URL = 2048
_EMBEDDING = ipaddress.ip_network("64:ff9b::/96")  # RFC 6052: an IPv4 address in the last 32 bits


class FetchError(Exception):
    """What a URL names cannot be had; the message names the URL and says why."""


class Found(NamedTuple):
    """An answer that is being read; `size` in bytes, None where the server does not say."""

    response: http.client.HTTPResponse
    connection: http.client.HTTPConnection
    size: int | None

    def read(self, size: int) -> bytes:
        """The next part, empty at the end. Raises FetchError."""
        try:
            return self.response.read(size)
        except (OSError, http.client.HTTPException) as error:
            raise FetchError(f"The web server stopped in the middle: {error or type(error).__name__}.") from None

    def close(self) -> None:
        self.response.close()
        self.connection.close()


class Fetcher:
    """`allowed` names hosts (shell patterns) and networks (CIDR) that may be read from though they are not public."""

    def __init__(self, allowed: Sequence[str] = (), resolve: Callable[..., list[tuple]] = socket.getaddrinfo):
        self._resolve = resolve
        self._networks, self._hosts = [], []
        for each in allowed:
            try:
                self._networks.append(ipaddress.ip_network(each))
            except ValueError:
                self._hosts.append(each.lower())

    def check(self, url: str) -> SplitResult:
        """What can be told from the URL alone; nothing is asked of the network. Raises BadRequest."""
        refused = f"The URI {url[:200]!r} does not pass filtering: "
        try:
            parts = urlsplit(url)
            host, _port = parts.hostname, parts.port
        except ValueError as error:
            raise BadRequest(f"{refused}{error}.") from None
        if len(url) > MAX_URL or not url.isascii() or any(character <= " " for character in url):
            raise BadRequest(f"{refused}it is at most {MAX_URL} printable ASCII characters.")
        if parts.scheme not in SCHEMES:
            raise BadRequest(f"{refused}its scheme is not one of {', '.join(SCHEMES)}.")
        if not host or "@" in parts.netloc:
            raise BadRequest(f"{refused}it names a host, and no user.")
        self._check_port(parts, refused)
        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            if host.rpartition(".")[2].isdigit() or host.lower().rpartition(".")[2].startswith("0x"):
                raise BadRequest(f"{refused}{host} is no name of a host.") from None
            if host.rstrip(".").lower() == "localhost" and not self._named(host):
                raise BadRequest(f"{refused}{host} is not a public address.") from None
        else:
            if not self._passes(host, address):
                raise BadRequest(f"{refused}{host} is not a public address.")
        return parts

    def open(self, url: str, *, method: str = "GET", start: int = 0) -> Found:
        """Asks for what the URL names, from the byte `start` on. Raises BadRequest, FetchError."""
        for _turn in range(REDIRECTS + 1):
            parts = self.check(url)
            found = self._ask(parts, url, method, start)
            if found.response.status not in (301, 302, 303, 307, 308):
                return _checked(found, url, start)
            target = found.response.headers.get("Location")
            found.close()
            if not target:
                raise FetchError(f"{url} redirects to nowhere.")
            url = urljoin(url, target)
        raise FetchError(f"{url} redirects more than {REDIRECTS} times.")

    def size(self, url: str) -> int | None:
        """Bytes of what the URL names, as the server announces them. Raises BadRequest, FetchError."""
        found = self.open(url, method="HEAD")
        found.close()
        return found.size

    def _ask(self, parts: SplitResult, url: str, method: str, start: int) -> Found:
        host, port = parts.hostname or "", parts.port or SCHEMES[parts.scheme]
        address = self._address(host, port, url)
        connection = _Pinned(host, port, str(address), parts.scheme == "https")
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        headers = {"User-Agent": "pilvi", "Accept": "*/*", "Accept-Encoding": "identity"}
        if start:
            headers["Range"] = f"bytes={start}-"
        try:
            connection.request(method, path, headers=headers)
            response = connection.getresponse()
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise FetchError(f"{url} cannot be read: {error or type(error).__name__}.") from None
        return Found(response, connection, response.length if method == "GET" else _length(response))

    def _address(self, host: str, port: int, url: str) -> Address:
        """Where to connect to: every address of the host must pass, so that none can be slipped in."""
        try:
            found = [ipaddress.ip_address(entry[4][0].partition("%")[0])
                     for entry in self._resolve(host, port, type=socket.SOCK_STREAM)]
        except (OSError, UnicodeError) as error:
            raise FetchError(f"{url} cannot be read: the name {host} is not known ({error}).") from None
        for address in found:
            if not self._passes(host, address):
                raise BadRequest(f"The URI {url!r} does not pass filtering: {host} is not a public address.")
        if not found:
            raise FetchError(f"{url} cannot be read: {host} has no address.")
        return found[0]

    def _check_port(self, parts: SplitResult, refused: str) -> None:
        named = self._named(parts.hostname or "")
        if parts.port not in (None, *SCHEMES.values()) and not named:
            raise BadRequest(f"{refused}port {parts.port} is neither {' nor '.join(map(str, SCHEMES.values()))}.")

    def _named(self, host: str) -> bool:
        """Whether the administrator named this very host or address."""
        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            return any(fnmatch.fnmatchcase(host.lower(), pattern) for pattern in self._hosts)
        return any(address in network for network in self._networks)

    def _passes(self, host: str, address: Address) -> bool:
        return self._named(host) or any(address in network for network in self._networks) or _public(address)


def _public(address: Address) -> bool:
    """Whether it is reachable for everybody, also in the IPv4 address that an IPv6 one may carry."""
    if isinstance(address, ipaddress.IPv6Address):
        carried = address.ipv4_mapped or address.sixtofour or (address.teredo and address.teredo[1])
        if address in _EMBEDDING:
            carried = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if carried:
            return _public(carried)
    return address.is_global and not address.is_multicast and not address.is_reserved


def _length(response: http.client.HTTPResponse) -> int | None:
    text = response.headers.get("Content-Length", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None


def _checked(found: Found, url: str, start: int) -> Found:
    status = found.response.status
    if status == 200 and start:  # a server that does not know ranges
        skipped = 0
        while skipped < start and (part := found.read(min(start - skipped, 1 << 20))):
            skipped += len(part)
        return found
    if status != (206 if start else 200):
        found.close()
        raise FetchError(f"{url} cannot be read: the server answers {status} {found.response.reason}.")
    return found


class _Pinned(http.client.HTTPConnection):
    """Connects to an address that was found and checked before, and calls it by its name."""

    def __init__(self, host: str, port: int, address: str, tls: bool):
        super().__init__(host, port, timeout=SECONDS)
        self.default_port = SCHEMES["https" if tls else "http"]
        self._address, self._tls = address, tls

    def connect(self) -> None:
        self.sock = socket.create_connection((self._address, self.port), self.timeout)
        if self._tls:
            self.sock = ssl.create_default_context().wrap_socket(self.sock, server_hostname=self.host)
