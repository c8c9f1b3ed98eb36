"""What a row of the suite is: its sizes, data and initial parameters, one statement of its model, and what it costs.

The statement is read twice, with ``lib`` being ``autograd_core`` and being ``torch``: the names are the same. What JAX
computes is stated in ``contenders/jax_rows.py``.
"""

from __future__ import annotations

from itertools import pairwise
from math import prod
from typing import Any, ClassVar

import numpy as np

Arrays = dict[str, np.ndarray]


class Draw:
    """Random arrays from a seed, the same in every process; parameters under the names of a state dict."""

    def __init__(self, seed: int = 0):
        self.rng = np.random.default_rng(seed)

    def normal(self, *shape: int) -> np.ndarray:
        return self.rng.standard_normal(shape, dtype=np.float32)

    def uniform(self, *shape: int) -> np.ndarray:
        """Between 0 and 1."""
        return self.rng.random(shape, dtype=np.float32)

    def integers(self, below: int, *shape: int) -> np.ndarray:
        return self.rng.integers(0, below, shape)

    def one_hot(self, classes: int, *shape: int) -> np.ndarray:
        return np.eye(classes, dtype=np.float32)[self.integers(classes, *shape)]

    def _bounded(self, fan_in: int, *shape: int) -> np.ndarray:
        return (2 * self.uniform(*shape) - 1) / np.float32(np.sqrt(fan_in))

    def linear(self, name: str, inputs: int, outputs: int) -> Arrays:
        weight, bias = self._bounded(inputs, outputs, inputs), self._bounded(inputs, outputs)
        return {f"{name}.weight": weight, f"{name}.bias": bias}

    def convolution(self, name: str, inputs: int, outputs: int, kernel: int) -> Arrays:
        fan_in = inputs * kernel * kernel
        weight, bias = self._bounded(fan_in, outputs, inputs, kernel, kernel), self._bounded(fan_in, outputs)
        return {f"{name}.weight": weight, f"{name}.bias": bias}

    def norm(self, name: str, features: int) -> Arrays:
        """Not ones and zeros: the mean square of what was just normalized would be 1 whatever came before."""
        weight, bias = 1 + 0.1 * self.normal(features), 0.1 * self.normal(features)
        return {f"{name}.weight": weight, f"{name}.bias": bias}

    def table(self, name: str, entries: int, features: int) -> Arrays:
        return {f"{name}.weight": self.normal(entries, features)}

    def recurrent(self, prefix: str, gates: int, inputs: int, hidden: int) -> Arrays:
        """Of one layer; ``prefix`` ends with a dot, or is empty."""
        shapes = {
            "weight_ih": (gates * hidden, inputs),
            "weight_hh": (gates * hidden, hidden),
            "bias_ih": (gates * hidden,),
            "bias_hh": (gates * hidden,),
        }
        return {f"{prefix}{name}_l0": self._bounded(hidden, *shape) for name, shape in shapes.items()}


class Workload:
    """A row: forward, backward, and with ``trains`` Adam's update of all parameters, in float32.

    Without ``trains`` a step ends with the gradients, of the data named in ``leaves`` and of the parameters.
    ``sizes`` defines the row; in quick mode those in ``quick_sizes`` take their place. They become attributes, which
    the class annotates.
    """

    name: ClassVar[str]
    sizes: ClassVar[dict[str, int]] = {}
    quick_sizes: ClassVar[dict[str, int]] = {}
    trains: ClassVar[bool] = True
    leaves: ClassVar[tuple[str, ...]] = ()
    new_graph_every_step: ClassVar[bool] = False  # the step as a whole cannot be compiled
    recurrent: ClassVar[str] = ""  # the kind of layer, if it has one
    for_gpus: ClassVar[bool] = False  # of a size that fills a GPU: run where one takes part
    on_hosts_too: ClassVar[bool] = True  # beside that one; some would take seconds a step
    around: Any = None  # in such rows: what is put around the part that repeats, a compiler

    def __init__(self, quick: bool = False):
        self.actual_sizes = {**self.sizes, **(self.quick_sizes if quick else {})}
        for name, size in self.actual_sizes.items():
            setattr(self, name, size)

    def data(self, draw: Draw) -> Arrays:
        """What a step reads, the batch first; drawn before the parameters."""
        raise NotImplementedError

    def batches(self) -> list[Arrays]:
        """What differs from step to step, in arrays of the same names, shapes and dtypes: steps take them in turn.

        Empty where every step reads the same.
        """
        return []

    def parameters(self, draw: Draw) -> Arrays:
        """Initial values under the names that ``model(lib).named_parameters()`` gives."""
        return {}

    def model(self, lib: Any) -> Any:
        """The module whose parameters these are; None if there is none."""
        return None

    def loss(self, lib: Any, model: Any, data: dict[str, Any]) -> Any:
        """A 0-d tensor."""
        raise NotImplementedError

    def flops(self) -> int:
        """Floating-point operations of matrix products and convolutions in a step; the others are not counted."""
        raise NotImplementedError

    def problem(self) -> tuple[Arrays, Arrays]:
        """Data and initial parameters: the same arrays wherever they are drawn."""
        draw = Draw()
        return self.data(draw), self.parameters(draw)

    def least_bytes(self) -> int:
        """What must cross the memory once in a step, whatever is kept in caches.

        Training: parameters and Adam's two moments are read and written, data is read. Gradients alone: what they are
        of is read, and they are written.
        """
        data, parameters = self.problem()
        read, trained = _bytes(data), _bytes(parameters)
        if self.trains:
            return read + 6 * trained
        return read + trained + _bytes({name: data[name] for name in self.leaves}) + trained


def _bytes(arrays: Arrays) -> int:
    return sum(array.nbytes for array in arrays.values())


# ------------------------------------------------------------------------------------------- what products cost


def product_flops(*extents: int, needs_input_gradient: bool = True) -> int:
    """A matrix product of these extents (rows, inner, columns), forward and backward: once for each gradient."""
    return 2 * prod(extents) * (3 if needs_input_gradient else 2)


def dense_flops(batch: int, widths: tuple[int, ...]) -> int:
    """A stack of linear maps; the first needs no gradient of its input."""
    pairs = enumerate(pairwise(widths))
    return sum(product_flops(batch, i, o, needs_input_gradient=at > 0) for at, (i, o) in pairs)
