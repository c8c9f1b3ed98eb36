"""Random draws as CUDA C on the host: the bits of the formulas, for every size of a last block."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from cuda_host import Batch, needs_compiler

from autograd_core.aval import Aval
from autograd_core.backends.cuda.native import Sizes, random_draw
from autograd_core.compiler.ir import Equation, Var
from autograd_core.ops.arithmetic import add_p
from autograd_core.ops.random import (
    random_bernoulli_p,
    random_bits_p,
    random_integers_p,
    random_normal_p,
    random_uniform_p,
)
from autograd_core.primitive import Primitive

SMALL = Sizes(threads=64, blocks=3)
KEYS = ([0, 0], [2**64 - 1, 2**63 + 5], [0x123456789ABCDEF, 77])


def equation(primitive: Primitive, inputs: list[np.ndarray], **params: Any) -> Equation:
    avals = [Aval(a.shape, a.dtype) for a in inputs]
    return Equation(primitive, [Var(a) for a in avals], params, [Var(primitive.output_aval(*avals, **params))])


def draws() -> list[tuple[Primitive, list[np.ndarray], dict[str, Any]]]:
    found: list[tuple[Primitive, list[np.ndarray], dict[str, Any]]] = []
    for key in KEYS:
        words = np.array(key, np.uint64)
        for shape in ((), (5,), (3, 341), (64,)):
            found.append((random_bits_p, [words], {"shape": shape}))
            for name in ("float32", "float64"):
                given = {"shape": shape, "dtype": np.dtype(name)}
                found += [(random_uniform_p, [words], given), (random_normal_p, [words], given)]
            for p in (0.0, 0.3, 1.0):
                found.append((random_bernoulli_p, [words, np.float32(p)], {"shape": shape}))
            rows = np.linspace(0, 1, int(np.prod(shape))).reshape(shape)
            found.append((random_bernoulli_p, [words, rows], {"shape": shape}))
            for low, high in ((0, 7), (-3, 2**16 - 3), (-5, 2**40), (-(2**63), 2**63)):
                found.append((random_integers_p, [words], {"shape": shape, "low": low, "high": high}))
    return found


def test_bits_are_those_of_the_formulas() -> None:
    needs_compiler()
    batch, expected = Batch(), []
    for number, (primitive, inputs, params) in enumerate(draws()):
        inputs = [np.asarray(a) for a in inputs]
        e = equation(primitive, inputs, **params)
        source = random_draw(e, f"draw{number}", sizes=SMALL)
        assert source is not None
        wanted = np.asarray(primitive.forward(np, *inputs, **params))
        batch.add(source, [*inputs, np.zeros(wanted.shape, wanted.dtype)])
        expected.append(wanted)
    for runs, wanted, (primitive, _, params) in zip(batch.run(), expected, draws(), strict=True):
        for arrays in runs:
            assert arrays[-1].dtype == wanted.dtype
            assert arrays[-1].tobytes() == wanted.tobytes(), f"{primitive.name} {params}"


def test_other_equations_are_no_draws() -> None:
    x = np.zeros(3, np.float32)
    assert random_draw(equation(add_p, [x, x]), "sum") is None


def test_a_probability_of_another_dtype_is_refused() -> None:
    inputs = [np.zeros(2, np.uint64), np.zeros((), np.float16)]
    assert random_draw(equation(random_bernoulli_p, inputs, shape=(3,)), "coins") is None


@pytest.mark.parametrize("size", [2**30, 2**33])
def test_large_results_are_counted_in_64_bits(size: int) -> None:
    e = equation(random_bits_p, [np.zeros(2, np.uint64)], shape=(size,))
    source = random_draw(e, "bits")
    assert source is not None
    assert "const long long at = 4 * i;" in source.text
    assert source.launches[0].grid == Sizes().blocks
