"""Every layer against PyTorch's: the same state dict, and with the same weights the same outputs and gradients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest

import autograd_core as ag
from autograd_core import nn

torch = pytest.importorskip("torch")

GRADIENT_RTOL = 1e-7  # the slope of PyTorch's Hardsigmoid is a sixth in float32


class Case(NamedTuple):
    build: Callable[[Any], Any]
    inputs: Callable[[np.random.Generator], tuple[np.ndarray, ...]]
    name: str


def case(name: str, build: Callable[[Any], Any], *shapes: Any, of: Callable[..., Any] | None = None) -> Case:
    return Case(build, of or (lambda rng: tuple(rng.standard_normal(shape) for shape in shapes)), name)


def labelled(n: int, classes: int, *rest: int) -> Callable[[np.random.Generator], tuple[np.ndarray, ...]]:
    return lambda rng: (rng.standard_normal((n, classes, *rest)), rng.integers(0, classes, (n, *rest)))


def log_probabilities(rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    x, labels = labelled(4, 3)(rng)
    return x - np.log(np.exp(x).sum(1, keepdims=True)), labels


def probabilities(rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    return rng.uniform(0.1, 0.9, (4, 3)), rng.uniform(0, 1, (4, 3))


def distributions(rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    return np.log(rng.dirichlet(np.ones(3), 4)), rng.dirichlet(np.ones(3), 4)


def weights(n: Any, *values: float) -> Any:
    return (torch.tensor if n is torch.nn else ag.tensor)(values)


PLAIN = [
    "ReLU",
    "ReLU6",
    "LeakyReLU",
    "PReLU",
    "ELU",
    "CELU",
    "SELU",
    "GELU",
    "SiLU",
    "Mish",
    "Softplus",
    "Softsign",
    "Sigmoid",
    "LogSigmoid",
    "Tanh",
    "Tanhshrink",
    "Hardtanh",
    "Hardsigmoid",
    "Hardswish",
    "Hardshrink",
    "Softshrink",
    "Identity",
    "Flatten",
]

CASES = [
    *[case(name, lambda n, name=name: getattr(n, name)(), (4, 3, 5)) for name in PLAIN],
    case("LeakyReLU/slope", lambda n: n.LeakyReLU(0.3, inplace=False), (4, 3)),
    case("PReLU/channels", lambda n: n.PReLU(3, 0.1), (4, 3, 5)),
    case("ELU/alpha", lambda n: n.ELU(0.5), (4, 3)),
    case("CELU/alpha", lambda n: n.CELU(0.5), (4, 3)),
    case("GELU/tanh", lambda n: n.GELU("tanh"), (4, 3)),
    case("Softplus/arguments", lambda n: n.Softplus(2.0, 1.0), (4, 3)),
    case("Hardtanh/limits", lambda n: n.Hardtanh(-0.5, 0.2), (4, 3)),
    case("Threshold", lambda n: n.Threshold(0.1, 0.7), (4, 3)),
    case("Hardshrink/lambd", lambda n: n.Hardshrink(0.8), (4, 3)),
    case("Softmax", lambda n: n.Softmax(dim=1), (4, 3, 2)),
    case("LogSoftmax", lambda n: n.LogSoftmax(dim=-1), (4, 3)),
    case("Flatten/middle", lambda n: n.Flatten(1, 2), (2, 3, 4, 5)),
    case("Unflatten", lambda n: n.Unflatten(1, (2, 3)), (4, 6, 2)),
    case("Unflatten/last", lambda n: n.Unflatten(-1, (3, -1)), (4, 6)),
    case("Linear", lambda n: n.Linear(3, 5), (4, 3)),
    case("Linear/no-bias", lambda n: n.Linear(3, 5, bias=False), (4, 3)),
    case("Linear/sequence", lambda n: n.Linear(3, 5), (2, 4, 3)),
    case("Linear/one", lambda n: n.Linear(3, 5), (3,)),
    case("Conv1d", lambda n: n.Conv1d(4, 6, 3), (2, 4, 9)),
    case("Conv1d/arguments", lambda n: n.Conv1d(4, 6, 3, 2, 1, 2, 2, False), (2, 4, 9)),
    case("Conv1d/circular", lambda n: n.Conv1d(2, 3, 3, padding=1, padding_mode="circular"), (2, 2, 6)),
    case("Conv1d/unbatched", lambda n: n.Conv1d(2, 3, 3), (2, 6)),
    case("Conv2d", lambda n: n.Conv2d(3, 4, 3, padding=1), (2, 3, 5, 6)),
    case("Conv2d/arguments", lambda n: n.Conv2d(4, 6, (3, 2), (2, 1), (1, 0), (1, 2), 2), (2, 4, 6, 7)),
    case("Conv2d/same", lambda n: n.Conv2d(2, 3, (4, 3), padding="same", bias=False), (2, 2, 5, 6)),
    case("Conv2d/valid", lambda n: n.Conv2d(2, 3, 3, padding="valid"), (2, 2, 5, 6)),
    case("Conv2d/depthwise", lambda n: n.Conv2d(3, 6, 3, groups=3), (2, 3, 5, 5)),
    case("Conv2d/reflect", lambda n: n.Conv2d(2, 3, 3, 2, (1, 2), padding_mode="reflect"), (2, 2, 5, 6)),
    case("Conv2d/replicate-same", lambda n: n.Conv2d(2, 3, 4, padding="same", padding_mode="replicate"), (2, 2, 5, 6)),
    case("MaxPool1d", lambda n: n.MaxPool1d(3, 2, 1), (2, 3, 8)),
    case("MaxPool2d", lambda n: n.MaxPool2d(2), (2, 3, 6, 5)),
    case("MaxPool2d/arguments", lambda n: n.MaxPool2d((3, 2), 2, 1, ceil_mode=True), (2, 3, 6, 5)),
    case("AvgPool1d", lambda n: n.AvgPool1d(3, 2, 1, count_include_pad=False), (2, 3, 8)),
    case("AvgPool2d", lambda n: n.AvgPool2d((2, 3)), (2, 3, 6, 6)),
    case("AvgPool2d/arguments", lambda n: n.AvgPool2d(3, 2, 1, True, False), (2, 3, 6, 6)),
    case("AvgPool2d/divisor", lambda n: n.AvgPool2d(2, divisor_override=3), (2, 3, 4, 4)),
    case("AdaptiveAvgPool1d", lambda n: n.AdaptiveAvgPool1d(3), (2, 3, 7)),
    case("AdaptiveAvgPool2d", lambda n: n.AdaptiveAvgPool2d((1, None)), (2, 3, 5, 4)),
    case("BatchNorm1d", lambda n: n.BatchNorm1d(3), (6, 3)),
    case("BatchNorm1d/sequence", lambda n: n.BatchNorm1d(3, eps=1e-3, momentum=0.3), (4, 3, 5)),
    case("BatchNorm2d", lambda n: n.BatchNorm2d(3), (4, 3, 2, 5)),
    case("BatchNorm2d/average", lambda n: n.BatchNorm2d(3, momentum=None), (4, 3, 2, 5)),
    case("BatchNorm2d/no-affine", lambda n: n.BatchNorm2d(3, affine=False), (4, 3, 2, 5)),
    case("BatchNorm2d/no-statistics", lambda n: n.BatchNorm2d(3, track_running_stats=False), (4, 3, 2, 5)),
    case("LayerNorm", lambda n: n.LayerNorm(5), (4, 3, 5)),
    case("LayerNorm/two-axes", lambda n: n.LayerNorm((3, 5), eps=1e-2, bias=False), (4, 3, 5)),
    case("LayerNorm/no-affine", lambda n: n.LayerNorm([5], elementwise_affine=False), (4, 5)),
    case("GroupNorm", lambda n: n.GroupNorm(2, 4), (3, 4, 5)),
    case("GroupNorm/no-affine", lambda n: n.GroupNorm(4, 4, affine=False), (3, 4, 2, 2)),
    case("Dropout/0", lambda n: n.Dropout(0.0), (4, 3)),
    case("Dropout/1", lambda n: n.Dropout(1.0), (4, 3)),
    case("Dropout2d/0", lambda n: n.Dropout2d(0.0), (4, 3, 2, 2)),
    case("Embedding", lambda n: n.Embedding(7, 3), of=lambda rng: (rng.integers(0, 7, (4, 5)),)),
    case("Embedding/padding", lambda n: n.Embedding(5, 3, padding_idx=-2), of=lambda rng: (np.arange(10) % 5,)),
    case("CrossEntropyLoss", lambda n: n.CrossEntropyLoss(), of=labelled(4, 3)),
    case(
        "CrossEntropyLoss/arguments",
        lambda n: n.CrossEntropyLoss(weights(n, 1.0, 2.0, 0.5), ignore_index=1, label_smoothing=0.1),
        of=labelled(4, 3, 2),
    ),
    case("CrossEntropyLoss/sum", lambda n: n.CrossEntropyLoss(reduction="sum"), of=labelled(4, 3)),
    case("NLLLoss", lambda n: n.NLLLoss(weights(n, 1.0, 2.0, 0.5), reduction="none"), of=log_probabilities),
    case("MSELoss", lambda n: n.MSELoss(), (4, 3), (4, 3)),
    case("L1Loss", lambda n: n.L1Loss(reduction="sum"), (4, 3), (4, 3)),
    case("SmoothL1Loss", lambda n: n.SmoothL1Loss(beta=0.5), (4, 3), (4, 3)),
    case("HuberLoss", lambda n: n.HuberLoss(delta=0.5), (4, 3), (4, 3)),
    case("BCELoss", lambda n: n.BCELoss(), of=probabilities),
    case("BCELoss/weight", lambda n: n.BCELoss(weights(n, 1.0, 2.0, 0.5)), of=probabilities),
    case(
        "BCEWithLogitsLoss",
        lambda n: n.BCEWithLogitsLoss(pos_weight=weights(n, 1.0, 2.0, 0.5)),
        of=lambda rng: (3 * rng.standard_normal((4, 3)), rng.uniform(0, 1, (4, 3))),
    ),
    case("KLDivLoss", lambda n: n.KLDivLoss(reduction="batchmean"), of=distributions),
    case(
        "a network",
        lambda n: n.Sequential(
            n.Conv2d(1, 4, 3, padding=1, bias=False),
            n.BatchNorm2d(4),
            n.ReLU(),
            n.MaxPool2d(2),
            n.Flatten(),
            n.Linear(36, 5),
            n.LogSoftmax(dim=1),
        ),
        (3, 1, 6, 6),
    ),
]


def pair(case: Case) -> tuple[nn.Module, Any, list[np.ndarray]]:
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


def differentiable(arrays: list[np.ndarray], make: Callable[..., Any]) -> list[Any]:
    """The first operand as a variable; labels and targets as constants."""
    return [make(x, requires_grad=i == 0 and x.dtype.kind == "f") for i, x in enumerate(arrays)]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_state_dicts_have_the_same_keys_shapes_and_dtypes(case: Case) -> None:
    ours, theirs = case.build(nn), case.build(torch.nn)

    def described(module: Any) -> list[tuple[str, tuple[int, ...], str]]:
        return [(k, tuple(v.shape), str(v.dtype).removeprefix("torch.")) for k, v in module.state_dict().items()]

    assert described(ours) == described(theirs)


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths")
@pytest.mark.parametrize("mode", ["train", "eval"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_outputs_gradients_and_buffers_are_the_same(case: Case, mode: str) -> None:
    ours, theirs, arrays = pair(case)
    ours.train(mode == "train")
    theirs.train(mode == "train")
    for _ in range(2):  # twice, for running statistics
        given = differentiable(arrays, ag.tensor)
        expected = differentiable(arrays, lambda x, requires_grad: torch.tensor(x, requires_grad=requires_grad))
        y, z = ours(*given), theirs(*expected)
        np.testing.assert_allclose(y.detach().numpy(), z.detach().numpy(), rtol=1e-9, atol=1e-12)
        if z.requires_grad:
            g = np.random.default_rng(1).standard_normal(tuple(z.shape))
            y.backward(g)
            z.backward(torch.from_numpy(np.asarray(g)))
    for a, b in zip(given, expected, strict=True):
        if b.grad is not None:
            np.testing.assert_allclose(a.grad.numpy(), b.grad.numpy(), rtol=GRADIENT_RTOL, atol=1e-11)
    for (name, a), b in zip(ours.named_parameters(), theirs.parameters(), strict=True):
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
    compared = {case.name.partition("/")[0] for case in CASES}
    elsewhere = {"Module", "Sequential", "ModuleList", "ModuleDict", "ParameterList", "Dropout1d"}
    elsewhere |= {"RNN", "LSTM", "GRU", "RNNCell", "LSTMCell", "GRUCell"}  # test_nn_recurrent
    elsewhere |= {"MultiheadAttention", "Transformer"}  # test_nn_attention
    elsewhere |= {f"Transformer{part}{kind}" for part in ("Encoder", "Decoder") for kind in ("", "Layer")}
    assert kinds - compared - elsewhere == set()
