"""A small client of the cloud's own API, for Pilvi's commands."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any

import click

from pilvi.settings import Place


class ApiFault(click.ClickException):
    def __init__(self, status: int, message: str):
        super().__init__(message)
        self.status = status


# Never through a proxy: the cloud is on this machine.
_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Client:
    """One user's session. Raises ApiFault for an answer that is a fault, ClickException when there is none."""

    versions = "compute 2.96"  # the microversions it asks for

    def __init__(self, place: Place, user: str = "pilvi"):
        self.base = f"http://{place.load().listen}"
        self._token = ""
        try:
            password = json.loads((place / "credentials.json").read_text())[user]
        except FileNotFoundError:
            raise click.ClickException(f"There is no cloud in {place.root}: bring one up with `pilvi up`.") from None
        answer, headers = self._call("POST", "/identity/v3/auth/tokens", {"auth": {
            "identity": {"methods": ["password"],
                         "password": {"user": {"name": user, "domain": {"id": "default"}, "password": password}}},
            "scope": {"project": {"name": user, "domain": {"id": "default"}}}}})
        self._token = headers["X-Subject-Token"]
        self.project_id: str = answer["token"]["project"]["id"]

    def _call(self, method: str, path: str, body: Any = None, kind: str = "application/json",
              length: int | None = None) -> tuple[Any, Any]:
        headers = {"Content-Type": kind, "OpenStack-API-Version": self.versions}
        if self._token:
            headers["X-Auth-Token"] = self._token
        if length is not None:
            headers["Content-Length"] = str(length)
        data = body if length is not None or body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.base + path, data, headers, method=method)
        try:
            with _opener.open(request, timeout=120) as response:
                text = response.read()
                return (json.loads(text) if text.strip().startswith(b"{") else text), response.headers
        except urllib.error.HTTPError as error:
            text = error.read().decode(errors="replace")
            raise ApiFault(error.code, f"{method} {path}: {error.code} {_message(text)}") from None
        except OSError as error:
            raise click.ClickException(f"The API at {self.base} does not answer ({error}); `pilvi status` tells more."
                                       ) from None

    def get(self, path: str) -> Any:
        return self._call("GET", path)[0]

    def post(self, path: str, body: Any) -> Any:
        return self._call("POST", path, body)[0]

    def delete(self, path: str) -> None:
        self._call("DELETE", path)

    def put(self, path: str, body: Any) -> Any:
        return self._call("PUT", path, body)[0]

    def upload(self, path: str, file: Any, length: int) -> None:
        self._call("PUT", path, file, "application/octet-stream", length)

    def find(self, path: str, key: str, name: str) -> dict[str, Any] | None:
        """The thing of this name in a listing."""
        return next((item for item in self.get(path)[key] if item["name"] == name), None)

    def ensure(self, path: str, key: str, name: str, make: Callable[[], Any]) -> tuple[dict[str, Any], bool]:
        """The thing of this name, and whether `make()` had to make it."""
        found = self.find(path, key, name)
        return (found, False) if found else (make(), True)


def _message(text: str) -> str:
    try:
        (fault,) = json.loads(text).values()
        return fault["message"]
    except (ValueError, KeyError, TypeError):
        return text[:300]
