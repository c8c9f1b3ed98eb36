"""Means of a loss and of metrics over a data set."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import autograd_core as ag
from autograd_core.errors import ArgumentError, DataError, DTypeError, ShapeError
from autograd_core.tensor import Tensor

from ..module import Module

Measure = Callable[[Tensor, Tensor], Tensor]


def accuracy(outputs: Tensor, targets: Any) -> Tensor:
    """The share of rows whose largest output is at the target class.

    outputs: (..., C) scores; targets: (...) integer classes. A 0-d float32 tensor. Raises ShapeError and DTypeError for
    others.

    >>> import autograd_core as ag
    >>> accuracy(ag.tensor([[2.0, 1.0], [0.0, 3.0]]), ag.tensor([0, 0]))
    tensor(0.5)
    """
    scores, labels = scores_and_labels("accuracy", outputs, targets)
    return (scores.argmax(axis=-1) == labels).astype("float32").mean()


def scores_and_labels(op: str, outputs: Any, targets: Any) -> tuple[Tensor, Tensor]:
    """Scores (..., C) and integer classes (...) as tensors, checked: others would be broadcast to a wrong share."""
    scores, labels = ag.asarray(outputs), ag.asarray(targets)
    if scores.ndim != labels.ndim + 1 or scores.shape[:-1] != labels.shape:
        raise ShapeError(
            f"{op}: takes outputs (..., C) and integer targets (...), got the shapes {scores.shape} and {labels.shape}"
        )
    if labels.dtype.kind not in "iub":
        raise DTypeError(f"{op}: targets are integer classes, got dtype {labels.dtype}; write targets.astype('int64')")
    return scores, labels


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
    if metrics is not None and not isinstance(metrics, Mapping):
        raise ArgumentError(
            "metrics: takes a dict of names and functions, such as {'accuracy': metrics.accuracy}, got a "
            f"{type(metrics).__name__}"
        )
    metrics = dict(metrics or {})
    if "loss" in metrics:
        raise ArgumentError("metrics: the name 'loss' is taken by the loss itself")
    for name in metrics:
        if name == "seconds" or str(name).startswith("val_"):
            raise ArgumentError(f"metrics: a history has a column {name!r} of its own; call it something else")
    functions = {"loss": loss, **metrics}
    for name, function in functions.items():
        if not callable(function) or isinstance(function, type):
            raise ArgumentError(
                f"{name} must be a function (outputs, targets) -> mean over the batch, such as "
                f"nn.functional.cross_entropy or nn.MSELoss(), got {function!r:.80}"
            )
    return functions


def mean_of(asker: str, what: str, value: Any) -> Tensor:
    """``value``, if it is what a loss or metric has to return: a 0-d tensor."""
    if isinstance(value, Tensor) and not value.shape:
        return value
    if isinstance(value, Tensor):
        given = f"a tensor of shape {value.shape}; reduce it, value.mean()"
    else:
        given = f"{type(value).__name__} {value!r:.80}; return the tensor itself, without float() or .item()"
    raise ArgumentError(f"{asker}: {what} must return a 0-d tensor, it returned {given}")


def check_model(asker: str, model: Any) -> None:
    """ArgumentError for a model without parameters and modes."""
    if not isinstance(model, Module):
        raise ArgumentError(
            f"{asker}: model must be an nn.Module, got a {type(model).__name__}; write a class with forward"
        )


def check_batches(asker: str, name: str, batches: Any) -> None:
    """ArgumentError for what gives no batches."""
    if not isinstance(batches, Iterable) and not hasattr(batches, "__getitem__"):
        raise ArgumentError(
            f"{asker}: {name} must give batches of (inputs, targets), such as a DataLoader or a list, got a "
            f"{type(batches).__name__}"
        )


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
        check_model("evaluate", model)

        def found(inputs: Tensor, targets: Tensor) -> dict[str, Tensor]:
            outputs = model(inputs)
            return {name: mean_of("evaluate", name, f(outputs, targets)) for name, f in functions.items()}

        self.model = model
        self.found = ag.compile(found) if compile else found

    def __call__(self, batches: Iterable[Any]) -> dict[str, float]:
        check_batches("evaluate", "batches", batches)
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
