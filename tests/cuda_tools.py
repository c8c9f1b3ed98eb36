"""CUDA devices for tests: those of a GPU where there is one, else those of the fake CuPy."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import cuda_code
import fake_cupy
import numpy as np
from fake_cupy.driver import Driver

import autograd_core as ag
from autograd_core import backend as registry
from autograd_core.backends.cuda import programmatic
from autograd_core.ops import pooling
from autograd_core.ops._windows import Windows

NAME = "cuda"


def is_usable(device: str) -> bool:
    """Whether this machine has that device."""
    with _registered_anew():
        return any(row.name == device and row.available for row in ag.devices())


@contextmanager
def fake_devices(driver: Driver | None = None) -> Iterator[fake_cupy.Machine]:
    """Devices "cuda" and "cuda:1" of the fake, whatever this machine has. driver: libcuda, if there is to be one."""
    with fake_cupy.installed() as machine, _registered_anew(), _loaded(driver):
        machine.host_code = cuda_code.body
        machine.bodies |= SUMS_BY_INDEX | POOLING
        yield machine


@contextmanager
def _loaded(driver: Driver | None) -> Iterator[None]:
    """What is found as libcuda, for launches that CuPy has no function for."""

    def load() -> Driver:
        if driver is None:
            raise OSError("the fake has no libcuda here")
        return driver

    before, programmatic.load = programmatic.load, load
    programmatic._found.cache_clear()
    try:
        yield
    finally:
        programmatic.load = before
        programmatic._found.cache_clear()


def _sort_runs(grid: tuple, block: tuple, arguments: list[Any]) -> None:
    indices, keys, n, length, bytes_, from_back, plane, step = arguments
    assert n <= grid[0] * 4 * block[0]
    assert abs(bytes_) == indices.itemsize
    if from_back:
        indices = np.where(indices < 0, indices.astype(np.int64) + length, indices)
    if plane:
        indices = indices + np.arange(n) // plane * step
    places = np.where((indices >= 0) & (indices < length), indices, 0xFFFFFFFF).astype(np.uint64)
    keys[:] = places << np.uint64(32) | np.arange(n, dtype=np.uint64)
    for run in range(0, n, 1024):
        keys[run : run + 1024].sort()


def _merge_runs(grid: tuple, block: tuple, arguments: list[Any]) -> None:
    keys, other, n, length = arguments
    assert n <= grid[0] * block[0]
    for pair in range(0, n, 2 * length):
        other[pair : pair + 2 * length] = np.sort(keys[pair : pair + 2 * length])


def _find_starts(grid: tuple, block: tuple, arguments: list[Any]) -> None:
    keys, starts, _, length = arguments
    assert length < grid[0] * block[0]
    starts[:] = np.searchsorted(keys >> np.uint64(32), np.arange(length + 1, dtype=np.uint64))


def _sum_by_index(grid: tuple, block: tuple, arguments: list[Any]) -> None:
    values, keys, starts, sums, n, length, inner, size = arguments
    assert sums.size == size <= grid[0] * block[0]
    taken = values.reshape(-1, n, inner)[:, (keys & np.uint64(0xFFFFFFFF)).astype(np.int64)]
    found = sums.reshape(-1, length, inner)
    wide = np.float32 if values.itemsize == 2 else values.dtype
    for row, (start, end) in enumerate(pairwise(starts)):
        found[:, row] = taken[:, start:end].sum(axis=1, dtype=wide)


def _pick(pack: int) -> Any:
    def body(grid: tuple, block: tuple, arguments: list[Any]) -> None:
        x, indices, y, bytes_, outer, count, length, inner = arguments
        assert abs(bytes_) == indices.itemsize
        assert y.size * y.itemsize == outer * count * inner * pack
        assert not any(a.ctypes.data % pack for a in (x, y))
        rows = x.view(np.uint8).reshape(outer, length, inner * pack)
        y.view(np.uint8).reshape(outer, count, inner * pack)[...] = rows[:, indices.astype(np.int64) % length]

    return body


def _windows(numbers: list[int]) -> Windows:
    size, kernel, stride, before, dilation, output = (tuple(numbers[i : i + 3]) for i in range(0, 18, 3))
    reached = [(t - 1) * s + d * (k - 1) + 1 for t, s, d, k in zip(output, stride, dilation, kernel, strict=True)]
    padding = tuple((p, max(0, m - p - n)) for p, m, n in zip(before, reached, size, strict=True))
    return Windows(size, kernel, stride, padding, dilation, output)


def _pool(formula: Any, inverse: bool, **divided: int) -> Any:
    """What a kernel over windows does, by its formula."""

    def body(grid: tuple, block: tuple, arguments: list[Any]) -> None:
        x, *results = arguments[:-19]
        windows = _windows(arguments[-18:])
        assert arguments[-19] == results[0].size <= grid[0] * block[0]
        found = formula(
            np, x.reshape(1, -1, *(windows.output if inverse else windows.size)), windows=windows, **divided
        )
        for result, values in zip(results, found if type(found) is tuple else (found,), strict=True):
            result[...] = values.reshape(result.shape)

    return body


# What the kernels of these names do: met in too many tests to compile for the host; test_cuda_indexing and
# test_cuda_pooling do.
POOLING = {
    f"{name}_{kind}": body
    for kind in ("float", "double")
    for name, body in (
        ("max_pool", _pool(pooling._max_pool, False)),
        ("window_sums", _pool(pooling._avg_pool, False, divisor=1)),
        ("window_shares", _pool(pooling._avg_spread, True, divisor=1)),
    )
}
SUMS_BY_INDEX = {
    "sort_runs": _sort_runs,
    "merge_runs": _merge_runs,
    "find_starts": _find_starts,
    **{f"sum_by_index_{kind}": _sum_by_index for kind in ("float", "double", "half", "brain")},
    **{f"pick_{pack}": _pick(pack) for pack in (1, 2, 4, 8, 16)},
}


@contextmanager
def _registered_anew() -> Iterator[None]:
    """The backend is constructed again inside, and looks at what can be imported then."""
    kept: list[tuple[dict[str, Any], dict[str, Any]]] = []
    for table in (registry._BACKENDS, registry._DEVICES):
        kept.append((table, {name: table.pop(name) for name in list(table) if name.partition(":")[0] == NAME}))
    try:
        yield
    finally:
        for table, before in kept:
            for name in [name for name in table if name.partition(":")[0] == NAME]:
                del table[name]
            table.update(before)
