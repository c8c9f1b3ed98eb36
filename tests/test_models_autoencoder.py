"""Autoencoders: tying, corruption, and the contractive penalty against Jacobians known otherwise."""

from __future__ import annotations

import numpy as np
import pytest

import autograd_core as ag
from autograd_core import nn
from autograd_core.nn.models import Autoencoder, jacobian_penalty


def values(x: ag.Tensor) -> np.ndarray:
    return np.array(x.detach())


def images(rows: int, features: int) -> ag.Tensor:
    return ag.tensor(np.random.default_rng(0).uniform(size=(rows, features)))


def test_decoding_a_code_is_the_forward_pass_and_mirrors_the_sizes():
    model = Autoencoder((12, 7, 3), dtype="float64")
    x = images(5, 12)
    code = model.encode(x)
    assert code.shape == (5, 3)
    np.testing.assert_array_equal(values(model.decode(code)), values(model(x)))
    assert [p.shape for p in model.parameters()] == [(7, 12), (7,), (3, 7), (3,), (7, 3), (7,), (12, 7), (12,)]


def test_tied_decoder_uses_the_encoders_weights():
    model = Autoencoder((12, 7, 3), activation=nn.Tanh, output=None, tied=True, dtype="float64")
    assert [p.shape for p in model.parameters()] == [(7, 12), (7,), (3, 7), (3,), (7,), (12,)]
    first, second = model.encoder
    code = images(4, 3)
    hidden = ag.tanh(code @ second.weight + model.decoder[0])
    np.testing.assert_allclose(values(model.decode(code)), values(hidden @ first.weight + model.decoder[1]), rtol=1e-12)


def test_gradients_of_tied_weights():
    model = Autoencoder((4, 3, 2), tied=True, dtype="float64")
    x = images(3, 4)
    weights = {name: value.detach() for name, value in model.named_parameters()}
    names = list(weights)

    def loss(*values):
        outputs = nn.functional_call(model, dict(zip(names, values, strict=True)), (x,))
        return nn.functional.mse_loss(outputs, x)

    ag.check_grads(loss, tuple(weights.values()))


def test_corruption_is_for_training_alone():
    model = Autoencoder((50, 10), corruption=0.5, dtype="float64")
    x = images(8, 50)
    first, second = model(x), model(x)
    assert not np.array_equal(values(first), values(second))
    model.eval()
    np.testing.assert_array_equal(values(model(x)), values(model.decode(model.encode(x))))


def test_corruption_zeroes_its_share_of_the_inputs():
    seen = []
    model = Autoencoder((400, 3), corruption=0.3)
    model.encode = lambda x: seen.append(values(x)) or Autoencoder.encode(model, x)
    model(ag.ones((100, 400)))
    (corrupted,) = seen
    assert set(np.unique(corrupted)) == {0.0, 1.0}
    assert abs(np.mean(corrupted == 0) - 0.3) < 4 * np.sqrt(0.3 * 0.7 / corrupted.size)


def test_penalty_of_a_sigmoid_layer_is_its_closed_form():
    model = Autoencoder((9, 5), code_activation=nn.Sigmoid, dtype="float64")
    x = images(6, 9)
    h, w = values(model.encode(x)), values(model.encoder[0].weight)
    closed = np.mean((h * (1 - h)) ** 2 @ (w**2).sum(axis=1))
    np.testing.assert_allclose(float(jacobian_penalty(model.encode, x)), closed, rtol=1e-12)


def test_gradient_of_the_penalty_is_that_of_the_closed_form():
    model = Autoencoder((9, 5), code_activation=nn.Sigmoid, dtype="float64")
    x = images(6, 9)
    layer = model.encoder[0]
    jacobian_penalty(model.encode, x).backward()
    found = [values(p.grad) for p in (layer.weight, layer.bias)]

    def closed(weight, bias):
        h = ag.special.expit(x @ weight.T + bias)
        return ag.mean((h * (1 - h)) ** 2 @ (weight**2).sum(axis=1))

    expected = ag.grad(closed, argnums=(0, 1))(layer.weight.detach(), layer.bias.detach())
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, values(theirs), rtol=1e-10, atol=1e-14)


def test_penalty_of_a_deep_encoder_is_that_of_its_jacobian():
    model = Autoencoder((6, 5, 4), dtype="float64")
    x = images(3, 6)
    jacobians = [ag.jacrev(lambda row: model.encode(row[None])[0])(row) for row in x]
    expected = np.mean([np.sum(np.square(values(j))) for j in jacobians])
    np.testing.assert_allclose(float(jacobian_penalty(model.encode, x)), expected, rtol=1e-12)


def test_projections_estimate_the_penalty_without_bias():
    model = Autoencoder((6, 5, 4), dtype="float64")
    x = images(3, 6)
    exact = float(jacobian_penalty(model.encode, x))
    with ag.random.fork(0):
        draws = [float(jacobian_penalty(model.encode, x, projections=50)) for _ in range(40)]
    error = np.std(draws) / np.sqrt(len(draws))
    assert abs(np.mean(draws) - exact) < 4 * error
    assert error < 0.05 * exact


def test_penalty_in_a_compiled_step_has_the_eager_gradients():
    model = Autoencoder((9, 5), code_activation=nn.Sigmoid, tied=True, dtype="float64")
    x = images(6, 9)

    def step(x):
        model.zero_grad()
        loss = nn.functional.mse_loss(model(x), x) + 0.1 * jacobian_penalty(model.encode, x)
        loss.backward()
        return loss

    expected = float(step(x)), [values(p.grad) for p in model.parameters()]
    compiled = ag.compile(step)
    for _ in range(4):
        value = float(compiled(x))
    np.testing.assert_allclose(value, expected[0], rtol=1e-12)
    for p, gradient in zip(model.parameters(), expected[1], strict=True):
        np.testing.assert_allclose(values(p.grad), gradient, rtol=1e-9, atol=1e-13)


def test_arguments_that_do_not_fit_are_refused():
    with pytest.raises(ag.ArgumentError, match=r"sizes must name input and code, as in \(784, 100, 30\), got \(5,\)"):
        Autoencoder((5,))
    with pytest.raises(ag.ArgumentError, match="sizes must name input and code, .* got None"):
        Autoencoder(None)
    with pytest.raises(
        ag.ArgumentError, match=r"activation must be what makes a module, such as nn.ReLU, got ReLU\(\)"
    ):
        Autoencoder((5, 4, 3), activation=nn.ReLU())
    with pytest.raises(ag.ArgumentError, match="output must be what makes a module, such as nn.ReLU, got 'sigmoid'"):
        Autoencoder((5, 3), output="sigmoid")
    with pytest.raises(ag.ArgumentError, match="jacobian_penalty: function must be one, such as model.encode, got 3"):
        jacobian_penalty(3, ag.ones((3, 4)))
    with pytest.raises(ag.ArgumentError, match=r"sizes\[1\] must be an int of at least 1, got 0"):
        Autoencoder((5, 0))
    with pytest.raises(ag.ShapeError, match=r"must map \(3, 4\) to \(N, K\) with the same N, it gave \(3,\)"):
        jacobian_penalty(lambda x: x.sum(axis=1), ag.ones((3, 4)))
