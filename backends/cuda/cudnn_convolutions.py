"""Who computes a convolution: cuDNN, if it is installed and asked for, or kernels of ours; and plans that are kept.

``ag.cuda.convolutions_by`` chooses. What cuDNN refuses, once, is left to our kernels from then on. Not yet run on
hardware.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from functools import lru_cache
from threading import Lock
from typing import Any, NamedTuple

from autograd_core import context
from autograd_core.compiler.ir import Equation, Var
from autograd_core.errors import BackendUnavailableError
from autograd_core.ops._windows import Windows
from autograd_core.ops.convolution import convolution_bias_p, convolution_input_p, convolution_p, convolution_weight_p
from autograd_core.primitive import Primitive

from .cudnn import ConvolutionPlan, Cudnn, Problem, is_installed, load, problem_of

log = logging.getLogger("autograd_core.cuda")
PLANS = 1024  # kept of each device, those that were used last, and as many problems without one
KINDS = {
    convolution_p: "forward",
    convolution_bias_p: "forward",
    convolution_input_p: "input",
    convolution_weight_p: "weight",
}


class Plans:
    """cuDNN's plans on one device, whose problems it has met before."""

    def __init__(self, cudnn: Cudnn):
        self._lock = Lock()

        @lru_cache(PLANS)
        def plan(problem: Problem) -> ConvolutionPlan | None:
            try:
                return ConvolutionPlan(cudnn, problem)
            except Exception as error:  # the front end has several kinds, and none says that our kernel would fail too
                known = type(error).__name__ == "cudnnGraphNotSupportedError"
                log.log(logging.INFO if known else logging.WARNING, "cuDNN refuses %s: %s", problem, error)
                return None

        self._plan = plan

    def __call__(self, problem: Problem) -> ConvolutionPlan | None:
        with self._lock:
            return self._plan(problem)


class CudnnStep(NamedTuple):
    """A convolution of a compiled function that cuDNN computes. plans: by math mode."""

    equation: Equation
    problem: Problem
    plans: Mapping[str, ConvolutionPlan]
    operands: tuple[Var, ...]
    writes: tuple[int, ...]
    overwrites: frozenset[tuple[Var, Var]] = frozenset()

    @property
    def name(self) -> str:
        return f"cudnn_{self.equation.primitive.name}"

    @property
    def flops(self) -> int:
        return 2 * self.problem.products

    @property
    def workspace(self) -> int:
        """Bytes, in whatever mode it is run."""
        return max(plan.workspace for plan in self.plans.values())

    def enqueue(self, arrays: Sequence[Any], stream: int) -> None:
        """arrays: the operands', the result's, then the workspace, if there is one."""
        *operands, result = (x.data.ptr for x in arrays[: len(self.operands)])
        workspace = arrays[-1].data.ptr if self.workspace else 0
        self.plans[context.current().math].run(operands, result, workspace=workspace, stream=stream)


class Library:
    """cuDNN on every device, looked for when the first convolution asks."""

    def __init__(self) -> None:
        @lru_cache(None)
        def found(index: int) -> Plans | str:
            try:
                return Plans(Cudnn(load()))
            except BackendUnavailableError as error:
                return str(error)

        self._found = found

    def plans(self, index: int) -> Plans | None:
        """Those of the device that is current, by its index; None where kernels of ours are to compute.

        BackendUnavailableError where cuDNN is asked for by name and cannot be used.
        """
        by = context.current().convolutions
        if by == "own" or (by == "auto" and not is_installed()):
            return None
        found = self._found(index)
        if isinstance(found, Plans):
            return found
        if by == "cudnn":
            raise BackendUnavailableError(
                f"ag.cuda.convolutions_by('cudnn'): {found}. Write convolutions_by('own') for kernels of our own."
            )
        _told(found)
        return None

    def plan(
        self, index: int, primitive: Primitive, operands: Sequence[Any], windows: Windows, groups: int
    ) -> ConvolutionPlan | None:
        """For these arrays, in the math mode that is asked for; None where kernels of ours are to compute."""
        plans = self.plans(index)
        if plans is None:
            return None
        problem = _problem(primitive, operands, windows, groups, context.current().math)
        return None if problem is None else plans(problem)

    def step(self, index: int, e: Equation) -> CudnnStep | None:
        """The equation as a step of a compiled function, if cuDNN is to compute it.

        In the math mode of this call; in others, in which a derivative may be asked for, exactly: what they want of
        workspace is not held ready.
        """
        plans = self.plans(index) if e.primitive in KINDS else None
        if plans is None:
            return None
        math = context.current().math
        problem, exact = (_problem(e.primitive, e.inputs, **e.params, mode=mode) for mode in (math, "fp32"))
        found = [None if p is None else plans(p) for p in (problem, exact)]
        if problem is None or found[0] is None or found[1] is None:
            return None
        by_mode = {**dict.fromkeys(context.MATH_MODES, found[1]), math: found[0]}
        return CudnnStep(e, problem, by_mode, (*e.inputs, *e.outputs), (len(e.inputs),))


def _problem(primitive: Primitive, operands: Sequence[Any], windows: Windows, groups: int, mode: str) -> Problem | None:
    bias = primitive is convolution_bias_p
    return problem_of(KINDS[primitive], operands, windows, groups, bias=bias, mode=mode)


@lru_cache(None)
def _told(reason: str) -> None:
    """Once: who has installed the front end will want to know why it is not used."""
    log.warning("convolutions are computed by kernels of our own: %s", reason)
