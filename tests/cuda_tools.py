"""CUDA devices for tests: those of a GPU where there is one, else those of the fake CuPy."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import cuda_code
import fake_cupy

import autograd_core as ag
from autograd_core import backend as registry

NAME = "cuda"


def is_usable(device: str) -> bool:
    """Whether this machine has that device."""
    with _registered_anew():
        return any(row.name == device and row.available for row in ag.devices())


@contextmanager
def fake_devices() -> Iterator[fake_cupy.Machine]:
    """Devices "cuda" and "cuda:1" of the fake, whatever this machine has."""
    with fake_cupy.installed() as machine, _registered_anew():
        machine.host_code = cuda_code.body
        for kind in ("float", "double"):  # met in too many tests to compile for the host; test_cuda_indexing does
            machine.bodies[f"sum_by_index_{kind}"] = _sum_by_index
        yield machine


def _sum_by_index(grid: tuple, block: tuple, arguments: list[Any]) -> None:
    """What the kernel of that name does."""
    values, order, starts, sums, n, length, inner, size = arguments
    assert sums.size == size <= grid[0] * block[0]
    taken = values.reshape(-1, n, inner)[:, order]
    found = sums.reshape(-1, length, inner)
    for row, (start, end) in enumerate(pairwise(starts)):
        found[:, row] = taken[:, start:end].sum(axis=1)


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
