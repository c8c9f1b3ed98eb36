"""Random programs, compiled, give what they give eagerly: values, gradients, random numbers, variables and gradients
left behind."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from compile_programs import Recipe, is_float, recipes
from hypothesis import given, settings
from hypothesis import strategies as st

import autograd_core as ag
from autograd_core import nn

SEED = 5


def tensors_of(recipe: Recipe, *, wide: bool = False) -> list[ag.Tensor]:
    return [ag.tensor(x.astype(np.float64) if wide and x.dtype == np.float32 else x) for x in recipe.inputs]


def weighted(results: Sequence[Any]) -> Any:
    """One number that all floating results take part in."""
    total = ag.zeros((), dtype="float64")
    for k, y in enumerate(results):
        if is_float(y):
            total = total + (ag.sin(y) * (0.5 + k)).sum(dtype="float64")
    return total


def gradients(recipe: Recipe, f: Callable[..., Any]) -> Callable[..., Any]:
    positions = tuple(i for i, x in enumerate(recipe.inputs) if x.dtype.kind == "f")
    return ag.grad(lambda *xs: weighted(f(*xs)), argnums=positions)


def agree(recipe: Recipe, run: Callable[..., Any], compiled: Callable[..., Any], calls: int = 4) -> None:
    """``run`` and ``compiled`` of the inputs, and of others in the last call."""
    with ag.random.fork(SEED):
        exact = [y.numpy() for y in as_list(run(*tensors_of(recipe, wide=True), wide=True))]
    xs = tensors_of(recipe)
    for call in range(calls):
        with ag.random.fork(SEED):
            expected = [y.numpy() for y in as_list(run(*xs))]
            drawn = ag.random.uniform((2,)).tolist()
        with ag.random.fork(SEED):
            found = [y.numpy() for y in as_list(compiled(*xs))]
            assert ag.random.uniform((2,)).tolist() == drawn, "the generator was left elsewhere"
        for k, (y, z, w) in enumerate(zip(found, expected, exact, strict=True)):
            what = f"call {call}, result {k} of{recipe!r}"
            assert y.shape == z.shape, what
            assert y.dtype == z.dtype, what
            np.testing.assert_allclose(y, z, **tolerances(z, w, recipe.single), err_msg=what)


def as_list(y: Any) -> list[Any]:
    return list(y) if isinstance(y, (list, tuple)) else [y]


def tolerances(z: np.ndarray, w: np.ndarray, single: bool) -> dict[str, float]:
    """1e-5 where float32 takes part and 1e-11 elsewhere, relative to the largest element; and some times what float32
    costs eager execution itself, where a program cancels."""
    if z.dtype.kind != "f":
        return {"rtol": 0.0, "atol": 0.0}
    rounding = 1e-5 if single else 1e-11
    scale = float(np.abs(w[np.isfinite(w)]).max(initial=1.0))
    lost = np.abs(z.astype(np.float64) - w)
    return {"rtol": rounding, "atol": rounding * scale + 4.0 * float(lost[np.isfinite(lost)].max(initial=0.0))}


@settings(max_examples=40)
@given(recipes())
def test_values(recipe: Recipe) -> None:
    agree(recipe, recipe, ag.compile(lambda *xs: recipe(*xs)))


@settings(max_examples=25)
@given(recipes(gradient=True, longest=9))
def test_gradients_inside(recipe: Recipe) -> None:
    def run(*xs: Any, wide: bool = False) -> Any:
        return gradients(recipe, lambda *ys: recipe(*ys, wide=wide))(*xs)

    agree(recipe, run, ag.compile(lambda *xs: run(*xs)))


@settings(max_examples=15)
@given(recipes(gradient=True, longest=9))
def test_gradients_of_compiled_functions(recipe: Recipe) -> None:
    compiled = ag.compile(lambda *xs: recipe(*xs))

    def run(*xs: Any, wide: bool = False) -> Any:
        return gradients(recipe, lambda *ys: recipe(*ys, wide=wide))(*xs)

    agree(recipe, run, gradients(recipe, compiled))


# ------------------------------------------------------------------------------------------ steps with effects


@dataclass
class Plan:
    """A recipe some of whose inputs are variables, and what a step does with them after it has computed."""

    recipe: Recipe
    variables: list[int]
    effects: list[tuple[str, int, int]]  # what, which variable, which value of the recipe

    def step(self, variables: dict[int, nn.Parameter]) -> Callable[..., Any]:
        def run(*arguments: Any) -> Any:
            given = iter(arguments)
            inputs = [variables[i] if i in variables else next(given) for i in range(len(self.recipe.inputs))]
            values = self.recipe(*inputs)
            loss = weighted(values)
            for what, i, k in self.effects:
                w = variables[i]
                if what == "backward" and loss.requires_grad:
                    loss.backward(retain_graph=True)
                elif what == "clear":
                    w.grad = None
                elif what == "decay":
                    w.assign_((w * 0.75 + 0.125).detach())
                elif what == "descend" and w.grad is not None:
                    w.assign_((w - 0.125 * w.grad).detach())
                elif what == "replace" and (values[k].shape, values[k].dtype) == (w.shape, w.dtype):
                    w.assign_(ag.tanh(values[k]).detach())
                elif what == "share" and (values[k].shape, values[k].dtype) == (w.shape, w.dtype):
                    w.assign_(values[k].detach())  # which may be another variable, or an argument
            return [y.detach() for y in values[-3:]], loss.detach()

        return run


@st.composite
def plans(draw: Any) -> Plan:
    recipe = draw(recipes(gradient=True, longest=7))
    floats = [i for i, x in enumerate(recipe.inputs) if x.dtype.kind == "f"]
    variables = draw(st.lists(st.sampled_from(floats), min_size=1, max_size=3, unique=True))
    n = len(recipe.inputs) + len(recipe.steps)
    recipe.results = list(range(n))
    kinds = st.sampled_from(["backward", "backward", "clear", "decay", "descend", "replace", "share"])
    effects = draw(
        st.lists(st.tuples(kinds, st.sampled_from(variables), st.integers(0, n - 1)), min_size=1, max_size=6)
    )
    return Plan(recipe, variables, effects)


def shaken(x: np.ndarray) -> np.ndarray:
    """Every number moved by one unit in its last place, up or down: what rounding does to it, more or less."""
    if x.dtype.kind != "f":
        return x.copy()
    return np.nextafter(x, np.where(np.arange(x.size).reshape(x.shape) % 2, np.inf, -np.inf).astype(x.dtype))


@settings(max_examples=25)
@given(plans(), st.booleans())
def test_steps(plan: Plan, hold: bool) -> None:
    """hold: whether somebody keeps the values and gradients of each step, which then must stay as they were."""
    sides = []
    for kind in ("shaken", "eager", "compiled"):
        inputs = [shaken(x) if kind == "shaken" else x for x in plan.recipe.inputs]
        variables = {i: nn.Parameter(inputs[i].copy()) for i in plan.variables}
        step = plan.step(variables)
        sides.append((inputs, variables, ag.compile(step) if kind == "compiled" else step, ag.random.Generator(SEED)))
    kept: list[tuple[Any, np.ndarray]] = []
    for call in range(6):
        seen = []
        for inputs, variables, step, generator in sides:
            arguments = [ag.tensor(x) for i, x in enumerate(inputs) if i not in plan.variables]
            with ag.random.fork(generator):
                results, loss = step(*arguments)
            gradients = [w.grad for w in variables.values()]
            left = [*results, loss, *[w.detach() for w in variables.values()], *gradients]
            seen.append([None if y is None else y.numpy().copy() for y in left])
            if hold:
                kept += [(y, a) for y, a in zip(left, seen[-1], strict=True) if y is not None]
        for k, (x, z, y) in enumerate(zip(*seen, strict=True)):
            what = f"call {call}, {k} of {len(seen[0])}: {plan.effects} after{plan.recipe!r}"
            assert (y is None) == (z is None), what
            if y is not None:
                assert (y.shape, y.dtype) == (z.shape, z.dtype), what
                np.testing.assert_allclose(y, z, **limits(z, x, plan.recipe.single), err_msg=what)
        assert sides[1][-1].call == sides[2][-1].call
    for y, values in kept:
        np.testing.assert_array_equal(y.numpy(), values)


def limits(z: np.ndarray, x: np.ndarray, single: bool) -> dict[str, float]:
    """As ``tolerances``, but ten times as wide for float32, since a step goes on from what the last one left; and some
    times what one unit in the inputs' last places makes of the eager result, where a program is chaotic."""
    if z.dtype.kind != "f":
        return {"rtol": 0.0, "atol": 0.0}
    rounding = 1e-4 if single else 1e-10
    with np.errstate(invalid="ignore"):
        moved = np.abs(z.astype(np.float64) - x)
    largest = float(np.abs(z[np.isfinite(z)]).max(initial=1.0))
    return {"rtol": rounding, "atol": rounding * largest + 8.0 * float(moved[np.isfinite(moved)].max(initial=0.0))}
