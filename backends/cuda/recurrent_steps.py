"""Recurrent layers as steps of compiled functions: one launch for all steps of a sequence, written where it is to lie.

``recurrent_graphs.py`` puts launches in place of layers. Not yet run on hardware.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from autograd_core import context
from autograd_core.aval import Aval
from autograd_core.compiler.fuse import View
from autograd_core.compiler.ir import Equation, Var
from autograd_core.compiler.storage import Located, Storage
from autograd_core.primitive import General, general

from .native.recurrent import SHARED, Recurrence
from .recurrent_kernels import PRIMITIVES, Launches
from .tensor_core_steps import PACK


def _shape(*avals: Aval, problem: Recurrence, names: tuple[str, ...], results: tuple[str, ...]) -> tuple[Aval, ...]:
    order = (problem.batch, problem.steps) if problem.batch_first else (problem.steps, problem.batch)
    shapes: dict[str, tuple[int, ...]] = dict.fromkeys(
        ("states", "cells", "inner", "previous"), (*order, problem.hidden)
    )
    shapes |= dict.fromkeys(("dh0", "dc0"), (problem.batch, problem.hidden))
    gates = (*order, problem.gates * problem.hidden)
    return tuple(Aval(shapes.get(name, gates), avals[0].dtype) for name in results)


def _nowhere_else(xp: Any, *operands: Any, **params: Any) -> Any:
    raise NotImplementedError("the launch of a recurrent layer is a step of a compiled function")


# Primitives whose operands are ``names``, and whose results are ``results``: arguments of a launch.
LAUNCHES: dict[tuple[str, str], General] = {
    which: general(primitive.name, _nowhere_else, _shape, signals=False) for which, primitive in PRIMITIVES.items()
}
STEPS = frozenset(LAUNCHES.values())


class RecurrentStep(NamedTuple):
    """A launch in a compiled function, and where its results go.

    offsets: of the operands in their arrays, in elements. workspace: bytes in which blocks that wait for one another
    are counted.
    """

    equation: Equation
    launches: Launches
    operands: tuple[Var, ...]
    writes: tuple[int, ...]
    overwrites: frozenset[tuple[Var, Var]]
    offsets: tuple[int, ...]
    workspace: int

    @property
    def name(self) -> str:
        return self.equation.primitive.name

    @property
    def needs(self) -> tuple[str, ...]:
        """What there is but once: the blocks of two launches would wait for each other's places."""
        return ("all blocks",)

    @property
    def problem(self) -> Recurrence:
        return self.equation.params["problem"]

    @property
    def flops(self) -> int:
        p = self.problem
        return 2 * p.steps * p.batch * p.gates * p.hidden * p.hidden

    @property
    def text(self) -> str:
        """Its CUDA C, in the math mode that is asked for."""
        return self.launches.launch(self.problem.in_mode(context.current().math)).text

    def enqueue(self, arrays: Sequence[Any], stream: int) -> None:
        """arrays: the operands', the results', then the workspace."""
        names = (*self.equation.params["names"], *self.equation.params["results"])
        *given, workspace = arrays
        for i, offset in enumerate(self.offsets):
            given[i] = given[i][offset : offset + self.operands[i].aval.size]
        problem = self.problem.in_mode(context.current().math)
        self.launches.run(problem, dict(zip(names, given, strict=True)), workspace)


def takes_view(e: Equation, operand: int, view: View) -> bool:
    """Whether the step reads the view where it lies: without gaps, and from where numbers can be read by fours."""
    located = Located(e.inputs[operand].shape, e.inputs[operand].dtype, view.strides, view.offset)
    return located.contiguous and not view.offset * located.dtype.itemsize % PACK


def step_of(e: Equation, launches: Launches, storage: Storage) -> RecurrentStep | None:
    """The equation as a step, if its primitive is one of ``STEPS``."""
    if e.primitive not in STEPS:
        return None
    problem, names = e.params["problem"], e.params["names"]
    results = dict(zip(e.params["results"], e.outputs, strict=True))
    result, operand = SHARED[problem.kind, problem.way]
    operands = (*e.inputs, *e.outputs)
    return RecurrentStep(
        e,
        launches,
        operands,
        tuple(range(len(e.inputs), len(operands))),
        frozenset([(results[result], e.inputs[names.index(operand)])]),
        tuple(storage.located(v).offset for v in e.inputs),
        launches.workspace(problem),
    )
