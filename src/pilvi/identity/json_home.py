"""The JSON home document (draft-nottingham-json-home): every path of the API by a relation's name.

The names follow from the paths as Keystone's do: /projects/{project_id}/users/{user_id}/roles is
project_user_roles.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from pilvi.http.routing import Route

MEDIA_TYPE = "application/json-home"
_DOCS = "https://docs.openstack.org/api/openstack-identity/3"
_NAMES = {  # where Keystone says it in other words
    "user_password": "user_change_password",
    "role_implies": "implied_roles",
    "role_implied_role": "implied_role",
    "limits_model": "limit_model",
    "domain_config_group_option": "domain_config_option",
    "domains_config_default": "domain_config_default",
    "domains_config_group_default": "domain_config_default_group",
    "domains_config_group_option_default": "domain_config_default_option",
}
_IRREGULAR = {"policies": "policy", "implies": "implied_role"}


def wanted(accept: str) -> bool:
    """Is it asked for, rather than the document of versions?"""
    kinds = [part.split(";")[0].strip().lower() for part in accept.split(",")]
    return MEDIA_TYPE in kinds and "application/json" not in kinds


def document(routes: Iterable[Route], prefix: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for route in routes:
        if route.path.startswith("/v3/"):
            found.setdefault(_relation(route.path), _target(prefix + route.path))
    return {"resources": dict(sorted(found.items()))}


def _relation(path: str) -> str:
    extension = re.search(r"/(OS-[A-Z0-9-]+)(?=/|$)", path)
    place = f"{_DOCS}/ext/{extension[1]}/1.0/rel/" if extension else f"{_DOCS}/rel/"
    parts = [part for part in path.split("/")[2:] if not part.startswith("OS-")]
    words: list[str] = []
    for part in parts:
        if not part.startswith("{"):
            words.append(part)
        elif words[-1].endswith("s"):  # one of several
            words[-1] = _IRREGULAR.get(words[-1], words[-1].removesuffix("s"))
        else:
            words.append(part.strip("{}").removesuffix("_id"))
    name = "_".join(words)
    return place + _NAMES.get(name, name)


def _target(path: str) -> dict[str, Any]:
    names = re.findall(r"{(\w+)}", path)
    if not names:
        return {"href": path}
    return {"href-template": path, "href-vars": {name: f"{_DOCS}/param/{name}" for name in names}}
