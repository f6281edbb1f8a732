"""Compute: servers, flavors, key pairs, quotas, hosts. The only module of Compute that other domains import."""

from __future__ import annotations

from pilvi.compute.base import Base


class Compute(Base):
    """The verbs of all nouns, each in a module of its own."""
