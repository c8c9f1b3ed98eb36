"""Initial values have the distribution that they claim, from the seed that they are given."""

from __future__ import annotations

import math

import numpy as np
import pytest

import autograd_core as ag
from autograd_core import nn
from autograd_core.nn import init


def empty(*shape: int, dtype: str = "float32") -> nn.Parameter:
    return nn.Parameter(ag.zeros(shape, dtype=dtype))


def filled(fill, *shape: int, **arguments) -> np.ndarray:
    w = empty(*shape)
    assert fill(w, **arguments, generator=ag.random.Generator(0)) is w
    return w.detach().numpy()


def test_uniform_and_normal() -> None:
    u = filled(init.uniform_, 100, 100, a=-2.0, b=6.0)
    assert -2 <= u.min() < -1.99
    assert 5.99 < u.max() < 6
    assert abs(u.mean() - 2) < 0.1
    z = filled(init.normal_, 100, 100, mean=1.0, std=0.5)
    assert abs(z.mean() - 1) < 0.03
    assert abs(z.std() - 0.5) < 0.02


def test_constants() -> None:
    assert init.constant_(empty(2), 0.5).tolist() == [0.5, 0.5]
    assert init.ones_(empty(2)).tolist() == [1, 1]
    assert init.zeros_(init.ones_(empty(2))).tolist() == [0, 0]
    assert init.eye_(empty(2, 3)).tolist() == [[1, 0, 0], [0, 1, 0]]


def test_a_dirac_weight_passes_its_input_on() -> None:
    layer = nn.Conv2d(4, 4, 3, padding=1, groups=2, bias=False)
    init.dirac_(layer.weight, groups=2)
    x = ag.random.normal((1, 4, 5, 5))
    assert layer(x).tolist() == x.tolist()


FAN_IN, FAN_OUT = 60 * 6, 40 * 6  # of a weight (40, 60, 2, 3)


@pytest.mark.parametrize(
    ("fill", "arguments", "std"),
    [
        (init.xavier_uniform_, {"gain": 2.0}, 2 * math.sqrt(2 / (FAN_IN + FAN_OUT))),
        (init.xavier_normal_, {}, math.sqrt(2 / (FAN_IN + FAN_OUT))),
        (init.kaiming_uniform_, {"a": math.sqrt(5)}, math.sqrt(1 / 3 / FAN_IN)),
        (init.kaiming_normal_, {"nonlinearity": "relu"}, math.sqrt(2 / FAN_IN)),
        (init.kaiming_normal_, {"mode": "fan_out", "nonlinearity": "tanh"}, 5 / 3 / math.sqrt(FAN_OUT)),
    ],
)
def test_the_spread_follows_the_fans(fill, arguments, std: float) -> None:
    w = filled(fill, 40, 60, 2, 3, **arguments)
    assert abs(w.std() / std - 1) < 0.03
    if "uniform" in fill.__name__:
        assert np.abs(w).max() <= std * math.sqrt(3) * 1.000001


@pytest.mark.parametrize("shape", [(5, 3), (3, 5), (4, 2, 2)])
def test_orthogonal_rows_or_columns_are_orthonormal(shape: tuple[int, ...]) -> None:
    w = filled(init.orthogonal_, *shape, gain=2.0).reshape(shape[0], -1)
    product = w.T @ w if w.shape[0] > w.shape[1] else w @ w.T
    np.testing.assert_allclose(product, 4 * np.eye(len(product)), atol=1e-5)


def test_truncated_normal_is_the_normal_between_its_limits() -> None:
    w = empty(40000, dtype="float64")
    init.trunc_normal_(w, 1.0, 2.0, 0.0, 4.0, generator=ag.random.Generator(0))
    x = np.sort(w.detach().numpy())
    assert x[0] >= 0
    assert x[-1] <= 4

    def cdf(t: float) -> float:
        return math.erf((t - 1) / (2 * math.sqrt(2)))

    expected = [(cdf(t) - cdf(0)) / (cdf(4) - cdf(0)) for t in x[::100]]
    assert np.abs(np.arange(0, 40000, 100) / 40000 - expected).max() < 0.01  # Kolmogorov: 0.0082 at 1%


def test_truncated_normal_reaches_into_the_tails() -> None:
    w = empty(20000)
    init.trunc_normal_(w, a=-8.0, b=8.0, generator=ag.random.Generator(0))
    x = w.detach().numpy()
    assert np.isfinite(x).all()
    assert 3.2 < np.abs(x).max() < 6


def test_the_same_seed_gives_the_same_bits_on_every_device() -> None:
    def draw(device: str) -> dict[str, list]:
        with ag.random.fork(11):
            model = nn.Sequential(nn.Conv2d(2, 3, 3, device=device), nn.Linear(4, 5, device=device))
        return {name: value.tolist() for name, value in model.state_dict().items()}

    assert draw("cpu") == draw("numpy") == draw("cpu")


def test_gains() -> None:
    assert init.calculate_gain("relu") == math.sqrt(2)
    assert init.calculate_gain("leaky_relu") == math.sqrt(2 / (1 + 0.01**2))
    torch = pytest.importorskip("torch")
    for name in ("linear", "conv2d", "sigmoid", "tanh", "relu", "leaky_relu", "selu"):
        assert init.calculate_gain(name) == torch.nn.init.calculate_gain(name)


def test_a_sparse_matrix_has_zeros_in_each_column() -> None:
    w = filled(init.sparse_, 10, 200, sparsity=0.35, std=2.0)
    assert ((w == 0).sum(axis=0) == 4).all()
    assert len({tuple(column) for column in (w == 0).T}) > 100
    assert abs(w[w != 0].std() - 2) < 0.15


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: init.uniform_(ag.zeros(2)),
            r"init\.uniform_: fills an nn\.Parameter or nn\.Buffer; a Tensor is immutable",
        ),
        (lambda: init.normal_(nn.Buffer(ag.tensor([1]))), "random values are real and floating, .* dtype int64"),
        (lambda: init.xavier_normal_(empty(3)), r"init\.xavier_normal_: needs a weight .* got shape \(3,\)"),
        (lambda: init.kaiming_normal_(empty(2, 2), mode="fan"), "mode must be 'fan_in' or 'fan_out', got 'fan'"),
        (lambda: init.calculate_gain("swish"), "no gain is known for 'swish'; known are conv1d"),
        (lambda: init.calculate_gain("leaky_relu", "steep"), "slope of leaky_relu must be a number"),
        (lambda: init.eye_(empty(2)), r"init\.eye_: fills a matrix, got shape \(2,\)"),
        (lambda: init.orthogonal_(empty(2)), "needs 2 or more dimensions"),
        (lambda: init.dirac_(empty(2, 2)), "fills a weight"),
        (lambda: init.sparse_(empty(2), 0.5), r"sparse_: fills a matrix, got shape \(2,\)"),
        (lambda: init.sparse_(empty(2, 2), 1.5), "sparsity must lie between 0 and 1, got 1.5"),
        (lambda: init.trunc_normal_(empty(2), a=1.0, b=0.0), "needs std > 0 and a < b"),
        (lambda: init.trunc_normal_(empty(2), a=9.0, b=10.0), "within 5 std of the mean"),
    ],
)
def test_what_cannot_be_filled_is_said(call, message: str) -> None:
    with pytest.raises(ag.AutogradError, match=message):
        call()
