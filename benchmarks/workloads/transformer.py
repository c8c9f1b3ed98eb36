"""A transformer's encoder."""

from __future__ import annotations

from typing import Any

from .workload import Arrays, Draw, Workload, product_flops


class Encoder(Workload):
    """Two layers of 4 heads, width 128, 512 between the linear maps, GELU, no dropout."""

    name = "transformer_d128_l2_t64_b16"
    sizes = {"batch": 16, "steps": 64}
    quick_sizes = {"batch": 2, "steps": 8}
    batch: int
    steps: int

    def data(self, draw: Draw) -> Arrays:
        return {"x": draw.normal(self.batch, self.steps, 128)}

    def parameters(self, draw: Draw) -> Arrays:
        arrays: Arrays = {}
        for layer in ("layers.0", "layers.1"):
            projections = draw.linear("in", 128, 384)
            arrays |= {f"{layer}.self_attn.in_proj_{name}": projections[f"in.{name}"] for name in ("weight", "bias")}
            arrays |= draw.linear(f"{layer}.self_attn.out_proj", 128, 128)
            arrays |= draw.linear(f"{layer}.linear1", 128, 512) | draw.linear(f"{layer}.linear2", 512, 128)
            arrays |= draw.norm(f"{layer}.norm1", 128) | draw.norm(f"{layer}.norm2", 128)
        return arrays

    def model(self, lib: Any) -> Any:
        layer = lib.nn.TransformerEncoderLayer(128, 4, 512, dropout=0.0, batch_first=True, activation="gelu")
        return lib.nn.TransformerEncoder(layer, 2)

    def loss(self, lib: Any, model: Any, data: dict[str, Any]) -> Any:
        return lib.square(model(data["x"])).mean()

    def flops(self) -> int:
        tokens = self.batch * self.steps
        maps = sum(product_flops(tokens, i, o) for i, o in ((128, 384), (128, 128), (128, 512), (512, 128)))
        attention = 2 * product_flops(self.batch * 4, self.steps, 32, self.steps)
        input_gradient = 2 * tokens * 128 * 384
        return 2 * (maps + attention) - input_gradient
