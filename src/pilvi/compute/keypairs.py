"""Key pairs: a user's public keys, which servers are given at boot."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import sqlalchemy as sa
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from pilvi import quota
from pilvi.compute import store_catalog as store
from pilvi.compute.base import Base
from pilvi.faults import BadRequest, Conflict, NotFound, OverLimit
from pilvi.policy import Context

RSA_BITS = 2048
UPN = x509.ObjectIdentifier("1.3.6.1.4.1.311.20.2.3")  # user principal name


class Keypairs(Base):
    def create_keypair(self, context: Context, name: str, public_key: str, *, type: str = "ssh",
                       user_id: str | None = None) -> sa.Row:
        """Keeps a public key in OpenSSH's format, or (type x509) a certificate in PEM.

        Raises BadRequest for one that is neither, Conflict for a name that the user has already, OverLimit."""
        owner = user_id or context.user_id
        fingerprint = fingerprint_of(public_key) if type == "ssh" else certificate_fingerprint(public_key)
        with self.db.transaction() as tx:
            tx.lock("quota", "user", owner)
            if store.keypair(tx, owner, name):
                raise Conflict(f"Key pair '{name}' already exists.")
            project_id = context.project_id or ""
            limits = quota.limits(tx, "compute", project_id) | quota.user_limits(tx, "compute", project_id, owner)
            limit = limits["key_pairs"]
            if limit != quota.UNLIMITED and store.count_keypairs(tx, owner) >= limit:
                raise OverLimit("Quota exceeded, too many key pairs.")
            store.insert_keypair(tx, user_id=owner, name=name, type=type, public_key=public_key.strip(),
                                 fingerprint=fingerprint)
            return store.keypair(tx, owner, name)

    def keypair(self, context: Context, name: str, user_id: str | None = None) -> sa.Row:
        owner = user_id or context.user_id
        with self.db.read() as tx:
            row = store.keypair(tx, owner, name)
        if row is None:
            raise NotFound(f"Keypair {name} not found for user {owner}")
        return row

    def keypairs(self, context: Context, *, user_id: str | None = None, marker: str | None = None,
                 limit: int | None = None) -> Sequence[sa.Row]:
        """By name. Raises BadRequest for a marker that the user has no key pair of."""
        owner = user_id or context.user_id
        with self.db.read() as tx:
            if marker is not None and store.keypair(tx, owner, marker) is None:
                raise BadRequest(f"marker [{marker}] not found")
            return store.select_keypairs(tx, owner, after=marker, limit=limit)

    def delete_keypair(self, context: Context, name: str, user_id: str | None = None) -> None:
        owner = user_id or context.user_id
        with self.db.transaction() as tx:
            if not store.delete_keypair(tx, owner, name):
                raise NotFound(f"Keypair {name} not found for user {owner}")


def fingerprint_of(public_key: str) -> str:
    """MD5 of the key in colon form. Raises BadRequest where it is no OpenSSH public key that can be used."""
    words = public_key.strip().split(None, 2)
    if len(words) < 2 or "\n" in public_key.strip():
        raise BadRequest("Keypair data is invalid: failed to generate fingerprint")
    try:
        serialization.load_ssh_public_key(" ".join(words[:2]).encode())
        blob = base64.b64decode(words[1], validate=True)
    except (ValueError, UnsupportedAlgorithm, binascii.Error) as error:
        raise BadRequest(f"Keypair data is invalid: failed to generate fingerprint: {error}") from None
    digest = hashlib.md5(blob, usedforsecurity=False).hexdigest()
    return ":".join(digest[at:at + 2] for at in range(0, 32, 2))


def certificate_fingerprint(certificate: str) -> str:
    """SHA-1 of an X.509 certificate in colon form. Raises BadRequest where it is none in PEM."""
    try:
        digest = x509.load_pem_x509_certificate(certificate.encode()).fingerprint(hashes.SHA1()).hex()
    except ValueError as error:
        raise BadRequest(f"Keypair data is invalid: failed to generate X509 fingerprint: {error}") from None
    return ":".join(digest[at:at + 2] for at in range(0, 40, 2))


def generate_certificate(user_id: str, now: int, serial: int) -> tuple[str, str]:
    """A new RSA key with a certificate of its own for logging in (WinRM's client authentication), both in PEM.

    `now` in microseconds; it is good for ten years. The key is not kept."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=RSA_BITS)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, user_id[:64])])
    principal = x509.OtherName(UPN, b"\x0c" + bytes([len(user_id[:64]) + 10]) + f"{user_id[:64]}@localhost".encode())
    begin = datetime.fromtimestamp(now // 1_000_000, UTC)
    certificate = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(serial).not_valid_before(begin).not_valid_after(begin + timedelta(days=3650))
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName([principal]), critical=False)
        .sign(key, hashes.SHA256()))
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL,
                                serialization.NoEncryption())
    return private.decode(), certificate.public_bytes(serialization.Encoding.PEM).decode()


def generate(comment: str) -> tuple[str, str]:
    """A new RSA key: (private in PEM, public in OpenSSH's format). It is not kept; takes about 0.1 s."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=RSA_BITS)
    private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL,
                                serialization.NoEncryption())
    public = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    return private.decode(), f"{public.decode()} {comment}"
