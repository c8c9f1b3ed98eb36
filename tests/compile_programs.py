"""Random programs: what Hypothesis draws, one operation after another, with the shapes that they have then."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np
from hypothesis import strategies as st

import autograd_core as ag
from autograd_core.nn import functional as F

LENGTHS = (0, 1, 2, 3, 4, 5, 7, 8, 16, 17, 33)
LARGEST = 2500  # elements of a value
FLOATS = ("float32", "float64")

# Smooth where they are used: rounding of the operand changes little, in the gradient too.
SMOOTH: dict[str, Callable[[Any], Any]] = {
    "tanh": ag.tanh,
    "exp": lambda x: ag.exp(ag.tanh(x)),
    "sin": ag.sin,
    "square": lambda x: ag.square(ag.sin(x)),
    "sigmoid": F.sigmoid,
    "softplus": F.softplus,
    "gelu": F.gelu,
    "silu": F.silu,
    "erf": ag.special.erf,
    "log": lambda x: ag.log(x * x + 1.0),
    "sqrt": lambda x: ag.sqrt(x * x + 0.5),
    "reciprocal": lambda x: 1.0 / (2.0 + ag.sin(x)),
    "power": lambda x: (ag.square(x) + 1.0) ** -0.3,
    "scaled": lambda x: x * 0.5 - 0.25,
    "reversed": lambda x: 1.0 - x / 3.0,
    "negative": ag.negative,
    "cubed": lambda x: ag.tanh(x) ** 3,
}
# Steps and kinks: of values that are the same numbers compiled, down to the last bit.
STEPS: dict[str, Callable[[Any], Any]] = {
    "abs": ag.abs,
    "relu": F.relu,
    "sign": ag.sign,
    "floor": ag.floor,
    "rint": ag.round,
    "clip": lambda x: ag.clip(x, -0.5, 1.0),
    "leaky": lambda x: F.leaky_relu(x, 0.25),
}
SMOOTH_PAIRS: dict[str, Callable[[Any, Any], Any]] = {
    "add": ag.add,
    "subtract": ag.subtract,
    "multiply": lambda x, y: ag.tanh(x) * ag.sin(y),
    "divide": lambda x, y: x / (y * y + 1.0),
    "hypot": lambda x, y: ag.hypot(x, y + 3.0),
    "logaddexp": ag.logaddexp,
}
STEP_PAIRS: dict[str, Callable[[Any, Any], Any]] = {
    "maximum": ag.maximum,
    "minimum": ag.minimum,
    "less": lambda x, y: x < y,
    "equal": lambda x, y: x == y,
    "larger of": lambda x, y: ag.where(x >= y, x, y),
    "remainder": lambda x, y: ag.remainder(x, ag.abs(y) + 1.0),
}
WHOLE_PAIRS: dict[str, Callable[[Any, Any], Any]] = {
    "add": ag.add,
    "multiply": ag.multiply,
    "and": ag.bitwise_and,
    "xor": ag.bitwise_xor,
    "floor_divide": lambda x, y: x // (y * y + 1),
    "remainder": lambda x, y: x % (y * y + 1),
    "maximum": ag.maximum,
    "shift": lambda x, y: x << (y & 3),
}


@dataclass
class Step:
    """``operation`` of the values at ``operands``; takes the program's float dtype too."""

    told: str
    operation: Callable[..., Any]
    operands: tuple[int, ...]


@dataclass
class Recipe:
    """A program: its inputs, what it does with them, and which values it returns."""

    inputs: list[np.ndarray]
    steps: list[Step] = field(default_factory=list)
    results: list[int] = field(default_factory=list)
    single: bool = False  # whether anything is in float32

    def __call__(self, *tensors: Any, wide: bool = False) -> list[Any]:
        """wide: float64 wherever a step asks for float32."""
        values = list(tensors)
        for s in self.steps:
            values.append(s.operation(*[values[i] for i in s.operands]) if not wide else self._wide(s, values))
        return [values[i] for i in self.results]

    @staticmethod
    def _wide(s: Step, values: Sequence[Any]) -> Any:
        y = s.operation(*[values[i] for i in s.operands])
        return y.astype("float64") if y.dtype == np.float32 else y

    def __repr__(self) -> str:
        """As Hypothesis shows a failure."""
        lines = [f"v{i} = {x.dtype}{list(x.shape)}" for i, x in enumerate(self.inputs)]
        n = len(lines)
        lines += [f"v{n + i} = {s.told}({', '.join(f'v{k}' for k in s.operands)})" for i, s in enumerate(self.steps)]
        return "\n" + "\n".join([*lines, f"return {', '.join(f'v{k}' for k in self.results)}"])


class Writer:
    """Draws a recipe, and runs it as it grows, to know shapes and dtypes."""

    def __init__(self, draw: Any, recipe: Recipe, *, gradient: bool):
        self.draw, self.recipe, self.gradient = draw, recipe, gradient
        self.values = [ag.tensor(x) for x in recipe.inputs]
        self.exact = [True] * len(self.values)  # the same to the last bit, however it is computed

    def pick(self, fits: Callable[[Any], bool] = lambda x: True, *, exact: bool = False) -> int | None:
        """The position of a value that fits, the later the more likely; None if there is none."""
        found = [i for i, x in enumerate(self.values) if fits(x) and (self.exact[i] or not exact)]
        if not found:
            return None
        return found[-1] if self.draw(st.booleans()) else self.draw(st.sampled_from(found))

    def add(self, told: str, operation: Callable[..., Any], *operands: int, exact: bool = False) -> None:
        y = operation(*[self.values[i] for i in operands])
        if y.size > LARGEST:
            return
        self.recipe.steps.append(Step(told, operation, operands))
        self.values.append(y)
        self.exact.append(y.dtype.kind in "biu" or (exact and all(self.exact[i] for i in operands)))

    def choose(self, table: dict[str, Any]) -> tuple[str, Any]:
        name = self.draw(st.sampled_from(sorted(table)))
        return name, table[name]

    def step(self) -> None:
        kinds = [self.unary, self.pair, self.reduction, self.view, self.join, self.steps, self.whole, self.cast]
        kinds += [self.unary, self.pair, self.view, self.product, self.rows, self.gather, self.drawn, self.choice]
        self.draw(st.sampled_from(kinds))()

    # -------------------------------------------------------------------------------- elementwise

    def unary(self) -> None:
        i = self.pick(is_float)
        if i is not None:
            self.add(*self.choose(SMOOTH), i)

    def steps(self) -> None:
        table = STEPS | STEP_PAIRS
        name, f = self.choose(table)
        i = self.pick(is_float, exact=True)
        if i is None:
            return
        if name in STEPS:
            self.add(name, f, i, exact=True)
            return
        j = self.pick(lambda y: is_float(y) and broadcasts(self.values[i], y), exact=True)
        self.add(name, f, i, j, exact=name != "remainder")

    def pair(self) -> None:
        i = self.pick(is_float)
        if i is not None:
            j = self.pick(lambda y: y.dtype.kind in "fi" and broadcasts(self.values[i], y))
            self.recipe.single |= not is_float(self.values[j])  # functions of whole numbers are in float32
            self.add(*self.choose(SMOOTH_PAIRS), *self.draw(st.permutations([i, j])))

    def whole(self) -> None:
        i = self.pick(lambda x: x.dtype.kind == "i")
        if i is not None:
            j = self.pick(lambda y: y.dtype.kind == "i" and broadcasts(self.values[i], y))
            self.add(*self.choose(WHOLE_PAIRS), i, j)

    def choice(self) -> None:
        """ag.where by a truth value."""
        c = self.pick(lambda x: x.dtype.kind == "b")
        if c is None:
            return
        i = self.pick(lambda x: is_float(x) and broadcasts(self.values[c], x))
        if i is not None:
            self.add("where", lambda c, x: ag.where(c, x, 0.5), c, i, exact=True)

    def cast(self) -> None:
        dtype = self.draw(st.sampled_from([*FLOATS, "int64", "int32", "bool"]))
        i = self.pick(exact=dtype not in FLOATS)
        if i is not None:
            widens = np.can_cast(self.values[i].dtype, dtype)
            self.add(f"astype {dtype}", lambda x: x.astype(dtype), i, exact=bool(widens))

    # -------------------------------------------------------------------------------- across elements

    def reduction(self) -> None:
        i = self.pick(lambda x: x.ndim > 0)
        if i is None:
            return
        x = self.values[i]
        axes = tuple(sorted(self.draw(st.sets(st.integers(0, x.ndim - 1), min_size=1))))
        keep = self.draw(st.booleans())
        options = {"axis": axes, "keepdims": keep}
        full = 0 not in [x.shape[a] for a in axes]
        if x.dtype.kind == "b":
            f = self.draw(st.sampled_from([ag.any, ag.all, ag.sum]))
        elif not is_float(x):
            f = self.draw(st.sampled_from([ag.sum, *[ag.max, ag.min] * full]))
        else:
            smooth = [ag.sum, *[ag.mean, ag.logsumexp, ag.var] * full]
            kinked = [ag.max, ag.min, ag.argmax] if full and self.exact[i] else []
            f = self.draw(st.sampled_from([*smooth, *kinked]))
        if f is ag.argmax:
            options = {"axis": axes[0], "keepdims": keep}
        self.add(f"{f.__name__} {options}", lambda x: f(x, **options), i, exact=f in (ag.max, ag.min))

    def rows(self) -> None:
        i = self.pick(lambda x: is_float(x) and x.ndim > 0 and x.size > 0)
        if i is None:
            return
        x = self.values[i]
        axis = self.draw(st.integers(0, x.ndim - 1))
        name = self.draw(st.sampled_from(["softmax", "log_softmax", "cumulative_sum", "layer_norm"]))
        if name == "layer_norm":
            self.add(name, lambda x: F.layer_norm(x, x.shape[-1:], eps=0.1), i)
        elif name == "cumulative_sum":
            self.add(f"{name} {axis}", lambda x: ag.cumulative_sum(x, axis=axis), i)
        else:
            self.add(f"{name} {axis}", lambda x: getattr(F, name)(x, axis), i)

    def product(self) -> None:
        i = self.pick(lambda x: is_float(x) and x.ndim >= 1)
        if i is None:
            return
        k = self.values[i].shape[-1]
        j = self.pick(lambda y: is_float(y) and y.ndim >= 2 and y.shape[-2] == k and matches(self.values[i], y))
        if j is not None:
            self.add("matmul", lambda x, y: ag.tanh(x) @ ag.tanh(y), i, j)
        elif self.values[i].ndim >= 2:
            self.add("square matrix", lambda x: x @ ag.tanh(x.mT), i)

    def gather(self) -> None:
        i = self.pick(lambda x: x.ndim > 0 and 0 not in x.shape)
        j = self.pick(lambda y: y.dtype.kind == "i" and 0 < y.size < 40)
        if i is None or j is None:
            return
        axis = self.draw(st.integers(0, self.values[i].ndim - 1))
        n = self.values[i].shape[axis]
        kind = self.draw(st.sampled_from(["take", "index", "add"]))
        if kind == "take":
            self.add(f"take {axis}", lambda x, k: ag.take(x, k.reshape(-1) % n, axis=axis), i, j, exact=True)
        elif kind == "index":
            key = (slice(None),) * axis
            self.add(f"index {axis}", lambda x, k: x[(*key, k % n)], i, j, exact=True)
        elif is_float(self.values[i]):
            self.add("add at", lambda x, k: x.at[k.reshape(-1) % x.shape[0]].add(0.5), i, j)

    # -------------------------------------------------------------------------------- shapes

    def view(self) -> None:
        i = self.pick()
        shape = self.values[i].shape
        if not shape:
            self.add("broadcast (3, 2)", lambda x: ag.broadcast_to(x, (3, 2)), i, exact=True)
            return
        axis = self.draw(st.integers(0, len(shape) - 1))
        kind = self.draw(
            st.sampled_from(["reshape", "permute", "slice", "flip", "broadcast", "expand", "item", "roll"])
        )
        if kind == "reshape":
            to = self.draw(st.sampled_from([(-1,), (*shape, 1), (1, *shape), shape[::-1]]))
            to = to if -1 not in to else (prod(shape),)
            self.add(f"reshape {to}", lambda x: x.reshape(to), i, exact=True)
        elif kind == "permute":
            axes = tuple(self.draw(st.permutations(range(len(shape)))))
            self.add(f"permute {axes}", lambda x: ag.permute_dims(x, axes), i, exact=True)
        elif kind == "slice":
            key = tuple(self.slice(n) for n in shape)
            self.add(f"slice {key}", lambda x: x[key], i, exact=True)
        elif kind == "flip":
            self.add(f"flip {axis}", lambda x: ag.flip(x, axis=axis), i, exact=True)
        elif kind == "broadcast":
            self.add("broadcast", lambda x: ag.broadcast_to(x, (2, *x.shape)), i, exact=True)
        elif kind == "expand":
            self.add(f"expand {axis}", lambda x: ag.expand_dims(x, axis=axis), i, exact=True)
        elif kind == "roll":
            self.add(f"roll {axis}", lambda x: ag.roll(x, 2, axis=axis), i, exact=True)
        elif shape[axis]:
            at = self.draw(st.integers(-shape[axis], shape[axis] - 1))
            key = (*(slice(None),) * axis, at)
            self.add(f"item {key}", lambda x: x[key], i, exact=True)

    def slice(self, n: int) -> slice:
        start, stop = sorted(self.draw(st.tuples(st.integers(0, n), st.integers(0, n))))
        step = self.draw(st.sampled_from([1, 1, 2, 3, -1, -2]))
        return slice(start, stop, step) if step > 0 else slice(stop - 1 if stop else None, None, step)

    def join(self) -> None:
        i = self.pick(lambda x: x.ndim > 0)
        if i is None:
            return
        x = self.values[i]
        axis = self.draw(st.integers(0, x.ndim - 1))
        kind = self.draw(st.sampled_from(["concat", "stack", "pad", "tril", "set"]))
        if kind == "pad":
            widths = [(self.draw(st.integers(0, 2)), 1) if a == axis else (0, 0) for a in range(x.ndim)]
            self.add(f"pad {widths}", lambda x: ag.pad(x, widths), i, exact=True)
        elif kind == "tril" and x.ndim >= 2:
            self.add("tril", ag.tril, i, exact=True)
        elif kind == "set" and is_float(x):
            key = tuple(self.slice(n) for n in x.shape)
            self.add(f"set {key}", lambda x: x.at[key].set(0.25), i, exact=True)
        else:
            own = without(x.shape, axis)
            j = self.pick(lambda y: y.dtype == x.dtype and y.ndim == x.ndim and without(y.shape, axis) == own)
            if kind == "stack" and self.values[j].shape == x.shape:
                self.add(f"stack {axis}", lambda x, y: ag.stack([x, y], axis=axis), i, j, exact=True)
            else:
                self.add(f"concat {axis}", lambda x, y: ag.concat([x, y], axis=axis), i, j, exact=True)

    # -------------------------------------------------------------------------------- random numbers

    def drawn(self) -> None:
        i = self.pick(is_float)
        if i is None:
            return
        kind = self.draw(st.sampled_from(["uniform", "normal", "dropout", "bernoulli"]))
        if kind == "uniform":
            self.add(kind, lambda x: ag.random.uniform(x.shape), i, exact=False)
        elif kind == "normal":
            self.add(kind, lambda x: x + ag.random.normal(x.shape, dtype=x.dtype), i)
        elif kind == "dropout":
            self.add(kind, lambda x: F.dropout(x, 0.3), i)
        else:
            self.add(kind, lambda x: ag.random.bernoulli(0.5, x.shape), i)


def is_float(x: Any) -> bool:
    return bool(x.dtype.kind == "f")


def without(shape: tuple[int, ...], axis: int) -> tuple[int, ...]:
    return shape[:axis] + shape[axis + 1 :]


def broadcasts(x: Any, y: Any) -> bool:
    try:
        return prod(np.broadcast_shapes(x.shape, y.shape)) <= LARGEST
    except ValueError:
        return False


def matches(x: Any, y: Any) -> bool:
    """Whether x @ y broadcasts."""
    try:
        lead = np.broadcast_shapes(x.shape[:-2], y.shape[:-2])
    except ValueError:
        return False
    return prod(lead) * prod(x.shape[-2:-1]) * y.shape[-1] <= LARGEST


@st.composite
def recipes(draw: Any, *, gradient: bool = False, longest: int = 14) -> Recipe:
    """A program and arrays for it: floats that are multiples of 1/4, whole numbers, truth values."""
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    lengths = draw(st.lists(st.sampled_from(LENGTHS), min_size=3, max_size=3))
    n, m, k = lengths
    shapes = draw(
        st.lists(st.sampled_from([(n, m), (m,), (n, 1), (m, k), (k,), (), (2, n, m), (n, k)]), min_size=1, max_size=3)
    )
    main = draw(st.sampled_from(FLOATS))
    inputs = [np.asarray(rng.integers(-8, 9, s) / 4, main) for s in shapes]
    inputs.append(rng.integers(-3, 8, draw(st.sampled_from([(m,), (n, m), (), (3,)]))))
    if draw(st.booleans()):
        inputs.append(np.asarray(rng.random(draw(st.sampled_from(shapes))) < 0.5))
    if draw(st.booleans()):  # another dtype among them
        other = draw(st.sampled_from([*FLOATS, "int32"]))
        inputs.append(np.asarray(rng.integers(-8, 9, draw(st.sampled_from(shapes))), other))
    recipe = Recipe(inputs)
    with ag.random.fork(0):
        writer = Writer(draw, recipe, gradient=gradient)
        for _ in range(draw(st.integers(1, longest))):
            writer.step()
    last = len(writer.values) - 1
    recipe.single |= any(v.dtype == np.float32 for v in writer.values)
    recipe.results = [last, *draw(st.lists(st.integers(0, last), max_size=3))]
    return recipe
