"""The places that keep images' data: folders, and web servers that images are only read from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pilvi.faults import BadRequest, ConfigurationError, Conflict
from pilvi.image.files import Files
from pilvi.settings import ImageSettings

DEFAULT = "local"
WEB = "web"


class Store(NamedTuple):
    name: str
    description: str
    weight: int
    files: Files | None  # None: the web


class Stores:
    """`root` is the folder of the default store; the settings may name others."""

    def __init__(self, root: Path, settings: ImageSettings):
        self._all = {DEFAULT: Store(DEFAULT, "The state folder", 0, Files(root))}
        for each in settings.stores:
            if each.name in (*self._all, WEB) or not each.name.replace("-", "").replace("_", "").isalnum():
                raise ConfigurationError(f"[[image.stores]]: {each.name!r} is taken, or no name of letters and digits.")
            self._all[each.name] = Store(each.name, each.description, each.weight, Files(Path(each.path).absolute()))
        if settings.http_store:
            self._all[WEB] = Store(WEB, "Images that stay on web servers", 0, None)

    def __contains__(self, name: str) -> bool:
        return name in self._all

    @property
    def web(self) -> bool:
        """Whether data may stay on web servers."""
        return WEB in self._all

    def files(self, name: str) -> Files | None:
        """None for the web, and for a store that is configured no more."""
        found = self._all.get(name)
        return found and found.files

    def folders(self) -> dict[str, Files]:
        """All stores that data can be written to."""
        return {each.name: each.files for each in self._all.values() if each.files is not None}

    def sorted(self, names: Iterable[str]) -> list[str]:
        """The heaviest first."""
        return sorted(set(names), key=lambda name: (-self._all[name].weight if name in self._all else 0, name))

    def described(self, detail: bool = False) -> list[dict[str, Any]]:
        return [_described(each, detail) for each in self._all.values()]

    def upload_target(self, name: str | None) -> str:
        """Raises BadRequest for a store that there is not, or that is only read."""
        name = name or DEFAULT
        if self.files(name) is None:
            raise BadRequest(f"The selected store {name} is not available: {self._choice()}.")
        return name

    def import_targets(self, names: Sequence[str] | None, every: bool) -> list[str]:
        """Where an import goes to. Raises BadRequest for contradicting wishes, Conflict for an unknown store."""
        if names and every:
            raise BadRequest("All_stores parameter can't be used with x-image-meta-store header or stores parameter.")
        if every:
            return list(self.folders())
        if names is not None and not names:
            raise BadRequest("The list of stores is empty: name one, or leave it out.")
        for name in names or ():
            if name not in self.folders():
                raise Conflict(f"The selected store {name} is not available: {self._choice()}.")
        return list(dict.fromkeys(names)) if names else [DEFAULT]

    def remove(self, file: str, names: Iterable[str] | None = None) -> None:
        """Deletes the file of this name in these stores, or in all."""
        for name, files in self.folders().items():
            if names is None or name in names:
                files.remove(file)

    def _choice(self) -> str:
        return f"data can be written to {', '.join(self.folders())}"


def _described(store: Store, detail: bool) -> dict[str, Any]:
    shown: dict[str, Any] = {"id": store.name, "description": store.description}
    if store.name == DEFAULT:
        shown["default"] = "true"
    if store.files is None:
        shown["read-only"] = "true"
    if detail:
        shown["type"] = "http" if store.files is None else "file"
        shown["weight"] = store.weight
        shown["properties"] = {} if store.files is None else {"data_dir": str(store.files.root), "chunk_size": 1 << 20}
    elif store.weight:
        shown["weight"] = store.weight
    return shown
