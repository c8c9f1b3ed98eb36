"""What memory and single operations cost: gradients alone, without an optimizer."""

from __future__ import annotations

from typing import Any

from .workload import Arrays, Draw, Workload


class TinyChain(Workload):
    """A hundred operations on ten numbers: what an operation costs apart from its arithmetic."""

    name = "tiny_chain_100ops"
    trains = False
    leaves = ("x",)

    def data(self, draw: Draw) -> Arrays:
        return {"x": draw.normal(10), "b": draw.normal(10)}

    def loss(self, lib: Any, model: Any, data: dict[str, Any]) -> Any:
        y, b = data["x"], data["b"]
        for _ in range(50):
            y = y * b + b
        return y.sum()

    def flops(self) -> int:
        return 0


class Gelu(Workload):
    """gelu(x) sigmoid(x) + x over four million numbers."""

    name = "elementwise_gelu_4M"
    sizes = {"length": 4_000_000}
    quick_sizes = {"length": 4_000}
    trains = False
    leaves = ("x",)
    length: int

    def data(self, draw: Draw) -> Arrays:
        return {"x": draw.normal(self.length)}

    def loss(self, lib: Any, model: Any, data: dict[str, Any]) -> Any:
        x = data["x"]
        return (lib.nn.functional.gelu(x, approximate="tanh") * x.sigmoid() + x).sum()

    def flops(self) -> int:
        return 0


class LayerNormSoftmax(Workload):
    """Layer normalization and softmax over rows of 512, with the gradients of weight and bias."""

    name = "layernorm_softmax_8192x512"
    sizes = {"rows": 8192}
    quick_sizes = {"rows": 16}
    trains = False
    leaves = ("x",)
    rows: int

    def data(self, draw: Draw) -> Arrays:
        return {"x": draw.normal(self.rows, 512)}

    def parameters(self, draw: Draw) -> Arrays:
        return {name.removeprefix("norm."): array for name, array in draw.norm("norm", 512).items()}

    def model(self, lib: Any) -> Any:
        return lib.nn.LayerNorm(512)

    def loss(self, lib: Any, model: Any, data: dict[str, Any]) -> Any:
        return lib.square(model(data["x"]).softmax(-1)).sum()

    def flops(self) -> int:
        return 0
