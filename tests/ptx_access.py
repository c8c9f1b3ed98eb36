"""Loads, stores, atomic additions and asynchronous copies of PTX, for all threads of a launch at once."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from ptx_arithmetic import TYPES
from ptx_memory import AccessError, Copies, Global, load, store
from ptx_parser import Address, Function, Instruction, Register, Symbol, Vector
from ptx_threads import Threads, as_bits

Array = np.ndarray
Where = Array | bool  # threads that execute an instruction; True where all do
Step = Callable[[Where], None]


class Accesses(Threads):
    """together: whether blocks may wait for each other; else none may meet another at one place of global memory.

    arguments: by the names of the entry's parameters.
    """

    def __init__(self, *given: Any, memory: Global, arguments: dict[str, int], together: bool):
        super().__init__(*given)
        self.memory, self._arguments, self.together = memory, arguments, together
        self.copies = Copies(memory, self.shared, self.threads)
        self._waits = any(i.opcode == "griddepcontrol.wait" for i in self.entry.instructions)
        self._may_read = np.full(self.threads, not self._waits)  # what the launch before has left
        self._changes = 0  # of global memory

    def _access(self, f: Function, i: Instruction, base: str, rest: list[str]) -> Step:
        modes = [m for m in rest if m in ("nc", "cg", "ca", "cs", "volatile", "acquire", "relaxed", "gpu", "release")]
        words = [m for m in rest if m not in modes]
        space, count = words[0], int(words[1][1:]) if words[1][0] == "v" else 1
        kind = TYPES[words[-1]]
        assert len(words) == (3 if count > 1 else 2), words
        address, value = i.operands if base == "st" else reversed(i.operands)
        assert isinstance(address, Address)
        parts = value.parts if isinstance(value, Vector) else (value,)
        assert len(parts) == count
        width = count * np.dtype(kind).itemsize
        if base == "ld":
            results = [None if isinstance(p, Symbol) else self._result(f, p, kind) for p in parts]
            if space == "param" and isinstance(address.base, Symbol) and address.base.name in self._arguments:
                number = as_bits(self._arguments[address.base.name], kind)
                assert not address.offset
                return lambda where: np.copyto(results[0], number, where=where)
            find, data = self._places(f, address, space, width, False, "nc" in modes)

            def loaded(where: Where) -> None:
                places = find(where)
                for k, result in enumerate(results):
                    if result is not None:
                        np.copyto(result, load(data(), places, kind, k), where=where)

            return loaded
        values = [self._value(f, p, kind) for p in parts]
        find, data = self._places(f, address, space, width, True, False)

        def stored(where: Where) -> None:
            places = find(where)
            chosen = places if where is True else places[where]
            for k, v in enumerate(values):
                v = np.broadcast_to(v, self.threads)
                store(data(), chosen, v if where is True else v[where], k)
            if space == "global":
                self._changes += 1
                size = width // len(values)
                for k in range(len(values)):
                    self.memory.writer[chosen + k * size] = self.own if where is True else self.own[where]

        return stored

    def _places(
        self, f: Function, address: Address, space: str, width: int, is_write: bool, is_constant: bool
    ) -> tuple[Callable[[Where], Array], Callable[[], Array]]:
        """What finds the checked places of all threads, and the bytes in which they lie."""
        if space in ("local", "param"):
            base = self._private_address(f, address)

            def private(where: Where) -> Array:
                at = np.broadcast_to(np.asarray(base).astype(np.int64) + address.offset, self.threads)
                at = at if where is True else np.where(where, at, 0)
                if (at < 0).any() or (at + width > self._private_size).any() or (at % width).any():
                    raise AccessError("an address beside local memory, or misaligned")
                return at + self._local_start

            return private, lambda: self.local
        if space == "shared":
            base = self._value(f, address.base, "u4")

            def shared(where: Where) -> Array:
                at = np.asarray(base).view(np.int32).astype(np.int64) + address.offset
                places = self.shared.places(at, width, where)
                self.shared.noted(places, width, where, is_write)
                return places

            return shared, lambda: self.shared.bytes
        assert space == "global", space
        base = self._value(f, address.base, "i8")

        def everywhere(where: Where) -> Array:
            places = self.memory.places(np.broadcast_to(base + address.offset, self.threads), width, where)
            self.met(places, where, is_constant)
            return places

        return everywhere, lambda: self.memory.bytes

    def met(self, places: Array, where: Where, is_constant: bool = False) -> None:
        """An error if another block of this launch has written there, or this one what is read as constant."""
        at, own = (places, self.own) if where is True else (places[where], self.own[where])
        writer = self.memory.writer[at]
        if is_constant and (writer >= 0).any():
            raise AccessError("a load of constants meets what this launch has written")
        if not self.together and ((writer >= 0) & (writer != own)).any():
            raise AccessError("two blocks meet in global memory")
        if self._waits and not self._may_read[where if where is not True else slice(None)].all():
            raise AccessError("global memory is met before griddepcontrol.wait")

    def _private_address(self, f: Function, address: Address) -> Any:
        if isinstance(address.base, Symbol):
            return self._private[f.name, address.base.name]
        return self._value(f, address.base, "u8")

    def _moved(self, source: tuple[str, str], to: tuple[str, str], size: int) -> Step:
        """Parameters and results of a call."""
        a, b = self._private[source], self._private[to]
        columns = lambda at: self.local.reshape(self.threads, -1)[:, at : at + size]  # noqa: E731

        def moved(where: Where) -> None:
            np.copyto(columns(b), columns(a), where=where if where is True else where[:, None])

        return moved

    def _atomic(self, f: Function, i: Instruction, rest: list[str]) -> Step:
        rest = [r for r in rest if r not in ("gpu", "relaxed", "release", "acquire", "acq_rel")]
        space, what, kind = rest
        if (space, what) != ("global", "add"):
            raise NotImplementedError(i.opcode)
        *results, address, addend = i.operands
        assert isinstance(address, Address)
        dtype = np.dtype(TYPES[kind])
        base, value = self._value(f, address.base, "i8"), self._value(f, addend, TYPES[kind])
        result = self._result(f, results[0], TYPES[kind]) if results and isinstance(results[0], Register) else None

        def added(where: Where) -> None:
            places = self.memory.places(np.broadcast_to(base + address.offset, self.threads), dtype.itemsize, where)
            data = self.memory.bytes[: len(self.memory.bytes) // 8 * 8].view(dtype)
            values = np.broadcast_to(value, self.threads)
            for t in range(self.threads) if where is True else np.flatnonzero(where):
                place = places[t] // dtype.itemsize
                before = data[place]
                data[place] = before + values[t]
                if result is not None:
                    result[t] = before
            self._changes += 1

        return added

    def _copy(self, f: Function, i: Instruction, rest: list[str]) -> Step:
        if rest == ["async", "commit_group"]:
            return self.copies.commit
        if rest == ["async", "wait_group"]:
            return partial(self.copies.wait, int(self._number(i.operands[0])))
        if rest == ["async", "wait_all"]:
            return lambda where: (self.copies.commit(where), self.copies.wait(0, where))[1]
        assert [rest[0], *rest[2:]] == ["async", "shared", "global"], i.opcode
        to, source, copied, *size = i.operands
        assert isinstance(to, Address)
        assert isinstance(source, Address)
        width = int(self._number(copied))
        assert (rest[1], width) in (("cg", 16), ("ca", 4), ("ca", 8), ("ca", 16)), i.opcode
        there, here = self._value(f, to.base, "u4"), self._value(f, source.base, "i8")
        sizes = self._value(f, size[0], "u4") if size else np.uint32(width)

        def begun(where: Where) -> None:
            count = np.broadcast_to(sizes, self.threads).astype(np.int64)
            if (count > width if where is True else (count > width) & where).any():
                raise AccessError("cp.async of more bytes than it has room for")
            places = self.shared.places(np.broadcast_to(there, self.threads).astype(np.int64) + to.offset, width, where)
            self.shared.noted(places, width, where, True)
            address = np.broadcast_to(here + source.offset, self.threads)
            if ((address & (width - 1) != 0) & (True if where is True else where)).any():
                raise AccessError(f"cp.async from an address that is no multiple of {width}")
            reads = (
                count > 0 if where is True else where & (count > 0)
            )  # nothing is read where there is nothing to copy
            if (bad := reads & (count != width)).any():
                raise NotImplementedError(f"cp.async of {count[bad][0]} of {width} bytes")
            origins = self.memory.places(address, width, reads)
            self.met(origins, reads)
            self.copies.begin(places, origins, np.where(reads, count, 0), width, where)

        return begun

    def _dependency(self, f: Function, i: Instruction, rest: list[str]) -> Step:
        """griddepcontrol: launches follow each other here, so that there is nothing to wait for."""
        if rest == ["launch_dependents"]:
            return lambda where: None
        assert rest == ["wait"], rest
        return lambda where: np.copyto(self._may_read, True, where=where)
