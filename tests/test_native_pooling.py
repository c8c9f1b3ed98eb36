"""Native pooling: the formulas' maxima, places and means, of images that lie any way, and nothing outside of them."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("llvmlite", reason="native code needs llvmlite")

from native_lowered import LEVELS, THREADS, assert_native, check, formula, spread

import autograd_core as ag
from autograd_core import nn, optim
from autograd_core.compiler.layout import channels_last
from autograd_core.compiler.space import row_major
from autograd_core.ops._windows import windows
from autograd_core.ops.pooling import avg_pool_p, avg_spread_p, max_pool_p, pool_gather_p, pool_scatter_p

CASES = [
    # sizes, kernel, stride, padding, dilation, ceil
    ((8, 28), (2, 2), (2, 2), (0, 0), (1, 1), False),
    ((7, 38), (2, 2), (2, 2), (0, 0), (1, 1), True),
    ((9, 11), (3, 3), (2, 2), (1, 1), (1, 1), False),
    ((6, 23), (3, 3), (1, 1), (1, 1), (1, 1), False),
    ((8, 20), (2, 3), (3, 3), (1, 0), (2, 1), False),
    ((5, 9), (5, 9), (1, 1), (0, 0), (1, 1), False),
    ((21,), (3,), (2,), (1,), (2,), False),
    ((40,), (4,), (4,), (0,), (1,), False),
    ((4, 3, 10), (2, 3, 2), (2, 1, 2), (1, 1, 0), (1, 1, 1), False),
]


def pooled(size, kernel, stride, padding, dilation, ceil):
    return windows("pool", size, kernel, stride, tuple((p, p) for p in padding), dilation, ceil)


def image(rng, shape, dtype, holes=True):
    x = np.round(rng.standard_normal(shape) * 4)  # so that maxima are equal
    if np.dtype(dtype).kind == "f" and holes:
        x[rng.random(shape) < 0.02] = np.nan
        x[rng.random(shape) < 0.05] = -np.inf
    return x.astype(dtype)


@pytest.mark.parametrize(("case", "level"), [(c, v) for i, c in enumerate(CASES) for v in LEVELS[: 3 - 2 * (i % 2)]])
def test_maxima_and_their_places_are_those_of_the_formula(case, level):
    rng = np.random.default_rng(CASES.index(case))
    where = pooled(*case)
    number = CASES.index(case) + LEVELS.index(level)
    for i, dtype in enumerate((("float32", "int32"), ("float64", "uint8"))[number % 2]):
        threads = THREADS[number % 3]
        x = image(rng, (2, 3, *case[0]), dtype)
        if i == number // 2 % 2:
            x = spread(rng, x)
        check(max_pool_p, [x], {"windows": where}, level=level, threads=threads)
        y, index = formula(max_pool_p, [x], {"windows": where})
        check(pool_gather_p, [x, spread(rng, index)], {}, level=level, threads=threads)
        g = spread(rng, image(rng, y.shape, dtype, holes=False))
        check(pool_scatter_p, [g, spread(rng, index)], {"size": case[0]}, level=level, threads=threads)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("case", CASES[::2])
def test_images_may_lie_channels_last(case, level):
    number = CASES.index(case) + LEVELS.index(level)
    rng, where, threads = np.random.default_rng(number), pooled(*case), THREADS[number % 3]
    every = (("float32", 2, 35), ("float64", 40, 3), ("int32", 2, 16), ("uint8", 1, 64))
    for i, (dtype, n, channels) in enumerate(every[number % 2 :: 2]):
        x = last(image(rng, (n, channels, *case[0]), dtype))
        check(max_pool_p, [x], {"windows": where}, level=level, threads=threads, layout=(channels_last,) * 2)
        check(max_pool_p, [x], {"windows": where}, level=level, threads=threads, layout=(row_major, channels_last))
        y, index = formula(max_pool_p, [x], {"windows": where})
        g = image(rng, y.shape, dtype, holes=False)
        v = (g, last(g), spread(rng, g))[(number // 2 + i) % 3]
        check(
            pool_scatter_p, [v, last(index)], {"size": case[0]}, level=level, threads=threads, layout=(channels_last,)
        )


def last(values):
    """The same values, channels of a pixel together."""
    return np.moveaxis(np.moveaxis(values, 1, -1).copy(), -1, 1)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("case", [c for c in CASES if set(c[4]) == {1}])
def test_means_and_their_shares_are_those_of_the_formula(level, case):
    rng = np.random.default_rng(CASES.index(case))
    where = pooled(*case)
    threads, number = THREADS[LEVELS.index(level)], CASES.index(case)
    for dtype, divisor in (("float32", where.taps), ("float64", tuple(tuple(range(1, n + 1)) for n in where.output))):
        params = {"windows": where, "divisor": divisor}
        near = {"rtol": 1e-5 if dtype == "float32" else 1e-13, "atol": 1e-5 if dtype == "float32" else 1e-13}
        x, g = (rng.standard_normal((2, 3, *shape)).astype(dtype) for shape in (case[0], where.output))
        if number % 2:
            x, g = spread(rng, x), spread(rng, g)
        check(avg_pool_p, [x], params, level=level, threads=threads, **near)
        check(avg_spread_p, [g], params, level=level, threads=threads, **near)
        check(avg_pool_p, [last(x)], params, level=level, threads=threads, layout=(channels_last,), **near)
        for v in (g, last(g)):
            check(avg_spread_p, [v], params, level=level, threads=threads, layout=(channels_last,), **near)


def network(kind):
    pool = nn.MaxPool2d(2) if kind == "max" else nn.AvgPool2d(3, stride=2, padding=1)
    return nn.Sequential(nn.Conv2d(1, 3, 3), nn.ReLU(), pool, nn.Flatten(), nn.Linear(3 * 5 * 5, 4))


def trained(compiled, kind):
    with ag.default_device("cpu"), ag.random.fork(0):
        model = network(kind)
        optimizer = optim.SGD(model.parameters(), lr=0.1)
        rng = np.random.default_rng(0)
        size = 12 if kind == "max" else 11

        def step(x, labels):
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(x), labels)
            loss.backward()
            optimizer.step()
            return loss

        run = ag.compile(step) if compiled else step
        labels = ag.tensor(rng.integers(0, 4, 5))
        losses = [
            run(ag.tensor(rng.standard_normal((5, 1, size, size)).astype(np.float32)), labels).item() for _ in range(5)
        ]
        if compiled:
            assert_native(run)
        return losses, [p.numpy().copy() for p in model.parameters()]


@pytest.mark.parametrize("kind", ["max", "mean"])
def test_a_network_that_pools_is_trained_without_numpy(kind):
    wanted, parameters = trained(False, kind)
    found, own = trained(True, kind)
    np.testing.assert_allclose(found, wanted, rtol=1e-5)
    for mine, theirs in zip(own, parameters, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-5, atol=1e-6)
