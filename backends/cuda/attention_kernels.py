"""Attention on the GPU by kernels of our own, in the math mode that is asked for; else by its formula.

The formula runs for what is not float32, heads of fewer than 16 features or more than 128, gradients of a mask, GPUs
without TF32, and outside compiled functions for so little work that compiling a kernel for it would not pay. Operands
are read where they lie: heads that lie side by side are not put apart before; compiled functions say where results are
to lie (``attention_places.py``). Not yet run on hardware.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from math import prod
from typing import Any, NamedTuple

from autograd_core import context
from autograd_core.compiler.fuse import View
from autograd_core.compiler.ir import Equation
from autograd_core.compiler.space import row_major
from autograd_core.compiler.storage import Storage
from autograd_core.ops.attention import attention_p, attention_vjp_p
from autograd_core.primitive import Primitive

from .launching import Launcher
from .native import Source
from .native.attention import Attention, placed, render
from .tensor_core_steps import MOST, PACK, SMALLEST, RenderedStep, launchers

ATTENTION = (attention_p, attention_vjp_p)
HEADS = range(16, 129)  # features that there are kernels for
RESIDUALS = ("g", "y", "sums")  # what precedes attention's own operands in those of its adjoint
IN_ORDER = ("sums",)  # operands that are read as they are left


class Layout(NamedTuple):
    """An operand: shape, dtype; strides and offset in elements."""

    shape: tuple[int, ...]
    dtype: Any
    strides: tuple[int, ...]
    offset: int = 0


def names_of(primitive: Primitive, has: tuple[str, ...]) -> tuple[str, ...]:
    return has if primitive is attention_p else (*RESIDUALS, *has)


def has_kernel(primitive: Primitive, operands: Sequence[Any], params: dict[str, Any]) -> bool:
    """Whether there are kernels for such operands: arrays, or avals."""
    named = dict(zip(names_of(primitive, params["has"]), operands, strict=True))
    floats = [x for name, x in named.items() if name not in ("mask", "keep")]
    mask = named.get("mask", floats[0])
    sizes = named["q"].shape[-1], named["v"].shape[-1]
    results = prod(named["q"].shape[:-1]) * sizes[1]
    return (
        all(x.dtype.name == "float32" for x in floats)
        and mask.dtype.name in ("float32", "bool")
        and all(0 < n <= MOST for n in (*(prod(x.shape) for x in operands), results))
        and all(size in HEADS for size in sizes)
        and "mask" not in params.get("wanted", ())
    )


def problem_of(primitive: Primitive, operands: Sequence[Any], params: dict[str, Any], mode: str) -> Attention:
    """operands: each with its shape, dtype, strides and offset, as ``reads`` has it."""
    names = names_of(primitive, params["has"])
    named = dict(zip(names, operands, strict=True))
    q, k, v = named["q"], named["k"], named["v"]
    places = tuple(placed((1, *x.shape), (0, *x.strides), x.offset) for x in operands)
    return Attention(
        q.shape[:-2],
        q.shape[-2],
        k.shape[-2],
        q.shape[-1],
        v.shape[-1],
        params["scale"],
        params["causal"],
        params["keep_scale"],
        names,
        tuple(p._replace(lead=p.lead[1:]) for p in places),
        params.get("wanted", ()),
        "mask" in named and named["mask"].dtype.name == "float32",
        mode,
        params.get("results", ()),
    )


def reads(name: str, shape: Sequence[int], strides: Sequence[int]) -> bool:
    """Whether kernels read the operand with such strides, in elements."""
    if name in IN_ORDER:
        return all(n == 1 or s == t for n, s, t in zip(shape, strides, row_major(shape), strict=True))
    reach = sum((n - 1) * abs(s) for n, s in zip(shape, strides, strict=True))
    return reach <= MOST and (name in ("mask", "keep") or strides[-1] == 1)


@lru_cache(4096)
def rendered(problem: Attention, name: str) -> Source:
    return render(problem, name)


def attends(e: Equation) -> bool:
    """Whether the equation is attention, or its adjoint, that there is a kernel for."""
    return e.primitive in ATTENTION and has_kernel(e.primitive, e.inputs, e.params)


def takes_view(e: Equation, operand: int, view: View) -> bool:
    """Whether the kernel of such an equation reads the view where it lies."""
    name = names_of(e.primitive, e.params["has"])[operand]
    in_place = view.offset == 0 or name not in IN_ORDER
    return in_place and view.offset <= MOST and reads(name, e.inputs[operand].shape, view.strides)


def step_of(e: Equation, storage: Storage) -> RenderedStep | None:
    """The equation as a step of a compiled function, if there is a kernel for it."""
    if not attends(e):
        return None
    problem = problem_of(e.primitive, [storage.located(v) for v in e.inputs], e.params, "fp32")
    writes = tuple(range(len(e.inputs), len(e.inputs) + len(e.outputs)))
    return RenderedStep(e, problem, rendered, (*e.inputs, *e.outputs), writes)


class AttentionKernel:
    """The kernel of one of the two primitives."""

    def __init__(self, cupy: Any, xp: Any, launcher: Callable[[int], Launcher | None], primitive: Primitive):
        self._cupy, self._xp, self._launcher, self._primitive = cupy, xp, launcher, primitive

    def __call__(self, *operands: Any, **params: Any) -> tuple[Any, ...]:
        launcher = self._launcher(operands[0].data.device_id)
        if launcher is None or not has_kernel(self._primitive, operands, params):
            return self._primitive.forward(self._xp, *operands, **params)
        names = names_of(self._primitive, params["has"])
        arrays = [self._readable(name, x) for name, x in zip(names, operands, strict=True)]
        layouts = [Layout(x.shape, x.dtype, tuple(s // x.itemsize for s in x.strides)) for x in arrays]
        problem = problem_of(self._primitive, layouts, params, context.current().math)
        if problem.products < SMALLEST:
            return self._primitive.forward(self._xp, *operands, **params)
        source = rendered(problem, self._primitive.name)
        results = [self._cupy.empty(shape, "float32") for shape in self._shapes(dict(zip(names, operands)), params)]
        arguments = [*arrays, *results]
        if source.workspace:
            arguments.append(self._cupy.empty(source.workspace, "uint8"))
        launcher(source, arguments)
        return tuple(results)

    def _shapes(self, named: dict[str, Any], params: dict[str, Any]) -> list[tuple[int, ...]]:
        if self._primitive is attention_vjp_p:
            return [named[name].shape for name in params["wanted"]]
        rows = named["q"].shape[:-1]
        return [(*rows, named["v"].shape[-1]), rows]

    def _readable(self, name: str, x: Any) -> Any:
        """As kernels read it, and from where numbers can be copied by fours."""
        if not reads(name, x.shape, [s // x.itemsize for s in x.strides]):
            x = self._cupy.ascontiguousarray(x)
        return x.copy() if x.data.ptr % PACK else x


def kernels(cupy: Any, xp: Any) -> dict[Primitive, Callable[..., Any]]:
    """xp: what formulas are run with."""
    launcher = launchers(cupy)
    return {primitive: AttentionKernel(cupy, xp, launcher, primitive) for primitive in ATTENTION}
