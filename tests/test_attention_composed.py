"""Attention's primitive and its adjoint: the composed form gives all that the fused one gives, what it saves too."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import autograd_core as ag
from autograd_core.ops import attention
from autograd_core.primitive import General, bind

N, L, S, E, V = 2, 3, 4, 5, 6  # no two alike

FAR = 800.0  # e^800 is infinite in float64: log-sums must take the largest score off first


def operands(lead: tuple[int, ...], keys: int, mask: str, keep: bool, far: float) -> dict[str, ag.Tensor]:
    rng = np.random.default_rng(0)
    found = {
        "q": rng.standard_normal((*lead, L, E)),
        "k": rng.standard_normal((*lead, keys, E)) + far,
        "v": rng.standard_normal((*lead, keys, V)),
    }
    if mask == "bool":
        seen = rng.random((L, keys)) < 0.6
        seen[1] = False  # a query that may look at no key
        found["mask"] = np.broadcast_to(seen, (*(1,) * len(lead), L, keys))
    elif mask == "added":
        found["mask"] = rng.standard_normal((*(1,) * len(lead), L, keys))
    if keep:
        found["keep"] = rng.random((*lead, L, keys)) < 0.7
    return {name: ag.tensor(x) for name, x in found.items()}


def both(primitive: General, values: list[ag.Tensor], params: dict[str, Any]) -> tuple[Any, ...]:
    """What the fused and the composed form give, which must be alike."""
    fused, composed = bind(primitive, values, params), primitive.composed(*values, **params)
    assert [(y.shape, y.dtype) for y in composed] == [(y.shape, y.dtype) for y in fused]
    for k, (a, b) in enumerate(zip(composed, fused, strict=True)):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-10, atol=1e-12, err_msg=f"result {k}")
    return fused


@pytest.mark.parametrize("lead", [(), (N,), (1, N)], ids=["one", "several", "two-axes"])
@pytest.mark.parametrize("keys", [S, 2, 1, 0], ids="{} keys".format)
@pytest.mark.parametrize("mask", ["none", "bool", "added"])
@pytest.mark.parametrize("causal", [False, True], ids=["all-keys", "causal"])
@pytest.mark.parametrize("keep", [False, True], ids=["no-dropout", "dropout"])
@pytest.mark.parametrize("far", [0.0, FAR, -FAR], ids=["near", "large", "small"])
def test_composed_is_the_fused_primitive_and_its_adjoint(
    lead: tuple[int, ...], keys: int, mask: str, causal: bool, keep: bool, far: float
) -> None:
    p = operands(lead, keys, mask, keep, far)
    params = {"has": tuple(p), "scale": 0.7, "causal": causal, "keep_scale": 1.5}
    y, sums = both(attention.attention_p, [*p.values()], params)
    g = ag.tensor(np.random.default_rng(1).standard_normal(y.shape))
    wanted = tuple(name for name, x in p.items() if x.dtype.kind == "f")
    both(attention.attention_vjp_p, [g, y, sums, *p.values()], {**params, "wanted": wanted})
