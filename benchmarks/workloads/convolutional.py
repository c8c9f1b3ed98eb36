"""Convolutions: a classifier of small pictures, and one block with batch normalization."""

from __future__ import annotations

from typing import Any

from .workload import Arrays, Draw, Workload, product_flops


class MnistCnn(Workload):
    """Two convolutions, a pooling and two linear maps on 28 x 28 pixels."""

    name = "cnn_mnist_b64"
    sizes = {"batch": 64}
    quick_sizes = {"batch": 2}
    batch: int

    def data(self, draw: Draw) -> Arrays:
        return {"x": draw.normal(self.batch, 1, 28, 28), "labels": draw.integers(10, self.batch)}

    def parameters(self, draw: Draw) -> Arrays:
        convolutions = draw.convolution("0", 1, 32, 3) | draw.convolution("2", 32, 64, 3)
        return convolutions | draw.linear("6", 9216, 128) | draw.linear("8", 128, 10)

    def model(self, lib: Any) -> Any:
        nn = lib.nn
        return nn.Sequential(
            nn.Conv2d(1, 32, 3),
            nn.ReLU(),
            nn.Conv2d(32, 64, 3),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(9216, 128),
            nn.ReLU(),
            nn.Linear(128, 10),
        )

    def loss(self, lib: Any, model: Any, data: dict[str, Any]) -> Any:
        return lib.nn.functional.cross_entropy(model(data["x"]), data["labels"])

    def flops(self) -> int:
        first = product_flops(self.batch * 26 * 26, 9, 32, needs_input_gradient=False)
        second = product_flops(self.batch * 24 * 24, 32 * 9, 64)
        return first + second + product_flops(self.batch, 9216, 128) + product_flops(self.batch, 128, 10)


class LargeCnn(Workload):
    """Four convolutions with batch normalization and ReLU, a pooling after every second, on 32 x 32 pixels."""

    name = "cnn_32x32_64_128_b256"
    sizes = {"batch": 256, "channels": 64, "extent": 32}
    quick_sizes = {"batch": 4, "channels": 4, "extent": 8}
    for_gpus = True
    on_hosts_too = False
    batch: int
    channels: int
    extent: int

    def _convolutions(self) -> list[tuple[int, int, int]]:
        """Place in the sequence, channels in and out."""
        c = self.channels
        return [(0, 3, c), (3, c, c), (7, c, 2 * c), (10, 2 * c, 2 * c)]

    @property
    def _features(self) -> int:
        return 2 * self.channels * (self.extent // 4) ** 2

    def data(self, draw: Draw) -> Arrays:
        x = draw.normal(self.batch, 3, self.extent, self.extent)
        return {"x": x, "labels": draw.integers(10, self.batch)}

    def parameters(self, draw: Draw) -> Arrays:
        arrays: Arrays = {}
        for at, i, o in self._convolutions():
            weight = draw.convolution(str(at), i, o, 3)
            arrays |= {f"{at}.weight": weight[f"{at}.weight"]} | draw.norm(str(at + 1), o)
        return arrays | draw.linear("15", self._features, 10)

    def model(self, lib: Any) -> Any:
        nn, layers = lib.nn, []
        for at, i, o in self._convolutions():
            layers += [nn.Conv2d(i, o, 3, padding=1, bias=False), nn.BatchNorm2d(o), nn.ReLU()]
            if at in (3, 10):
                layers.append(nn.MaxPool2d(2))
        return nn.Sequential(*layers, nn.Flatten(), nn.Linear(self._features, 10))

    def loss(self, lib: Any, model: Any, data: dict[str, Any]) -> Any:
        return lib.nn.functional.cross_entropy(model(data["x"]), data["labels"])

    def flops(self) -> int:
        total = product_flops(self.batch, self._features, 10)
        for at, i, o in self._convolutions():
            pixels = (self.extent if at < 7 else self.extent // 2) ** 2
            total += product_flops(self.batch * pixels, 9 * i, o, needs_input_gradient=at > 0)
        return total


class ConvBatchNorm(Workload):
    """A 3 x 3 convolution, batch normalization and ReLU over 64 channels of 32 x 32 pixels."""

    name = "conv_bn_relu_64x32x32_b32"
    sizes = {"batch": 32}
    quick_sizes = {"batch": 2}
    batch: int

    def data(self, draw: Draw) -> Arrays:
        return {"x": draw.normal(self.batch, 64, 32, 32)}

    def parameters(self, draw: Draw) -> Arrays:
        return draw.convolution("0", 64, 64, 3) | draw.norm("1", 64)

    def model(self, lib: Any) -> Any:
        return lib.nn.Sequential(lib.nn.Conv2d(64, 64, 3, padding=1), lib.nn.BatchNorm2d(64), lib.nn.ReLU())

    def loss(self, lib: Any, model: Any, data: dict[str, Any]) -> Any:
        return lib.square(model(data["x"])).mean()

    def flops(self) -> int:
        return product_flops(self.batch * 32 * 32, 64 * 9, 64, needs_input_gradient=False)
