"""Threads that share a row: some lanes of a warp, a whole block, or one thread in each of a block's warps.

A block has ``rows`` teams of ``lanes`` threads, and takes as many rows at once. A thread's ``team`` and ``lane`` are
variables of the kernel.
"""

from __future__ import annotations

from typing import NamedTuple

from .c_types import c_type
from .expressions import operation
from .form import Form
from .totals import start_value

WARP = 32


class Team(NamedTuple):
    kind: str  # "warp", "block" or "across"
    lanes: int
    rows: int

    @property
    def threads(self) -> int:
        return self.lanes * self.rows

    @property
    def lane(self) -> str:
        return {"warp": f"threadIdx.x % {self.lanes}", "block": "threadIdx.x", "across": f"threadIdx.x / {WARP}"}[
            self.kind
        ]

    @property
    def team(self) -> str:
        return {"warp": f"threadIdx.x / {self.lanes}", "block": "0", "across": f"threadIdx.x % {WARP}"}[self.kind]

    @property
    def uses_memory(self) -> bool:
        return self.kind != "warp" and self.lanes > 1

    def reduced(self, found: Form, position: int, value: str) -> str:
        """The value of all lanes, to all of them."""
        s, dtype = found.body[position], found.dtype(position)
        name, kind = operation(s.kind, dtype), c_type(dtype)
        if self.lanes == 1:
            return value
        if self.kind == "warp":
            return f"over_lanes<{name}, {self.lanes}>({value})"
        if self.kind == "across":
            return f"over_warps<{name}, {self.lanes}>({value}, ({kind} *)memory)"
        return f"over_block<{name}, {self.lanes}>({value}, ({kind} *)memory, {start_value(found, position)})"
