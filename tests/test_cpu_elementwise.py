"""The compiled elementwise operations give the formulas' numbers, bit for bit, for arrays of every kind."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from autograd_core.ops import activation, selection

pytest.importorskip("numba")

from autograd_core.backends.cpu import threads
from autograd_core.backends.cpu.elementwise_kernels import KERNELS

SIZE = 20_000  # of which every kernel takes care itself
SPECIAL = [np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0, -1.0]
LIMITS = {"low": -1.0, "high": 1.0}
SLOPE = {"negative_slope": 0.1}
PRIMITIVES: list[tuple[Any, int, dict[str, float]]] = [
    (activation.relu_p, 1, {}),
    (activation.where_positive_p, 2, {}),
    (activation.leaky_relu_p, 1, SLOPE),
    (activation.leak_p, 2, SLOPE),
    (activation.hardtanh_p, 1, LIMITS),
    (activation.between_p, 2, LIMITS),
    (selection.clip_p, 1, LIMITS),
    (selection.inside_p, 2, LIMITS),
    (selection.share_p, 3, {}),
]
NAMES = [primitive.name for primitive, _, _ in PRIMITIVES]


def numbers(count: int, dtype: str = "float32", size: int = SIZE) -> list[np.ndarray]:
    """Random numbers among which all pairs of special ones meet."""
    rng = np.random.default_rng(0)
    return [np.asarray(np.where(rng.random(size) < 0.5, rng.choice(SPECIAL, size), rng.standard_normal(size)), dtype)
            for _ in range(count)]  # fmt: skip


def agree(primitive: Any, *operands: np.ndarray, **params: float) -> None:
    found = KERNELS[primitive](*operands, **params)
    with np.errstate(all="ignore"):
        expected = primitive.forward(np, *operands, **params)
    assert (found.shape, found.dtype) == (expected.shape, expected.dtype)
    np.testing.assert_array_equal(found, expected)


def test_every_kernel_is_tested() -> None:
    assert {primitive for primitive, _, _ in PRIMITIVES} | {selection.where_p} == set(KERNELS)


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "int64"])
@pytest.mark.parametrize(("primitive", "count", "params"), PRIMITIVES, ids=NAMES)
def test_numbers_are_the_formulas(primitive: Any, count: int, params: dict[str, float], dtype: str) -> None:
    operands = numbers(count, "float64" if dtype == "int64" else dtype)
    if dtype == "int64":
        operands = [np.nan_to_num(x, posinf=9, neginf=-9).astype(dtype) for x in operands]
    before = [x.copy() for x in operands]
    agree(primitive, *operands, **params)
    agree(primitive, *[x.reshape(100, -1) for x in operands], **params)
    agree(primitive, *[x.reshape(100, -1).T for x in operands], **params)
    agree(primitive, np.broadcast_to(operands[0][4], SIZE), *operands[1:], **params)
    agree(primitive, *[x[:10] for x in operands], **params)
    agree(primitive, *operands[:-1], operands[-1][4], **params)
    for x, unchanged in zip(operands, before, strict=True):
        np.testing.assert_array_equal(x, unchanged)


@pytest.mark.parametrize("name", ["hardtanh", "between", "clip", "inside"])
@pytest.mark.parametrize("limits", [(0.5, -0.5), (-np.inf, 0), (0, np.inf), (np.nan, 1.0), (1, 1)])
def test_limits_of_every_kind(name: str, limits: tuple[float, float]) -> None:
    primitive, count, _ = PRIMITIVES[NAMES.index(name)]
    agree(primitive, *numbers(count), high=limits[1], low=limits[0])


@pytest.mark.parametrize(
    "dtype", ["float32", "float64", "float16", "int64", "uint8", "bool", "complex64", "complex128"]
)
def test_choices_are_moved_bit_for_bit(dtype: str) -> None:
    rng = np.random.default_rng(0)
    condition = rng.random((100, SIZE // 100)) < 0.5
    width = np.dtype(dtype).itemsize
    x1, x2 = (np.frombuffer(rng.bytes(SIZE * width), np.dtype(dtype)).reshape(100, -1) for _ in range(2))
    if dtype == "bool":
        x1, x2 = condition, ~condition[::-1]
    number = np.asarray(x1[1, 1])
    repeated = np.broadcast_to(number, condition.shape)
    choices = [(x1, x2), (x1, number), (number, x2), (number, number), (x1, repeated), (repeated, x2), (x1[0], x2)]
    for first, second in [*choices, (x1, x2[:, :1]), (x1[::-1], x2)]:
        found = KERNELS[selection.where_p](condition, first, second)
        expected = np.where(condition, first, second)
        assert (found.shape, found.dtype) == (expected.shape, expected.dtype)
        assert found.tobytes() == expected.tobytes()
    deeper = np.broadcast_to(number, (2, *condition.shape))
    assert KERNELS[selection.where_p](condition, deeper, x2).shape == deeper.shape
    for other in (condition[:, :1], condition[::-1], condition[0, 0]):
        found, expected = KERNELS[selection.where_p](other, x1, x2), np.where(other, x1, x2)
        assert found.shape == expected.shape
        assert found.tobytes() == expected.tobytes()


def test_results_do_not_depend_on_who_does_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "SHARED_FROM", 0)
    monkeypatch.setattr(threads, "threads", lambda: 3)
    for primitive, count, params in PRIMITIVES:
        agree(primitive, *numbers(count), **params)
    x1, x2 = numbers(2)
    agree(selection.where_p, x1 > 0, x1, x2)
