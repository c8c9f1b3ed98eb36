"""Cases at hard points of the rules: what only a changed sign, limit or axis of a rule would break."""

from __future__ import annotations

from .case import OpCase

CASES: list[OpCase] = []
