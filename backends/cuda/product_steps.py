"""Matrix products as steps of compiled functions: with what follows their sums, and workspace from the arena.

cuBLASLt's plan is made for how operands lie, which is known when a function is compiled. Not yet run on hardware.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import NamedTuple

from autograd_core import context
from autograd_core.compiler.ir import Equation, Var
from autograd_core.compiler.space import row_major
from autograd_core.compiler.storage import Storage
from autograd_core.ops.linear_algebra import linear_p, matmul_p

from .cublaslt import BIAS, BIAS_ALIGNMENT, NOTHING, RELU, CublasLtError
from .products import ALIGNMENTS, Problem, Products, problem_of

log = logging.getLogger("autograd_core.cuda")
PRODUCTS = (matmul_p, linear_p)


class Epilogue(NamedTuple):
    """What follows the sums of a product: first the bias, along the last axis, then ``added``, then ReLU.

    Each is the array that holds it and the element of that array where it begins; ``added`` lies as the product does.
    """

    bias: tuple[Var, int] | None = None
    added: tuple[Var, int] | None = None
    relu: bool = False

    @property
    def reads(self) -> tuple[Var, ...]:
        return tuple(place[0] for place in (self.bias, self.added) if place is not None)


PLAIN = Epilogue()


class Product(NamedTuple):
    """A matrix product that the device's ordinary kernel computes, and where its result goes."""

    equation: Equation
    operands: tuple[Var, ...]
    writes: tuple[int, ...] = (2,)
    overwrites: frozenset[tuple[Var, Var]] = frozenset()

    @property
    def name(self) -> str:
        return self.equation.primitive.name

    @property
    def flops(self) -> int:
        return _flops(self.operands)


class PlannedProduct(NamedTuple):
    """A matrix product by cuBLASLt. operands: its two, the result, then what the epilogue reads.

    begins: bytes from where the array begins that holds an operand to where the operand does. workspace: bytes.
    """

    equation: Equation
    operands: tuple[Var, ...]
    overwrites: frozenset[tuple[Var, Var]]
    epilogue: Epilogue
    problem: Problem
    products: Products
    begins: tuple[int, ...]
    workspace: int
    writes: tuple[int, ...] = (2,)

    @property
    def name(self) -> str:
        told = self.equation.primitive.name
        parts = {"bias": self.epilogue.bias, "add": self.epilogue.added, "relu": self.epilogue.relu}
        return "_".join([told, *(name for name, there in parts.items() if there)])

    @property
    def flops(self) -> int:
        return _flops(self.operands)

    def enqueue(self, arrays: Sequence[int], workspace: int, stream: int) -> None:
        """arrays: where those begin that hold the operands. All are addresses."""
        a, b, y, *others = (array + begin for array, begin in zip(arrays, self.begins, strict=True))
        bias = others[0] if self.epilogue.bias is not None else None
        added = others[-1] if self.epilogue.added is not None else None
        self.products.run(
            self.problem,
            (a, b, y),
            bias=bias,
            added=added,
            mode=context.current().math,
            workspace=(workspace, self.workspace),
            stream=stream,
        )


def step_of(
    e: Equation,
    result: Var | None = None,
    epilogue: Epilogue = PLAIN,
    *,
    storage: Storage,
    products: Products | None,
) -> PlannedProduct | None:
    """The product as a step; None if cuBLASLt is not there, or cannot have it. result: the value that holds it, if it
    is not the equation's.
    """
    y = e.outputs[0] if result is None else result
    problem = None if products is None else _problem(e, storage, epilogue)
    if products is None or problem is None:
        return None
    operands = (*e.inputs, y, *epilogue.reads)
    offsets = [storage.located(v).offset for v in (*e.inputs, e.outputs[0])]
    offsets += [place[1] for place in (epilogue.bias, epilogue.added) if place is not None]
    begins = tuple(n * v.dtype.itemsize for n, v in zip(offsets, operands, strict=True))
    alignment = next(n for n in ALIGNMENTS if not any(begin % n for begin in begins))
    if epilogue != PLAIN and alignment < BIAS_ALIGNMENT:
        return None
    try:
        workspace = products.workspace(problem, alignment)
    except CublasLtError as error:
        log.info("cuBLASLt refuses %s: %s", problem, error)
        return None
    return PlannedProduct(e, operands, _over(e, y, epilogue, storage), epilogue, problem, products, begins, workspace)


def _problem(e: Equation, storage: Storage, epilogue: Epilogue) -> Problem | None:
    a, b = (storage.located(v) for v in e.inputs)
    if e.primitive is linear_p:
        b = b._replace(shape=b.shape[::-1], strides=b.strides[::-1])
    y = e.outputs[0]
    bits = (BIAS if epilogue.bias is not None else 0) | (RELU if epilogue.relu else 0)
    if a.dtype != b.dtype or not y.aval.size:
        return None
    lie = (a.shape, a.strides), (b.shape, b.strides), (y.shape, row_major(y.shape))
    return problem_of(a.dtype.name, *lie, bits or NOTHING)


def _flops(operands: Sequence[Var]) -> int:
    """A multiplication and an addition for every term."""
    return 2 * operands[2].aval.size * operands[0].shape[-1]


def _over(e: Equation, y: Var, epilogue: Epilogue, storage: Storage) -> frozenset[tuple[Var, Var]]:
    """The result may be written over what it is added to, if that is nothing else to the product."""
    if epilogue.added is None:
        return frozenset()
    v, offset = epilogue.added
    others = [storage.root(x) for x in e.inputs] + ([epilogue.bias[0]] if epilogue.bias is not None else [])
    whole = offset == 0 and v.aval.size == y.aval.size
    return frozenset([(y, v)]) if whole and v not in others else frozenset()
