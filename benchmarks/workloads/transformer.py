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
    width = 128
    heads = 4
    layers = 2

    @property
    def _maps(self) -> dict[str, tuple[int, int]]:
        """The linear maps of a layer by name: from width to width."""
        d = self.width
        names = ("self_attn.in_proj", "self_attn.out_proj", "linear1", "linear2")
        return dict(zip(names, ((d, 3 * d), (d, d), (d, 4 * d), (4 * d, d)), strict=True))

    def data(self, draw: Draw) -> Arrays:
        return {"x": draw.normal(self.batch, self.steps, self.width)}

    def parameters(self, draw: Draw) -> Arrays:
        arrays: Arrays = {}
        for layer in (f"layers.{n}" for n in range(self.layers)):
            for name, (i, o) in self._maps.items():
                separator = "_" if name.endswith("in_proj") else "."
                for kind, array in draw.linear("map", i, o).items():
                    arrays[f"{layer}.{name}{separator}{kind.removeprefix('map.')}"] = array
            arrays |= draw.norm(f"{layer}.norm1", self.width) | draw.norm(f"{layer}.norm2", self.width)
        return arrays

    def model(self, lib: Any) -> Any:
        layer = lib.nn.TransformerEncoderLayer(
            self.width, self.heads, 4 * self.width, dropout=0.0, batch_first=True, activation="gelu"
        )
        return lib.nn.TransformerEncoder(layer, self.layers)

    def loss(self, lib: Any, model: Any, data: dict[str, Any]) -> Any:
        return lib.square(model(data["x"])).mean()

    def flops(self) -> int:
        tokens = self.batch * self.steps
        maps = sum(product_flops(tokens, i, o) for i, o in self._maps.values())
        attention = 2 * product_flops(self.batch * self.heads, self.steps, self.width // self.heads, self.steps)
        input_gradient = 2 * tokens * self.width * 3 * self.width
        return self.layers * (maps + attention) - input_gradient


class LargeEncoder(Encoder):
    """Four layers of 8 heads, width 512, on 64 sequences of 128."""

    name = "transformer_d512_l4_t128_b64"
    sizes = {"batch": 64, "steps": 128, "width": 512, "layers": 4}
    quick_sizes = {"batch": 2, "steps": 4, "width": 16, "layers": 2}
    for_gpus = True
    on_hosts_too = False
    heads = 8
