"""Training steps, run eagerly and compiled side by side, and everything that they leave behind."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import autograd_core as ag
from autograd_core import nn, optim, tree

STEPS = 5  # the first makes the state of optimizers, two more are captured, the others run machine code
SEED = 11


class Run:
    """Models, their optimizer (or several) and a step over them; ``make`` builds it all anew, with the same weights."""

    def __init__(self, make: Callable[[], tuple[Sequence[nn.Module], Any, Callable[..., Any]]], *, compiled: bool):
        with ag.random.fork(0):
            self.models, self.optimizer, self.function = make()
        self.step = ag.compile(self.function) if compiled else self.function
        self.generator = ag.random.Generator(SEED)

    def __call__(self, inputs: Sequence[Any]) -> dict[str, np.ndarray]:
        """One step; everything that can be seen after it."""
        with ag.random.fork(self.generator):
            results = self.step(*inputs)
        seen = {f"result {i}": y for i, y in enumerate(tree.flatten(results)[0])}
        for i, x in enumerate(inputs):
            if isinstance(x, ag.Tensor) and x.requires_grad:
                seen[f"gradient of input {i}"] = x.grad
        for k, model in enumerate(self.models):
            what = f"{k} {type(model).__name__}"
            seen |= {f"{what}.{name}": value for name, value in model.state_dict().items()}
            seen |= {f"gradient of {what}.{name}": p.grad for name, p in model.named_parameters()}
        if self.optimizer is not None:
            states = [x.state_dict() for x in tree.flatten(self.optimizer)[0]]
            numbers = [x for x in tree.flatten(states)[0] if isinstance(x, (ag.Tensor, np.ndarray, int, float))]
            seen |= {f"state {i}": x for i, x in enumerate(numbers)}
        values = {name: np.array(getattr(y, "data", y)) for name, y in seen.items() if y is not None}
        return values | {"calls of the generator": np.asarray(self.generator.call)}


def agree(make: Callable[..., Any], inputs: Callable[[int], Sequence[Any]], tolerance: dict[str, float]) -> Run:
    """Some steps, each compared; the compiled run."""
    eager, compiled = Run(make, compiled=False), Run(make, compiled=True)
    for i in range(STEPS):
        expected, found = eager(inputs(i)), compiled(inputs(i))
        assert found.keys() == expected.keys()
        for name, value in expected.items():
            assert found[name].shape == value.shape, f"step {i}: {name}"
            assert found[name].dtype == value.dtype, f"step {i}: {name}"
            exact = value.dtype.kind not in "fc"
            limit = 0.0 if exact else tolerance[str(value.dtype)]
            scale = 0.0 if exact else float(np.abs(value[np.isfinite(value)]).max(initial=0.0))
            np.testing.assert_allclose(found[name], value, rtol=limit, atol=limit * scale, err_msg=f"step {i}: {name}")
    assert len(compiled.step.variants) == 1
    return compiled


def weighted(results: Sequence[Any]) -> Any:
    """One number that all floating results take part in, each element with a weight of its own."""
    total: Any = 0.0
    for k, y in enumerate(results):
        if y.dtype.kind == "f" and y.size:
            places = ag.arange(y.size, dtype=y.dtype).reshape(y.shape)
            total = total + (y * ag.cos(places + k)).mean()
    return total


def sgd(models: Sequence[nn.Module]) -> Any:
    parameters = [p for model in models for p in model.parameters()]
    return optim.SGD(parameters, lr=0.05, momentum=0.9) if parameters else None
