"""Every layer, forward and backward, taken apart, fused and run: the numbers are those of its equations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from compile_tools import captured, run, trace
from layer_table import CASES
from layer_table.case import LayerCase

import autograd_core as ag
from autograd_core import nn
from autograd_core.compiler.epilogue import with_epilogues
from autograd_core.compiler.expand import expand
from autograd_core.compiler.fuse import schedule
from autograd_core.compiler.ir import Equation
from autograd_core.compiler.simplify import simplify

NATIVE = ("matmul", "linear", "convolution", "convolution_bias")


def family(case: LayerCase) -> str:
    return case.build.__module__


def is_native(e: Equation) -> bool:
    return e.primitive.name in NATIVE


def sizes_of(e: Equation) -> Sequence[int] | None:
    shape = e.outputs[0].shape
    if e.primitive.name in ("matmul", "linear"):
        return (int(np.prod(shape[:-1])), *shape[-1:])
    return (int(np.prod(shape)),) if is_native(e) else None


def floating(values: Any) -> list[Any]:
    values = values if isinstance(values, (tuple, list)) else [values]
    return [v for v in values if hasattr(v, "dtype") and v.dtype.kind == "f"]


def step(case: LayerCase, layer: Any, inputs: Sequence[Any], places: Sequence[int]) -> Any:
    """The layer and its gradients, as a function of the inputs at ``places``."""

    def f(*tensors: Any) -> list[Any]:
        given = list(inputs)
        for i, x in zip(places, tensors, strict=True):
            given[i] = x.requires_grad_() if i in case.wrt and x.dtype.kind == "f" else x
        leaves = [*layer.parameters(), *(given[i] for i in places if given[i].requires_grad)]
        for leaf in layer.parameters():
            leaf.grad = None
        results = floating(layer(*given))
        loss = sum((y * y).sum() for y in results)
        if loss.requires_grad:
            loss.backward()
        return [*(y.detach() for y in results), *(leaf.grad for leaf in leaves if leaf.grad is not None)]

    return f


@pytest.mark.parametrize("name", sorted({family(case) for case in CASES}))
def test_layers_compute_what_their_equations_do(name: str) -> None:
    for case in CASES:
        if family(case) != name:
            continue
        with ag.default_device("numpy"), ag.random.fork(0):
            layer = case.build(nn)
            inputs = case.inputs(np.random.default_rng(0))
            inputs = [x.astype(np.float32) if getattr(x, "dtype", None) == np.float64 else x for x in inputs]
            places = [i for i, x in enumerate(inputs) if isinstance(x, np.ndarray)]
            found = captured(step(case, layer, inputs, places), *(inputs[i] for i in places))
        graph = simplify(expand(simplify(found.graph), trace=trace, is_native=is_native))
        plan = schedule(graph, trace=trace, is_native=is_native)
        plan = plan._replace(units=with_epilogues(plan, graph, sizes_of))
        for y, expected in zip(run(graph, plan, found.arrays), found.expected, strict=True):
            scale = np.abs(expected[np.isfinite(expected)]).max(initial=0) + 1
            np.testing.assert_allclose(y, expected, rtol=2e-4, atol=2e-5 * scale, err_msg=case.name)
