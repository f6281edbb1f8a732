"""Somebody's roles in a project that another person or a program may use: what three kinds of leave have alike."""

from __future__ import annotations

from typing import NamedTuple

import sqlalchemy as sa

from pilvi.access_rules import AccessRule
from pilvi.db import Tx
from pilvi.identity import store
from pilvi.identity import store_delegation as sql
from pilvi.identity.tables import application_credentials
from pilvi.identity.tables_delegation import access_tokens, trusts
from pilvi.identity.tokens import Token

APPLICATION_CREDENTIAL, TRUST, ACCESS_TOKEN = "application_credential", "trust", "access_token"


class Delegation(NamedTuple):
    kind: str  # APPLICATION_CREDENTIAL | TRUST | ACCESS_TOKEN
    row: sa.Row
    user_id: str  # whom the token is of
    giver_id: str  # whose roles they are
    others: tuple[str, ...]  # further users on whom it rests, apart from `user_id`
    project_id: str | None  # None: a trust without any role
    role_ids: frozenset[str]
    expires_at: int | None
    restricted: bool = False
    whole: bool = False  # ends with the first of these roles that the giver loses
    access_rules: tuple[AccessRule, ...] | None = None

    @property
    def id(self) -> str:
        return self.row.id


def of_token(tx: Tx, token: Token) -> Delegation | None:
    """What a token of a delegation rests on; None where that is gone."""
    if token.application_credential_id:
        row = store.get(tx, application_credentials, token.application_credential_id)
        return row and of_application_credential(tx, row)
    if token.trust_id:
        row = store.get(tx, trusts, token.trust_id)
        return row and of_trust(row)
    row = store.get(tx, access_tokens, token.access_token_id)
    return row and of_access_token(row)


def of_application_credential(tx: Tx, row: sa.Row) -> Delegation:
    rules = None
    if row.access_rule_ids is not None:
        known = sql.access_rules_by_id(tx, row.access_rule_ids)
        found = (known[key] for key in row.access_rule_ids if key in known)
        rules = tuple(AccessRule(each.id, each.service, each.method, each.path) for each in found)
    return Delegation(
        APPLICATION_CREDENTIAL,
        row,
        row.user_id,
        row.user_id,
        (),
        row.project_id,
        frozenset(row.role_ids),
        row.expires_at,
        restricted=not row.unrestricted,
        access_rules=rules,
    )


def of_trust(row: sa.Row) -> Delegation:
    user_id = row.trustor_id if row.impersonation else row.trustee_id
    return Delegation(
        TRUST,
        row,
        user_id,
        row.origin_id,
        tuple({row.trustor_id, row.trustee_id, row.origin_id} - {user_id}),
        row.project_id,
        frozenset(row.role_ids),
        row.expires_at,
        whole=True,
    )


def of_access_token(row: sa.Row) -> Delegation:
    return Delegation(
        ACCESS_TOKEN,
        row,
        row.user_id,
        row.user_id,
        (),
        row.project_id,
        frozenset(row.role_ids),
        row.expires_at,
    )
