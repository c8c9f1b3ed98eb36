"""A training step of every layer, compiled and eager: results, gradients, parameters, statistics, random numbers."""

from __future__ import annotations

import types
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from compile_steps import agree, sgd, weighted
from layer_table import CASES

import autograd_core as ag
from autograd_core import nn, tree

TOGETHER = 6  # layers in one step
# Relative to each element, and for those that cancel to the largest of the array. float64 shows that the program is the
# same; float32 that its kernels are as good as those of the eager path.
TOLERANCE = {"float64": 1e-10, "float32": 1e-5}


@dataclass(frozen=True)
class Layer:
    """A layer, arrays for it, and the positions of those whose gradients are compared."""

    name: str
    build: Callable[[], nn.Module]
    inputs: Callable[[np.random.Generator], Sequence[Any]]
    wrt: tuple[int, ...] = (0,)


def normal(*shapes: tuple[int, ...]) -> Callable[[np.random.Generator], Sequence[Any]]:
    return lambda rng: [rng.standard_normal(shape) for shape in shapes]


LAYERS = [Layer(c.name, lambda c=c: c.build(nn), c.inputs, c.wrt) for c in CASES]
LAYERS += [
    Layer("RNN", lambda: nn.RNN(3, 4, 2, batch_first=True), normal((2, 5, 3))),
    Layer("RNN/relu", lambda: nn.RNN(3, 4, nonlinearity="relu"), normal((5, 2, 3))),
    Layer("LSTM", lambda: nn.LSTM(3, 4, 2, bidirectional=True), normal((5, 2, 3))),
    Layer("LSTM/dropout", lambda: nn.LSTM(3, 4, 2, dropout=0.4), normal((5, 2, 3))),
    Layer("LSTM/projection", lambda: nn.LSTM(3, 5, proj_size=2), normal((4, 2, 3))),
    Layer("GRU", lambda: nn.GRU(3, 4, 2), normal((5, 2, 3))),
    Layer("RNNCell", lambda: nn.RNNCell(3, 4), normal((2, 3), (2, 4)), (0, 1)),
    Layer("LSTMCell", lambda: nn.LSTMCell(3, 4), normal((2, 3))),
    Layer("GRUCell", lambda: nn.GRUCell(3, 4), normal((2, 3), (2, 4)), (0, 1)),
    Layer("MultiheadAttention", lambda: nn.MultiheadAttention(4, 2), normal(*[(3, 2, 4)] * 3), (0, 1, 2)),
    Layer("MultiheadAttention/dropout", lambda: nn.MultiheadAttention(4, 2, 0.5), normal(*[(3, 2, 4)] * 3), (0,)),
    Layer("Transformer", lambda: nn.Transformer(4, 2, 1, 1, 8), normal((3, 2, 4), (2, 2, 4)), (0, 1)),
    Layer("TransformerEncoderLayer", lambda: nn.TransformerEncoderLayer(4, 2, 8), normal((3, 2, 4))),
    Layer(
        "TransformerEncoderLayer/first",
        lambda: nn.TransformerEncoderLayer(4, 2, 8, 0.0, "gelu", norm_first=True),
        normal((3, 2, 4)),
    ),
    Layer("TransformerDecoderLayer", lambda: nn.TransformerDecoderLayer(4, 2, 8), normal((3, 2, 4), (2, 2, 4)), (0, 1)),
    Layer(
        "TransformerEncoder",
        lambda: nn.TransformerEncoder(nn.TransformerEncoderLayer(4, 2, 8, 0.0), 2),
        normal((3, 2, 4)),
    ),
    Layer(
        "TransformerDecoder",
        lambda: nn.TransformerDecoder(nn.TransformerDecoderLayer(4, 2, 8, 0.0), 1),
        normal((3, 2, 4), (2, 2, 4)),
    ),
]


def kind(layer: Layer) -> str:
    """The class that the case is of."""
    return layer.name.partition("/")[0]


def asks_for_mode(module: nn.Module) -> bool:
    """Whether anything in it behaves otherwise in training: any method that mentions ``training``."""
    for part in module.modules():
        for cls in type(part).__mro__[: -len(nn.Module.__mro__)]:
            codes = [f.__code__ for f in vars(cls).values() if isinstance(f, types.FunctionType)]
            if any("training" in code.co_names for code in codes):
                return True
    return False


def chosen(train: bool, every: bool) -> list[Layer]:
    """The layers that are compiled: the second of a class, or its only one, unless ``every`` one is wanted; of those
    that do the same in both modes none in evaluation. (The first of a class is trained from outside.)"""
    layers = [x for x in LAYERS if train or asks_for_mode(x.build())]
    if every:
        return layers
    own: dict[str, list[Layer]] = defaultdict(list)
    for layer in layers:
        own[kind(layer)].append(layer)
    return [found[:2][-1] for found in own.values()]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "layers" in metafunc.fixturenames:
        train, every = "in_training" in metafunc.function.__name__, metafunc.config.getoption("--every-case")
        layers = chosen(train, every)
        groups = [layers[i : i + TOGETHER] for i in range(0, len(layers), TOGETHER)]
        dtypes = ["float32" if (i + train) % 2 else "float64" for i in range(len(groups))]
        names = [f"{group[0].name} to {group[-1].name}" for group in groups]
        metafunc.parametrize(("layers", "dtype"), list(zip(groups, dtypes, strict=True)), ids=names)


def compare(layers: Sequence[Layer], dtype: str, *, train: bool) -> None:
    arrays = [layer.inputs(np.random.default_rng(0)) for layer in layers]

    def make() -> tuple[Sequence[nn.Module], Any, Callable[..., Any]]:
        models = [layer.build().to(dtype=dtype).train(train) for layer in layers]
        optimizer = sgd(models) if train else None

        def results(given: Sequence[Any]) -> list[list[Any]]:
            rest, found = list(given), []
            for own, model in zip(arrays, models, strict=True):
                xs, rest = rest[: len(own)], rest[len(own) :]
                found.append([y for y in tree.flatten(model(*xs))[0] if isinstance(y, ag.Tensor)])
            return found

        def training(*given: Any) -> Any:
            if optimizer is not None:
                optimizer.zero_grad()
            found = results(given)
            loss = sum(weighted(ys) for ys in found)
            if loss.requires_grad:
                loss.backward()
            if optimizer is not None:
                optimizer.step()
            return loss, [y.detach() for ys in found for y in ys]

        def evaluation(*given: Any) -> Any:
            with ag.no_grad():
                return results(given)

        return models, optimizer, training if train else evaluation

    def inputs(i: int) -> list[Any]:
        """Other numbers in each step, of the kind that the layer takes; the same labels and positions."""
        given: list[Any] = []
        for layer, own in zip(layers, arrays, strict=True):
            for k, x in enumerate(own):
                floating = isinstance(x, np.ndarray) and x.dtype.kind == "f"
                moved = (x * (1.0 - i / 16)).astype(dtype) if floating else x
                wanted = floating and k in layer.wrt
                given.append(ag.tensor(moved, requires_grad=wanted) if isinstance(x, np.ndarray) else x)
        return given

    agree(make, inputs, TOLERANCE)


def test_steps_in_training(layers: list[Layer], dtype: str) -> None:
    compare(layers, dtype, train=True)


def test_steps_in_evaluation(layers: list[Layer], dtype: str) -> None:
    compare(layers, dtype, train=False)


def test_every_layer_is_compiled() -> None:
    classes = [x for x in vars(nn).values() if isinstance(x, type) and issubclass(x, nn.Module)]
    containers = {"Module", "Sequential", "ModuleList", "ModuleDict", "ParameterList", "ParameterDict"}  # no operations
    assert {x.__name__ for x in classes} - containers <= {kind(x) for x in LAYERS}
