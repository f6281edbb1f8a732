"""Where backups are kept: a folder, or a bucket of an S3 server, of which the folder is then the workplace.

A backup is one qcow2 file, "CONTAINER/ID" or in the default container "ID"; an incremental one names the file that it
is based on, so those that are based on each other are in the folder together while one of them is read or written.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

from pilvi.faults import ConfigurationError, Unavailable
from pilvi.settings import S3Settings

if TYPE_CHECKING:
    from minio import Minio

CONTAINER = "backups"  # unless one is named
SUFFIX = ".qcow2"
CONNECT_SECONDS, ANSWER_SECONDS = 5, 60
PART_BYTES = 64 << 20
T = TypeVar("T")


class VaultError(Unavailable):
    """What keeps the backups does not answer, or refuses; the message says which, what for and why."""


class Vault(Protocol):
    kind: str  # what Cinder's clients call such a place
    place: str  # as messages name it

    def path(self, name: str) -> Path:
        """Where the file is while it is held, or is to be written before `keep`."""

    def keep(self, name: str) -> None:
        """What was written stays, whatever becomes of this host's memory. Done before, it is fine. Raises VaultError."""

    def held(self, names: Sequence[str]) -> AbstractContextManager[None]:
        """A context in which these files are at their paths. Raises VaultError, also where one is gone."""

    def exists(self, name: str) -> bool: ...

    def names(self) -> set[str]: ...

    def remove(self, name: str) -> None:
        """One that is not there is fine. Raises VaultError."""


def vault(folder: Path, settings: S3Settings) -> Vault:
    """Raises ConfigurationError."""
    return Bucket(folder, settings) if settings.endpoint else Folder(folder)


class Folder:
    kind = "cinder.backup.drivers.posix.PosixBackupDriver"

    def __init__(self, root: Path):
        self.root, self.place = root, str(root)

    def path(self, name: str) -> Path:
        return self.root / f"{name}{SUFFIX}"

    def keep(self, name: str) -> None:
        pass  # the agent has written it whole

    @contextmanager
    def held(self, names: Sequence[str]) -> Iterator[None]:
        for name in names:
            if not self.path(name).exists():
                raise VaultError(f"the file of a backup is gone: {self.path(name)}")
        yield

    def exists(self, name: str) -> bool:
        return self.path(name).exists()

    def names(self) -> set[str]:
        return {str(file.relative_to(self.root))[: -len(SUFFIX)] for file in self.root.rglob(f"[!.]*{SUFFIX}")}

    def remove(self, name: str) -> None:
        self.path(name).unlink(missing_ok=True)


class Bucket:
    """What a killed process leaves in the folder is whole, and goes when it is used again or deleted."""

    kind = "cinder.backup.drivers.s3.S3BackupDriver"

    def __init__(self, folder: Path, settings: S3Settings):
        self._folder, self._settings = Folder(folder), settings
        self.place = f"{settings.endpoint}/{settings.bucket}"
        self._client = _client(settings)
        self._guard, self._users = threading.Lock(), Counter[str]()

    def path(self, name: str) -> Path:
        return self._folder.path(name)

    def keep(self, name: str) -> None:
        if (file := self.path(name)).exists():
            self._ask(f"write backup {name}", lambda: self._client.fput_object(
                self._settings.bucket, self._key(name), str(file), part_size=PART_BYTES))
            file.unlink()
        elif not self.exists(name):
            raise VaultError(f"backup {name} is neither at {self.path(name)} nor in {self.place}")

    @contextmanager
    def held(self, names: Sequence[str]) -> Iterator[None]:
        with self._guard:
            self._users.update(names)
        try:
            for name in names:
                if not self.path(name).exists():
                    self._fetch(name)
            yield
        finally:
            with self._guard:
                self._users.subtract(names)
                for name in names:
                    if self._users[name] <= 0:
                        del self._users[name]
                        self._folder.remove(name)

    def _fetch(self, name: str) -> None:
        file = self.path(name)
        file.parent.mkdir(parents=True, exist_ok=True)
        self._ask(f"read backup {name}",
                  lambda: self._client.fget_object(self._settings.bucket, self._key(name), str(file)))

    def exists(self, name: str) -> bool:
        from minio.error import S3Error

        try:
            self._ask(f"look for backup {name}", lambda: self._client.stat_object(self._settings.bucket, self._key(name)))
        except VaultError as error:
            if isinstance(error.__cause__, S3Error) and error.__cause__.code == "NoSuchKey":
                return False
            raise
        return True

    def names(self) -> set[str]:
        found = self._ask("list backups", lambda: [
            each.object_name for each in self._client.list_objects(self._settings.bucket, recursive=True)])
        return {key.removesuffix(SUFFIX) for key in found if key.endswith(SUFFIX)}

    def remove(self, name: str) -> None:
        self._folder.remove(name)
        self._ask(f"delete backup {name}", lambda: self._client.remove_object(self._settings.bucket, self._key(name)))

    def _key(self, name: str) -> str:
        return name + SUFFIX

    def _ask(self, what: str, call: Callable[[], T]) -> T:
        from minio.error import MinioException
        from urllib3.exceptions import HTTPError

        try:
            return call()
        except (MinioException, HTTPError, OSError) as error:
            raise VaultError(f"{self.place} cannot {what}: {error}") from error


def _client(settings: S3Settings) -> Minio:
    try:
        import urllib3
        from minio import Minio
        from minio.helpers import check_bucket_name
    except ImportError:
        raise ConfigurationError("[volume.backup_s3] wants the Python package minio: install pilvi[s3].") from None
    scheme, _, host = settings.endpoint.partition("://")
    if scheme not in ("http", "https") or not host or "/" in host:
        raise ConfigurationError(f"[volume.backup_s3] endpoint: {settings.endpoint!r} is not like http://host:port.")
    try:
        check_bucket_name(settings.bucket, strict=True)
    except ValueError as error:
        raise ConfigurationError(f"[volume.backup_s3] bucket: {error}.") from None
    pool = urllib3.PoolManager(timeout=urllib3.Timeout(connect=CONNECT_SECONDS, read=ANSWER_SECONDS),
                               retries=urllib3.Retry(total=1, backoff_factor=0.2))
    return Minio(host, settings.access_key, settings.secret_key, secure=scheme == "https", region=settings.region,
                 http_client=pool)
