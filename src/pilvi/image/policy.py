"""Who may do what with images; whose images, the queries decide."""

from __future__ import annotations

from pilvi.policy import ADMIN, ANYONE, MEMBER, READER, SERVICE

RULES = {
    "get_schema": ANYONE,
    "get_info": ANYONE,
    "get_images": READER,
    "get_image": READER,
    "add_image": MEMBER,
    "modify_image": MEMBER,
    "delete_image": MEMBER,
    "upload_image": MEMBER,
    "download_image": MEMBER,
    "deactivate": MEMBER,
    "reactivate": MEMBER,
    "get_members": READER,
    "add_member": MEMBER,
    "modify_member": MEMBER,
    "delete_member": MEMBER,
    "get_usage": READER,
    "stores_info_detail": ADMIN,
    "delete_image_location": ADMIN,
    "get_locations": SERVICE,
    "add_location": MEMBER,
    "get_tasks": ADMIN,
    "add_task": ADMIN,
    "cache": ADMIN,
    "get_metadefs": READER,
    "modify_metadefs": ADMIN,
    # Asked by the service, in addition to one of those above:
    "publicize_image": ADMIN,
    "set_owner": ADMIN,
    "download_deactivated_image": ADMIN,
    "copy_image": ADMIN,
}
