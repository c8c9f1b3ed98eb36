"""Derivatives of compiled functions are those of the functions, where not every operation is differentiated too."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import autograd_core as ag
from autograd_core import nn
from autograd_core.errors import CompileError, DataError
from autograd_core.nn import functional as F

X = np.array([1.0, 2.0, 3.0])


def without_recording(x: Any) -> Any:
    with ag.no_grad():
        y = x * x
    return (x * y).sum()


def recorded_again(x: Any) -> Any:
    with ag.no_grad(), ag.enable_grad():
        y = x * x
    return (x * y).sum()


FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "detach": lambda x: (x * x.detach()).sum(),
    "no_grad": without_recording,
    "enable_grad": recorded_again,
    "checkpoint": lambda x: (ag.checkpoint(lambda z: z.sin() * z)(x) * x).sum(),
    "gradient inside": lambda x: (ag.grad(lambda z: z.sin().sum())(x) * x).sum(),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_derivatives_of_every_kind(name: str) -> None:
    f = FUNCTIONS[name]
    compiled = ag.compile(f)
    x, t = ag.tensor(X), ag.tensor(X[::-1].copy())
    transforms: list[Callable[[Any], Any]] = [
        lambda g: ag.grad(g)(x),
        lambda g: ag.jvp(g, (x,), (t,))[1],
        lambda g: ag.hessian(g)(x),
        lambda g: ag.grad(lambda z: (ag.grad(g)(z) * t).sum())(x),
        lambda g: ag.vmap(ag.grad(g))(ag.stack([x, t])),
    ]
    for transform in transforms:
        expected = transform(f).numpy()
        for _ in range(3):
            np.testing.assert_allclose(transform(compiled).numpy(), expected, rtol=1e-12, atol=1e-12)


def test_results_that_are_arguments_have_their_history() -> None:
    def f(x: Any, y: Any) -> Any:
        return x, y * 2.0, {"again": x}

    def total(g: Callable[..., Any]) -> Callable[..., Any]:
        def value(x: Any, y: Any) -> Any:
            a, b, c = g(x, y)
            return (a * b * c["again"]).sum()

        return value

    compiled = ag.compile(f)
    x, y = ag.tensor(X), ag.tensor(X[::-1].copy())
    expected = ag.grad(total(f), argnums=(0, 1))(x, y)
    for _ in range(3):
        found = ag.grad(total(compiled), argnums=(0, 1))(x, y)
        for a, b in zip(found, expected, strict=True):
            np.testing.assert_allclose(a.numpy(), b.numpy())
        assert compiled(x, y)[0] is x


def test_a_result_that_is_a_variable_is_that_variable() -> None:
    w = nn.Parameter(ag.ones(2))

    @ag.compile
    def step(x: Any) -> Any:
        w.assign_((w + x).detach())
        return w

    for i in range(5):
        assert step(ag.ones(2)) is w
        assert w.tolist() == [2.0 + i] * 2


def test_detached_results_require_no_gradient() -> None:
    def f(x: Any) -> Any:
        y = x * x
        return y, y.detach()

    compiled = ag.compile(f)
    for _ in range(3):
        y, fixed = compiled(ag.tensor(X, requires_grad=True))
        assert y.requires_grad
        assert not fixed.requires_grad


def stated_backward(x: Any) -> Any:
    @ag.custom_vjp
    def tenfold(z: Any) -> Any:
        return z * z

    tenfold.defvjp(lambda z: (z * z, z), lambda z, g: (10.0 * g * z,))
    return tenfold(x).sum()


def stated_forward(x: Any) -> Any:
    @ag.custom_jvp
    def tenfold(z: Any) -> Any:
        return z * z

    tenfold.defjvp(lambda primals, tangents: (tenfold(*primals), 10.0 * tangents[0] * primals[0]))
    return tenfold(x).sum()


def hooked(x: Any) -> Any:
    y = x * 2.0
    if y.requires_grad:
        y.register_hook(lambda g: g * 10.0)
    return (y * y).sum()


@pytest.mark.parametrize("f", [stated_backward, stated_forward, hooked])
def test_rules_that_no_operation_tells_are_kept_inside_and_refused_outside(f: Callable[..., Any]) -> None:
    x = ag.tensor(X)
    inside = ag.compile(ag.grad(f))
    outside = ag.compile(f)
    for _ in range(3):
        np.testing.assert_allclose(inside(x).numpy(), ag.grad(f)(x).numpy())
        np.testing.assert_allclose(outside(x).numpy(), f(x).numpy())
        with pytest.raises(CompileError, match=r"is differentiated from outside, where .* is not known"):
            ag.grad(outside)(x)


@pytest.mark.parametrize("transform", [ag.vmap, lambda f: lambda x: ag.jvp(f, (x,), (x,))])
def test_errors_under_transforms_are_those_of_the_function(transform: Callable[..., Any]) -> None:
    with pytest.raises(CompileError, match="is looked at"):
        transform(ag.compile(lambda x: x if x.sum() > 0 else -x))(ag.ones((2, 3)))


def test_labels_written_into_the_callers_array_are_looked_at_again() -> None:
    labels = np.array([0, 1, 2, 1])
    scores = ag.tensor(np.random.default_rng(0).standard_normal((4, 3)))
    loss = ag.compile(lambda x, y: F.cross_entropy(x, y))
    for _ in range(4):
        loss(scores, labels)
    labels[1] = 7
    with pytest.raises(DataError, match="label 7 at"):
        loss(scores, labels)


def test_generators_made_inside_give_the_same_numbers_in_each_call() -> None:
    def f(x: Any) -> Any:
        with ag.random.fork(3):
            noise = ag.random.normal(x.shape, dtype="float64")
        return x + noise + ag.random.uniform(x.shape)

    compiled = ag.compile(f)
    x = ag.tensor(X)
    with ag.random.fork(1):
        expected = [f(x).tolist() for _ in range(4)]
    with ag.random.fork(1):
        assert [compiled(x).tolist() for _ in range(4)] == expected
    assert len(compiled.variants) == 1


def noisy(z: Any) -> Any:
    return F.dropout(z, 0.5) + ag.random.uniform(z.shape)


@pytest.mark.parametrize("randomness", ["same", "different"])
def test_random_numbers_of_examples(randomness: str) -> None:
    """Compiled around vmap and inside it they are drawn as vmap says."""
    x = ag.tensor(np.ones((4, 6)))
    with ag.random.fork(2):
        expected = [ag.vmap(noisy, randomness=randomness)(x).tolist() for _ in range(4)]
    inside = ag.compile(noisy)
    for f in (ag.compile(ag.vmap(noisy, randomness=randomness)), ag.vmap(inside, randomness=randomness)):
        with ag.random.fork(2):
            assert [f(x).tolist() for _ in range(4)] == expected
    assert len(inside.variants) == 1


# Of a function, what takes (2, 4, 6) and draws for its examples as the policies say.
POLICIES: dict[str, Callable[[Any], Callable[[Any], Any]]] = {
    "each of each": lambda f: ag.vmap(ag.vmap(f, randomness="different"), randomness="different"),
    "each of one": lambda f: ag.vmap(ag.vmap(f, randomness="same"), randomness="different"),
    "one of each": lambda f: ag.vmap(ag.vmap(f, randomness="different"), randomness="same"),
    "of nothing that differs": lambda f: ag.vmap(lambda x: f(ag.ones(6)) + x, randomness="different"),
    "a gradient inside": lambda f: ag.vmap(ag.grad(lambda x: f(x).sum()), randomness="different"),
    "a gradient outside": lambda f: ag.grad(lambda x: ag.vmap(f, randomness="different")(x).sum()),
    "run again": lambda f: ag.grad(lambda x: ag.vmap(ag.checkpoint(f), randomness="different")(x).sum()),
    "no examples": lambda f: f,
}


def test_the_same_function_under_every_policy(device: str) -> None:
    x = ag.tensor(np.ones((2, 4, 6)))
    compiled = ag.compile(noisy)
    for name, policy in POLICIES.items():
        with ag.random.fork(2):
            expected = [policy(noisy)(x).tolist() for _ in range(4)]
            last = ag.random.default_generator().call
        with ag.random.fork(2):
            assert [policy(compiled)(x).tolist() for _ in range(4)] == expected, name
            assert ag.random.default_generator().call == last


def test_a_generator_passed_is_the_same_whatever_the_policy(device: str) -> None:
    generator = ag.random.Generator(4)
    compiled = ag.compile(lambda x: x + ag.random.uniform((6,), generator=generator))
    x = ag.tensor(np.ones((4, 6)))
    for policy in ("error", "same", "different"):
        for _ in range(12):  # each vmap has another default generator, which does not matter
            assert np.ptp(ag.vmap(compiled, randomness=policy)(x).numpy(), axis=0).max() == 0
    assert len(compiled.variants) == 1


@pytest.mark.parametrize("dtype", ["complex128", "complex64", "float16", "int8"])
def test_views_and_joins_of_every_dtype(dtype: str) -> None:
    def f(x: Any) -> Any:
        y = ag.concat([x, x[::-1]])
        return x.mT, x[1:, ::-1], ag.stack([x, x]), y, ag.broadcast_to(x, (2, 2, 3)), y.reshape(-1)[:4], x, (x + x).mT

    x = ag.tensor((np.arange(6).reshape(2, 3) - 2).astype(dtype))
    compiled = ag.compile(f)
    for _ in range(3):
        for a, b in zip(compiled(x), f(x), strict=True):
            assert a.dtype == b.dtype
            np.testing.assert_array_equal(a.numpy(), b.numpy())


def test_results_of_host_kernels_are_no_parts_of_memory_that_is_used_again() -> None:
    def f(x: Any) -> Any:
        first = ag.linalg.diagonal((x + 1.0).reshape(1, 1, 4)) * 1.0
        position = (x * 2.0).argmax()
        return first, position, ag.searchsorted(x, x[2]), ag.cumulative_sum(x * 3.0), ag.zeros(()), ag.zeros((0, 3))

    x = ag.tensor(np.arange(4.0))
    compiled = ag.compile(f)
    for _ in range(3):
        for a, b in zip(compiled(x), f(x), strict=True):
            assert a.shape == b.shape
            np.testing.assert_array_equal(a.numpy(), b.numpy())
