"""Every optimizer, schedule and way of clipping gradients in a compiled step: parameters and state as in eager ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from compile_steps import agree
from optim_tools import IDS, SHAPES, VARIANTS, shapes_for

import autograd_core as ag
from autograd_core import nn, optim
from autograd_core.errors import CompileError
from autograd_core.optim import schedules as s

TOLERANCE = {"float64": 1e-11, "float32": 1e-5}
TOGETHER = 5  # optimizers in one step

SCHEDULES = {
    "constant": s.constant(0.1),
    "step_decay": s.step_decay(0.1, 2, 0.3),
    "multi_step": s.multi_step(0.1, [1, 3], 0.3),
    "exponential": s.exponential(0.1, 0.9),
    "linear": s.linear(0.1, 0.02, 3),
    "linear_warmup": s.linear_warmup(0.1, 3, start=0.01),
    "cosine": s.cosine(0.1, 4, 0.01),
    "polynomial": s.polynomial(0.1, 3, 2.0),
    "inverse_sqrt": s.inverse_sqrt(0.1, 2),
    "cosine_restarts": s.cosine_restarts(0.1, 1, 2),
    "cyclic": s.cyclic(0.01, 0.1, 2, mode="triangular2"),
    "custom": s.custom(0.1, lambda t: 1.0 / (1.0 + t)),
    "warmup_cosine": s.warmup_cosine(0.1, 2, 5),
    "one_cycle": s.one_cycle(0.1, 5),
    "join": s.join([s.constant(0.1), s.exponential(0.1, 0.5)], [2]),
    "chain": s.chain(s.exponential(0.1, 0.9), s.linear_warmup(1.0, 2, start=0.1)),
    "of my own": lambda step: 0.1 / (1.0 + step),
}


class Parameters(nn.Module):
    """Parameters of all shapes, one of which gets no gradient."""

    def __init__(self, dtype: str, shapes: Sequence[tuple[int, ...]] = SHAPES):
        super().__init__()
        rng = np.random.default_rng(0)
        self.used = nn.ParameterList([nn.Parameter(np.asarray(rng.standard_normal(n), dtype)) for n in shapes])
        self.unused = nn.Parameter(np.ones((2, 2), dtype))

    def forward(self, x: Any) -> Any:
        return sum((ag.sin(p) * x + p * p * 0.5).sum() for p in self.used)


def compare(
    makers: Sequence[Callable[[Any], Any]],
    dtype: str,
    clip: Callable[[Any], Any] = lambda parameters: None,
    shapes: Sequence[Sequence[tuple[int, ...]]] | None = None,
) -> None:
    def make() -> tuple[Sequence[nn.Module], Any, Callable[..., Any]]:
        models = [Parameters(dtype, s) for s in shapes or [SHAPES] * len(makers)]
        optimizers = [m(model.parameters()) for m, model in zip(makers, models, strict=True)]

        def step(x: Any) -> Any:
            loss = ag.zeros((), dtype=dtype)
            for optimizer, model in zip(optimizers, models, strict=True):
                optimizer.zero_grad()
                loss = loss + model(x)
            loss.backward()
            norms = [clip(list(model.parameters())) for model in models]
            for optimizer in optimizers:
                optimizer.step()
            return loss, [n for n in norms if n is not None]

        return models, optimizers, step

    agree(make, lambda i: [ag.tensor(np.asarray(0.5 + i / 4, dtype))], TOLERANCE)


def parts(n: int) -> list[slice]:
    return [slice(i, i + TOGETHER) for i in range(0, n, TOGETHER)]


@pytest.mark.parametrize("part", parts(len(VARIANTS)), ids=lambda part: f"{IDS[part.start]} and on")
def test_every_variant_of_every_optimizer(part: slice) -> None:
    compare_variants(VARIANTS[part], "float64")


@pytest.mark.parametrize("part", parts(len(VARIANTS[::2])), ids=lambda part: f"{IDS[::2][part.start]} and on")
def test_every_other_variant_in_single_precision(part: slice) -> None:
    compare_variants(VARIANTS[::2][part], "float32")


def compare_variants(variants: Sequence[tuple[str, dict[str, Any]]], dtype: str) -> None:
    makers = [lambda p, n=name, o=options: getattr(optim, n)(p, **o) for name, options in variants]
    compare(makers, dtype, shapes=[shapes_for(name) for name, _ in variants])


def test_a_step_alone_is_one_kernel_for_the_parameters_of_an_optimizer_whatever_gradients_they_get() -> None:
    pytest.importorskip("llvmlite", reason="llvmlite generates the kernels")
    names = ["Adagrad", "Adamax", "NAdam", "Rprop"]  # formulas of public operations; some with numbers of their own

    def make() -> tuple[list[nn.Parameter], Callable[[], None]]:
        given = [[nn.Parameter(np.ones(shape, "f4")) for shape in [(30, 40), (50,), (20, 30)]] for _ in names]
        optimizers = [getattr(optim, name)(group) for name, group in zip(names, given, strict=True)]

        def step() -> None:
            for optimizer in optimizers:
                optimizer.step()

        return [p for group in given for p in group], step

    (found, function), (expected, eager) = make(), make()
    step = ag.compile(function)
    rng = np.random.default_rng(0)
    for _ in range(4):
        for p, q in zip(found, expected, strict=True):
            g = rng.standard_normal(p.shape, "f4")
            p.grad, q.grad = ag.tensor(g), ag.tensor(g)
        step()
        eager()
    assert len(step.variants) == 1
    for p, q in zip(found, expected, strict=True):
        np.testing.assert_allclose(p.numpy(), q.numpy(), rtol=1e-5, atol=1e-6)
    kernels = list(step.latest.runner.parts())
    assert sum(k.name.startswith("segments_") for k in kernels) == len(names)
    assert {v.aval.size for k in kernels if not k.name.startswith("segments_") for v in k.values} == {1}


@pytest.mark.parametrize("part", parts(len(SCHEDULES)), ids=lambda part: f"{list(SCHEDULES)[part.start]} and on")
def test_every_schedule(part: slice) -> None:
    rates = list(SCHEDULES.values())[part]
    compare([lambda p, lr=lr: optim.SGD(p, lr=lr, momentum=0.5) for lr in rates], "float64")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Every norm in one of the two, in both with ``--every-case``."""
    if "norm" in metafunc.fixturenames:
        every = [(norm, dtype) for norm in (2.0, 1.0, 3.0, float("inf")) for dtype in ("float32", "float64")]
        chosen = every if metafunc.config.getoption("--every-case") else [*every[:4:3], *every[5:7]]
        metafunc.parametrize(("norm", "dtype"), chosen)


def test_clipped_norms(norm: float, dtype: str) -> None:
    compare([optim.Adam], dtype, lambda parameters: optim.clip_grad_norm_(parameters, 0.3, norm_type=norm))


def test_a_rate_that_falls_on_a_plateau_needs_no_other_code() -> None:
    w, v = nn.Parameter(np.ones(3)), nn.Parameter(np.ones(3))
    rates = [optim.ReduceLROnPlateau(0.5, factor=0.1, patience=0) for _ in range(2)]
    optimizers = [optim.SGD([p], lr=rate, momentum=0.5) for p, rate in zip((w, v), rates, strict=True)]

    def step(p: Any, optimizer: Any) -> Any:
        optimizer.zero_grad()
        loss = (p * p).sum()
        loss.backward()
        optimizer.step()
        return loss

    compiled = ag.compile(lambda: step(w, optimizers[0]))
    for metric in (1.0, 1.0, 0.5, 2.0, 3.0, 0.1):
        assert float(compiled()) == pytest.approx(float(step(v, optimizers[1])), rel=1e-12)
        for rate in rates:
            rate.step(metric)
    np.testing.assert_allclose(w.numpy(), v.numpy(), rtol=1e-12)
    assert rates[0].rate == pytest.approx(5e-4)
    assert len(compiled.variants) == 1


def test_clipped_values() -> None:
    compare([optim.AdamW], "float32", lambda parameters: optim.clip_grad_value_(parameters, 0.2))


def test_norms_that_raise_are_refused() -> None:
    with pytest.raises(CompileError, match="is looked at"):
        compare([optim.Adam], "float32", lambda p: optim.clip_grad_norm_(p, 0.3, error_if_nonfinite=True))


def test_groups_with_options_of_their_own() -> None:
    def groups(parameters: Any) -> Any:
        first, *rest = parameters
        return optim.Adam([{"params": [first], "lr": 0.1}, {"params": rest, "weight_decay": 0.1}], lr=0.01)

    compare([groups], "float64")


def test_every_optimizer_and_schedule_is_here() -> None:
    classes = {x.__name__ for x in vars(optim).values() if isinstance(x, type) and issubclass(x, optim.Optimizer)}
    # L-BFGS asks for values to decide how far it goes; master weights take another optimizer's steps
    assert classes - {"Optimizer", "LBFGS", "MasterWeights"} == {name for name, _ in VARIANTS}
    made = {name for name, f in vars(s).items() if callable(f) and getattr(f, "__module__", "") == s.__name__}
    assert {n for n in made if not n.startswith("_")} - {"Schedule"} <= set(SCHEDULES)
