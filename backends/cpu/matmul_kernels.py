"""Matrix products by the register tiles of convolution, for products so large that a BLAS would use its threads.

A BLAS keeps its threads spinning for a while after each product, in case another follows: on two cores, that halves
the speed of whatever runs next. Small products stay with NumPy, which computes them on the calling thread; the largest
have kernels made for their shapes (``native.eager``).
Source of the blocking: Goto and van de Geijn, Anatomy of high-performance matrix multiplication, 2008.
"""

# Numba gives every function its types.
# mypy: allow-untyped-defs

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numba import njit

from autograd_core.backend import Kernel
from autograd_core.ops.linear_algebra import linear_p, matmul_p
from autograd_core.primitive import Primitive

from .native import eager
from .threads import shared, threads
from .tiles import COLUMNS, ROWS, VECTOR_BYTES, copy_run, product_tile_1, product_tile_2, product_tile_3, transpose_tile

_jit = njit(nogil=True, error_model="numpy", cache=True)

COMPILED = (np.dtype(np.float32), np.dtype(np.float64))
SMALL = 1 << 18  # multiply-adds up to which OpenBLAS stays on one thread
THIN = 4  # rows or columns of a product that reads its operands more than it computes
DEPTH = 512  # of a block: its part of a tile's rows stays in the first-level cache
TILES = 4  # columns of a block, in tiles: the block stays in the second-level cache
COPIED_FROM = 128  # rows that repay copying a block whose rows could be read in place
RATE = 80_000  # multiply-adds in a microsecond


@_jit
def _copy_block(block, step, b, start, row, column, rows, columns):
    """A block of b into rows ``step`` apart, filled up with zeros."""
    lanes = VECTOR_BYTES // b.itemsize
    if column == 1:
        for k in range(rows):
            copy_run(block, k * step, b, start + k * row, columns)
            block[k * step + columns : (k + 1) * step] = 0
        return
    whole_rows, whole_columns = 0, 0
    if row == 1:
        whole_rows, whole_columns = rows // lanes * lanes, columns // lanes * lanes
        for j in range(0, whole_columns, lanes):
            for k in range(0, whole_rows, lanes):
                transpose_tile(block, k * step + j, step, b, start + k + j * column, column)
    for k in range(rows):
        for j in range(whole_columns if k < whole_rows else 0, columns):
            block[k * step + j] = b[start + k * row + j * column]
        block[k * step + columns : (k + 1) * step] = 0


@_jit
def _product_jobs(first, last, a, b, y, sizes, a_steps, b_steps):
    """y = a b for blocks of y; steps are from one matrix, row and column to the next."""
    rows, depth, columns, block_rows, row_blocks, block_columns, column_blocks = sizes
    a_matrix, a_row, a_column = a_steps
    b_matrix, b_row, b_column = b_steps
    lanes = VECTOR_BYTES // a.itemsize
    tile = COLUMNS * lanes
    step = (block_columns + tile - 1) // tile * tile
    block_depth = min(depth, DEPTH)
    block, edge = np.empty(block_depth * step, a.dtype), np.zeros(ROWS * block_depth, a.dtype)
    sums, zeros = np.empty(ROWS * tile, a.dtype), np.zeros(ROWS, a.dtype)
    block_rows_at, b_rows_at = np.arange(block_depth) * step, np.arange(block_depth) * b_row
    # in place where that is possible, not too often, and not from rows that fall on the same cache lines
    in_place = b_column == 1 and (block_rows <= ROWS or (block_rows < COPIED_FROM and b_row * b.itemsize < 2048))
    for job in range(first, last):
        matrix = job // (row_blocks * column_blocks)
        top = job // column_blocks % row_blocks * block_rows
        left = job % column_blocks * block_columns
        held_rows, held_columns = min(block_rows, rows - top), min(block_columns, columns - left)
        copied_from = held_columns // tile * tile if in_place else 0
        for base in range(0, depth, DEPTH):
            held = min(DEPTH, depth - base)
            a_start = matrix * a_matrix + top * a_row + base * a_column
            b_start = matrix * b_matrix + base * b_row + left * b_column
            if copied_from < held_columns:
                start, count = b_start + copied_from * b_column, held_columns - copied_from
                _copy_block(block, step, b, start, b_row, b_column, held, count)
            for r in range(0, held_rows, ROWS):
                count = min(ROWS, held_rows - r)
                f, f_start, f_row, f_column = a, a_start + r * a_row, a_row, a_column
                if count < ROWS:
                    for i in range(count):
                        for k in range(held):
                            edge[i * held + k] = a[f_start + i * a_row + k * a_column]
                    f, f_start, f_row, f_column = edge, 0, held, 1
                for c in range(0, held_columns, tile):
                    v, v_start, at = block, c - copied_from, block_rows_at
                    if c < copied_from:
                        v, v_start, at = b, b_start + c, b_rows_at
                    width = min(tile, held_columns - c)
                    if width > 2 * lanes:
                        product_tile_3(sums, 0, tile, f, f_start, f_row, f_column, v, v_start, at, held, zeros, 0)
                    elif width > lanes:
                        product_tile_2(sums, 0, tile, f, f_start, f_row, f_column, v, v_start, at, held, zeros, 0)
                    else:
                        product_tile_1(sums, 0, tile, f, f_start, f_row, f_column, v, v_start, at, held, zeros, 0)
                    target = (matrix * rows + top + r) * columns + left + c
                    for i in range(count):
                        if base == 0:
                            copy_run(y, target + i * columns, sums, i * tile, width)
                        else:
                            line = y[target + i * columns : target + i * columns + width]
                            for j in range(width):
                                line[j] += sums[i * tile + j]


@lru_cache(maxsize=1024)
def _plan(matrices: int, rows: int, depth: int, columns: int, itemsize: int, sharers: int) -> tuple[np.ndarray, int]:
    """sizes for ``_product_jobs``, and the number of jobs: two for every thread, if there are so many tiles."""
    tile = COLUMNS * VECTOR_BYTES // itemsize
    wanted = -(-2 * sharers // matrices)
    block_columns = TILES * tile
    while block_columns > tile and -(-columns // block_columns) < wanted:
        block_columns = max(block_columns // 2, tile)
    column_blocks = -(-columns // block_columns)
    row_tiles = -(-rows // ROWS)
    block_rows = -(-row_tiles // min(-(-wanted // column_blocks), row_tiles)) * ROWS
    row_blocks = -(-rows // block_rows)
    sizes = [rows, depth, columns, block_rows, row_blocks, block_columns, column_blocks]
    return np.array(sizes, np.int64), matrices * row_blocks * column_blocks


def _laid_out(x: np.ndarray) -> tuple[np.ndarray, tuple[int, int, int]]:
    """Matrices as one flat array, and the steps from one matrix, row and column to the next."""
    rows, columns = x.shape[-2:]
    if not x.flags.c_contiguous:
        if x.mT.flags.c_contiguous:
            return x.mT.reshape(-1), (rows * columns, 1, rows)
        x = np.ascontiguousarray(x)
    return x.reshape(-1), (rows * columns, columns, 1)


def matmul(x1: np.ndarray, x2: np.ndarray) -> np.ndarray:
    *lead, rows, depth = x1.shape
    columns = x2.shape[-1]
    if (
        x1.size * columns <= SMALL
        or min(rows, columns) < THIN
        or x1.dtype != x2.dtype
        or x1.dtype not in COMPILED
        or x1.shape[:-2] != x2.shape[:-2]
        or not x2.size
    ):
        return np.matmul(x1, x2)
    if 2 * x1.size * columns >= eager.PRODUCT:
        y = eager.run(matmul_p, (x1, x2), {})
        if y is not None:
            return y
    y = np.empty((*lead, rows, columns), x1.dtype)
    matrices = x1.size // (rows * depth)
    sizes, jobs = _plan(matrices, rows, depth, columns, x1.itemsize, threads())
    (a, a_steps), (b, b_steps) = _laid_out(x1), _laid_out(x2)
    shared(_product_jobs, jobs, x1.size * columns / RATE, a, b, y.reshape(-1), sizes, a_steps, b_steps)
    return y


def linear(x1: np.ndarray, x2: np.ndarray) -> np.ndarray:
    return matmul(x1, x2.T)


KERNELS: dict[Primitive, Kernel] = {matmul_p: matmul, linear_p: linear}
