"""A config drive: OpenStack's metadata as files in an ISO 9660 image, for guests that use no service."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import PurePosixPath

LABEL = "config-2"  # what cloud-init and its like look for


def build(files: Mapping[str, bytes]) -> bytes:
    """The image with these files: paths from its root ("openstack/latest/meta_data.json") and their content.

    Names are kept by Rock Ridge and Joliet; the plain ISO 9660 names are numbers."""
    import pycdlib

    iso = pycdlib.PyCdlib()
    iso.new(interchange_level=3, joliet=3, rock_ridge="1.09", vol_ident=LABEL)
    plain = {PurePosixPath("."): ""}  # folder: its ISO 9660 path
    for number, (name, content) in enumerate(files.items()):
        path = PurePosixPath(name)
        for folder in [*reversed(path.parents)][1:]:
            if folder not in plain:
                plain[folder] = f"{plain[folder.parent]}/D{len(plain)}"
                iso.add_directory(plain[folder], rr_name=folder.name, joliet_path=f"/{folder}")
        iso.add_fp(io.BytesIO(content), len(content), f"{plain[path.parent]}/F{number}.;1", rr_name=path.name,
                   joliet_path=f"/{path}")
    out = io.BytesIO()
    iso.write_fp(out)
    iso.close()
    return out.getvalue()
