"""Means of a loss and of metrics over a data set."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import autograd_core as ag
from autograd_core.errors import ArgumentError, DataError
from autograd_core.tensor import Tensor

Measure = Callable[[Tensor, Tensor], Tensor]


def accuracy(outputs: Tensor, targets: Any) -> Tensor:
    """The share of rows whose largest output is at the target class.

    outputs: (N, C) scores; targets: (N,) integer classes. A 0-d float32 tensor.

    >>> import autograd_core as ag
    >>> accuracy(ag.tensor([[2.0, 1.0], [0.0, 3.0]]), ag.tensor([0, 0]))
    tensor(0.5)
    """
    return (ag.asarray(outputs).argmax(axis=-1) == ag.asarray(targets)).astype("float32").mean()


class RunningMeans:
    """Weighted means of named quantities; sums stay on the device, so that adding never waits for it."""

    def __init__(self) -> None:
        self.count = 0
        self.totals: dict[str, Any] = {}

    def add(self, values: Mapping[str, Tensor], weight: int) -> None:
        self.count += weight
        for name, value in values.items():
            total = value.detach().astype("float64") * weight
            self.totals[name] = self.totals[name] + total if name in self.totals else total

    def read(self) -> dict[str, float]:
        return {name: float(total) / self.count for name, total in self.totals.items()}

    def state(self) -> dict[str, Any]:
        return {"count": self.count, "totals": {name: float(total) for name, total in self.totals.items()}}

    def load(self, state: Mapping[str, Any]) -> None:
        self.count = int(state["count"])
        self.totals = {name: ag.asarray(value, dtype="float64") for name, value in state["totals"].items()}


def device_of(model: Any) -> Any:
    """The device of the model's first parameter; the default device if it has none."""
    return next((p.device for p in model.parameters()), None)


def split_batch(batch: Any, device: Any) -> tuple[Tensor, Tensor]:
    """A batch as (inputs, targets) tensors."""
    if not isinstance(batch, (tuple, list)) or len(batch) != 2:
        given = f"{len(batch)} arrays" if isinstance(batch, (tuple, list)) else type(batch).__name__
        raise DataError(
            f"a batch must be a pair (inputs, targets), got {given}; use the loader's transform to make one"
        )
    inputs, targets = (ag.asarray(part, device=device) for part in batch)
    if inputs.ndim == 0 or targets.ndim == 0 or len(inputs) != len(targets):
        raise DataError(
            f"a batch has inputs of shape {inputs.shape} and targets of shape {targets.shape}: first axes differ"
        )
    if not len(inputs):
        raise DataError(f"a batch has no items, its inputs have shape {inputs.shape}; does a transform leave all out?")
    return inputs, targets


def measures(loss: Measure, metrics: Mapping[str, Measure] | None) -> dict[str, Measure]:
    """The loss and the metrics under their column names."""
    metrics = dict(metrics or {})
    if "loss" in metrics:
        raise ArgumentError("metrics: the name 'loss' is taken by the loss itself")
    return {"loss": loss, **metrics}


def evaluate(
    model: Any,
    batches: Iterable[Any],
    loss: Measure,
    metrics: Mapping[str, Measure] | None = None,
    *,
    compile: bool = False,
) -> dict[str, float]:
    """Means of the loss and metrics over all samples, in eval mode and without recording.

    batches: yields (inputs, targets). Each measure maps (outputs, targets) to a mean over the batch; batches count by
    their length. compile: by a compiled function (``ag.compile``). The model's training mode is restored afterwards.
    """
    return Evaluation(model, loss, metrics, compile=compile)(batches)


class Evaluation:
    """``evaluate`` for a model and measures that stay the same, so that what is compiled is compiled once."""

    def __init__(
        self, model: Any, loss: Measure, metrics: Mapping[str, Measure] | None = None, *, compile: bool = False
    ):
        functions = measures(loss, metrics)

        def found(inputs: Tensor, targets: Tensor) -> dict[str, Tensor]:
            outputs = model(inputs)
            return {name: f(outputs, targets) for name, f in functions.items()}

        self.model = model
        self.found = ag.compile(found) if compile else found

    def __call__(self, batches: Iterable[Any]) -> dict[str, float]:
        means = RunningMeans()
        device = device_of(self.model)
        training = [(module, module.training) for module in self.model.modules()]
        self.model.eval()
        try:
            with ag.no_grad():
                for batch in batches:
                    inputs, targets = split_batch(batch, device)
                    means.add(self.found(inputs, targets), len(inputs))
        finally:
            for module, mode in training:
                module.training = mode
        if not means.count:
            raise DataError("evaluate: the data gave no batch")
        return means.read()
