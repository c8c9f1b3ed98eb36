"""Native matrix products: any shape and strides, batches, callbacks, on every machine, inside their arrays."""

from __future__ import annotations

import ctypes
import mmap
import sys
from itertools import product

import numpy as np
import pytest

pytest.importorskip("llvmlite", reason="native code needs llvmlite")

from autograd_core.backends.cpu.native import emit, engine, machine
from autograd_core.backends.cpu.native.products.blocking import choose, depth_of
from autograd_core.backends.cpu.native.products.gemm import BatchDimension, MatrixLayout, gemm
from autograd_core.backends.cpu.native.products.packing import transposed
from autograd_core.backends.cpu.native.products.tile import (
    Segment,
    TileShape,
    accumulate,
    largest,
    repeated,
    tile,
    zeros,
)

LEVELS = ("host", "avx2", "scalar")
FLOATS = ("float32", "float64")
TOLERANCE = {"float32": 1e-5, "float64": 1e-13}
KINDS = ("rows", "columns", "neither")


def matrix(rng, rows: int, columns: int, kind: str, dtype: str, padding: int = 0) -> np.ndarray:
    """Random, with contiguous rows, contiguous columns, or neither; NaN wherever the array holds no element of it."""
    if kind == "rows":
        base = np.full((rows, columns + padding), np.nan, dtype)
        view = base[:, :columns]
    elif kind == "columns":
        base = np.full((columns, rows + padding), np.nan, dtype)
        view = base[:, :rows].T
    else:
        base = np.full((rows, 2 * columns + padding), np.nan, dtype)
        view = base[:, : 2 * columns : 2]
    view[...] = rng.standard_normal((rows, columns))
    return view


def layout(view: np.ndarray) -> MatrixLayout:
    row, column = (stride // view.itemsize for stride in view.strides[-2:])
    return MatrixLayout(row, column)


def whole(view: np.ndarray) -> np.ndarray:
    """The array that a view is of."""
    return view if view.base is None else whole(view.base)


def check(a, b, c, *, accumulate=False, threads=1, level="host") -> None:
    """C as it should be, and nothing else of C's array touched."""
    expected = whole(c).copy()
    outside = np.ones(expected.shape, bool)
    np.lib.stride_tricks.as_strided(outside, c.shape, [s // c.itemsize for s in c.strides])[...] = False
    wanted = a.astype(np.float64) @ b.astype(np.float64) + (c if accumulate else 0)
    batch = ()
    if c.ndim > 2:
        a_full, b_full = (np.broadcast_to(x, c.shape[:-2] + x.shape[-2:]) for x in (a, b))
        batch = tuple(
            BatchDimension(count, *(x.strides[i] // x.itemsize for x in (a_full, b_full, c)))
            for i, count in enumerate(c.shape[:-2])
        )
    m, n = c.shape[-2:]
    layouts = {"a": layout(a), "b": layout(b), "c": layout(c)}
    spec = gemm(m, n, a.shape[-1], c.dtype, **layouts, batch=batch, accumulate=accumulate)
    engine.call(spec, [a, b, c], threads=threads, machine=machine.limited(level))
    scale = max(1.0, np.abs(wanted).max(initial=0))
    assert np.abs(c - wanted).max(initial=0) / scale < TOLERANCE[c.dtype.name]
    np.testing.assert_array_equal(whole(c)[outside], expected[outside])


# ------------------------------------------------------------------------------------ the tile


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("dtype", FLOATS)
def test_tile_sums_segments_of_constant_and_of_computed_length(level, dtype):
    target = machine.limited(level)
    rng = np.random.default_rng(0)
    biggest = largest(target, dtype)
    for rows, vectors, count, known in ((biggest.rows, biggest.vectors, 19, True), (3, 1, 6, False), (1, 3, 1, False)):
        shape = TileShape(np.dtype(dtype), rows, vectors, target.lanes(dtype))

        def body(builder, _, shape=shape, count=count, known=known):
            a, b, c = builder.operands
            terms = count if known else builder.add(builder.size, emit.i64(count - 1))
            offsets = [row * count for row in range(shape.rows)]
            if not known:
                offsets[::2] = [builder.mul(builder.size, emit.i64(offset)) for offset in offsets[::2]]
            first = Segment(terms, a, offsets, 1, b, shape.columns)
            backwards = Segment(
                terms, emit.element(builder, a, count - 1, shape.scalar), offsets, -1, b, shape.columns, shape.lanes
            )

            def finish(builder, row, column, value):
                place = emit.element(builder, c, row * shape.columns + column * shape.lanes, shape.scalar)
                emit.store(builder, value, place)

            tile(builder, shape, [first, backwards], finish)

        a = rng.standard_normal((rows, count)).astype(dtype)
        b = rng.standard_normal((count, shape.columns)).astype(dtype)
        c = np.full((rows, shape.columns), np.nan, dtype)
        engine.call(engine.KernelSpec("tile", None, 3, body), [a, b, c], machine=target)
        wanted = (a + a[:, ::-1]).astype(np.float64) @ b
        np.testing.assert_allclose(c, wanted, rtol=TOLERANCE[dtype], atol=10 * TOLERANCE[dtype])


@pytest.mark.parametrize("times", [0, 1, 5])
@pytest.mark.parametrize("known", [True, False])
def test_repeated_carries_accumulators_round_a_loop(times, known):
    """The taps of a convolution: each round adds a segment that starts elsewhere."""
    target = machine.host()
    shape = TileShape(np.dtype("float32"), 2, 1, target.lanes("float32"))
    rng = np.random.default_rng(1)
    a = rng.standard_normal((5, 2, 7)).astype(np.float32)
    b = rng.standard_normal((5, 7, shape.columns)).astype(np.float32)
    c = np.full((2, shape.columns), np.nan, np.float32)

    def body(builder, _):
        def tap(index, sums):
            here = emit.element(builder, builder.operands[0], builder.mul(index, emit.i64(14)), shape.scalar)
            weights = builder.mul(index, emit.i64(7 * shape.columns))
            weights = emit.element(builder, builder.operands[1], weights, shape.scalar)
            return accumulate(builder, shape, sums, Segment(7, here, (0, 7), 1, weights, shape.columns))

        count = times if known else builder.add(builder.size, emit.i64(times - 1))
        for row, value in enumerate(repeated(builder, count, zeros(shape), tap)):
            emit.store(builder, value, emit.element(builder, builder.operands[2], row * shape.columns, shape.scalar))

    engine.call(engine.KernelSpec("taps", None, 3, body), [a, b, c])
    np.testing.assert_allclose(c, np.einsum("trk,tkc->rc", a[:times], b[:times]), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("dtype", "lanes"), [("float32", n) for n in (4, 8, 16)] + [("float64", n) for n in (2, 4, 8)])
def test_square_blocks_are_transposed_in_registers(dtype, lanes):
    kind = emit.vector(emit.type_of(dtype), lanes)

    def body(builder, _):
        source, target = builder.operands
        rows = [emit.load(builder, emit.element(builder, source, i * lanes, kind.element), kind) for i in range(lanes)]
        for i, column in enumerate(transposed(builder, rows)):
            emit.store(builder, column, emit.element(builder, target, i * lanes, kind.element))

    a = np.arange(lanes * lanes, dtype=dtype).reshape(lanes, lanes)
    result = np.zeros_like(a)
    engine.call(engine.KernelSpec("transpose", None, 2, body), [a, result])
    np.testing.assert_array_equal(result, a.T)


# ------------------------------------------------------------------------------------ products

SIZES = (1, 2, 3, 5, 7, 8, 13, 16, 17, 31, 32, 37, 53, 64, 67)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("seed", [0, 1])
def test_every_combination_of_strides(level, seed):
    rng = np.random.default_rng(seed)
    for number, kinds in enumerate(product(KINDS, repeat=3)):
        if number % 2 != seed:
            continue
        dtype = FLOATS[number // 2 % 2]
        m, n, k = (int(size) for size in rng.choice(SIZES, 3))
        padding = int(rng.integers(0, 4))
        a, b, c = (
            matrix(rng, *shape, kind, dtype, padding)
            for shape, kind in zip(((m, k), (k, n), (m, n)), kinds, strict=True)
        )
        check(a, b, c, accumulate=number % 4 < 2, threads=1 + number % 3, level=level)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("kinds", [("rows", "rows"), ("rows", "columns"), ("columns", "rows"), ("columns", "columns")])
def test_shapes_of_one_row_or_column_or_term(level, kinds):
    rng = np.random.default_rng(2)
    shapes = [(1, 1, 1), (1, 37, 53), (53, 1, 37), (1, 1, 170), (33, 41, 1), (2, 67, 5), (67, 3, 4), (4, 33, 70)]
    for m, n, k in [*shapes, (1, 1001, 301)]:
        a, b = matrix(rng, m, k, kinds[0], "float32"), matrix(rng, k, n, kinds[1], "float32")
        check(a, b, matrix(rng, m, n, "rows", "float32"), threads=2, level=level)


@pytest.mark.parametrize("level", LEVELS)
def test_long_sums_are_cut_into_blocks(level):
    rng = np.random.default_rng(3)
    for dtype, kind, adding in (
        ("float32", "rows", False),
        ("float32", "columns", True),
        ("float64", "columns", False),
    ):
        k = 2053
        assert depth_of(k, np.dtype(dtype))[1] > 2
        a, b = matrix(rng, 37, k, kind, dtype), matrix(rng, k, 70, KINDS[kind == "rows"], dtype)
        check(a, b, matrix(rng, 37, 70, "rows", dtype, 3), accumulate=adding, threads=2, level=level)


@pytest.mark.parametrize("dtype", FLOATS)
def test_the_last_block_of_a_very_long_sum_is_no_shorter_than_a_register(dtype):
    size = np.dtype(dtype).itemsize
    for k in (35527, 35521, 76417, 141711, 153601, 384 * 10000 + 1, 2**31 + 1):
        depth, blocks = depth_of(k, np.dtype(dtype))
        assert (blocks - 1) * depth + 64 // size <= k <= blocks * depth
    rng = np.random.default_rng(3)
    k = {"float32": 153601, "float64": 35527}[dtype]
    # both factors are packed, by whole registers along k
    a, b = matrix(rng, 6, k, "rows", dtype, -k % 512), matrix(rng, k, 70, "columns", dtype)
    a[:], b[:] = np.rint(a), np.rint(b)  # the sums are exact
    check(a, b, matrix(rng, 6, 70, "rows", dtype), threads=2)


def test_threads_beyond_those_that_have_a_workspace_write_nothing(monkeypatch):
    spare, workspaces = 16 << 20, []

    class Remembered:
        def __getattr__(self, name):
            return getattr(np, name)

        def zeros(self, count, dtype):
            made = np.zeros(count, dtype)
            if dtype is np.uint8:
                workspaces.append(made)
            return made

    monkeypatch.setattr(engine, "np", Remembered())
    rng = np.random.default_rng(0)
    for shape, by_rows in (((210, 9, 295), True), ((9, 210, 295), False)):
        m, n, k = shape
        a, b = rng.standard_normal((m, k)).astype("f"), rng.standard_normal((n, k)).astype("f").T
        c = np.zeros((m, n), "f")
        target = machine.host()
        cut = choose(m, n, k, np.dtype("f"), layout(a), layout(b), 1, target)
        assert cut.pack_b
        assert cut.by_rows == by_rows
        spec = gemm(m, n, k, "float32", a=layout(a), b=layout(b), c=layout(c))
        engine.call(spec._replace(scratch=spec.scratch + spare), [a, b, c], threads=machine.WORKERS + 8)
        assert not workspaces[-1][spec.scratch + 64 :].any()
        np.testing.assert_allclose(c, a @ b, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("shape", [(0, 3, 2), (3, 0, 2), (3, 2, 0)])
def test_empty_products(shape):
    m, n, k = shape
    rng = np.random.default_rng(4)
    for adding in (False, True):
        check(np.zeros((m, k), "f"), np.zeros((k, n), "f"), matrix(rng, m, n, "rows", "float32"), accumulate=adding)


def test_rows_that_would_collide_in_the_cache_are_copied():
    target, dtype = machine.host(), np.dtype("float32")
    rows = MatrixLayout(1024, 1)
    cut = choose(64, 256, 64, dtype, rows, MatrixLayout(256, 1), 1, target)
    if target.lanes(dtype) > 1:
        assert cut.pack_a == "rows"
    rng = np.random.default_rng(5)
    for level in LEVELS:
        a = matrix(rng, 64, 64, "rows", "float32", 960)
        check(a, matrix(rng, 64, 256, "rows", "float32"), matrix(rng, 64, 256, "rows", "float32"), level=level)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("threads", [1, 2, 3])
def test_batches_with_strides_of_their_own_and_shared_matrices(level, threads):
    rng = np.random.default_rng(6)
    qkv = rng.standard_normal((2, 20, 3, 4, 8)).astype(np.float32)
    q, k, v = (qkv[:, :, i].transpose(0, 2, 1, 3) for i in range(3))
    scores = np.full((2, 4, 20, 20), np.nan, np.float32)
    check(q, k.swapaxes(-1, -2), scores, threads=threads, level=level)
    heads = np.full((2, 20, 4, 8), np.nan, np.float32)
    check(scores, v, heads.transpose(0, 2, 1, 3), threads=threads, level=level)
    check(
        scores.swapaxes(-1, -2), v, np.zeros((2, 4, 20, 8), np.float32), accumulate=True, threads=threads, level=level
    )
    shared = rng.standard_normal((20, 5)).astype(np.float32)
    check(scores, shared, np.zeros((2, 4, 20, 5), np.float32), threads=threads, level=level)
    check(shared.T, scores, np.zeros((2, 4, 5, 20), np.float32), threads=threads, level=level)


def test_more_threads_than_work():
    rng = np.random.default_rng(7)
    a, b = (rng.standard_normal((3, 3)).astype(np.float32) for _ in range(2))
    check(a, b, np.zeros((3, 3), np.float32), threads=7)


# ------------------------------------------------------------------------------------ callbacks


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize(("m", "n", "k"), [(17, 37, 20), (33, 64, 2100), (5, 3, 4)])
def test_epilogue_sees_the_whole_sum_with_its_place(level, m, n, k):
    """relu(C + A B + bias[column] + row)"""
    rng = np.random.default_rng(8)
    a, b, c = (rng.standard_normal(shape).astype(np.float32) for shape in ((m, k), (k, n), (m, n)))
    bias = rng.standard_normal(n).astype(np.float32)

    def epilogue(builder, place, value):
        value = builder.fadd(
            value, place.load(builder, emit.element(builder, builder.operands[3], place.column, emit.F32))
        )
        lanes = machine.limited(level).lanes("float32")
        value = builder.fadd(value, emit.splat(builder, builder.sitofp(place.row, emit.F32), lanes))
        zero = emit.constant(place.register, 0.0)
        return builder.select(builder.fcmp_ordered(">", value, zero), value, zero)

    layouts = {"a": layout(a), "b": layout(b), "c": layout(c)}
    spec = gemm(m, n, k, "float32", **layouts, accumulate=True, epilogue=epilogue, operands=1)
    wanted = np.maximum(c + a.astype(np.float64) @ b + bias + np.arange(m)[:, None], 0)
    engine.call(spec, [a, b, c, bias], threads=2, machine=machine.limited(level))
    np.testing.assert_allclose(c, wanted, rtol=1e-5, atol=1e-5 * np.abs(wanted).max())


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize(("m", "n", "k"), [(17, 37, 20), (37, 70, 2100), (1, 700, 300)])
def test_consume_takes_the_product_that_is_never_stored(level, m, n, k):
    """p -= 0.1 * A B, batch after batch"""
    rng = np.random.default_rng(9)
    a, b, p = (rng.standard_normal((3, *shape)).astype(np.float32) for shape in ((k, m), (k, n), (m, n)))
    wanted = p - 0.1 * (a.astype(np.float64).swapaxes(1, 2) @ b)

    def consume(builder, place, value):
        position = builder.add(builder.mul(place.batch[0], emit.i64(m)), place.row)
        position = builder.add(builder.mul(position, emit.i64(n)), place.column)
        address = emit.element(builder, builder.operands[2], position, emit.F32)
        step = emit.constant(place.register, -0.1)
        place.store(builder, emit.fma(builder, step, value, place.load(builder, address)), address)

    batch = [BatchDimension(3, m * k, n * k, 0)]
    a_layout = layout(a).transposed
    spec = gemm(
        m, n, k, "float32", a=a_layout, b=layout(b), c=None, batch=batch, consume=consume, operands=1, key="descent"
    )
    engine.call(spec, [a, b, p], threads=2, machine=machine.limited(level))
    np.testing.assert_allclose(p, wanted, rtol=1e-5, atol=1e-5 * np.abs(wanted).max())


def test_keys_tell_kernels_apart():
    rows = MatrixLayout(4, 1)
    same = [gemm(4, 4, 4, "float32", a=rows, b=rows, c=rows) for _ in range(2)]
    others = [
        gemm(4, 4, 4, "float64", a=rows, b=rows, c=rows),
        gemm(4, 4, 4, "float32", a=rows.transposed, b=rows, c=rows),
        gemm(4, 4, 4, "float32", a=rows, b=rows, c=rows, accumulate=True),
        gemm(4, 4, 4, "float32", a=rows, b=rows, c=rows, epilogue=lambda builder, place, value: value),
        gemm(4, 4, 4, "float32", a=rows, b=rows, c=rows, batch=[BatchDimension(2, 0, 0, 16)]),
    ]
    assert same[0].key == same[1].key
    assert len({spec.key for spec in [same[0], *others]}) == 1 + len(others)


def test_what_cannot_be_asked_for():
    rows = MatrixLayout(4, 1)
    with pytest.raises(ValueError, match="give c, or consume"):
        gemm(4, 4, 4, "float32", a=rows, b=rows, c=None)
    with pytest.raises(ValueError, match="accumulate=True adds to C"):
        gemm(4, 4, 4, "float32", a=rows, b=rows, c=None, consume=lambda *_: None, accumulate=True)


# ------------------------------------------------------------------------------------ inside the arrays


class Fenced:
    """A place for a matrix with pages on both sides that nothing may touch: who does ends the process."""

    def __init__(self, libc):
        page = mmap.PAGESIZE
        self.size = 16 * page
        self.memory = mmap.mmap(-1, self.size + 2 * page)
        start = ctypes.addressof(ctypes.c_char.from_buffer(self.memory))
        for fence in (start, start + page + self.size):
            assert libc.mprotect(ctypes.c_void_p(fence), ctypes.c_size_t(page), 0) == 0

    def put(self, view: np.ndarray, at_end: bool) -> np.ndarray:
        """A copy with the same strides whose first or last element is beside a fence."""
        strides = view.strides
        extent = sum((count - 1) * stride for count, stride in zip(view.shape, strides)) + view.itemsize
        offset = mmap.PAGESIZE + (self.size - extent if at_end else 0)
        copy = np.ndarray(view.shape, view.dtype, self.memory, offset, strides)
        copy[...] = view
        return copy


@pytest.mark.skipif(sys.platform not in ("linux", "darwin"), reason="pages are fenced by mprotect")
@pytest.mark.parametrize("level", LEVELS)
def test_nothing_outside_the_arrays_is_touched(level):
    libc = ctypes.CDLL(None)
    fences = [Fenced(libc) for _ in range(3)]
    rng = np.random.default_rng(10)
    for number, kinds in enumerate(product(KINDS, KINDS, KINDS[:2])):
        m, n, k = (int(size) for size in rng.choice((1, 2, 5, 9, 17, 23, 37, 50), 3))
        dtype = FLOATS[number % 2]
        shapes = ((m, k), (k, n), (m, n))
        for at_end in (False, True) if number % 4 == 0 else (True,):
            views = [matrix(rng, *shape, kind, dtype) for shape, kind in zip(shapes, kinds, strict=True)]
            a, b, c = (fence.put(view, at_end) for fence, view in zip(fences, views, strict=True))
            target = machine.limited(level)
            wanted = a.astype(np.float64) @ b
            spec = gemm(m, n, k, dtype, a=layout(a), b=layout(b), c=layout(c))
            engine.call(spec, [a, b, c], threads=1 + number % 2, machine=target)
            np.testing.assert_allclose(c, wanted, rtol=0, atol=TOLERANCE[dtype] * max(1, np.abs(wanted).max()))
