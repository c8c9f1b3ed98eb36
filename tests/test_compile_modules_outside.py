"""Every layer compiled, trained by ordinary code: ``backward`` and the update are outside what is compiled."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from compile_steps import sgd, weighted
from test_compile_modules import LAYERS, TOLERANCE, Layer, kind

import autograd_core as ag
from autograd_core import tree

TOGETHER = 8  # layers in one function
STEPS = 4  # two are captured, the others run machine code


def groups() -> list[list[Layer]]:
    """One case of each class."""
    seen: Counter[str] = Counter()
    chosen = []
    for layer in LAYERS:
        seen[kind(layer)] += 1
        if seen[kind(layer)] == 1:
            chosen.append(layer)
    return [chosen[i : i + TOGETHER] for i in range(0, len(chosen), TOGETHER)]


def training(layers: Sequence[Layer], *, compiled: bool) -> dict[str, np.ndarray]:
    """What some steps leave behind."""
    with ag.random.fork(0):
        models = [layer.build().to(dtype="float64") for layer in layers]
    arrays = [layer.inputs(np.random.default_rng(0)) for layer in layers]
    optimizer: Any = sgd(models)
    generator = ag.random.Generator(5)

    def forward(given: list[list[Any]]) -> list[Any]:
        results = [model(*xs) for model, xs in zip(models, given, strict=True)]
        return [y for ys in results for y in tree.flatten(ys)[0] if isinstance(y, ag.Tensor)]

    run = ag.compile(forward) if compiled else forward
    left: dict[str, np.ndarray] = {}
    for i in range(STEPS):
        given = [
            [wanted(x, k in layer.wrt, i) for k, x in enumerate(own)] for layer, own in zip(layers, arrays, strict=True)
        ]
        if optimizer is not None:
            optimizer.zero_grad()
        with ag.random.fork(generator):
            loss = weighted(run(given))
        loss.backward()
        if optimizer is not None:
            optimizer.step()
        left[f"loss {i}"] = loss.numpy()
        for layer, own in zip(layers, given, strict=True):
            for k, x in enumerate(own):
                if isinstance(x, ag.Tensor) and x.grad is not None:
                    left[f"gradient {i}: {layer.name}, argument {k}"] = x.grad.numpy().copy()
    for layer, model in zip(layers, models, strict=True):
        left |= {f"{layer.name}: {name}": value.numpy() for name, value in model.state_dict().items()}
        left |= {
            f"gradient: {layer.name}: {n}": p.grad.numpy() for n, p in model.named_parameters() if p.grad is not None
        }
    left["calls of the generator"] = np.asarray(generator.call)
    return left


def wanted(x: Any, differentiated: bool, step: int) -> Any:
    if not isinstance(x, np.ndarray):
        return x
    floating = x.dtype.kind == "f"
    return ag.tensor(
        (x * (1.0 - step / 16)).astype("float64") if floating else x, requires_grad=differentiated and floating
    )


@pytest.mark.parametrize("layers", groups(), ids=lambda layers: f"{layers[0].name} to {layers[-1].name}")
def test_layers_are_trained_from_outside(layers: list[Layer]) -> None:
    found, expected = training(layers, compiled=True), training(layers, compiled=False)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        scale = float(np.abs(value[np.isfinite(value)]).max(initial=0.0)) if value.dtype.kind == "f" else 0.0
        limit = TOLERANCE["float64"]
        np.testing.assert_allclose(found[name], value, rtol=limit, atol=limit * scale, err_msg=name)


def test_every_layer_is_here() -> None:
    assert {kind(layer) for group in groups() for layer in group} == {kind(layer) for layer in LAYERS}
