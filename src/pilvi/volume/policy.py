"""Who may do what with volumes; whose volumes, the queries decide."""

from __future__ import annotations

from pilvi.policy import ADMIN, ANYONE, MEMBER, READER

RULES = {
    "volume:info": ANYONE,
    "volume:read": READER,
    "volume:write": MEMBER,
    "volume:admin": ADMIN,
}
