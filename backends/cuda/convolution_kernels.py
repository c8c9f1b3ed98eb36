"""Convolutions on the GPU in the math mode that is asked for: by cuDNN, by kernels of our own, by their formulas.

The first that can does. cuDNN is asked where it is installed (``cudnn_convolutions.py``). The formulas run for complex
numbers, and without cuDNN for float64, on GPUs without TF32, and outside compiled functions for so little work that
compiling a kernel for it would not pay. Not yet run on hardware.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from math import prod
from typing import Any

from autograd_core import context
from autograd_core.compiler.ir import Equation
from autograd_core.ops._windows import Windows
from autograd_core.ops.convolution import convolution_bias_p
from autograd_core.primitive import Primitive

from .cudnn_convolutions import KINDS, Library
from .launching import Launcher
from .native import Source
from .native.convolution import Convolution, convolution
from .native.convolution_launches import TYPES, render
from .tensor_core_steps import MOST, PACK, SMALLEST, RenderedStep, launchers


def problem_of(
    primitive: Primitive, operands: Sequence[Any], windows: Windows, groups: int, mode: str
) -> Convolution | None:
    """What there is to compute of these arrays, or avals; None where only the formula knows how."""
    kind = KINDS[primitive]
    first, second = operands[:2]
    dtype = first.dtype.name
    if dtype not in TYPES or any(x.dtype.name != dtype or not prod(x.shape) for x in operands) or len(windows.size) > 3:
        return None
    channels = {
        "forward": (first.shape[1], second.shape[0]),
        "input": (second.shape[1] * groups, first.shape[1]),
        "weight": (first.shape[1], second.shape[1]),
    }[kind]
    bias = primitive is convolution_bias_p
    problem = convolution(kind, first.shape[0], channels, windows, groups, bias=bias, mode=mode, dtype=dtype)
    return problem if problem.elements <= MOST else None


@lru_cache(4096)
def rendered(problem: Convolution, name: str) -> Source:
    return render(problem, name)


def step_of(e: Equation) -> RenderedStep | None:
    """The equation as a step of a compiled function, if it is a convolution that there is a kernel for."""
    if e.primitive not in KINDS:
        return None
    problem = problem_of(e.primitive, e.inputs, **e.params, mode="fp32")
    operands = (*e.inputs, *e.outputs)
    return None if problem is None else RenderedStep(e, problem, rendered, operands, (len(e.inputs),))


class Convolutions:
    """The kernel of one primitive. library: cuDNN, which is asked first."""

    def __init__(
        self,
        cupy: Any,
        xp: Any,
        launcher: Callable[[int], Launcher | None],
        library: Library,
        primitive: Primitive,
    ):
        self._cupy, self._xp, self._launcher, self._primitive = cupy, xp, launcher, primitive
        self.cudnn = library

    def __call__(self, *operands: Any, windows: Windows, groups: int) -> Any:
        y = self._by_library(operands, windows, groups)
        if y is not None:
            return y
        launcher = self._launcher(operands[0].data.device_id)
        problem = problem_of(self._primitive, operands, windows, groups, context.current().math)
        if launcher is None or problem is None or problem.products < SMALLEST:
            return self._primitive.forward(self._xp, *operands, windows=windows, groups=groups)
        source = rendered(problem, self._primitive.name)
        y = self._cupy.empty(self._shape(operands, windows, groups), problem.dtype)
        arguments = [*map(self._packed, operands), y]
        if source.workspace:
            arguments.append(self._cupy.empty(source.workspace, "uint8"))
        launcher(source, arguments)
        return y

    def reads_halves(self, *operands: Any, windows: Windows, groups: int) -> bool:
        """Whether cuDNN or a kernel of ours computes with these halves as they are; the formula does in float32."""
        index = operands[0].device.index
        with self._cupy.cuda.Device(index):
            if self.cudnn.plan(index, self._primitive, operands, windows, groups) is not None:
                return True
            problem = problem_of(self._primitive, operands, windows, groups, context.current().math)
            return problem is not None and problem.products >= SMALLEST and self._launcher(index) is not None

    def _by_library(self, operands: Sequence[Any], windows: Windows, groups: int) -> Any:
        """None where kernels of our own, or the formula, are to compute it."""
        plan = self.cudnn.plan(operands[0].data.device_id, self._primitive, operands, windows, groups)
        if plan is None:
            return None
        y = self._cupy.empty(self._shape(operands, windows, groups), operands[0].dtype)
        packed = [self._packed(x) for x in operands]
        workspace = self._cupy.empty(plan.workspace, "uint8") if plan.workspace else None
        plan.run(
            [x.data.ptr for x in packed],
            y.data.ptr,
            workspace=0 if workspace is None else workspace.data.ptr,
            stream=self._cupy.cuda.get_current_stream().ptr,
        )
        return y

    def _shape(self, operands: Sequence[Any], windows: Windows, groups: int) -> tuple[int, ...]:
        first, second = operands[:2]
        return {
            "forward": lambda: (first.shape[0], second.shape[0], *windows.output),
            "input": lambda: (first.shape[0], second.shape[1] * groups, *windows.size),
            "weight": lambda: (second.shape[1], first.shape[1] // groups, *windows.kernel),
        }[KINDS[self._primitive]]()

    def _packed(self, x: Any) -> Any:
        """Without gaps, and from where numbers can be copied by fours."""
        packed = self._cupy.ascontiguousarray(x)
        return packed.copy() if packed.data.ptr % PACK else packed


def kernels(cupy: Any, xp: Any) -> dict[Primitive, Callable[..., Any]]:
    """xp: what formulas are run with."""
    launcher = launchers(cupy)
    library = Library()
    return {primitive: Convolutions(cupy, xp, launcher, library, primitive) for primitive in KINDS}
