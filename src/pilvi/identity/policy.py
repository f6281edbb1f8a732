"""Who may do what in Identity: administrators manage; everybody may see and change what is their own.

ANYONE stands where the service itself asks whether it is the caller's own.
"""

from __future__ import annotations

from pilvi.policy import ADMIN, ANYONE, Rule

RULES: dict[str, Rule] = {
    "identity:validate_token": ANYONE,
    "identity:revoke_token": ANYONE,
    "identity:get_auth_catalog": ANYONE,
    "identity:get_auth_projects": ANYONE,
    "identity:get_auth_domains": ANYONE,
    "identity:get_auth_system": ANYONE,
}
