"""Pilvi: an infrastructure cloud in one process that speaks the OpenStack APIs."""

__version__ = "0.1.0"
