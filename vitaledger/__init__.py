"""Vitaledger: what gateway, collector and auditors agree on. Formats and proofs; no I/O, no clock, no threads."""

__version__ = "0.1.0"
