"""`scripts/openapi DIR`: the answers to generated requests, held against OpenAPI descriptions of OpenStack's APIs.

Every operation that is both described and served is called with bodies and parameters that fit its description, with ids of
things that exist and of things that do not. No answer is a 500; a success has a status that is documented, and the shape.
"""

from __future__ import annotations

import argparse
import http.client
import json
import re
import sys
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jsonschema_rs
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from pilvi.compute import routes as compute
from pilvi.http.routing import Api
from pilvi.identity import routes as identity
from pilvi.image import routes as image
from pilvi.network import routes as network
from pilvi.volume import routes as volume
from tests.conformance import clouds
from tests.conformance.descriptions import Described, Description, parts
from tests.conformance.world import FIELDS, PARAMETERS, SPOILED, World

APIS: dict[str, Api] = {"identity": identity.API, "image": image.API, "compute": compute.API, "network": network.API,
                        "block-storage": volume.API}
schemathesis.serializer.alias(["application/openstack-images-v2.1-json-patch"], "application/json")
# Block Storage's second addresses of its operations, which name the project.
OLDER = re.compile(r"/v3/{(admin_)?project_id}/")
# Faults that every OpenStack API documents for all of its operations, in its guide if not at each of them.
FAULTS = {400, 401, 403, 404, 405, 406, 409, 410, 411, 413, 415, 416, 501, 503}


# Where the descriptions are wrong, by what is found; the reason stands beside it.
WRONG = {
    r"null is not of type": "they leave out that a field without a value is null",
    r"GET / a success": "versions are answered with 300 Multiple Choices, as the API references say",
    r"GET /v3/(auth|OS-FEDERATION)/\w+ .*links: .* is not of type .array": "links are objects in every answer of Identity",
    r"PATCH /v3/domains/.* Additional properties": "Identity keeps attributes that it does not know, and shows them",
    r"GET /v2/info/stores.*default: .true. is not of type .boolean": "a word, as in the API reference's example",
    r"GET /v2/info/usage .* is not of type .array": "an object, as in the API reference's example",
    r"GET /v2.1/images.*links/[01]: .type. is a required": "only the third link, to Image itself, has a type",
    r"GET /v2.0/service-providers.*default: true is not of type .string": "a boolean, as Neutron answers",
    r"/v3/attachments.*.name. is a required property": "attachments have no names, and none in the API reference's example",
    r"(POST|PUT) /v3/backups.*.size. is a required": "an id, a name and links, as in the API reference's examples",
    r"POST /v3/types .*extra_specs: Additional properties": "a key may have spaces, as in the description of the request",
    r"POST /v3/group_snapshots.*.status. is a required": "an id, a name and a type, as in the API reference's example",
    r"network-ip-availabilities .*subnet_ip_availability": "it is a list of objects, as in the API reference's example",
}


class Problem(NamedTuple):
    label: str
    what: str
    request: str
    answer: str


def served(api: Api, described: Described) -> bool:
    wanted = re.sub(r"{[^}]*}", "{}", described.path).rstrip("/")
    return any(route.method == described.method and re.sub(r"{[^}]*}", "{}", route.path).rstrip("/") == wanted
               for route in api.routes)


def check(name: str, file: Path, target: clouds.Target, *, examples: int, only: str = "", every: int = 1) -> list[Problem]:
    """Problems found in the API of this name; `every`: only each so-many-th operation."""
    api, description = APIS[name], Description(file)
    chosen = [each for each in description.operations()
              if served(api, each) and re.search(only, each.label) and not OLDER.match(each.path)]
    chosen.sort(key=lambda each: each.method == "DELETE")
    caller = Caller(api, description, target)
    # A path of its own for every variant: an OpenAPI document has one operation for a method and path.
    paths = {f"{each.path}#{number}": {each.method.lower(): each.operation} for number, each in enumerate(chosen)}
    schema = schemathesis.openapi.from_dict({**description.document, "paths": paths})
    operations = {result.ok().path: result.ok() for result in schema.get_all_operations()}
    for number, each in list(enumerate(chosen))[::every]:
        caller.call_often(each, operations[f"{each.path}#{number}"], examples)
    return caller.problems


class Caller:
    def __init__(self, api: Api, description: Description, target: clouds.Target):
        self.api, self.description, self.problems = api, description, list[Problem]()
        self.client = target.client()
        self.world = World(self.client)
        host, _, port = target.listen.rpartition(":")
        self.connection = http.client.HTTPConnection(host, int(port), timeout=60)

    def call_often(self, described: Described, operation: Any, examples: int) -> None:
        @settings(max_examples=examples, deadline=None, database=None, derandomize=True, phases=[Phase.generate],
                  suppress_health_check=list(HealthCheck))
        @given(operation.as_strategy(), st.randoms(use_true_random=False))
        def example(case: Any, random: Any) -> None:
            self.call(described, case, random)

        example()
        for kind in (*self._kinds(described.path), *SPOILED):
            self.world.forget(kind)

    def call(self, described: Described, case: Any, random: Any) -> None:
        path = self._path(described.path, case.path_parameters or {}, random)
        if case.query:
            path += "?" + urllib.parse.urlencode({key: _text(value) for key, value in case.query.items()}, errors="replace")
        body = None if isinstance(case.body, type(schemathesis.core.NOT_SET)) else self._known(case.body, random)
        version = self._version(described)
        headers = {"X-Auth-Token": self.client._token, "Content-Type": case.media_type or "application/json"}
        if version:
            headers["OpenStack-API-Version"] = f"{self.api.microversions.service} {version}"
        sent = None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        status, text = self.send(described.method, self.api.prefix + path, sent, headers)
        what = self._verdict(described, status, text, version)
        if what and not any(re.search(wrong, f"{described.label} {what}") for wrong in WRONG):
            self.problems.append(Problem(described.label, what, f"{described.method} {path} {version or ''} {sent!r}"[:700],
                                         f"{status} {text[:500]!r}"))

    def send(self, method: str, path: str, body: bytes | None, headers: dict[str, str]) -> tuple[int, bytes]:
        try:
            self.connection.request(method, path, body, headers)
            response = self.connection.getresponse()
            return response.status, response.read()
        except (http.client.HTTPException, ConnectionError) as error:
            self.connection.close()
            return 599, repr(error).encode()

    def _path(self, path: str, generated: dict[str, Any], random: Any) -> str:
        for segment, parameter in _parameters(path):
            kind = self._kind(segment, parameter)
            value = self.world[kind] if kind and random.random() < 0.8 else str(generated.get(parameter, "x"))
            path = path.replace(f"{{{parameter}}}", urllib.parse.quote(urllib.parse.unquote(value), safe="") or "x", 1)
        return path

    def _kinds(self, path: str) -> list[str]:
        return [kind for segment, parameter in _parameters(path) if (kind := self._kind(segment, parameter))]

    def _kind(self, segment: str, parameter: str) -> str | None:
        kind = segment if parameter == "id" else PARAMETERS.get(parameter, segment)
        return self._own(kind) if self._own(kind) in self.world else None

    def _own(self, kind: str) -> str:
        """Block Storage's groups are not Identity's."""
        return own if (own := f"{self.api.name}/{kind}") in self.world else kind

    def _known(self, body: Any, random: Any) -> Any:
        """The body with ids of things that exist in most places where an id stands."""
        if isinstance(body, dict):
            return {key: self.world[self._own(FIELDS[key])]
                    if key in FIELDS and isinstance(value, str) and random.random() < 0.8
                    else self._known(value, random) for key, value in body.items()}
        if isinstance(body, list):
            return [self._known(each, random) for each in body]
        return body

    def _version(self, described: Described) -> str | None:
        if self.api.microversions is None:
            return None
        lowest, highest = self.api.microversions.lowest, self.api.microversions.highest
        wanted = parts(described.until) if described.until else highest
        return "{}.{}".format(*max(lowest, min(highest, wanted)))

    def _verdict(self, described: Described, status: int, text: bytes, version: str | None) -> str | None:
        if status in FAULTS:
            return None
        if status >= 400:
            return "a fault that is not documented"
        if status not in documented(described):
            return "a success that is not documented"
        action = described.operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get(
            "schema", {}).get("x-openstack", {}).get("action-name")
        schemas = self.description.answer(described.operation, version, action) if text.startswith(b"{") else []
        errors = [error for schema in schemas for error in [self._error(schema, json.loads(text))] if error]
        return f"not the shape: {errors[0]}" if schemas and len(errors) == len(schemas) else None

    def _error(self, schema: dict[str, Any], answer: Any) -> str | None:
        rooted = {**schema, "components": self.description.document.get("components", {})}
        try:
            jsonschema_rs.validate(rooted, answer)
        except jsonschema_rs.ValidationError as error:
            return f"{'/'.join(map(str, error.instance_path))}: {error.message[-200:]}"
        return None


def documented(described: Described) -> set[int]:
    """Statuses of success. The texts are right; the lists are a program's, which guesses where it knows no text."""
    operation = described.operation
    body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
    texts = (operation.get("description", ""), body.get("description", ""))
    said = {int(code) for text in texts for found in NORMAL.findall(text) for code in re.findall(r"\d{3}", found)}
    codes = {int(code) for code in operation["responses"] if code < "400"}
    return codes | said if described.method == "GET" else codes | (said or {200, 201, 202, 204})


NORMAL = re.compile(r"[Nn]ormal(?: HTTP)? response codes?:?\s*([\d, ]+)")


def _parameters(path: str) -> Iterator[tuple[str, str]]:
    """Each parameter of a path, after the segment before it."""
    segments = path.strip("/").split("/")
    for before, segment in zip(["", *segments], segments, strict=False):
        if segment.startswith("{"):
            yield before, segment.strip("{}")


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/openapi", description="Holds the APIs against their descriptions.")
    parser.add_argument("folder", type=Path, metavar="DIR", help="OpenAPI descriptions: compute_v2.104.yaml and so on")
    parser.add_argument("apis", nargs="*", help=f"of {', '.join(APIS)} (default: all)")
    parser.add_argument("--examples", type=int, default=20, help="requests for each operation (default: 20)")
    parser.add_argument("--only", default="", metavar="REGEX", help="operations whose method and path this fits")
    options = parser.parse_args()
    failed = 0
    for name in options.apis or APIS:
        with clouds.simulated() as target:
            problems = check(name, newest(options.folder, name), target, examples=options.examples, only=options.only)
        seen = set()
        for problem in problems:
            if (problem.label, problem.what) not in seen:
                seen.add((problem.label, problem.what))
                print(f"{problem.label}\n  {problem.what}\n  {problem.request}\n  {problem.answer}\n")
        print(f"{name}: {len(seen)} problems")
        failed += len(seen)
    return 1 if failed else 0


def newest(folder: Path, name: str) -> Path:
    """The description of the API's highest version. Raises FileNotFoundError."""
    found = sorted(folder.glob(f"{name}_v*.yaml"), key=lambda path: [int(part) for part in re.findall(r"\d+", path.stem)])
    if not found:
        raise FileNotFoundError(f"{folder} has no description {name}_v*.yaml")
    return found[-1]


if __name__ == "__main__":
    sys.exit(main())
