"""The registers of all threads of a launch, and what operands are of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from ptx_memory import NONSENSE, Blocks, laid_out
from ptx_parser import Address, Function, Immediate, Module, Operand, Register, Symbol, Variable, Vector

Array = np.ndarray


class Threads:
    """Of blocks that run at once: registers, which hold bits, and where variables lie."""

    def __init__(
        self,
        module: Module,
        entry: Function,
        tables: dict[str, int],
        first: int,
        blocks: int,
        block: int,
        grid: int,
        dynamic: int,
    ):
        self.module, self.entry, self._tables = module, entry, tables
        self.blocks, self.block = blocks, block
        self.threads = blocks * block
        thread = np.arange(self.threads)
        self.own = first + thread // block  # the block of each thread
        self._special = {
            "%tid.x": thread % block,
            "%ctaid.x": self.own,
            "%ntid.x": np.full(self.threads, block),
            "%nctaid.x": np.full(self.threads, grid),
            "%laneid": thread % 32,
            **{f"%{name}.{axis}": thread * 0 for name in ("tid", "ctaid") for axis in "yz"},
        }
        self._registers: dict[tuple[str, str], Array] = {}
        self._carry = np.zeros(self.threads, bool)
        self._variables(dynamic)

    def _variables(self, dynamic: int) -> None:
        """Of the block: the module's that the entry uses, its own, then what the launch adds; and of each thread."""
        entry = self.entry
        used = {name for i in entry.instructions for name in symbols(i.operands)}
        declared = [v for v in self.module.variables if v.space == "shared" and v.name in used]
        static = [v for v in (*declared, *entry.variables) if v.space == "shared" and v.size]
        places, end = laid_out([(v.size, v.align) for v in static])
        self.static_shared = end
        self._addresses = dict(zip((v.name for v in static), places, strict=True))
        for v in declared:
            if not v.size:
                end = -(-end // max(v.align, 16)) * max(v.align, 16)
                self._addresses[v.name] = end
        self.shared = Blocks(self.blocks, self.block, end + dynamic)
        private: list[tuple[str, Variable]] = []
        for f in self.module.functions.values():
            private += [(f.name, v) for v in f.variables if v.space in ("local", "param")]
            if not f.is_entry:
                private += [(f.name, v) for v in (*f.parameters, *f.returned)]
        places, size = laid_out([(v.size, max(8, v.align)) for _, v in private])
        self._private = {(f, v.name): p for (f, v), p in zip(private, places, strict=True)}
        self._private_size = -(-max(size, 8) // 8) * 8
        is_used = any(v.space == "local" for v in entry.variables) or any(
            i.opcode[:4] == "call" for i in entry.instructions
        )
        self.local = np.full(self.threads * self._private_size if is_used else 0, NONSENSE, np.uint8)
        self._local_start = np.arange(self.threads) * self._private_size

    def _register(self, f: Function, name: str) -> Array:
        key = f.name, name
        if key not in self._registers:
            kind = f.registers[name]
            dtype = "?" if kind == "pred" else f"u{int(kind[1:]) // 8}"
            self._registers[key] = np.zeros(self.threads, dtype)
        return self._registers[key]

    def _view(self, f: Function, register: Register, kind: str) -> Array:
        """The register's low bits as a type."""
        held, dtype = self._register(f, register.name), np.dtype(kind)
        assert (held.dtype.kind == "b") == (dtype.kind == "b"), "a predicate as a number"
        assert held.dtype.itemsize >= dtype.itemsize, "more bits than the register has"
        return held.view(dtype)[:: held.dtype.itemsize // dtype.itemsize]

    def _result(self, f: Function, operand: Operand, kind: str) -> Array:
        """Where a value of the type goes: in a register of more bits, extended as its sign says."""
        assert isinstance(operand, Register), operand
        held, dtype = self._register(f, operand.name), np.dtype(kind)
        if held.dtype.itemsize > dtype.itemsize:
            assert dtype.kind in "iu", "a float in a register of more bits"
            return held.view(f"{dtype.kind}{held.dtype.itemsize}")
        return self._view(f, operand, kind)

    def _value(self, f: Function, operand: Operand, kind: str) -> Any:
        if isinstance(operand, Register):
            return self._view(f, operand, kind)
        if isinstance(operand, Immediate):
            return as_bits(self._number(operand), kind)
        assert isinstance(operand, Symbol), operand
        name = operand.name
        if name in self._special:
            return self._special[name].astype(kind)
        if name in self._addresses:
            return as_bits(self._addresses[name], kind)
        if name in self._tables:
            return as_bits(self._tables[name], kind)
        return as_bits(self._private[f.name, name], kind)

    @staticmethod
    def _number(operand: Operand) -> int:
        assert isinstance(operand, Immediate), operand
        text = operand.text
        return int(text[2:], 16) if text[:2] in ("0f", "0d") else int(text.rstrip("U"), 0)


def as_bits(number: int, kind: str) -> Any:
    """A scalar of the type (NumPy's) with the number's low bits."""
    if kind == "?":
        return np.bool_(number)
    size = np.dtype(kind).itemsize
    return np.array(number % (1 << 8 * size), f"u{size}").view(kind)[()]


def symbols(operands: Sequence[Operand]) -> list[str]:
    found: list[str] = []
    for o in operands:
        if isinstance(o, Symbol):
            found.append(o.name)
        elif isinstance(o, Vector):
            found += symbols(o.parts)
        elif isinstance(o, Address):
            found += symbols([o.base])
    return found
