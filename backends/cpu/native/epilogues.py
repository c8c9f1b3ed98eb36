"""Products and convolutions whose result is worked on in registers, element by element, and never stored itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from llvmlite import ir

from autograd_core.compiler.epilogue import FusedUnit
from autograd_core.compiler.fuse import LoopUnit
from autograd_core.compiler.ir import Equation
from autograd_core.compiler.loops import Load, LoopKernel, Map, Store
from autograd_core.compiler.space import row_major
from autograd_core.ops.convolution import convolution_bias_p, convolution_p
from autograd_core.ops.products import linear_p, matmul_p

from .convolution.convolution import Fusion
from .emit import Kernel
from .engine import KernelSpec
from .loops.stages import LANE, ONCE, levels_of
from .loops.statements import Point, Value, spread
from .lowerings import FLOATS, Located, is_native
from .machine import Machine
from .products.gemm import MatrixLayout, Place, gemm

# A tile of the product repeats the code for each of its registers: what is long is better a loop of its own. What
# is the same for all elements is computed before.
MOST_OPERATIONS = 8
DEEP = 256  # terms of a sum
_FUNCTIONS = """exp exp2 expm1 log log2 log10 log1p sin cos tan asin acos atan sinh cosh tanh asinh acosh atanh cbrt
    sigmoid erf pow atan2 hypot mod fmod floor_div"""
_LONG = frozenset(_FUNCTIONS.split())


def sizes_of(equation: Equation) -> tuple[int, ...] | None:
    """The sizes over which an epilogue is told where it is: rows and columns of a product, all elements of an image.

    None for equations that take none, for batches of products, and for convolutions without a kernel here.
    """
    y = equation.outputs[0]
    if y.dtype not in FLOATS or y.aval.size < 2:
        return None
    if is_convolution(equation):
        return (y.aval.size,) if is_native(equation) else None
    if equation.primitive not in (matmul_p, linear_p) or len(y.shape) != 2 or 1 in y.shape:
        return None
    return tuple(y.shape)


def is_convolution(equation: Equation) -> bool:
    return equation.primitive in (convolution_p, convolution_bias_p)


def pays(unit: FusedUnit, sums: LoopUnit | None) -> bool:
    """Whether the product is not held up longer than a loop of its own would take.

    Sums in a loop of their own read once more what was just stored, and what is loaded for every element arrives in
    time only where the product of each takes long.
    """
    levels = _levels(unit.kernel)
    ops = [s.op for s, level in zip(unit.kernel.body, levels, strict=True) if isinstance(s, Map) and level != ONCE]
    if sums is not None or len(ops) > MOST_OPERATIONS or not _LONG.isdisjoint(ops):
        return False
    loads = [s.access for s in unit.kernel.body if isinstance(s, Load) and s.access.operand != unit.product]
    if is_convolution(unit.equation):  # whose registers are made in no order that loads or other stores could follow
        return not loads and len(unit.outputs) == 1 and _in_place_of_product(unit.kernel, unit.product) is not None
    return unit.equation.inputs[0].shape[1] >= DEEP or not any(all(access.strides) for access in loads)


def product_with_epilogue(unit: FusedUnit, inputs: Sequence[Located]) -> tuple[KernelSpec, list[int]]:
    """The kernel of a product and its epilogue, and which operands of the epilogue follow the product's two.

    One result is written as the product would be, in whose place partial sums of long products can lie; others are
    stored beside it.
    """
    kernel, product = unit.kernel, unit.product
    a, b = inputs
    if unit.equation.primitive is linear_p:
        b = b._replace(shape=b.shape[::-1], strides=b.strides[::-1])
    (m, k), n = a.shape, b.shape[1]
    dtype = np.dtype(kernel.operands[product])
    last = _in_place_of_product(kernel, product)
    levels = _levels(kernel)
    once: dict[int, Value] = {}  # single numbers, which the function that is being written has from the start
    others = [i for i in range(len(kernel.operands)) if i not in (product, last)]
    order = others if last is None else [last, *others]

    def pointers(builder: Kernel) -> list[ir.Value]:
        own = dict(zip(order, builder.operands[2:], strict=False))
        own[product] = builder.operands[0]  # nothing addresses it
        return [own[i] for i in range(len(kernel.operands))]

    def computed(builder: Kernel, place: Place, register: ir.Value) -> ir.Value:
        lanes = place.register.count if isinstance(place.register, ir.VectorType) else 1
        along = 1 if lanes > 1 else None
        at = (place.row, place.column)
        point = Point(builder, pointers(builder), kernel.operands, at, along=along, lanes=lanes, valid=place.valid)
        values = dict(once)
        result = register
        for position, statement in enumerate(kernel.body):
            if position in values:
                continue
            if isinstance(statement, Load) and statement.access.operand == product:
                values[position] = Value(register, dtype)
            elif isinstance(statement, Store) and statement.access.operand == last:
                result = spread(builder, values[statement.arg], lanes)
            else:
                point.perform(kernel.body, position, values)
        return result

    def consume(builder: Kernel, place: Place, register: ir.Value) -> None:
        computed(builder, place, register)

    callbacks: dict[str, Any] = {"consume": consume, "c": None}
    if last is not None:
        callbacks = {"epilogue": computed, "c": MatrixLayout(n, 1)}
    name = "_".join([f"product_{m}x{n}x{k}", *dict.fromkeys(s.op for s in kernel.body if isinstance(s, Map))])
    spec = gemm(
        m,
        n,
        k,
        dtype,
        a=MatrixLayout(*a.strides),
        b=MatrixLayout(*b.strides),
        **callbacks,
        operands=len(others),
        key=(kernel, product),
        name=name,
    )

    def emit(builder: Kernel, machine: Machine) -> None:
        point = Point(builder, pointers(builder), kernel.operands, (None, None))
        once.clear()
        for position, statement in enumerate(kernel.body):
            if levels[position] == ONCE and not isinstance(statement, Store):
                once[position] = point.value(statement, once)
        spec.emit(builder, machine)

    return spec._replace(emit=emit), order


def _levels(kernel: LoopKernel) -> tuple[int, ...]:
    """Which statements are the same for all elements (ONCE)."""
    return levels_of(kernel, (), range(len(kernel.outer) + len(kernel.inner)), LANE)


def fusion_of(unit: FusedUnit) -> Fusion:
    """What a convolution does with a register of its result before it stores it."""
    kernel, product = unit.kernel, unit.product
    dtype = np.dtype(kernel.operands[product])

    def computed(b: Kernel, pixel: ir.Value, channel: ir.Value, register: ir.Value, mask: ir.Value | None) -> ir.Value:
        own, result = Value(register, dtype), register
        point = Point(b, (), (), ())
        values: dict[int, Value] = {}
        for position, statement in enumerate(kernel.body):
            if isinstance(statement, Load):
                values[position] = own
            elif isinstance(statement, Store):
                result = spread(b, values[statement.arg], own.lanes)
            else:
                point.perform(kernel.body, position, values)
        return result

    return Fusion(kernel, computed)


def _in_place_of_product(kernel: LoopKernel, product: int) -> int | None:
    """The operand that is written as the product itself would be; None if there is no such."""
    sizes = kernel.outer + kernel.inner
    for s in kernel.body:
        if isinstance(s, Store) and s.access[1:] == (row_major(sizes), 0):
            same = kernel.operands[s.access.operand] == kernel.operands[product]
            once = sum(isinstance(t, Store) and t.access.operand == s.access.operand for t in kernel.body) == 1
            if same and once:
                return s.access.operand
    return None
