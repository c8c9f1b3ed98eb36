"""The head of a kernel: its arguments, how positions are counted, and its workspace."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from math import prod
from typing import Any

import numpy as np

from autograd_core.compiler.loops import Load

from .c_types import c_type, computed, memory_type
from .form import Form
from .source import WAIT
from .writer import Writer

ALIGNMENT = 256


class Workspace:
    """Regions of memory between launches."""

    def __init__(self) -> None:
        self.size = 0
        self.regions: dict[str, tuple[np.dtype, int]] = {}

    def region(self, name: str, dtype: np.dtype, count: int) -> None:
        dtype = computed(dtype)
        self.regions[name] = (dtype, self.size)
        self.size += -(-count * dtype.itemsize // ALIGNMENT) * ALIGNMENT


class Head:
    """What all entries of one kernel share. pairs: (written, read) operands that may be one array."""

    def __init__(self, found: Form, name: str, pairs: frozenset[tuple[int, int]]):
        self.form, self.name = found, name
        self.workspace = Workspace()
        self._together = {operand for pair in pairs for operand in pair}
        # how positions are counted: 64 bits where 32 are too few
        self.index = "int" if _reach(found) < 2**30 else "long long"

    @contextmanager
    def entry(self, w: Writer, name: str, threads: int, *, regions: Sequence[str] = ()) -> Iterator[None]:
        arguments = [*self._operands(), *(["char *__restrict__ workspace"] if self.workspace.size else [])]
        header = f'extern "C" __global__ void __launch_bounds__({threads}) {name}({", ".join(arguments)})'
        with w.block(header):
            w.line(WAIT)
            for region in regions:
                dtype, offset = self.workspace.regions[region]
                w.line(f"{c_type(dtype)} *const {region} = ({c_type(dtype)} *)(workspace + {offset});")
            yield

    def _operands(self) -> Iterator[str]:
        for i, dtype in enumerate(self.form.operands):
            const = "" if i in self.form.outputs else "const "
            alone = "" if i in self._together else "__restrict__ "
            yield f"{const}{memory_type(dtype)} *{alone}a{i}"

    def coordinates(self, w: Writer, number: str, dims: Sequence[int], used: frozenset[int]) -> None:
        """Take a number of a point apart into its coordinates along these dimensions."""
        rest, sizes = number, self.form.sizes
        for place, d in reversed(list(enumerate(dims))):
            behind = prod(sizes[e] for e in dims[place + 1 :])
            if d in used:
                at = rest if behind == 1 else f"{rest} / {behind}"
                at = at if place == 0 else f"{at} % {sizes[d]}"
                w.line(f"const {self.index} c{d} = {at};")

    @property
    def used(self) -> frozenset[int]:
        """The dimensions whose coordinates are asked for."""
        found = self.form
        dims = set[int]().union(*found.varies) if found.varies else set()
        for position, s in enumerate(found.body):
            if not isinstance(s, Load) and hasattr(s, "access"):
                dims |= set(found.first_points(position))
        return frozenset(dims)


def place(access: Any, last: int | None = None, lane: str = "") -> str:
    """Where an access finds its element; ``lane`` steps along the dimension ``last``."""
    terms = [str(access.offset)] if access.offset else []
    for d, step in enumerate(access.strides):
        if step:
            terms.append(_times(f"c{d}", step))
    if lane and last is not None and access.strides[last]:
        terms.append(_times(lane, access.strides[last]))
    return " + ".join(terms).replace("+ -", "- ") or "0"


def _times(name: str, step: int) -> str:
    return name if step == 1 else f"{step} * {name}"


def _reach(found: Form) -> int:
    reached = [prod(found.sizes)]
    for s in found.body:
        if hasattr(s, "access"):
            steps = zip(s.access.strides, found.sizes, strict=True)
            reached.append(abs(s.access.offset) + sum(abs(step) * n for step, n in steps))
    return max(reached)
