"""What must hold for every operation: one function a property, each given an OpCase and raising AssertionError.

``test_ops`` runs all of them over the op table; ``test_ops_harness`` shows that each can fail.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from op_table import OpCase

import autograd_core as ag
from autograd_core import context, tree
from autograd_core.aval import is_inexact
from autograd_core.ops.indexing import nonzero_p
from autograd_core.primitive import Primitive

Arrays = tuple[np.ndarray, ...]

# How many elements these return depends on values: they have no shape rule and say so.
SHAPES_BY_VALUE = {nonzero_p}
# Rounding: results in float32 are compared with those in float64, which see the same operands.
TOLERANCE = {np.dtype(t): 2e-5 if t in ("f", "F") else 1e-11 for t in "fdFD"}
SINGLE = {np.dtype(np.float64): np.dtype(np.float32), np.dtype(np.complex128): np.dtype(np.complex64)}
DOUBLE = {single: double for double, single in SINGLE.items()}


class Watcher:
    """The eager interpreter, noting every primitive that it runs and comparing its shape rule with what came out."""

    level = 0

    def __init__(self) -> None:
        self.base = context.current().interpreter.base
        self.seen: set[Primitive] = set()

    def run(self, primitive: Primitive, inputs: Sequence[ag.Tensor], params: dict[str, Any]) -> Any:
        y = self.base.run(primitive, inputs, params)
        self.seen.add(primitive)
        if primitive in SHAPES_BY_VALUE:
            return y
        declared = primitive.output_aval(*[x.aval for x in inputs], **params)
        real = tuple(piece.aval for piece in y) if isinstance(y, tuple) else y.aval
        assert declared == real, f"{primitive.name}: its shape rule says {declared}, its result is {real}"
        return y


def arrays(case: OpCase, seed: int = 0) -> Arrays:
    return tuple(np.asarray(x) for x in case.make(np.random.default_rng(seed)))


def as_list(results: Any) -> list[Any]:
    return list(results) if isinstance(results, (tuple, list)) else [results]


def as_float32(xs: Sequence[np.ndarray]) -> Arrays:
    return tuple(x.astype(SINGLE.get(x.dtype, x.dtype)) for x in xs)


def as_float64(xs: Sequence[np.ndarray]) -> Arrays:
    return tuple(x.astype(DOUBLE.get(x.dtype, x.dtype)) for x in xs)


def normal_like(rng: np.random.Generator, y: Any) -> np.ndarray:
    """Standard normal values of the shape and dtype of ``y``, in both parts where it is complex."""
    values = rng.standard_normal(y.shape)
    return np.asarray(values + 1j * rng.standard_normal(y.shape) if y.dtype.kind == "c" else values, y.dtype)


def default_device() -> str:
    """The device whose operations are checked."""
    return str(context.current().device)


def run(case: OpCase, xs: Arrays, device: str | None = None) -> list[ag.Tensor]:
    """The results of ``case.fn`` for operands that share memory with ``xs``, where ``device`` can."""
    with ag.default_device(device or default_device()):
        return tree.flatten(case.fn(*[ag.asarray(x, device=device) for x in xs]))[0]


def of_operands(case: OpCase, xs: Arrays, positions: Sequence[int], device: str | None = None) -> Callable[..., Any]:
    """``case.fn`` as a function of the operands at ``positions`` alone, giving its floating results."""

    def f(*chosen: ag.Tensor) -> tuple[ag.Tensor, ...]:
        full = [ag.asarray(x, device=device) for x in xs]
        for i, x in zip(positions, chosen, strict=True):
            full[i] = x
        return tuple(y for y in tree.flatten(case.fn(*full))[0] if is_inexact(y.dtype))

    return f


def pulled(case: OpCase, xs: Arrays, cotangents: Sequence[np.ndarray] | None = None, device: str | None = None) -> list:
    """The floating results as arrays, the cotangents they were given, and those of the differentiable operands."""
    positions = case.argnums(xs)
    with ag.default_device(device or default_device()):
        primals = [ag.asarray(xs[i], device=device) for i in positions]
        ys, pull = ag.vjp(of_operands(case, xs, positions, device), *primals)
        if cotangents is None:
            rng = np.random.default_rng(1)
            cotangents = [normal_like(rng, y) for y in ys]
        found = pull(tuple(ag.asarray(g, device=device) for g in cotangents))
    return [[y.numpy() for y in ys], list(cotangents), [g.numpy() for g in found]]


def same(found: Sequence[Any], expected: Sequence[Any], what: str, tolerance: float, *, dtypes: bool = True) -> None:
    """Each array equal to its counterpart in shape, dtype and, up to rounding, in value."""
    assert len(found) == len(expected), f"{what}: {len(found)} results, expected {len(expected)}"
    for k, (a, b) in enumerate(zip(found, expected, strict=True)):
        a, b = np.asarray(a), np.asarray(b)
        assert a.shape == b.shape, f"{what}: result {k} has shape {a.shape}, expected {b.shape}"
        if dtypes:
            assert a.dtype == b.dtype, f"{what}: result {k} is {a.dtype}, expected {b.dtype}"
        if not a.size:
            continue
        scale = max(1.0, float(np.abs(b[np.isfinite(b)].astype(np.complex128)).max(initial=0.0)))
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance * scale, err_msg=f"{what}: result {k}")


# ------------------------------------------------------------------------------------------ properties


def value(case: OpCase) -> None:
    """The results are those of the reference, in its dtypes."""
    xs = arrays(case)
    same([y.numpy() for y in run(case, xs)], as_list(case.reference(*xs)), case.name, TOLERANCE[np.dtype(np.float64)])


def shapes(case: OpCase, watcher: Watcher | None = None) -> None:
    """Every primitive's shape rule gives what comes out, in the function and in its derivatives."""
    xs = arrays(case)
    positions = case.argnums(xs)
    with context.scope(interpreter=watcher or Watcher()):
        run(case, xs)
        if positions:
            f = of_operands(case, xs, positions)
            primals = tuple(ag.asarray(xs[i]) for i in positions)
            ys, pull = ag.vjp(f, *primals)
            pull(tuple(y.new_ones(y.shape) for y in ys))
            ag.jvp(f, primals, tuple(x.new_ones(x.shape) for x in primals))


def gradients(case: OpCase) -> None:
    """Derivatives in both modes, to the order that exists, agree with finite differences; each operand alone too."""
    xs = arrays(case)
    positions = case.argnums(xs)
    ag.check_grads(of_operands(case, xs, positions), tuple(xs[i] for i in positions), order=case.order)
    if len(positions) > 1:
        for i in positions:
            ag.check_grads(of_operands(case, xs, [i]), (xs[i],), order=1)


def edge(case: OpCase) -> None:
    """Where there is no derivative, the gradients are those that the case states."""
    xs = arrays(case)
    ones = [np.ones(y.shape, y.dtype) for y in run(case, xs) if is_inexact(y.dtype)]
    _, _, found = pulled(case, xs, ones)
    expected = [np.asarray(g) for g in as_list(case.edge(*xs))]
    same(found, expected, f"{case.name}: gradient at the edge", TOLERANCE[np.dtype(np.float64)])


def symmetry(case: OpCase) -> None:
    """v H w = w H v for the Hessian of a random combination of the results."""
    xs = arrays(case)
    positions = case.argnums(xs)
    f = of_operands(case, xs, positions)
    primals = tuple(ag.asarray(xs[i]) for i in positions)
    rng = np.random.default_rng(2)
    weights = [ag.asarray(normal_like(rng, y)) for y in f(*primals)]
    v, w = (tuple(ag.asarray(normal_like(rng, x)) for x in primals) for _ in range(2))

    def combination(*chosen: ag.Tensor) -> ag.Tensor:
        total = ag.zeros((), dtype="float64")
        for weight, y in zip(weights, f(*chosen), strict=True):
            total = total + ag.real(weight * y).sum()
        return total

    def product(left: Any, right: Any) -> float:
        found = ag.hvp(combination, primals, right)
        found = found if isinstance(found, tuple) else (found,)
        return sum(float(np.vdot(a.numpy(), b.numpy()).real) for a, b in zip(left, found, strict=True))

    np.testing.assert_allclose(product(v, w), product(w, v), rtol=1e-9, atol=1e-9)


def layouts(case: OpCase) -> None:
    """Operands and cotangents that lie in memory in other ways give what contiguous ones give."""
    xs = arrays(case)
    for name, change in LAYOUTS.items():
        changed = tuple(change(x) for x in xs)
        plain = tuple(x.copy() for x in changed)
        what, tolerance = f"{case.name}: {name} operands", TOLERANCE[np.dtype(np.float64)]
        same([y.numpy() for y in run(case, changed)], [y.numpy() for y in run(case, plain)], what, tolerance)
        if case.argnums(xs):
            cotangents = [change(g) for g in pulled(case, plain)[1]]
            _, _, found = pulled(case, changed, cotangents)
            _, _, expected = pulled(case, plain, [g.copy() for g in cotangents])
            same(found, expected, f"{what}: gradient", tolerance)


def _spread(x: np.ndarray) -> np.ndarray:
    """Every second element of a larger array along every axis."""
    if not x.ndim:
        return x
    large = np.zeros([2 * n + 1 for n in x.shape], x.dtype)
    view = large[tuple(slice(1, None, 2) for _ in x.shape)]
    view[...] = x
    return view


def _reversed(x: np.ndarray) -> np.ndarray:
    key = (slice(None, None, -1),) * x.ndim
    return np.ascontiguousarray(x[key])[key] if x.ndim else x


def _repeated(x: np.ndarray) -> np.ndarray:
    """Stride 0 along the first axis: its first entry repeated; operands of integers stay what they are."""
    return np.broadcast_to(x[:1], x.shape) if x.ndim and x.size and x.dtype.kind in "fc" else x


LAYOUTS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "Fortran-order": lambda x: x.copy(order="F"),
    "strided": _spread,
    "negative-stride": _reversed,
    "repeated": _repeated,
}


def scalars(case: OpCase) -> None:
    """0-d operands of an elementwise operation give the element that arrays of one element give."""
    for xs in (arrays(case), as_float32(arrays(case))):
        points = tuple(np.asarray(x.flat[0]) for x in xs)
        lines = tuple(x.reshape(1) for x in points)
        tolerance = TOLERANCE.get(xs[0].dtype, 0.0)
        expected = [y.numpy().reshape(()) for y in run(case, lines)]
        same([y.numpy() for y in run(case, points)], expected, f"{case.name}: 0-d", tolerance)
        if case.argnums(xs):
            _, cotangents, found = pulled(case, points)
            _, _, expected = pulled(case, lines, [g.reshape(1) for g in cotangents])
            same(found, [g.reshape(()) for g in expected], f"{case.name}: 0-d gradient", tolerance)


def purity(case: OpCase) -> None:
    """Neither operands, nor cotangents and tangents, nor earlier results change."""
    xs = arrays(case)
    kept = [x.copy() for x in xs]
    ys = run(case, xs)
    results = [y.numpy().copy() for y in ys]
    same(xs, kept, f"{case.name}: operands", 0.0)
    positions = case.argnums(xs)
    if positions:
        rng = np.random.default_rng(3)
        values, like, _ = pulled(case, xs)
        cotangents = [normal_like(rng, g) for g in like]
        tangents = [normal_like(rng, xs[i]) for i in positions]
        before = [x.copy() for x in (*values, *cotangents, *tangents)]
        values, _, _ = pulled(case, xs, cotangents)
        f = of_operands(case, xs, positions)
        ag.jvp(f, tuple(ag.asarray(xs[i]) for i in positions), tuple(map(ag.asarray, tangents)))
        same([*values, *cotangents, *tangents], before, f"{case.name}: results, cotangents and tangents", 0.0)
    same(xs, kept, f"{case.name}: operands of derivatives", 0.0)
    same([y.numpy() for y in ys], results, f"{case.name}: results", 0.0)


def recording(case: OpCase) -> None:
    """Results require gradients exactly if an operand with a derivative does and recording is on."""
    xs = arrays(case)
    positions = case.argnums(xs)
    operands = [ag.asarray(x) for x in xs]
    for i, x in enumerate(xs):
        if x.dtype.kind in "fc":
            operands[i] = ag.tensor(x, requires_grad=True)
    with ag.no_grad():
        ys = tree.flatten(case.fn(*operands))[0]
    made = [y for y in ys if not any(y is x for x in operands)]
    assert not any(y.requires_grad for y in made), f"{case.name}: recorded in no_grad"
    ys = tree.flatten(case.fn(*operands))[0]
    assert not any(y.requires_grad for y in ys if y.dtype.kind in "biu"), f"{case.name}: integers require gradients"
    if positions:
        assert any(y.requires_grad for y in ys), f"{case.name}: no result requires gradients"
    constants = [x.detach() for x in operands]
    assert not any(y.requires_grad for y in tree.flatten(case.fn(*constants))[0]), f"{case.name}: constants recorded"


def backends(case: OpCase) -> None:
    """The default device gives what the reference backend gives, in both floating dtypes."""
    device = default_device()
    for xs in (arrays(case), as_float32(arrays(case))):
        dtype = np.dtype(np.float32 if any(x.dtype in DOUBLE for x in xs) else np.float64)
        tolerance = TOLERANCE[dtype]
        expected = [y.numpy() for y in run(case, xs, "numpy")]
        same([y.numpy() for y in run(case, xs, device)], expected, f"{case.name} {dtype}", tolerance)
        assert all(y.device == "numpy" for y in run(case, xs, "numpy")), f"{case.name}: result on another device"
        if case.argnums(xs):
            _, cotangents, expected = pulled(case, xs, device="numpy")
            _, _, found = pulled(case, xs, cotangents, device)
            same(found, expected, f"{case.name} {dtype}: gradient", tolerance)


def peer(case: OpCase, torch: Any) -> None:
    """PyTorch gives the same results and gradients."""
    xs = arrays(case)
    operands = [torch.from_numpy(x.copy()) for x in xs]
    positions = case.argnums(xs)
    for i in positions:
        operands[i].requires_grad_()
    theirs = case.torch(torch, *operands)
    theirs = as_list(theirs)
    tolerance = TOLERANCE[np.dtype(np.float64)]
    results = [y.detach().resolve_conj().resolve_neg().numpy() for y in theirs]
    same([y.numpy() for y in run(case, xs)], results, case.name, tolerance, dtypes=False)
    if positions:
        _, cotangents, found = pulled(case, xs)
        floating = [y for y in theirs if y.is_floating_point() or y.is_complex()]
        expected = torch.autograd.grad(
            [y for y in floating if y.requires_grad],
            [operands[i] for i in positions],
            [torch.from_numpy(g) for g, y in zip(cotangents, floating, strict=True) if y.requires_grad],
            allow_unused=True,
        )
        expected = [
            np.zeros_like(xs[i]) if g is None else g.resolve_conj().resolve_neg().numpy(force=True)
            for i, g in zip(positions, expected, strict=True)
        ]
        same(found, expected, f"{case.name}: gradient", tolerance)


def half(case: OpCase) -> None:
    """In float16 nothing is NaN, far from 0 either, that float64 has within the range of float16."""
    points = np.array([-60.0, -9, -6, -4, -3, 3, 4, 6, 9, 60])
    exact = pulled(case, (points,), [np.ones(len(points))])
    found = pulled(case, (points.astype(np.float16),), [np.ones(len(points), np.float16)])
    for what, a, b in zip(("results", "", "gradients"), found, exact, strict=True):
        lost = np.isnan(a[0]) & ~(np.isnan(b[0]) | (np.abs(b[0]) > 1e4))
        assert not lost.any(), f"{case.name}: {what} in float16 are NaN at {points[lost]}, expected {b[0][lost]}"
