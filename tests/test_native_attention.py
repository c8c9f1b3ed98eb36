"""Native attention and its gradients: the formula's, for any sizes, masks and strides, and nothing outside of them."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("llvmlite", reason="native code needs llvmlite")

from native_lowered import LEVELS, THREADS, assert_native, check, formula, spread

import autograd_core as ag
from autograd_core import nn, optim
from autograd_core.ops.attention import attention_p, attention_vjp_p

CASES = [
    # leading axes, queries, keys, features, width, extra operands, causal
    ((2, 3), 17, 17, 8, 8, (), False),
    ((3,), 5, 40, 16, 20, ("mask",), False),
    ((2,), 64, 64, 32, 32, (), True),
    ((), 3, 2, 5, 7, ("keep",), False),
    ((2, 2), 20, 33, 6, 4, ("bool mask", "keep"), True),
    ((1,), 131, 9, 4, 3, ("bool mask",), False),
    ((1, 2), 128, 20, 16, 8, ("keep",), True),
    ((2,), 131, 137, 5, 6, (), True),
    ((2,), 1, 1, 1, 1, (), False),
    ((2,), 192, 192, 8, 8, ("bool mask",), True),
]
NEAR = {"float32": 2e-5, "float64": 1e-12}


def operands(rng, case, dtype):
    lead, rows, keys, features, width, extra, _ = case
    shapes = {"q": (rows, features), "k": (keys, features), "v": (keys, width)}
    found = {name: rng.standard_normal((*lead, *shape)).astype(dtype) for name, shape in shapes.items()}
    ones = (1,) * len(lead)
    for name in extra:
        if name == "keep":
            found["keep"] = rng.random((*lead, rows, keys)) < 0.7
        elif name == "mask":
            found["mask"] = rng.standard_normal((*lead, 1, keys)).astype(dtype)
        else:
            mask = rng.random((*ones, rows, keys)) < 0.6
            mask[..., 0, :] = False  # a query that sees nothing
            found["mask"] = mask
    return found


@pytest.mark.parametrize(("number", "level"), [(n, LEVELS[n % 3]) for n in range(10)] + [(7, "scalar")])
def test_attention_and_its_gradients_are_those_of_the_formula(number, level):
    rng, case = np.random.default_rng(number), CASES[number]
    threads, dtype = THREADS[number % 3], ("float32", "float64")[number // 2 % 2]
    given = operands(rng, case, dtype)
    arrays = [spread(rng, x, keep_last=True) for x in given.values()]
    params = {"has": tuple(given), "scale": 0.3, "causal": case[-1], "keep_scale": 1.25}
    near = {"rtol": NEAR[dtype], "atol": NEAR[dtype]}
    check(attention_p, arrays, params, level=level, threads=threads, **near)
    y, sums = formula(attention_p, arrays, params)
    g = spread(rng, rng.standard_normal(y.shape).astype(dtype), keep_last=True)
    wanted = {5: ("v",), 6: ("k", "q")}.get(number, ("q", "k", "v"))
    check(attention_vjp_p, [g, y, sums, *arrays], {**params, "wanted": wanted}, level=level, threads=threads, **near)


@pytest.mark.parametrize("wrong", ["q", "k", "v"])
@pytest.mark.parametrize("level", LEVELS)
def test_keys_that_no_query_sees_get_no_gradient_whatever_the_others_are(wrong, level):
    rng = np.random.default_rng(0)
    given = {name: rng.standard_normal((2, n, 3)).astype("float32") for name, n in (("q", 4), ("k", 21), ("v", 21))}
    given[wrong][0, 1, 0] = np.nan
    params = {"has": tuple(given), "scale": 0.3, "causal": True, "keep_scale": 1.0}
    y, sums = formula(attention_p, list(given.values()), params)
    g = rng.standard_normal(y.shape).astype("float32")
    near = {"rtol": NEAR["float32"], "atol": NEAR["float32"]}
    check(attention_p, list(given.values()), params, level=level, **near)
    arrays = [g, y, sums, *given.values()]
    check(attention_vjp_p, arrays, {**params, "wanted": ("q", "k", "v")}, level=level, **near)


def test_operands_of_any_strides_are_copied():
    rng = np.random.default_rng(0)
    given = operands(rng, CASES[0], "float32")
    arrays = [np.asfortranarray(x) for x in given.values()]
    params = {"has": tuple(given), "scale": 0.5, "causal": False, "keep_scale": 0.0}
    check(attention_p, arrays, params, rtol=1e-5, atol=1e-5)


def trained(compiled, dropout):
    with ag.default_device("cpu"), ag.random.fork(0):
        model = nn.TransformerEncoderLayer(8, 2, 12, dropout=dropout, batch_first=True, activation="gelu")
        optimizer = optim.SGD(model.parameters(), lr=0.1)
        rng = np.random.default_rng(0)

        def step(x):
            optimizer.zero_grad()
            y = model(x)
            loss = (y * y * y).mean()
            loss.backward()
            optimizer.step()
            return loss

        run = ag.compile(step) if compiled else step
        losses = [run(ag.tensor(rng.standard_normal((3, 7, 8)).astype(np.float32))).item() for _ in range(5)]
        if compiled:
            assert_native(run)
        return losses, [p.numpy().copy() for p in model.parameters()]


@pytest.mark.parametrize("dropout", [0.0, 0.2])
def test_an_encoder_is_trained_without_numpy(dropout):
    wanted, parameters = trained(False, dropout)
    found, own = trained(True, dropout)
    np.testing.assert_allclose(found, wanted, rtol=1e-5)
    for mine, theirs in zip(own, parameters, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-4, atol=1e-5)
