"""Mutants that no check can find, because they compute the same: the reason for each."""

from __future__ import annotations

EQUIVALENT: dict[str, str] = {}
