"""Shares of servers (2.97). There is no shared file system service here whose shares could be attached."""

from __future__ import annotations

from typing import Annotated

from msgspec import UNSET, Meta, UnsetType

from pilvi.compute import wire
from pilvi.faults import NotFound
from pilvi.http.request import Request, Response


class ShareNew(wire.Body):
    share_id: wire.Uuid
    tag: Annotated[str, Meta(min_length=1, max_length=255, pattern=r"^[a-zA-Z0-9-]*\Z")] | UnsetType = UNSET


class AttachShare(wire.Body):
    share: ShareNew


def shares(request: Request) -> Response:
    request.cloud.compute.server(request.context, request.params["server_id"])
    return Response(200, {"shares": []})


def attach_share(request: Request) -> Response:
    """Raises NotFound for any share."""
    wanted = request.decode(AttachShare).share
    request.cloud.compute.server(request.context, request.params["server_id"])
    raise NotFound(f"Share {wanted.share_id} could not be found: this cloud has no shared file systems.")


def share(request: Request) -> Response:
    """Raises NotFound for any share."""
    server_id, share_id = request.params["server_id"], request.params["share_id"]
    request.cloud.compute.server(request.context, server_id)
    raise NotFound(f"Share {share_id} is not attached to instance {server_id}.")
