"""Linear maps: two classifiers and an autoencoder."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from .workload import Arrays, Draw, Workload, dense_flops


class _Classifier(Workload):
    """Linear maps with an activation between them, and the cross entropy of random labels."""

    batch: int
    widths: tuple[int, ...]
    activation: str

    def data(self, draw: Draw) -> Arrays:
        x = draw.normal(self.batch, self.widths[0])
        return {"x": x, "labels": draw.integers(self.widths[-1], self.batch)}

    def parameters(self, draw: Draw) -> Arrays:
        return _stack(draw, self.widths)

    def model(self, lib: Any) -> Any:
        return _sequential(lib, self.widths, self.activation)

    def loss(self, lib: Any, model: Any, data: dict[str, Any]) -> Any:
        return lib.nn.functional.cross_entropy(model(data["x"]), data["labels"])

    def flops(self) -> int:
        return dense_flops(self.batch, self.widths)


class Mlp(_Classifier):
    """A classifier of 784 numbers: three linear maps, ReLU between them."""

    name = "mlp_784_256_128_10_b128"
    sizes = {"batch": 128}
    quick_sizes = {"batch": 8}
    widths = (784, 256, 128, 10)
    activation = "ReLU"


class LargeMlp(_Classifier):
    """A classifier of 1024 numbers through three maps to 4096."""

    name = "mlp_1024_4096x3_1000_b1024"
    sizes = {"batch": 1024, "width": 4096}
    quick_sizes = {"batch": 4, "width": 16}
    for_gpus = True
    on_hosts_too = False
    activation = "ReLU"
    width: int

    def __init__(self, quick: bool = False):
        super().__init__(quick)
        self.widths = (1024, self.width, self.width, self.width, 1000)


class TinyMlp(_Classifier):
    """A classifier of 8 numbers, in which everything is overhead."""

    name = "mlp_tiny_8_16_3_b16"
    sizes = {"batch": 16}
    widths = (8, 16, 3)
    activation = "Tanh"


class DeepAutoencoder(Workload):
    """784 numbers through 30 and back, by the squared error (Hinton and Salakhutdinov, 2006)."""

    name = "deep_autoencoder_784_30_b256"
    sizes = {"batch": 256}
    quick_sizes = {"batch": 8}
    widths = (784, 1000, 500, 250, 30, 250, 500, 1000, 784)
    batch: int

    def data(self, draw: Draw) -> Arrays:
        return {"x": draw.uniform(self.batch, self.widths[0])}

    def parameters(self, draw: Draw) -> Arrays:
        return _stack(draw, self.widths)

    def model(self, lib: Any) -> Any:
        return _sequential(lib, self.widths, "ReLU", last="Sigmoid")

    def loss(self, lib: Any, model: Any, data: dict[str, Any]) -> Any:
        return lib.nn.functional.mse_loss(model(data["x"]), data["x"])

    def flops(self) -> int:
        return dense_flops(self.batch, self.widths)


def _sequential(lib: Any, widths: tuple[int, ...], activation: str, last: str | None = None) -> Any:
    """Linear maps from width to width at the even places, activations at the odd ones."""
    layers = []
    for i, o in pairwise(widths):
        layers += [lib.nn.Linear(i, o), getattr(lib.nn, activation)()]
    layers.pop()
    return lib.nn.Sequential(*layers, *([getattr(lib.nn, last)()] if last else []))


def _stack(draw: Draw, widths: tuple[int, ...]) -> Arrays:
    arrays: Arrays = {}
    for at, (i, o) in enumerate(pairwise(widths)):
        arrays |= draw.linear(str(2 * at), i, o)
    return arrays
