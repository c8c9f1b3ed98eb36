"""Every layer against PyTorch's: the same state dict, and with the same weights the same outputs and gradients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from layer_table import CASES, LayerCase

import autograd_core as ag
from autograd_core import nn

torch = pytest.importorskip("torch")

GRADIENT_RTOL = 1e-7  # the slope of PyTorch's Hardsigmoid is a sixth in float32


def pair(case: LayerCase) -> tuple[nn.Module, Any, list[np.ndarray]]:
    """Our module and PyTorch's in float64 with the same weights, and inputs for them."""
    torch.manual_seed(0)
    theirs = case.build(torch.nn).double()
    rng = np.random.default_rng(0)
    with torch.no_grad():
        for tensor in [*theirs.parameters(), *theirs.buffers()]:
            if tensor.is_floating_point():  # away from the ones and zeros that hide mistakes
                tensor += torch.from_numpy(rng.uniform(0.0, 0.2, tensor.shape))
    ours = case.build(nn).double()
    ours.load_state_dict({name: value.numpy() for name, value in theirs.state_dict().items()})
    return ours, theirs, list(case.inputs(rng))


def given(case: LayerCase, arrays: list[Any], make: Callable[..., Any]) -> list[Any]:
    """Inputs as variables where gradients are compared; labels and targets as constants."""
    return [
        make(x, requires_grad=i in case.wrt and x.dtype.kind == "f") if isinstance(x, np.ndarray) else x
        for i, x in enumerate(arrays)
    ]


def as_list(results: Any) -> list[Any]:
    return list(results) if isinstance(results, tuple) else [results]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_state_dicts_have_the_same_keys_shapes_and_dtypes(case: LayerCase) -> None:
    ours, theirs = case.build(nn), case.build(torch.nn)

    def described(module: Any) -> list[tuple[str, tuple[int, ...], str]]:
        return [(k, tuple(v.shape), str(v.dtype).removeprefix("torch.")) for k, v in module.state_dict().items()]

    assert described(ours) == described(theirs)


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths")
@pytest.mark.parametrize("mode", ["train", "eval"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_outputs_gradients_and_buffers_are_the_same(case: LayerCase, mode: str) -> None:
    if case.draws and mode == "train":
        return
    ours, theirs, arrays = pair(case)
    ours.train(mode == "train")
    theirs.train(mode == "train")
    for _ in range(2):  # twice, for running statistics
        xs = given(case, arrays, ag.tensor)
        expected = given(case, arrays, lambda x, requires_grad: torch.tensor(x, requires_grad=requires_grad))
        ys, zs = as_list(ours(*xs)), as_list(theirs(*expected))
        for y, z in zip(ys, zs, strict=True):
            np.testing.assert_allclose(y.detach().numpy(), z.detach().numpy(), rtol=1e-9, atol=1e-12)
        rng = np.random.default_rng(1)
        pulled = [(y, z, rng.standard_normal(tuple(z.shape))) for y, z in zip(ys, zs) if z.requires_grad]
        for y, z, g in pulled:
            y.backward(g, retain_graph=True)
            z.backward(torch.from_numpy(np.asarray(g)), retain_graph=True)
    for a, b in zip(xs, expected, strict=True):
        if getattr(b, "grad", None) is not None:
            np.testing.assert_allclose(a.grad.numpy(), b.grad.numpy(), rtol=GRADIENT_RTOL, atol=1e-11)
    for (name, a), b in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        if a.grad is None or b.grad is None:  # of what takes no part: no gradient, or zeros
            assert not any(g.numpy().any() for g in (a.grad, b.grad) if g is not None)
            continue
        np.testing.assert_allclose(a.grad.numpy(), b.grad.numpy(), rtol=GRADIENT_RTOL, atol=1e-11, err_msg=name)
    for (name, a), b in zip(ours.named_buffers(), theirs.buffers(), strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-9, err_msg=name)


@pytest.mark.parametrize(
    "build",
    [
        lambda n: n.Linear(300, 200),
        lambda n: n.Conv1d(40, 60, 5),
        lambda n: n.Conv2d(16, 32, 3, groups=2),
        lambda n: n.Embedding(300, 100),
    ],
    ids=["Linear", "Conv1d", "Conv2d", "Embedding"],
)
def test_initial_values_have_pytorchs_distribution(build: Callable[[Any], Any]) -> None:
    torch.manual_seed(0)
    with ag.random.fork(0):
        ours = build(nn)
    for a, b in zip(ours.parameters(), build(torch.nn).parameters(), strict=True):
        a, b = a.detach().numpy(), b.detach().numpy()
        spread = b.std() / np.sqrt(b.size)
        assert abs(a.mean() - b.mean()) < 6 * spread
        assert abs(a.std() / b.std() - 1) < 6 / np.sqrt(b.size)
        if b.size > 1000:
            assert abs(np.abs(a).max() / np.abs(b).max() - 1) < 0.2


def test_every_layer_is_compared() -> None:
    kinds = {
        name for name in vars(nn) if isinstance(getattr(nn, name), type) and issubclass(getattr(nn, name), nn.Module)
    }
    compared = {case.layer for case in CASES}
    elsewhere = {"Module", "Sequential", "ModuleList", "ModuleDict", "ParameterList", "ParameterDict"}
    elsewhere |= {"RNN", "LSTM", "GRU", "RNNCell", "LSTMCell", "GRUCell"}  # test_nn_recurrent
    elsewhere |= {"MultiheadAttention", "Transformer"}  # test_nn_attention
    elsewhere |= {f"Transformer{part}{kind}" for part in ("Encoder", "Decoder") for kind in ("", "Layer")}
    assert kinds - compared - elsewhere == set()
