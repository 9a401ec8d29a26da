"""Peers that cannot be had on this machine: reported with the reason, never guessed."""

from __future__ import annotations


class AbsentError(Exception):
    """A peer cannot be measured here; the text says why, for people."""
