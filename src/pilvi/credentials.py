"""The first users' passwords and the demo's ssh key, and the files by which clients find the cloud."""

from __future__ import annotations

import json
import os
from pathlib import Path

from pilvi.engine.clock import Ids
from pilvi.settings import Place, Settings

USERS = ("admin", "pilvi", "oscloud")


def write_private(path: Path, text: str) -> None:
    """The whole file or none of it, readable by its owner only."""
    partial = path.with_name(path.name + ".part")
    with open(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
    partial.replace(path)


def passwords(place: Place, ids: Ids) -> dict[str, str]:
    """Password by user, made up at the first call."""
    path = place / "credentials.json"
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        made = {user: ids.secret(20) for user in USERS}
        write_private(path, json.dumps(made, indent=1) + "\n")
        return made


def write_client_files(place: Place, settings: Settings, secrets: dict[str, str]) -> None:
    """`clouds.yaml` with the clouds `pilvi` and `pilvi-admin`, and `openrc` for `pilvi`."""
    url = f"http://{settings.listen}/identity/v3"
    clouds = "".join(
        f"  {cloud}:\n    auth:\n      auth_url: {url}\n      username: {user}\n      password: {secrets[user]}\n"
        f"      project_name: {user}\n      user_domain_name: Default\n      project_domain_name: Default\n"
        f"    region_name: {settings.region}\n    interface: public\n    identity_api_version: 3\n"
        for cloud, user in (("pilvi", "pilvi"), ("pilvi-admin", "admin"))
    )
    write_private(place / "clouds.yaml", "clouds:\n" + clouds)
    variables = {
        "OS_AUTH_URL": url, "OS_USERNAME": "pilvi", "OS_PASSWORD": secrets["pilvi"], "OS_PROJECT_NAME": "pilvi",
        "OS_USER_DOMAIN_NAME": "Default", "OS_PROJECT_DOMAIN_NAME": "Default", "OS_REGION_NAME": settings.region,
        "OS_IDENTITY_API_VERSION": "3",
    }
    write_private(place / "openrc", "".join(f"export {name}={value}\n" for name, value in variables.items()))


def ssh_key(place: Place) -> tuple[Path, str]:
    """The private key's path and the public key's text, made at the first call."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    path = place / "id_ed25519"
    if not path.exists():
        key = Ed25519PrivateKey.generate()
        private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH,
                                    serialization.NoEncryption())
        public = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
        (place / "id_ed25519.pub").write_text(public.decode() + " pilvi\n")
        write_private(path, private.decode())
    return path, (place / "id_ed25519.pub").read_text().strip()
