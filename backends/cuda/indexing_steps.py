"""Picking and adding by integer arrays as steps of compiled functions: embeddings, and gradients of what was picked.

Results are written where they are to lie, and what sorting takes is in the arena. Indices are looked at in calls that
are enqueued op by op, once for all steps that use them. In what is captured those out of range wrap around where
elements are picked, and are left out of sums. Not yet run on hardware.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any, NamedTuple

from autograd_core.compiler.fuse import View
from autograd_core.compiler.ir import Equation, Var
from autograd_core.compiler.storage import Located, Storage
from autograd_core.ops._elements import add_at_p, take_p
from autograd_core.ops.pooling import pool_scatter_p

from .native.source import functions
from .sums_by_index import NAMES, PACKS, SumsByIndex

PRIMITIVES = (take_p, add_at_p, pool_scatter_p)
MOST = (1 << 32) - 1  # places that keys hold
SUMMED = (*NAMES, "complex64", "complex128")  # whole numbers are added by CuPy


class Rows(NamedTuple):
    """What elements are picked from, or added to: outer x length x inner of them, by indices below ``length``."""

    outer: int
    length: int
    inner: int


class IndexingStep(NamedTuple):
    """operands: the values, the indices, the result. offsets: of the first two in their arrays, in elements.

    pack: bytes that are copied at once. checks: whether indices are looked at here, and not by a step before.
    """

    equation: Equation
    by_index: SumsByIndex
    known: Any
    operands: tuple[Var, ...]
    offsets: tuple[int, int]
    problem: Rows
    workspace: int
    pack: int
    checks: bool
    writes: tuple[int, ...] = (2,)
    overwrites: frozenset[tuple[Var, Var]] = frozenset()

    @property
    def name(self) -> str:
        return self.equation.primitive.name

    @property
    def text(self) -> str:
        """Its CUDA C."""
        return functions("indices" if self.equation.primitive is take_p else "sums_by_index")

    def enqueue(self, arrays: Sequence[Any], stream: int) -> None:
        """arrays: those that hold the operands, then the workspace, if there is one."""
        values, indices = (
            array[begin : begin + v.aval.size]
            for array, begin, v in zip(arrays, self.offsets, self.operands, strict=False)
        )
        outer, length, inner = self.problem
        if self.checks:
            self.known.look(indices, length)
        primitive = self.equation.primitive
        if primitive is take_p:
            self.by_index.pick(values, indices, arrays[2], outer, length, inner, self.pack)
        elif primitive is add_at_p:
            self.by_index.into(arrays[2], values, indices, length, inner, arrays[3], from_back=True)
        else:  # each plane has places, and indices, of its own
            planes = values.size // outer, length
            self.by_index.into(arrays[2], values, indices, outer * length, 1, arrays[3], planes=planes)


def takes_view(e: Equation, operand: int, view: View) -> bool:
    """Whether the step reads the view where it lies. What is picked from is never copied as a whole."""
    shape = e.inputs[operand].shape
    return (e.primitive is take_p and operand == 0) or Located(shape, e.inputs[operand].dtype, view.strides).contiguous


def step_of(
    e: Equation, *, by_index: SumsByIndex, known: Any, storage: Storage, looked: dict[Var, int]
) -> IndexingStep | None:
    """The equation as a step, if its operands lie without gaps. looked: what steps before it know of indices: the
    shortest axis that they fit.
    """
    if e.primitive is pool_scatter_p:
        return _scattered(e, by_index, known, storage)
    if e.primitive not in PRIMITIVES or not all(v.aval.size for v in (*e.inputs, *e.outputs)):
        return None
    values, indices = places = [storage.located(v) for v in e.inputs]
    axis, itemsize = e.params["axis"], values.dtype.itemsize
    is_sum = e.primitive is add_at_p
    whole = e.outputs[0].shape if is_sum else e.inputs[0].shape
    outer, length, inner = prod(whole[:axis]), whole[axis], prod(whole[axis + 1 :])
    if not all(place.contiguous for place in places) or (is_sum and values.dtype.name not in SUMMED):
        return None
    pack = next(n for n in PACKS if not inner * itemsize % n and not values.offset * itemsize % n)
    workspace = by_index.workspace(e.inputs[1].aval.size, length) if is_sum else 0
    checks = looked.get(e.inputs[1], length + 1) > length
    looked[e.inputs[1]] = min(length, looked.get(e.inputs[1], length))
    return IndexingStep(
        e,
        by_index,
        known,
        (*e.inputs, e.outputs[0]),
        (values.offset, indices.offset),
        Rows(outer, length, inner),
        workspace,
        pack,
        checks,
    )


def _scattered(e: Equation, by_index: SumsByIndex, known: Any, storage: Storage) -> IndexingStep | None:
    """The gradient of maxima over windows that overlap; where these are is known to be within their planes."""
    values, indices = places = [storage.located(v) for v in e.inputs]
    whole = e.outputs[0].aval
    fits = whole.size and e.inputs[0].aval.size and values.dtype.name in SUMMED and whole.size < MOST
    if not fits or not all(place.contiguous for place in places):
        return None
    rows = Rows(prod(whole.shape[:2]), prod(whole.shape[2:]), 1)
    workspace = by_index.workspace(e.inputs[1].aval.size, whole.size)
    operands = (*e.inputs, e.outputs[0])
    return IndexingStep(
        e, by_index, known, operands, (values.offset, indices.offset), rows, workspace, pack=1, checks=False
    )
