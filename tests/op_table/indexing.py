"""Cases of indexing, gather and scatter."""

from __future__ import annotations

from typing import Any

import numpy as np

import autograd_core as ag
from autograd_core.ops import _elements
from autograd_core.primitive import bind

from .case import OpCase, integers, normal, operands

EVERY = slice(None)
MASK = np.array([[True, False, True], [False, False, True]])
BACKWARD_SLICE = "PyTorch has no slices with negative steps"
DISCRETE = "positions have no derivative"


def get(variant: str, shape: tuple[int, ...], key: Any, *, torch: bool = True, no_torch: str = "") -> OpCase:
    """``x[key]``."""
    return OpCase(
        f"getitem/{variant}",
        lambda x: x[key],
        operands(normal(*shape)),
        lambda x: x[key],
        (lambda torch, x: x[key]) if torch else None,
        no_torch,
    )


def update(method: str, variant: str, x: tuple[int, ...], key: Any, v: tuple[int, ...]) -> OpCase:
    """``x.at[key].method(v)``."""

    def reference(x: np.ndarray, v: np.ndarray) -> np.ndarray:
        result = x.copy()
        if method == "add":
            np.add.at(result, key, v)
        else:
            result[key] = v if method == "set" else result[key] * v
        return result

    def by_torch(torch: Any, x: Any, v: Any) -> Any:
        index = tuple(
            torch.as_tensor(k) if isinstance(k, np.ndarray) else k for k in (key if isinstance(key, tuple) else (key,))
        )
        if method == "add":
            arrays = torch.arange(x.numel()).reshape(x.shape)[index]
            return x.flatten().index_add(0, arrays.flatten(), v.broadcast_to(arrays.shape).flatten()).reshape(x.shape)
        result = x.clone()
        result[index] = v if method == "set" else x[index] * v
        return result

    return OpCase(
        f"at/{method} {variant}",
        lambda x, v: getattr(x.at[key], method)(v),
        operands(normal(*x), normal(*v)),
        reference,
        by_torch,
    )


def along(
    name: str,
    fn: Any,
    x: tuple[int, ...],
    index: Any,
    *values: Any,
    reference: Any,
    torch: Any = None,
    no_torch: str = "",
) -> OpCase:
    """A function of x, an index and perhaps values."""
    return OpCase(name, fn, operands(normal(*x), index, *values), reference, torch, no_torch)


def scattered(add: bool) -> Any:
    """The definition of scatter along axis 1, one element at a time."""

    def reference(x: np.ndarray, index: np.ndarray, src: np.ndarray) -> np.ndarray:
        result = x.copy()
        for i, j in np.ndindex(*index.shape):
            result[i, index[i, j]] = src[i, j] + (result[i, index[i, j]] if add else 0)
        return result

    return reference


def permutations(rows: int, n: int, k: int) -> Any:
    """Draws ``rows`` rows of ``k`` different numbers below ``n``."""
    return lambda rng: np.stack([rng.permutation(n)[:k] for _ in range(rows)])


CASES = [
    get("int", (3, 2), 1),
    get("negative-int", (3, 2), -1),
    get("to-a-number", (3, 2), (2, 0)),
    get("slice", (5, 2), slice(1, 4)),
    get("slice-step", (5, 2), (slice(None, None, 2), slice(1, None))),
    get("slice-backwards", (5, 2), slice(None, None, -1), torch=False, no_torch=BACKWARD_SLICE),
    get("slice-backwards-step", (2, 6), (EVERY, slice(4, None, -2)), torch=False, no_torch=BACKWARD_SLICE),
    get("slice-empty", (3, 2), slice(2, 1)),
    get("slice-beyond-ends", (3, 2), slice(-9, 2)),
    get("new-axis", (2, 3), (None, EVERY, None)),
    get("ellipsis", (2, 2, 3), (..., 1)),
    get("ellipsis-of-nothing", (2, 3), (0, ..., 1)),
    get("mixed-basic", (2, 3, 4), (..., None, -1, slice(1, 3))),
    get("array", (4, 3), np.array([2, 0, 2, -1])),
    get("list", (4, 3), [2, 0]),
    get("matrix-of-indices", (4, 3), np.array([[2, 0], [1, 1]])),
    get("empty-array", (4, 3), np.zeros(0, np.int64)),
    get("array-second-axis", (2, 4), (EVERY, np.array([3, 0, 3]))),
    get("arrays", (3, 4), (np.array([0, 2, 0]), np.array([1, -1, 1]))),
    get("arrays-broadcast", (3, 4), (np.array([[0], [2]]), np.array([1, 3]))),
    get("arrays-after-slice", (2, 3, 4), (EVERY, np.array([0, 2]), np.array([1, 3]))),
    get("arrays-parted", (2, 3, 2), (np.array([0, 1, 1]), EVERY, np.array([1, 0, 0]))),
    get(
        "int-and-array-parted",
        (2, 3, 4),
        (0, EVERY, np.array([1, 0])),
        torch=False,
        no_torch="PyTorch orders the axes otherwise than NumPy",
    ),
    get("array-and-slice", (4, 5), (np.array([2, 0]), slice(1, 4))),
    get("array-and-backwards", (4, 3), (np.array([2, 0]), slice(None, None, -1)), torch=False, no_torch=BACKWARD_SLICE),
    get("mask", (2, 3), MASK),
    get("mask-first-axis", (2, 3), np.array([False, True])),
    get("mask-second-axis", (2, 3), (EVERY, np.array([True, False, True]))),
    get("mask-of-two-axes", (2, 2, 3), (EVERY, MASK)),
    get(
        "mask-after-ellipsis-and-int",
        (3, 2, 3),
        (..., -3, MASK),
        torch=False,
        no_torch="PyTorch counts a mask as one axis where it looks for those of an Ellipsis",
    ),
    get("mask-and-array", (3, 2), (np.array([True, False, True]), np.array([1, 0]))),
    get("mask-nothing", (2, 3), np.zeros((2, 3), bool)),
    get("truth", (2, 2), True),
    OpCase(
        "getitem/index-tensor",
        lambda x, i: x[i],
        operands(normal(5, 2), integers(-5, 5, 2, 3)),
        lambda x, i: x[i],
        lambda torch, x, i: x[i],
    ),
    OpCase(
        "getitem/number-tensor",
        lambda x, i: x[i, 1:],
        operands(normal(4, 3), integers(0, 4)),
        lambda x, i: x[i, 1:],
        lambda torch, x, i: x[i, 1:],
    ),
    OpCase(
        "getitem/twice-the-same",
        lambda x: x[[0, 0, 1]] * x[1:].sum(),
        operands(normal(3)),
        lambda x: x[[0, 0, 1]] * x[1:].sum(),
        lambda torch, x: x[[0, 0, 1]] * x[1:].sum(),
    ),
    update("set", "int", (3, 2), 1, (2,)),
    update("set", "slice", (4, 2), slice(1, 3), (2, 1)),
    update("set", "whole", (2, 2), ..., (2,)),
    update("set", "array", (4, 2), np.array([2, 0]), (2, 2)),
    update("set", "array-second-axis", (2, 4), (EVERY, np.array([3, 0])), (2,)),
    update("set", "arrays-parted", (2, 3, 2), (np.array([0, 1]), EVERY, np.array([1, 0])), (2, 3)),
    update("set", "array-and-slice", (4, 5), (np.array([2, 0]), slice(1, 4)), (2, 3)),
    update("set", "mask", (2, 3), MASK, ()),
    update("add", "int", (3, 2), -1, (2,)),
    update("add", "slice", (4, 2), slice(None, None, 2), (2, 2)),
    update("add", "array", (3, 2), np.array([2, 0, 2]), (3, 2)),
    update("add", "arrays", (2, 3), (np.array([1, 1, 0]), np.array([2, 2, 0])), (3,)),
    update("add", "mask", (2, 3), MASK, (3,)),
    update("multiply", "slice", (3, 2), slice(1, None), (2, 2)),
    update("multiply", "array", (3, 2), np.array([2, 0]), (1, 2)),
    OpCase(
        "at/get",
        lambda x: x.at[1:, 0].get(),
        operands(normal(3, 2)),
        lambda x: x[1:, 0],
        lambda torch, x: x[1:, 0],
    ),
    OpCase(
        "at/set several values in one place",
        lambda x, v: x.at[[1, 0, 1]].set(v),
        operands(normal(3, 2), normal(3, 2)),
        lambda x, v: np.stack([v[1], v[2], x[2]]),
        no_torch="PyTorch leaves open which value stays",
    ),
    along(
        "take",
        lambda x, i: ag.take(x, i, axis=0),
        (4, 3),
        integers(-4, 4, 5),
        reference=lambda x, i: np.take(x, i, axis=0),
        torch=lambda torch, x, i: x[i],
    ),
    along(
        "take/last-axis",
        lambda x, i: ag.take(x, i, axis=-1),
        (2, 4),
        integers(0, 4, 2, 2),
        reference=lambda x, i: np.take(x, i, axis=-1),
        torch=lambda torch, x, i: x[:, i],
    ),
    along(
        "take/flattened",
        lambda x, i: ag.take(x, i),
        (2, 3),
        integers(-6, 6, 4),
        reference=np.take,
        torch=lambda torch, x, i: x.flatten()[i],
    ),
    along(
        "take/of-a-transpose",
        lambda x, i: ag.take(x.mT, i, axis=0),
        (3, 4),
        integers(0, 4, 3),
        reference=lambda x, i: x.T[i],
        torch=lambda torch, x, i: x.mT[i],
    ),
    along(
        "take_along_axis",
        lambda x, i: ag.take_along_axis(x, i),
        (2, 3),
        integers(-3, 3, 2, 4),
        reference=lambda x, i: np.take_along_axis(x, i, -1),
        torch=lambda torch, x, i: torch.take_along_dim(x, i % 3, 1),
    ),
    along(
        "take_along_axis/broadcast",
        lambda x, i: ag.take_along_axis(x, i, axis=0),
        (3, 1, 2),
        integers(0, 3, 2, 3, 1),
        reference=lambda x, i: np.take_along_axis(np.broadcast_to(x, (3, 3, 2)), np.broadcast_to(i, (2, 3, 2)), 0),
        torch=lambda torch, x, i: torch.take_along_dim(x, i, 0),
    ),
    along(
        "gather",
        lambda x, i: ag.gather(x, 1, i),
        (3, 4),
        integers(0, 4, 2, 3),
        reference=lambda x, i: np.take_along_axis(x[:2], i, 1),
        torch=lambda torch, x, i: x.gather(1, i),
    ),
    along(
        "gather/first-axis",
        lambda x, i: ag.gather(x, 0, i),
        (3, 4),
        integers(0, 3, 5, 2),
        reference=lambda x, i: np.take_along_axis(x[:, :2], i, 0),
        torch=lambda torch, x, i: x.gather(0, i),
    ),
    along(
        "scatter",
        lambda x, i, v: ag.scatter(x, 1, i, v),
        (3, 4),
        permutations(2, 4, 3),
        normal(2, 3),
        reference=scattered(add=False),
        torch=lambda torch, x, i, v: x.scatter(1, i, v),
    ),
    along(
        "scatter/longer-source",
        lambda x, i, v: ag.scatter(x, -1, i, v),
        (2, 4),
        permutations(2, 4, 2),
        normal(3, 4),
        reference=scattered(add=False),
        no_torch="PyTorch has no gradient where the source is longer than the index",
    ),
    along(
        "scatter/number",
        lambda x, i: ag.scatter(x, 1, i, 2.5),
        (2, 4),
        permutations(2, 4, 2),
        reference=lambda x, i: scattered(add=False)(x, i, np.full(i.shape, 2.5)),
        torch=lambda torch, x, i: x.scatter(1, i, 2.5),
    ),
    along(
        "scatter_add",
        lambda x, i, v: ag.scatter_add(x, 1, i, v),
        (3, 3),
        integers(0, 3, 2, 5),
        normal(2, 5),
        reference=scattered(add=True),
        torch=lambda torch, x, i, v: x.scatter_add(1, i, v),
    ),
    OpCase(
        "nonzero",
        ag.nonzero,
        operands(integers(0, 2, 3, 4)),
        np.nonzero,
        lambda torch, x: x.nonzero(as_tuple=True),
        differentiable=(),
        why_not=DISCRETE,
    ),
    OpCase(
        "masked_fill",
        lambda x: ag.masked_fill(x, MASK, 2.0),
        operands(normal(2, 3)),
        lambda x: np.where(MASK, 2.0, x),
        lambda torch, x: x.masked_fill(torch.as_tensor(MASK), 2.0),
    ),
    OpCase(
        "masked_fill/tensor",
        lambda x, v: ag.masked_fill(x, MASK, v),
        operands(normal(2, 3), normal()),
        lambda x, v: np.where(MASK, v, x),
        lambda torch, x, v: x.masked_fill(torch.as_tensor(MASK), v),
    ),
    OpCase(
        "masked_select",
        lambda x: ag.masked_select(x, MASK[:, :1]),
        operands(normal(2, 3)),
        lambda x: x[0],
        lambda torch, x: x.masked_select(torch.as_tensor(MASK[:, :1])),
    ),
    OpCase(
        "place",
        lambda v: bind(_elements.place_p, (v,), {"key": ((3, None, -2), 1), "shape": (4, 3)}),
        operands(normal(2)),
        lambda v: np.array([[0, 0, 0], [0, v[1], 0], [0, 0, 0], [0, v[0], 0]]),
        no_torch="PyTorch has no such function",
    ),
    OpCase(
        "add_at",
        lambda v, i: bind(_elements.add_at_p, (v, i), {"axis": 1, "length": 3}),
        operands(normal(2, 2, 2, 2), integers(-3, 3, 2, 2)),
        lambda v, i: np.stack([sum(v[:, j, k] * (i[j, k] % 3 == n) for j, k in np.ndindex(2, 2)) for n in range(3)], 1),
        no_torch="PyTorch has no such function",
    ),
    OpCase(
        "last",
        lambda i: bind(_elements.last_p, (i,), {"length": 3}),
        operands(integers(-3, 3, 2, 3)),
        lambda i: np.array([k % 3 not in i.flat[n + 1 :] % 3 for n, k in enumerate(i.flat)]).reshape(i.shape),
        no_torch="PyTorch has no such function",
        differentiable=(),
        why_not=DISCRETE,
    ),
    OpCase(
        "joint_positions",
        lambda i, j: bind(_elements.joint_positions_p, (i, j), {"lengths": (3, 4)}),
        operands(integers(-3, 3, 2, 1), integers(-4, 4, 3)),
        lambda i, j: np.ravel_multi_index(np.broadcast_arrays(i % 3, j % 4), (3, 4)),
        no_torch="PyTorch has no such function",
        differentiable=(),
        why_not=DISCRETE,
    ),
    OpCase(
        "positions_along",
        lambda i: bind(_elements.positions_along_p, (i,), {"shape": (3, 4), "axis": 1}),
        operands(integers(-4, 4, 2, 3)),
        lambda i: i % 4 + np.array([[0], [4]]),
        no_torch="PyTorch has no such function",
        differentiable=(),
        why_not=DISCRETE,
    ),
]
