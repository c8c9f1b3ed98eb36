"""Cases of pooling to a given size, in one to three spatial axes."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np

from autograd_core.ops import adaptive_pooling as ops

from .case import OpCase, distinct, normal, operands


def by_loops(x: np.ndarray, ndim: int, output_size: Any, maxima: bool, indices: bool) -> Any:
    """The definition, one bin at a time."""
    size = x.shape[-ndim:]
    given = output_size if isinstance(output_size, tuple) else (output_size,) * ndim
    output = [n if t is None else t for n, t in zip(size, given)]
    y = np.zeros((*x.shape[:-ndim], *output), x.dtype)
    found = np.zeros(y.shape, np.int64)
    for lead in np.ndindex(*x.shape[:-ndim]):
        for at in product(*map(range, output)):
            bins = [range(i * n // t, -(-(i + 1) * n // t)) for i, n, t in zip(at, size, output)]
            values = x[lead][np.ix_(*bins)]
            y[(*lead, *at)] = values.max() if maxima else values.mean()
            best = np.unravel_index(values.argmax(), values.shape)
            found[(*lead, *at)] = np.ravel_multi_index([b[k] for b, k in zip(bins, best)], size)
    return (y, found) if indices else y


def case(name: str, variant: str, shape: tuple[int, ...], output_size: Any, *, indices: bool = False) -> OpCase:
    function, ndim, maxima = getattr(ops, name), int(name[-2]), "max" in name
    arguments = {"return_indices": True} if indices else {}
    return OpCase(
        f"{name}/{variant}" if variant else name,
        lambda x: function(x, output_size, **arguments),
        operands((distinct if maxima else normal)(*shape)),
        lambda x: by_loops(x, ndim, output_size, maxima, indices),
        torch=lambda torch, x: getattr(torch.nn.functional, name)(x, output_size, **arguments),
    )


CASES = [
    case("adaptive_avg_pool2d", "", (2, 2, 4, 3), (2, 3)),
    case("adaptive_avg_pool2d", "global", (2, 2, 3, 4), 1),
    case("adaptive_avg_pool2d", "uneven-bins", (1, 2, 5, 3), (3, 2)),
    case("adaptive_avg_pool2d", "more-bins", (1, 1, 2, 3), 4),
    case("adaptive_avg_pool2d", "one-axis", (2, 4, 5), (None, 3)),
    case("adaptive_avg_pool1d", "", (2, 2, 6), 3),
    case("adaptive_avg_pool1d", "uneven-bins", (2, 7), 3),
    case("adaptive_avg_pool3d", "", (1, 2, 2, 4, 2), (1, 2, 2)),
    case("adaptive_avg_pool3d", "uneven-bins", (2, 3, 2, 2), (2, None, 3)),
    case("adaptive_max_pool1d", "", (2, 2, 6), 3),
    case("adaptive_max_pool1d", "uneven-bins", (2, 7), 3),
    case("adaptive_max_pool2d", "", (1, 2, 4, 3), (2, 3)),
    case("adaptive_max_pool2d", "uneven-bins", (1, 2, 5, 3), (3, 2)),
    case("adaptive_max_pool2d", "indices", (2, 5, 3), (3, 2), indices=True),
    case("adaptive_max_pool2d", "even-indices", (1, 2, 4, 2), (2, 1), indices=True),
    case("adaptive_max_pool2d", "more-bins", (1, 1, 2, 3), (None, 4)),
    case("adaptive_max_pool3d", "", (1, 2, 2, 4, 2), (1, 2, 2)),
    case("adaptive_max_pool3d", "uneven-bins", (2, 3, 2, 2), (2, None, 3), indices=True),
]
