"""Elementwise kernels that read or write some arrays across their grain: squares of them go through shared memory."""

from __future__ import annotations

from contextlib import ExitStack
from math import prod

import numpy as np

from autograd_core.compiler.loops import Load, LoopKernel, Store

from .c_types import memory_type
from .form import Form, live, shared
from .lanes import Lanes
from .points import grid_of
from .signature import Head, place
from .source import Launch, Sizes, Source
from .totals import Finish, Totals, memory, totals_of
from .writer import Writer

TILE = 32
SMALL = 8  # points of a dimension too short for tiles
SHARED = 40 << 10  # bytes of tiles


def rows_of_tiles(found: Form) -> int | None:
    """The dimension along which most of the accesses are contiguous that are far from it along the last, if any."""
    if len(found.sizes) < 2 or found.sizes[-1] < SMALL:
        return None
    dims = [d for d in range(len(found.sizes) - 1) if found.sizes[d] >= SMALL and turned(found, d)]
    return max(dims, key=lambda d: len(turned(found, d)), default=None)


def turned(found: Form, rows: int) -> list[int]:
    """The loads and stores that are contiguous along ``rows``, as many as there is room for."""
    picked, room = [], SHARED
    for p in live(found):
        s = found.body[p]
        if isinstance(s, Load | Store) and s.access.strides[rows] == 1 and abs(s.access.strides[-1]) > 1:
            size = TILE * (TILE + 1) * found.dtype(p).itemsize
            if size <= room:
                picked.append(p)
                room -= size
    return picked


def tiles(kernel: LoopKernel, found: Form, rows: int, name: str, sizes: Sizes) -> Source:
    w, head = Writer(), Head(found, name, shared(kernel))
    last, index = len(found.sizes) - 1, head.index
    picked, work = turned(found, rows), live(found)
    loads, stores = ([p for p in picked if isinstance(found.body[p], kind)] for kind in (Load, Store))
    down, along = (-(-found.sizes[d] // TILE) for d in (rows, last))
    others = [d for d in range(last) if d != rows]
    count = prod(found.sizes[d] for d in others) * down * along
    totals = totals_of(found, range(len(found.body)))
    grid = grid_of(count, bool(totals), sizes)
    sums, finish = Totals(head, totals, grid, sizes.threads), Finish(head, sizes)
    finish.add(sums)
    lanes = Lanes(w, found)
    with head.entry(w, name, sizes.threads, regions=sums.regions):
        if totals:
            memory(w, sizes.threads)
        for p in picked:
            w.line(f"__shared__ {memory_type(_memory(found, p))} tile{p}[{TILE}][{TILE + 1}];")
        sums.declare(w)
        with w.block(f"for ({index} i = blockIdx.x; i < {count}; i += gridDim.x)"):
            w.line(f"const {index} left = i % {along} * {TILE}, top = i / {along} % {down} * {TILE};")
            if others:
                w.line(f"const {index} rest = i / {along * down};")
                head.coordinates(w, "rest", others, head.used)
            w.line("__syncthreads();")
            if loads:
                with _walk(w, found, sizes, index, rows, last, along_rows=True):
                    for p in loads:
                        access = found.body[p].access
                        w.line(f"tile{p}[y][x] = a{access.operand}[{place(access)}];")
                w.line("__syncthreads();")
            with _walk(w, found, sizes, index, rows, last, along_rows=False):
                lanes.run(
                    work, tiles=picked, reduced=lambda p, x: w.line(f"total{p} = {lanes.combined(p, f'total{p}', x)};")
                )
            if stores:
                w.line("__syncthreads();")
                with _walk(w, found, sizes, index, rows, last, along_rows=True):
                    for p in stores:
                        access = found.body[p].access
                        w.line(f"a{access.operand}[{place(access)}] = tile{p}[y][x];")
        sums.finish(w)
    launches = [Launch(name, grid, sizes.threads)] if count or totals else []
    launches += finish.emit(w)
    return Source(w.text, tuple(launches), lanes.alignment(), head.workspace.size, shared(kernel))


def _memory(found: Form, position: int) -> np.dtype:
    return found.operands[found.body[position].access.operand]


def _walk(w: Writer, found: Form, sizes: Sizes, index: str, rows: int, last: int, *, along_rows: bool) -> ExitStack:
    """The points of a tile: neighbouring threads are neighbours along the rows, or along the last dimension."""
    inside = ExitStack()
    step = sizes.threads // TILE
    inside.enter_context(w.loop("k", TILE // step, unroll=4))
    w.line(f"const int x = threadIdx.x % {TILE}, y = threadIdx.x / {TILE} + {step} * k;")
    across, along = ("x", "y") if along_rows else ("y", "x")
    w.line(f"const {index} c{rows} = top + {across}, c{last} = left + {along};")
    inside.enter_context(w.block(f"if (c{rows} < {found.sizes[rows]} && c{last} < {found.sizes[last]})"))
    return inside
