"""Learning-rate schedules: pure functions of the step, so that a resumed training needs only the step.

A schedule is called with the number of steps taken so far: 0 gives the first step's learning rate. With an int it
returns a float (to plot it, say); an optimizer calls it with a 0-d tensor and takes a 0-d float64 tensor, so that a
compiled step works out the rate itself. Pass one as ``lr``:

>>> import autograd_core as ag
>>> from autograd_core import nn, optim
>>> schedule = optim.schedules.warmup_cosine(0.1, warmup=10, total=100)
>>> optimizer = optim.SGD([nn.Parameter(ag.zeros(2))], lr=schedule)
>>> [round(schedule(step), 3) for step in (0, 5, 10, 55, 100)]
[0.0, 0.05, 0.1, 0.05, 0.0]

To count epochs, as PyTorch's schedulers do, multiply by the batches of one: ``step_decay(0.1, 30 * len(loader))``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial, wraps
from typing import Any, ParamSpec

import numpy as np

import autograd_core as ag
from autograd_core.errors import ArgumentError
from autograd_core.scalars import is_real

from .options import plain

Arguments = ParamSpec("Arguments")


class Schedule:
    """A function of the step, written once for numbers and for tensors.

    formula: takes an array namespace (``numpy`` or ``autograd_core``) and the step as a float64 scalar or 0-d tensor.
    text: how it was made, for ``repr``.

    >>> Schedule(lambda xp, t: 0.1 / xp.sqrt(t + 1), "inverse square root")(3)
    0.05
    """

    def __init__(self, formula: Callable[[Any, Any], Any], text: str):
        self.formula = formula
        self.text = text
        self._again: Callable[[], Schedule] | None = None

    def __call__(self, step: Any) -> Any:
        if isinstance(step, ag.Tensor):
            return self.formula(ag, step.astype(ag.float64))
        return float(self.formula(np, float(step)))

    def __repr__(self) -> str:
        return self.text

    def __reduce_ex__(self, protocol: Any) -> Any:
        """Copied and pickled as the call that made it: formulas are functions within functions."""
        return super().__reduce_ex__(protocol) if self._again is None else (self._again, ())


def _schedule(make: Callable[Arguments, Schedule]) -> Callable[Arguments, Schedule]:
    """A function that makes schedules, which remember how they were made; NumPy's numbers become Python's."""

    @wraps(make)
    def made(*args: Arguments.args, **named: Arguments.kwargs) -> Schedule:
        again = partial(made, *map(plain, args), **{name: plain(value) for name, value in named.items()})
        schedule = make(*again.args, **again.keywords)
        schedule._again = again
        return schedule

    return made


def _check(name: str, **arguments: tuple[Any, float]) -> None:
    """Each argument is given with the value that it must not be below."""
    for key, (value, low) in arguments.items():
        if not is_real(value) or not low <= value < math.inf:
            raise ArgumentError(f"{name}: {key} must be a finite number of at least {low:g}, got {value!r}")


@_schedule
def constant(lr: float) -> Schedule:
    """The same rate always: ``lr``.

    >>> constant(0.1)(1000)
    0.1
    """
    _check("constant", lr=(lr, 0))
    return Schedule(lambda xp, t: t * 0.0 + lr, f"constant({lr})")


@_schedule
def step_decay(lr: float, step_size: int, gamma: float = 0.1) -> Schedule:
    """Multiply by ``gamma`` every ``step_size`` steps: lr * gamma^floor(t / step_size). PyTorch's StepLR.

    >>> [round(step_decay(1.0, step_size=2)(t), 3) for t in range(5)]
    [1.0, 1.0, 0.1, 0.1, 0.01]
    """
    _check("step_decay", lr=(lr, 0), step_size=(step_size, 1), gamma=(gamma, 0))
    return Schedule(lambda xp, t: lr * gamma ** xp.floor(t / step_size), f"step_decay({lr}, {step_size}, {gamma})")


@_schedule
def multi_step(lr: float, milestones: Sequence[int], gamma: float = 0.1) -> Schedule:
    """Multiply by ``gamma`` at each milestone: lr * gamma^(milestones up to t). PyTorch's MultiStepLR.

    >>> [round(multi_step(1.0, [2, 3])(t), 3) for t in range(5)]
    [1.0, 1.0, 0.1, 0.01, 0.01]
    """
    _check("multi_step", lr=(lr, 0), gamma=(gamma, 0))
    marks = _numbers("multi_step: milestones", milestones)
    if marks != sorted(marks):
        raise ArgumentError(f"multi_step: milestones must increase, got {list(milestones)}")

    def formula(xp: Any, t: Any) -> Any:
        rate = t * 0.0 + lr
        for mark in marks:
            rate = xp.where(t >= mark, rate * gamma, rate)
        return rate

    return Schedule(formula, f"multi_step({lr}, {list(milestones)}, {gamma})")


@_schedule
def exponential(lr: float, gamma: float) -> Schedule:
    """Multiply by ``gamma`` every step: lr * gamma^t. PyTorch's ExponentialLR.

    >>> exponential(1.0, 0.5)(3)
    0.125
    """
    _check("exponential", lr=(lr, 0), gamma=(gamma, 0))
    return Schedule(lambda xp, t: lr * gamma**t, f"exponential({lr}, {gamma})")


@_schedule
def linear(start: float, end: float, total: int) -> Schedule:
    """A straight line from ``start`` to ``end`` over ``total`` steps, then ``end``. PyTorch's LinearLR.

    >>> [linear(1.0, 0.0, total=4)(t) for t in (0, 1, 4, 9)]
    [1.0, 0.75, 0.0, 0.0]
    """
    _check("linear", start=(start, 0), end=(end, 0), total=(total, 1))
    return Schedule(
        lambda xp, t: start + (end - start) * xp.minimum(t / total, 1.0), f"linear({start}, {end}, {total})"
    )


@_schedule
def polynomial(lr: float, total: int, power: float = 1.0, min: float = 0.0) -> Schedule:
    """From ``lr`` to ``min`` over ``total`` steps, then ``min``: min + (lr - min) (1 - t / total)^power.

    PyTorch's PolynomialLR.

    >>> [polynomial(1.0, total=4, power=2)(t) for t in (0, 1, 4, 9)]
    [1.0, 0.5625, 0.0, 0.0]
    """
    _check("polynomial", lr=(lr, 0), total=(total, 1), power=(power, 0), min=(min, 0))
    return Schedule(
        lambda xp, t: min + (lr - min) * (1.0 - xp.minimum(t / total, 1.0)) ** power,
        f"polynomial({lr}, {total}, {power}, {min})",
    )


@_schedule
def linear_warmup(lr: float, warmup: int, start: float = 0.0) -> Schedule:
    """A straight line from ``start`` to ``lr`` over ``warmup`` steps, then ``lr``.

    Source: Goyal et al., Accurate, large minibatch SGD, 2017.

    >>> [linear_warmup(1.0, warmup=4)(t) for t in (0, 1, 4, 9)]
    [0.0, 0.25, 1.0, 1.0]
    """
    return Schedule(linear(start, lr, warmup).formula, f"linear_warmup({lr}, {warmup}, {start})")


@_schedule
def inverse_sqrt(lr: float, warmup: int, start: float = 0.0) -> Schedule:
    """A straight line from ``start`` to ``lr`` over ``warmup`` steps, then lr * sqrt(warmup / t).

    Source: Vaswani et al., Attention is all you need, 2017.

    >>> [inverse_sqrt(1.0, warmup=4)(t) for t in (0, 2, 4, 16)]
    [0.0, 0.5, 1.0, 0.5]
    """
    _check("inverse_sqrt", lr=(lr, 0), warmup=(warmup, 1), start=(start, 0))

    def formula(xp: Any, t: Any) -> Any:
        return xp.where(
            t < warmup, start + (lr - start) * (t / warmup), lr * xp.sqrt(warmup / xp.maximum(t, float(warmup)))
        )

    return Schedule(formula, f"inverse_sqrt({lr}, {warmup}, {start})")


@_schedule
def cosine(lr: float, total: int, min: float = 0.0) -> Schedule:
    """Half a cosine from ``lr`` to ``min`` over ``total`` steps, then ``min``.

    min + (lr - min) (1 + cos(pi t / total)) / 2. PyTorch's CosineAnnealingLR, which rises again after ``total``.
    Source: Loshchilov and Hutter, SGDR, 2017.

    >>> [cosine(1.0, total=4)(t) for t in (0, 2, 4, 9)]
    [1.0, 0.5, 0.0, 0.0]
    """
    _check("cosine", lr=(lr, 0), total=(total, 1), min=(min, 0))

    def formula(xp: Any, t: Any) -> Any:
        return min + (lr - min) * 0.5 * (1.0 + xp.cos(math.pi * xp.minimum(t / total, 1.0)))

    return Schedule(formula, f"cosine({lr}, {total}, {min})")


@_schedule
def cosine_restarts(lr: float, first: int, growth: float = 1.0, min: float = 0.0) -> Schedule:
    """Half a cosine from ``lr`` towards ``min``, again and again: in ``first`` steps, then ``growth`` times as many...

    PyTorch's CosineAnnealingWarmRestarts. Source: Loshchilov and Hutter, SGDR, 2017.

    >>> [round(cosine_restarts(1.0, first=2, growth=2)(t), 3) for t in range(8)]
    [1.0, 0.5, 1.0, 0.854, 0.5, 0.146, 1.0, 0.962]
    """
    _check("cosine_restarts", lr=(lr, 0), first=(first, 1), growth=(growth, 1), min=(min, 0))

    def formula(xp: Any, t: Any) -> Any:
        if growth == 1:
            begin, length = first * xp.floor(t / first), first
        else:
            # a logarithm that is a whole number must not be rounded to less than it
            before = xp.floor(xp.log(t / first * (growth - 1.0) + 1.0) / math.log(growth) + 1e-9)
            begin, length = first * (growth**before - 1.0) / (growth - 1.0), first * growth**before
        return min + (lr - min) * 0.5 * (1.0 + xp.cos(math.pi * (t - begin) / length))

    return Schedule(formula, f"cosine_restarts({lr}, {first}, {growth}, {min})")


@_schedule
def cyclic(
    low: float, high: float, up: int = 2000, down: int | None = None, mode: str = "triangular", gamma: float = 1.0
) -> Schedule:
    """From ``low`` to ``high`` in ``up`` steps and back in ``down`` (as many unless given), again and again.

    mode: "triangular" keeps the height, "triangular2" halves it after every cycle, "exp_range" scales it by gamma^t.
    PyTorch's CyclicLR, without its cycling of momentum. Source: Smith, Cyclical learning rates, 2017.

    >>> [cyclic(0.0, 1.0, up=2, mode="triangular2")(t) for t in range(8)]
    [0.0, 0.5, 1.0, 0.5, 0.0, 0.25, 0.5, 0.25]
    """
    down = up if down is None else down
    _check("cyclic", low=(low, 0), high=(high, 0), up=(up, 1), down=(down, 1), gamma=(gamma, 0))
    if mode not in ("triangular", "triangular2", "exp_range"):
        raise ArgumentError(f"cyclic: mode must be 'triangular', 'triangular2' or 'exp_range', got {mode!r}")
    length = float(up + down)
    turn = up / length

    def formula(xp: Any, t: Any) -> Any:
        cycle = xp.floor(t / length)
        x = t / length - cycle
        height = xp.where(x <= turn, x / turn, (x - 1.0) / (turn - 1.0))
        if mode == "triangular2":
            height = height * 0.5**cycle
        elif mode == "exp_range":
            height = height * gamma**t
        return low + (high - low) * height

    return Schedule(formula, f"cyclic({low}, {high}, {up}, {down}, {mode!r}, {gamma})")


@_schedule
def warmup_cosine(lr: float, warmup: int, total: int, min: float = 0.0, start: float = 0.0) -> Schedule:
    """``linear_warmup`` from ``start`` over ``warmup`` steps, then ``cosine`` to ``min`` at step ``total``.

    >>> [warmup_cosine(1.0, warmup=2, total=6)(t) for t in (0, 1, 2, 4, 6)]
    [0.0, 0.5, 1.0, 0.5, 0.0]
    """
    _check("warmup_cosine", warmup=(warmup, 1), total=(total, warmup + 1))
    joined = join([linear_warmup(lr, warmup, start), cosine(lr, total - warmup, min)], [warmup])
    return Schedule(joined.formula, f"warmup_cosine({lr}, {warmup}, {total}, {min}, {start})")


@_schedule
def one_cycle(
    lr: float,
    total: int,
    warm_fraction: float = 0.3,
    div: float = 25.0,
    final_div: float = 1e4,
    *,
    anneal: str = "cos",
    three_phase: bool = False,
) -> Schedule:
    """Up and down once: from lr / div up to ``lr``, then down to lr / div / final_div, at step total - 1.

    anneal: along half a "cos" or a "linear" line. three_phase: down to lr / div in as many steps as up, and from there
    on to the end. PyTorch's OneCycleLR, without its cycling of momentum. Source: Smith and Topin, Super-convergence,
    2018.

    >>> [round(one_cycle(1.0, total=10)(t), 3) for t in (0, 2, 9)]
    [0.04, 1.0, 0.0]
    """
    _check(
        "one_cycle",
        lr=(lr, 0),
        total=(total, 3),
        warm_fraction=(warm_fraction, 0),
        div=(div, 1),
        final_div=(final_div, 1),
    )
    if anneal not in ("cos", "linear"):
        raise ArgumentError(f"one_cycle: anneal must be 'cos' or 'linear', got {anneal!r}")
    low, lowest, last = lr / div, lr / div / final_div, total - 1
    peak = warm_fraction * total - 1
    ends = [0.0, peak, 2 * peak, last] if three_phase else [0.0, peak, last]
    rates = [low, lr, low, lowest] if three_phase else [low, lr, lowest]
    if ends != sorted(set(ends)):
        raise ArgumentError(
            f"one_cycle: warm_fraction {warm_fraction} of {total} steps leaves no steps on one side of the peak"
        )

    def formula(xp: Any, t: Any) -> Any:
        parts = []
        for begin, end, first, then in zip(ends, ends[1:], rates, rates[1:], strict=False):
            way = xp.minimum((t - begin) / (end - begin), 1.0)
            parts.append(first + (then - first) * (way if anneal == "linear" else 0.5 * (1.0 - xp.cos(math.pi * way))))
        rate = parts[-1]
        for end, part in zip(ends[-2:0:-1], parts[-2::-1], strict=True):
            rate = xp.where(t <= end, part, rate)
        return rate

    return Schedule(
        formula, f"one_cycle({lr}, {total}, {warm_fraction}, {div}, {final_div}, {anneal!r}, {three_phase})"
    )


@_schedule
def custom(lr: float, factor: Callable[[Any], Any]) -> Schedule:
    """``lr`` times a function of the step. PyTorch's LambdaLR.

    factor: takes a float, or a 0-d float64 tensor where the schedule is called with one; for compiled steps it must not
    look at the value.

    >>> custom(0.1, lambda t: 1 / (1 + t))(1)
    0.05
    """
    _check("custom", lr=(lr, 0))
    if not callable(factor):
        raise ArgumentError(f"custom: factor must be a function of the step, got {factor!r:.80}")
    return Schedule(lambda xp, t: lr * factor(t), f"custom({lr}, {getattr(factor, '__name__', factor)})")


@_schedule
def join(schedules: Sequence[Schedule], boundaries: Sequence[int]) -> Schedule:
    """One schedule after another; each starts from step 0 at its boundary. PyTorch's SequentialLR.

    schedules: n; boundaries: the n - 1 steps at which the next one takes over, increasing.

    >>> both = join([linear_warmup(1.0, warmup=2), constant(0.5)], boundaries=[2])
    >>> [both(t) for t in range(4)]
    [0.0, 0.5, 0.5, 0.5]
    """
    parts = _schedules("join", schedules)
    marks = _numbers("join: boundaries", boundaries)
    if len(marks) != len(parts) - 1 or marks != sorted(set(marks)) or any(m <= 0 for m in marks):
        raise ArgumentError(
            f"join: {len(parts)} schedules need {len(parts) - 1} increasing boundaries above 0, got {list(boundaries)}"
        )

    def formula(xp: Any, t: Any) -> Any:
        rate = parts[0].formula(xp, t)
        for mark, part in zip(marks, parts[1:], strict=True):
            # clamped, so that no part is asked for a step below 0
            rate = xp.where(t >= mark, part.formula(xp, xp.maximum(t - mark, 0.0)), rate)
        return rate

    return Schedule(formula, f"join({list(parts)}, {list(boundaries)})")


@_schedule
def chain(*schedules: Schedule) -> Schedule:
    """The product of schedules: the first gives rates, the others factors. PyTorch's ChainedScheduler.

    >>> chain(cosine(0.1, total=100), linear_warmup(1.0, warmup=10))(5) == cosine(0.1, total=100)(5) / 2
    True
    """
    parts = _schedules("chain", schedules)
    return Schedule(
        lambda xp, t: math.prod(part.formula(xp, t) for part in parts), f"chain({', '.join(map(repr, parts))})"
    )


def _numbers(what: str, given: Any) -> list[float]:
    """A list of steps."""
    found = given.tolist() if isinstance(given, np.ndarray) else given
    if not isinstance(found, (list, tuple, range)) or not all(is_real(x) and math.isfinite(x) for x in found):
        raise ArgumentError(f"{what} must be a list of numbers of steps, such as [30, 60], got {given!r:.80}")
    return [float(x) for x in found]


def _schedules(name: str, given: Any) -> tuple[Schedule, ...]:
    if not isinstance(given, (list, tuple)):
        raise ArgumentError(f"{name}: schedules must be a list of them, got a {type(given).__name__}")
    if not given:
        raise ArgumentError(f"{name}: no schedules given")
    for i, schedule in enumerate(given):
        if not isinstance(schedule, Schedule):
            raise ArgumentError(
                f"{name}: schedule {i} is a {type(schedule).__name__}; use those of optim.schedules, such as "
                "constant(0.1)"
            )
    return tuple(given)
