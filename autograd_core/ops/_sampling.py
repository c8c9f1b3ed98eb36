"""One axis sampled at other places: every output a weighted sum of a few elements, whatever kind of resampling it is.

Output i of t samples n inputs at (align_corners=False: elements are areas, and the outer edges of both axes meet;
True: elements are points, and the outermost ones meet)

    (i + 1/2) n / t - 1/2        or        i (n - 1) / (t - 1).

The weights are a sparse matrix of t by n. It is kept as lists of "the k-th element of every row", and so is its
transpose, which makes the gradient the same operation again. Elements without a weight are never touched: what is NaN
there stays there.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from ..aval import Aval
from ..batching import shift
from ..primitive import Multilinear, bind, multilinear

Entries = tuple[np.ndarray, np.ndarray, np.ndarray]  # rows, columns and weights


class Sampling(NamedTuple):
    """How one axis is resampled, from ``n`` elements to ``t``."""

    n: int
    t: int
    kind: str  # nearest, nearest-exact, linear, cubic, mean
    factor: float | None = None  # what counts as t / n, where that is not it
    align_corners: bool = False
    antialias: bool = False

    @property
    def step(self) -> float:
        """The distance of two samples, in input elements."""
        if self.align_corners:
            return (self.n - 1) / (self.t - 1) if self.t > 1 else 0.0
        return 1 / self.factor if self.factor else self.n / self.t

    @property
    def changes(self) -> bool:
        """Whether anything is left to do. As in PyTorch, a factor that keeps the length moves some samples only."""
        moved = self.step != 1.0 and not self.antialias and self.kind not in ("linear", "mean")
        return self.n != self.t or moved

    def entries(self) -> Entries:
        """What each sample takes of each element; a pair may occur twice."""
        if self.kind in ("nearest", "nearest-exact"):
            return _nearest(self)
        if self.kind == "mean":
            return _means(self)
        return _smoothed(self) if self.antialias else _interpolated(self)


def bins(n: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Where the bins of adaptive pooling start and end: floor(i n / count) and ceil((i + 1) n / count)."""
    return np.arange(count) * n // count, -(-np.arange(1, count + 1) * n // count)


def _nearest(rule: Sampling) -> Entries:
    at = np.arange(rule.t, dtype=np.float64) + (0.5 if rule.kind == "nearest-exact" else 0.0)
    # in single precision, as PyTorch rounds: 2.9999999999 is 3
    index = np.minimum(np.floor((at * rule.step).astype(np.float32)), rule.n - 1).astype(np.int64)
    return np.arange(rule.t), index, np.ones(rule.t)


def _spread(starts: np.ndarray, ends: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns of all elements from each row's start to its end."""
    lengths = ends - starts
    rows = np.repeat(np.arange(len(starts)), lengths)
    return rows, np.arange(len(rows)) - np.repeat(np.cumsum(lengths) - lengths, lengths) + starts[rows]


def _means(rule: Sampling) -> Entries:
    starts, ends = bins(rule.n, rule.t)
    rows, columns = _spread(starts, ends)
    return rows, columns, 1 / (ends - starts)[rows]


def _kernel(x: np.ndarray, cubic: bool, a: float) -> np.ndarray:
    """The triangle, or the cubic convolution kernel of Keys, 1981."""
    x = np.abs(x)
    if not cubic:
        return np.maximum(1 - x, 0.0)
    inner, outer = ((a + 2) * x - (a + 3)) * x * x + 1, (((x - 5) * x + 8) * x - 4) * a
    return np.where(x <= 1, inner, np.where(x < 2, outer, 0.0))


def _interpolated(rule: Sampling) -> Entries:
    cubic = rule.kind == "cubic"
    at = np.arange(rule.t, dtype=np.float64)
    at = at * rule.step if rule.align_corners else (at + 0.5) * rule.step - 0.5
    at = at if cubic else np.clip(at, 0.0, rule.n - 1)
    first = np.floor(at)
    offsets = np.arange(-1, 3) if cubic else np.arange(2)
    weights = _kernel((at - first)[:, None] - offsets, cubic, -0.75)
    columns = np.clip(first.astype(np.int64)[:, None] + offsets, 0, rule.n - 1)
    return np.repeat(np.arange(rule.t), len(offsets)), columns.reshape(-1), weights.reshape(-1)


def _smoothed(rule: Sampling) -> Entries:
    """The kernel as wide as the distance of samples, so that shrinking averages."""
    cubic, stretch = rule.kind == "cubic", max(rule.step, 1.0)
    support = (2.0 if cubic else 1.0) * stretch
    middles = (np.arange(rule.t) + 0.5) * rule.step
    starts = np.maximum((middles - support + 0.5).astype(np.int64), 0)
    ends = np.minimum((middles + support + 0.5).astype(np.int64), rule.n)
    rows, columns = _spread(starts, ends)
    weights = _kernel((columns - middles[rows] + 0.5) / stretch, cubic, -0.5)
    return rows, columns, weights / np.bincount(rows, weights)[rows]


# --------------------------------------------------------------------------------------- operation

Tap = tuple[list[int] | None, list[int], list[float] | None]  # lists: a device takes no arrays of the host


def matrix(rule: Sampling, transposed: bool) -> Entries:
    """The weights other than 0, row by row and each pair once; with ``transposed``, what each element gives."""
    rows, columns, weights = rule.entries()
    width = rule.n
    if transposed:
        rows, columns, width = columns, rows, rule.t
    places, where = np.unique(rows * width + columns, return_inverse=True)
    sums = np.bincount(where, weights)
    places, sums = places[sums != 0], sums[sums != 0]
    return places // width, places % width, sums


@lru_cache(maxsize=256)
def _taps(rule: Sampling, transposed: bool) -> list[Tap]:
    """For each k the k-th elements of all rows that have so many: rows (None: all), columns, weights (None: ones)."""
    rows, columns, sums = matrix(rule, transposed)
    height = rule.n if transposed else rule.t
    counts = np.bincount(rows, minlength=height)
    order = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
    taps: list[Tap] = []
    for k in range(int(counts.max(initial=0))):
        chosen = order == k
        of = rows[chosen]
        weights = None if (sums[chosen] == 1).all() else sums[chosen].tolist()
        taps.append((None if len(of) == height else of.tolist(), columns[chosen].tolist(), weights))
    return taps


def _resample(xp: Any, x: Any, *, axis: int, rule: Sampling, transposed: bool) -> Any:
    y = None
    for rows, columns, weights in _taps(rule, transposed):
        part = xp.take(x, xp.asarray(columns), axis=axis)
        if weights is not None:
            part *= xp.asarray(weights, dtype=x.dtype).reshape(-1, *(1,) * (x.ndim - 1 - axis))
        if y is None:
            if rows is None:
                y = part
                continue
            y = xp.zeros(_shape(x, axis=axis, rule=rule, transposed=transposed), dtype=x.dtype)
        if rows is None:
            y += part
        else:
            y[(*(slice(None),) * axis, xp.asarray(rows))] += part
    return y


def _shape(x: Any, *, axis: int, rule: Sampling, transposed: bool) -> tuple[int, ...]:
    return (*x.shape[:axis], rule.n if transposed else rule.t, *x.shape[axis + 1 :])


resample_p: Multilinear = multilinear(
    "resample",
    _resample,
    transposes=(
        lambda g, axis, rule, transposed: bind(
            resample_p, (g,), {"axis": axis, "rule": rule, "transposed": not transposed}
        ),
    ),
    shape=lambda x, **params: Aval(_shape(x, **params), x.dtype),
    batch={"axis": shift},
)


def resample(x: Any, axis: int, rule: Sampling) -> Any:
    """``x`` with ``axis`` (non-negative) resampled."""
    return bind(resample_p, (x,), {"axis": axis, "rule": rule, "transposed": False}) if rule.changes else x
