"""Configuration of domains: the options that Keystone keeps for a domain's directory.

They are kept and given back. The directory of every domain is Pilvi's own, so that none of them changes where
users come from; what Keystone lets one set is what can be set here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from pilvi.db import Tx
from pilvi.faults import BadRequest, Forbidden, NotFound
from pilvi.identity import store
from pilvi.identity.directory import Directory
from pilvi.identity.tables import projects
from pilvi.identity.tables_registry import domain_options

Config = Mapping[str, Mapping[str, Any]]
COMPLIANCE = (
    "security_compliance"  # no group of a domain's own: the rules for passwords, as everybody may read them
)
SECRET = frozenset({"password"})  # options that are written and never shown
DEFAULTS: Config = {
    "identity": {"driver": "sql", "list_limit": None},
    "ldap": {
        "url": "ldap://localhost", "user": None, "password": None, "suffix": "cn=example,cn=com",
        "query_scope": "one", "page_size": 0, "alias_dereferencing": "default", "chase_referrals": None,
        "use_tls": False, "tls_cacertfile": None, "tls_cacertdir": None, "tls_req_cert": "demand",
        "connection_timeout": -1, "use_pool": True, "pool_size": 10,
        "user_tree_dn": None, "user_filter": None, "user_objectclass": "inetOrgPerson", "user_id_attribute": "cn",
        "user_name_attribute": "sn", "user_description_attribute": "description", "user_mail_attribute": "mail",
        "user_pass_attribute": "userPassword", "user_enabled_attribute": "enabled", "user_enabled_invert": False,
        "user_enabled_mask": 0, "user_enabled_default": "True", "user_attribute_ignore": "default_project_id",
        "user_default_project_id_attribute": None, "user_enabled_emulation": False,
        "user_enabled_emulation_dn": None, "user_additional_attribute_mapping": [],
        "group_tree_dn": None, "group_filter": None, "group_objectclass": "groupOfNames", "group_id_attribute": "cn",
        "group_name_attribute": "ou", "group_member_attribute": "member", "group_members_are_ids": False,
        "group_desc_attribute": "description", "group_attribute_ignore": "", "group_ad_nesting": False,
        "group_additional_attribute_mapping": [],
    },
}  # fmt: skip


class DomainConfig(Directory):
    def default_config(self, group: str | None = None, option: str | None = None) -> dict[str, Any]:
        """Raises Forbidden for a group or option that there is none of."""
        _known(group, option)
        return _part({name: _shown(options) for name, options in DEFAULTS.items()}, group, option)

    def domain_config(
        self, domain_id: str, group: str | None = None, option: str | None = None
    ) -> dict[str, Any]:
        """All of it, {group: ...} or {option: value}. Raises NotFound where nothing is set, Forbidden."""
        with self._db.read() as tx:
            self._get(tx, projects, domain_id, "domain", is_domain=True)
            if group == COMPLIANCE:
                return self._compliance(option)
            _known(group, option)
            whole = {
                name: _shown(options) for name, options in self._options(tx, domain_id, group, option).items()
            }
        return _part(whole, group, option)

    def _compliance(self, option: str | None) -> dict[str, Any]:
        rules = self._settings.identity
        known = {
            "password_regex": rules.password_regex or None,
            "password_regex_description": rules.password_regex_description or None,
        }
        if option is not None and option not in known:
            raise Forbidden(f"Reading {option} of {COMPLIANCE} is not supported.")
        return {COMPLIANCE: known} if option is None else {option: known[option]}

    def set_domain_config(self, domain_id: str, config: Config) -> tuple[bool, dict[str, Any]]:
        """Instead of what was set before. Was there nothing before? and all of it."""
        _acceptable(config)
        with self._change() as tx:
            self._get(tx, projects, domain_id, "domain", is_domain=True)
            gone = tx.execute(domain_options.delete().where(domain_options.c.domain_id == domain_id))
            self._keep_options(tx, domain_id, config)
            return not gone.rowcount, {name: _shown(options) for name, options in config.items()}

    def update_domain_config(
        self, domain_id: str, config: Config, group: str | None = None, option: str | None = None
    ) -> dict[str, Any]:
        """All of it afterwards. Raises NotFound where what is to be changed is not set."""
        _acceptable(config)
        if group is not None and list(config) != [group]:
            raise BadRequest(
                f"Invalid input for field/attribute config. It has to have the group {group}, and no other."
            )
        if option is not None and list(config[group]) != [option]:
            raise BadRequest(
                f"Invalid input for field/attribute config. It has to have the option {option}, and no other."
            )
        with self._change() as tx:
            self._get(tx, projects, domain_id, "domain", is_domain=True)
            self._options(tx, domain_id, group, option)
            self._keep_options(tx, domain_id, config)
            return {name: _shown(options) for name, options in self._options(tx, domain_id).items()}

    def delete_domain_config(
        self, domain_id: str, group: str | None = None, option: str | None = None
    ) -> None:
        _known(group, option)
        with self._change() as tx:
            self._get(tx, projects, domain_id, "domain", is_domain=True)
            self._options(tx, domain_id, group, option)
            tx.execute(domain_options.delete().where(*_at(domain_id, group, option)))

    def _options(
        self, tx: Tx, domain_id: str, group: str | None = None, option: str | None = None
    ) -> dict[str, Any]:
        """Raises NotFound where there are none."""
        found: dict[str, Any] = {}
        for row in tx.all(sa.select(domain_options).where(*_at(domain_id, group, option))):
            found.setdefault(row.group, {})[row.option] = row.value
        if not found:
            what = (
                f"option {option} in group {group}"
                if option
                else f"group {group}"
                if group
                else "configuration"
            )
            raise NotFound(f"Could not find {what} of domain {domain_id}: it is not set.")
        return found

    def _keep_options(self, tx: Tx, domain_id: str, config: Config) -> None:
        for group, options in config.items():
            for option, value in options.items():
                tx.execute(domain_options.delete().where(*_at(domain_id, group, option)))
                store.ensure(tx, domain_options, domain_id=domain_id, group=group, option=option, value=value)


def _at(domain_id: str, group: str | None, option: str | None) -> list[sa.ColumnElement]:
    wanted = {"domain_id": domain_id, "group": group, "option": option}
    return [domain_options.c[name] == value for name, value in wanted.items() if value is not None]


def _shown(options: Mapping[str, Any]) -> dict[str, Any]:
    return {option: value for option, value in options.items() if option not in SECRET}


def _part(whole: Config, group: str | None, option: str | None) -> dict[str, Any]:
    if group is None:
        return dict(whole)
    if option is None:
        return {group: whole[group]}
    if option not in whole[group]:
        raise Forbidden(f"The option {option} in group {group} can be set and not be read.")
    return {option: whole[group][option]}


def _known(group: str | None, option: str | None) -> None:
    """Raises Forbidden for what a domain cannot configure."""
    if group is not None and group not in DEFAULTS:
        raise Forbidden(f"Invalid domain specific configuration: group {group} is not supported.")
    if option is not None and option not in DEFAULTS[group or ""]:
        raise Forbidden(
            f"Invalid domain specific configuration: option {option} in group {group} is not supported."
        )


def _acceptable(config: Config) -> None:
    if not config or not all(config.values()):
        raise BadRequest(
            "Invalid input for field/attribute config. It has to have a group, with an option in it."
        )
    for group, options in config.items():
        for option in options:
            _known(group, option)
