"""What the lanes of a warp compute together: shuffles and tensor cores, after the PTX ISA's own tables."""

from __future__ import annotations

from collections.abc import Callable

import ml_dtypes
import numpy as np

Array = np.ndarray
LANES = np.arange(32)
GROUP, IN_GROUP = LANES >> 2, LANES % 4  # groupID and threadID_in_group of the ISA


def shuffled(mode: str, values: Array, b: Array, c: Array) -> tuple[Array, Array]:
    """shfl.sync (PTX ISA, "shfl.sync", semantics): values by lane, and whether the lane asked for is in range."""
    lane = np.broadcast_to(LANES, values.shape)
    by, clamp = (np.broadcast_to(x, values.shape).astype(np.int64) for x in (b, c))
    by, segments, clamp = by & 31, clamp >> 8 & 31, clamp & 31
    highest = (lane & segments) | (clamp & ~segments & 31)
    if mode == "up":
        source = lane - by
        is_there = source >= highest
    else:
        lowest = lane & segments
        source = {"down": lane + by, "bfly": lane ^ by, "idx": lowest | (by & ~segments & 31)}[mode]
        is_there = source <= highest
    source = np.where(is_there, source, lane)
    return np.take_along_axis(values, source, axis=1), is_there


def _fragments(rows: list[Array], columns: list[Array], width: int) -> Array:
    """Of each element i of a lane's fragment, as [i, lane]: its place in the matrix, row after row."""
    return np.stack(rows) * width + np.stack(columns)


# PTX ISA, section 9.7.14.5.7, "Matrix Fragments for mma.m16n8k8", .tf32, and its accumulators
_TF32_A = _fragments([GROUP, GROUP + 8, GROUP, GROUP + 8], [IN_GROUP, IN_GROUP, IN_GROUP + 4, IN_GROUP + 4], 8)
_TF32_B = _fragments([IN_GROUP, IN_GROUP + 4], [GROUP, GROUP], 8)
# PTX ISA, section 9.7.14.5.8, "Matrix Fragments for mma.m16n8k16 with floating point type", .f16 and .bf16
_HALVES_A = _fragments(
    [GROUP if i < 2 or 4 <= i < 6 else GROUP + 8 for i in range(8)],
    [IN_GROUP * 2 + (i & 1) + (0 if i < 4 else 8) for i in range(8)],
    16,
)
_HALVES_B = _fragments([IN_GROUP * 2 + (i & 1) + (0 if i < 2 else 8) for i in range(4)], [GROUP] * 4, 8)
# both sections: "Accumulators (C or D)"
_SUMS = _fragments([GROUP if i < 2 else GROUP + 8 for i in range(4)], [IN_GROUP * 2 + (i & 1) for i in range(4)], 8)


def _matrices(fragments: list[Array], places: Array, shape: tuple[int, int]) -> Array:
    """Of each warp, in float64. fragments: arrays of [warp, lane]."""
    whole = np.empty((fragments[0].shape[0], shape[0] * shape[1]))
    for values, place in zip(fragments, places, strict=True):
        whole[:, place] = values
    return whole.reshape(-1, *shape)


def _tf32(words: list[Array]) -> list[Array]:
    """The low 13 bits are not looked at."""
    return [(w & np.uint32(0xFFFFE000)).view(np.float32) for w in words]


def _halves(half: type) -> Callable[[list[Array]], list[Array]]:
    """Two elements of a register, the one in its low bits first."""

    def taken(words: list[Array]) -> list[Array]:
        parts = [(w >> np.uint32(s) & np.uint32(0xFFFF)).astype(np.uint16) for w in words for s in (0, 16)]
        return [p.view(half).astype(np.float32) for p in parts]

    return taken


_SHAPES = {
    "m16n8k8.row.col.f32.tf32.tf32.f32": (8, 4, 2, _TF32_A, _TF32_B, _tf32),
    "m16n8k16.row.col.f32.bf16.bf16.f32": (16, 4, 2, _HALVES_A, _HALVES_B, _halves(ml_dtypes.bfloat16)),
    "m16n8k16.row.col.f32.f16.f16.f32": (16, 4, 2, _HALVES_A, _HALVES_B, _halves(np.float16)),
}


def multiplied(shape: str, a: list[Array], b: list[Array], c: list[Array]) -> list[Array]:
    """mma.sync: d = a b + c; registers are arrays of [warp, lane], those of factors as words, c and d as float32.

    The ISA leaves open how sums are rounded; here they are exact, then cut off towards zero: hardware cuts off no less.
    """
    terms, count_a, count_b, places_a, places_b, read = _SHAPES[shape]
    assert (len(a), len(b), len(c)) == (count_a, count_b, 4), shape
    left, right = _matrices(read(a), places_a, (16, terms)), _matrices(read(b), places_b, (terms, 8))
    sums = (left @ right + _matrices(c, _SUMS, (16, 8))).reshape(-1, 128)
    near = sums.astype(np.float32)
    over = np.abs(near.astype(np.float64)) > np.abs(sums)
    found = np.where(over, np.nextafter(near, np.float32(0)), near)
    return [found[:, place] for place in _SUMS]
