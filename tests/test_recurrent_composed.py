"""Recurrent primitives and their adjoints: the composed form gives all that the fused one gives, what it saves too."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from recurrent_kinds import KINDS, Kind

import autograd_core as ag
from autograd_core.primitive import General, bind

T, B, D, H, R = 4, 5, 2, 3, 4  # no two alike, and none that is a number of gates times another
LENGTHS = [4, 0, 2, 3, 1]


each_kind = pytest.mark.parametrize(
    ("kind", "projected"),
    [pytest.param(KINDS[name], False, id=name) for name in KINDS]
    + [pytest.param(KINDS["lstm"], True, id="lstm-projected")],
)
each_length = pytest.mark.parametrize("length", [T, 1, 0], ids="{} steps".format)
each_direction = pytest.mark.parametrize("reverse", [False, True], ids=["forward", "reverse"])
each_choice = pytest.mark.parametrize("lengths", [False, True], ids=["all-steps", "lengths"])
each_bias = pytest.mark.parametrize("bias", [True, False], ids=["bias", "no-bias"])


def operands(kind: Kind, projected: bool, length: int, lengths: bool, bias: bool) -> dict[str, ag.Tensor]:
    rng = np.random.default_rng(0)
    states = R if projected else H
    shapes: dict[str, tuple[int, ...]] = {
        "x": (length, B, D),
        "weight_ih": (kind.gates * H, D),
        "weight_hh": (kind.gates * H, states),
        "h0": (B, states),
        "c0": (B, H),
        "weight_hr": (states, H),
        **dict.fromkeys(kind.biases, (kind.gates * H,)),
    }
    given = ["x", "weight_ih", "weight_hh", *kind.states]
    given += ["weight_hr"] * projected + [*kind.biases] * bias
    found = {name: ag.tensor(rng.standard_normal(shapes[name])) for name in given}
    return found | ({"lengths": ag.tensor(np.minimum(LENGTHS, length))} if lengths else {})


def both(primitive: General, values: list[ag.Tensor], params: dict[str, Any]) -> tuple[Any, Any]:
    """What the fused and the composed form give, which must be alike."""
    fused, composed = bind(primitive, values, params), primitive.composed(*values, **params)
    assert [(y.shape, y.dtype) for y in composed] == [(y.shape, y.dtype) for y in fused]
    for k, (a, b) in enumerate(zip(composed, fused, strict=True)):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-12, atol=1e-13, err_msg=f"result {k}")
    return fused, composed


@each_kind
@each_length
@each_direction
@each_choice
@each_bias
def test_composed_is_the_fused_primitive_and_its_adjoint(
    kind: Kind, projected: bool, length: int, reverse: bool, lengths: bool, bias: bool
) -> None:
    p = operands(kind, projected, length, lengths, bias)
    params = {"has": tuple(p), "reverse": reverse, **kind.params}
    (states, *others), _ = both(kind.primitive, [*p.values()], params)
    last, saved = others[: len(kind.states)], others[len(kind.states) :]
    rng = np.random.default_rng(1)
    cotangents = [ag.tensor(rng.standard_normal(y.shape)) for y in (states, *last)]
    both(kind.adjoint, [*cotangents, states, *saved, *p.values()], params)
